"""Responses: what a command says, for the adapter to show."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.domain.conversation import Rights


@dataclass(frozen=True, slots=True)
class Form:
    """A field for a longer text, to be shown as a dialog; what is entered is the last argument of `command`."""

    command: str
    title: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes with a response."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What a command says, in Markdown: to everybody in the room if `public`, else to the person alone."""

    text: str
    public: bool = False
    form: Form | None = None
    file: File | None = None


RightsOf = Callable[[], Awaitable[Rights]]
