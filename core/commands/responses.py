"""Responses: what a command answers, for the adapter to show."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.domain.conversation import Rights
from core.domain.page import ReplyFile


@dataclass(frozen=True, slots=True)
class Form:
    """A dialog with a field for a longer text; what people enter becomes the last argument of `command`, behind those
    that are `given`."""

    command: str
    title: str
    label: str
    value: str
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What a command answers, in Markdown: to everybody in the room if `public`, otherwise only to the person.

    `alone`: to the person even where others read the command, as far as the platform can do that. `asks_why`: with a
    button that opens a form, in which the person can say why they voted an answer down.
    """

    text: str
    public: bool = False
    form: Form | None = None
    files: tuple[ReplyFile, ...] = ()
    asks_why: bool = False
    alone: bool = False


RightsOf = Callable[[], Awaitable[Rights]]
