"""Stage: a sandbox platform as one person at a terminal sees and uses it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PEOPLE = ("ann", "bob")  # ann manages the rooms, bob does not
CHANNELS = ("#general", "#random")
ROOMS = (*CHANNELS, "dm")
BOT = re.compile(r"@nebula\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as somebody sees it. `note` tells what is special about it; `thread` names the thread it is in;
    `buttons` are the labels below it; `frames` counts what it showed so far."""

    id: str
    author: str
    text: str
    bot: bool = False
    thread: str = ""
    note: str = ""
    buttons: tuple[str, ...] = ()
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Dialog:
    """An open dialog with one field."""

    title: str
    value: str


class Screen(Protocol):
    """One platform. Names are those of PEOPLE and ROOMS; `thread` is the id of a message or thread, "" for none."""

    name: str

    async def say(self, person: str, room: str, text: str, thread: str) -> None:
        """Somebody writes. Raises Exception of the platform for what its client would refuse."""
        ...

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        """Somebody uses a slash command, text without the slash."""
        ...

    async def press(self, person: str, room: str, message: str, label: str) -> None:
        """Somebody presses a button below a message. Raises Exception of the platform for what can't be pressed."""
        ...

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        """All that this person sees in the room and its threads, oldest first."""
        ...

    def dialog(self) -> Dialog | None:
        """The dialog that the last command opened."""
        ...

    async def submit(self, text: str) -> None:
        """Fill in the dialog."""
        ...

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a change that makes the condition true. Raises TimeoutError."""
        ...
