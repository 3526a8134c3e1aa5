"""Forms: a dialog for a longer text, and the button that opens it where a dialog can't open directly.

Both carry only the command in their id, so they outlive a restart.
"""

from collections.abc import Mapping
from typing import Any

import discord
from discord import ui

from bots.discord.api.rest import Button
from bots.discord.components.commands import scope_of
from core.commands.responses import Form
from core.settings.parameters import Layer

# Discord's limits (docs.discord.com, Component Reference).
_LONGEST_LENGTH = 4000
_TITLE = 45
_FORM, _OPEN = "form:", "open:"
_IN = ":"  # before the scope, if one was given
_FIELD = "text"
_TOO_LONG = "The current text is too long to edit here. What you write replaces it."


def dialog(wanted: Form, scope: Layer | None = None) -> ui.Modal:
    """The form as Discord shows it. A text that is too long for the field is not cut: the field stays empty.

    `scope` comes back with the text.
    """
    held = wanted.value if len(wanted.value) <= _LONGEST_LENGTH else None
    name = f"{_FORM}{wanted.command}{_IN}{scope}" if scope else _FORM + wanted.command
    return form(name, wanted.title, wanted.label, default=held, placeholder=_TOO_LONG if held is None else None)


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
    return Button(_OPEN + wanted.command, wanted.title)


def to_open(data: Mapping[str, Any]) -> str | None:
    """The command whose form a pressed button opens; None if the button belongs to something else."""
    return _after(_OPEN, data)


def submitted(data: Mapping[str, Any]) -> tuple[str, str, Layer | None] | None:
    """The command, the text and the scope of a submitted form; None if the form belongs to something else."""
    found = _after(_FORM, data)
    if found is None:
        return None
    command, _, scope = found.partition(_IN)
    return command, entered(data.get("components")), scope_of(scope)


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
