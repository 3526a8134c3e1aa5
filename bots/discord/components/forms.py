"""Forms: a dialog for a longer text, and the button that opens it where a dialog can't open directly.

Both carry the command in their id, and what comes before the text, so they outlive a restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bots.discord.api.rest import Button
from core.commands.registry import scope_named
from core.commands.responses import Form
from core.settings.parameters import Layer

# Discord's limits (docs.discord.com, Component Reference).
_LONGEST_LENGTH = 4000
_TITLE = 45
_FORM, _OPEN = "form:", "open:"
_IN = ":"  # before the scope, which may be missing, and before each argument in front of the text
_FIELD = "text"
_TOO_LONG = "The current text is too long to edit here. What you write replaces it."


@dataclass(frozen=True, slots=True)
class FormCommand:
    """The command of a form: its name, the arguments before the text, and the scope, if one was given."""

    name: str
    given: tuple[str, ...] = ()
    scope: Layer | None = None


def dialog(wanted: Form, scope: Layer | None = None) -> ui.Modal:
    """The form as Discord shows it. A text that is too long for the field is not cut: the field stays empty.

    `scope` comes back with the text.
    """
    held = wanted.value if len(wanted.value) <= _LONGEST_LENGTH else None
    placeholder = _TOO_LONG if held is None else None
    return form(_FORM + _named(wanted, scope), wanted.title, wanted.label, default=held, placeholder=placeholder)


def form(
    name: str,
    title: str,
    label: str,
    *,
    default: str | None = None,
    placeholder: str | None = None,
    max_length: int = _LONGEST_LENGTH,
    above: str = "",
) -> ui.Modal:
    """A dialog with this id and one field for a text. `above`: what stands above the field."""
    field: ui.TextInput[ui.Modal] = ui.TextInput(
        style=discord.TextStyle.paragraph,
        custom_id=_FIELD,
        default=default,
        placeholder=placeholder,
        max_length=max_length,
    )
    modal = ui.Modal(title=title[:_TITLE], custom_id=name)
    if above:
        modal.add_item(ui.TextDisplay(above))
    modal.add_item(ui.Label(text=label[:_TITLE], component=field))
    return modal


def opener(wanted: Form) -> Button:
    """The button under a message that opens the form."""
    return Button(_OPEN + _named(wanted), wanted.title)


def to_open(data: Mapping[str, Any]) -> FormCommand | None:
    """The command whose form a pressed button opens; None if the button belongs to something else."""
    found = _after(_OPEN, data)
    return None if found is None else _command(found)


def submitted(data: Mapping[str, Any]) -> tuple[FormCommand, str] | None:
    """The command and the text of a submitted form; None if the form belongs to something else."""
    found = _after(_FORM, data)
    return None if found is None else (_command(found), entered(data.get("components")))


def _named(wanted: Form, scope: Layer | None = None) -> str:
    """What an id says of a form: at most 100 characters (docs.discord.com, Component Reference)."""
    words = [wanted.command, *((scope or "", *wanted.given) if scope or wanted.given else ())]
    return _IN.join(words)


def _command(name: str) -> FormCommand:
    command, *words = name.split(_IN)
    return FormCommand(command, tuple(words[1:]), scope_named(words[0]) if words else None)


def _after(prefix: str, data: Mapping[str, Any]) -> str | None:
    name = str(data.get("custom_id", ""))
    return name.removeprefix(prefix) if name.startswith(prefix) else None


def entered(parts: Any) -> str:
    """The field's value, wherever the layout put it."""
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("custom_id") == _FIELD:
            return str(part.get("value", ""))
        if found := entered(part.get("components")) or entered([part.get("component")]):
            return found
    return ""
