"""A screen: a sandbox platform as one person at a terminal sees and uses it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PEOPLE = ("ann", "bob")  # ann manages the channels, bob does not
CHANNEL_NAMES = ("#general", "#random")
ROOM_NAMES = (*CHANNEL_NAMES, "dm")
BOT = re.compile(r"@nebula\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as a person sees it. `note`: what is special about it. `thread`: the id of its thread. `buttons`: the
    labels below it, and `choices` those in its menu. `frames`: how many versions it has had so far."""

    id: str
    author: str
    text: str
    bot: bool = False
    thread: str = ""
    note: str = ""
    buttons: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
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
        """Write a message. Raises an exception of the platform if its client would refuse the message."""
        ...

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        """Use a slash command; `text` has no slash."""
        ...

    async def press(self, person: str, room: str, message: str, label: str) -> None:
        """Press a button below a message. Raises an exception of the platform if that is not possible."""
        ...

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        """All messages that this person sees in the room and its threads, oldest first."""
        ...

    def dialog(self) -> Dialog | None:
        """The dialog that the last command opened, if any."""
        ...

    async def submit(self, text: str) -> None:
        """Fill in and submit the dialog."""
        ...

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until the condition is true. Raises TimeoutError."""
        ...
