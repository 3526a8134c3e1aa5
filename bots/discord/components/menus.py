"""The form that asks for a question about a message. Its id names the message, so that it outlives a restart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from discord import ui

from bots.discord.components.forms import entered, form
from core.domain.surroundings import Said
from core.inbound.menus import ASK

_ABOUT = re.compile(r"about:(\d{1,20}):(\d{1,20})")
_LABEL = "Your question about this message"
_SHOWN_CHARACTERS, _SHOWN_LINES = 300, 6  # of the message above the field


@dataclass(frozen=True, slots=True)
class AskedAbout:
    """A submitted form. `opened`: the interaction that opened it. Whoever submits a form may have forged its ids."""

    opened: int
    message: str
    text: str


def asks_about(opened: int, chosen: Said) -> ui.Modal:
    """The form, with the beginning of the message above it. `opened`: the interaction that opens it."""
    return form(f"about:{opened}:{chosen.id}", ASK, _LABEL, above=_beginning(chosen) if chosen.text else "")


def asked_about(data: Mapping[str, Any]) -> AskedAbout | None:
    """What somebody asked with the form; None if a submitted form is another one."""
    found = _ABOUT.fullmatch(str(data.get("custom_id", "")))
    return AskedAbout(int(found[1]), found[2], entered(data.get("components"))) if found else None


def _beginning(said: Said) -> str:
    """The beginning of a message as a quote: the person who reads it has just read it in full."""
    lines = said.text[:_SHOWN_CHARACTERS].splitlines()[:_SHOWN_LINES]
    text = "\n".join(lines)
    cut = "…" if len(text) < len(said.text) else ""
    return "\n".join(f"> {line}" for line in f"{said.author}: {text}{cut}".splitlines())
