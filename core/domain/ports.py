"""The few things that have more than one implementation: models, platforms and the surfaces they reply on."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.domain.beat import Beat
from core.domain.chat import Catalog, ChatRequest, Completion, Delta
from core.domain.conversation import Address
from core.domain.options import PlatformDefaults
from core.domain.page import Page
from core.domain.rates import RateLimit, RateLimitStatus


class ChatModel(Protocol):
    """A model behind an API."""

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """The answer as it comes. Leaving the context closes the request. Raises ModelError."""
        ...

    async def complete(self, request: ChatRequest) -> Completion:
        """The whole answer at once. Raises ModelError."""
        ...

    async def catalog(self) -> Catalog:
        """The models on offer, cached; never raises."""
        ...


class Status(StrEnum):
    """What becomes of a question that has no reply yet."""

    QUEUED = "queued"  # received, waits for its turn
    THINKING = "thinking"  # the model was asked
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QuestionStatus:
    """What a person sees of such a question: `ahead` others come first, `seconds` the model was asked for so long."""

    status: Status
    ahead: int = 0
    seconds: float = 0.0


def waiting(ahead: int) -> str:
    """The place in line, as a sentence."""
    return f"Your question waits for its turn: {'one comes' if ahead == 1 else f'{ahead} come'} before it."


def full(ahead: int) -> str:
    """That the line is too long, as a sentence."""
    return f"{ahead} questions wait here already. Please ask again when they are answered."


NO_SIGN = QuestionStatus(Status.NONE)


class Surface(Protocol):
    """Where one reply is shown: its messages are posted and edited here, by one writer.

    All calls raise PlatformError. `told` is what the platform's last answer said about the budget of that call.
    `by_status`: that a model thinks is shown by `status` alone, never by a message without text. `append_only`: what a
    growing page said can't be taken back.
    """

    told: RateLimitStatus | None
    by_status: bool
    append_only: bool

    def fits(self, page: Page) -> bool:
        """Whether the page, translated to the platform's dialect, is within the platform's limits."""
        ...

    def pace(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        """The budget that showing this page draws on, in this message or a new one. `wait` tells how long one of
        several would have to be waited for, in seconds."""
        ...

    async def post(self, page: Page) -> str:
        """Show a new message; returns its id."""
        ...

    async def edit(self, message: str, page: Page) -> str | None:
        """Replace the content of a message. Returns another id where it had to be shown anew in another message."""
        ...

    async def delete(self, message: str) -> None:
        """Take a message away; one that is gone already is no error."""
        ...

    async def attach(self, name: str, content: bytes) -> str:
        """Show a file below the reply; returns the id of its message, "" where the platform does not tell."""
        ...

    async def status(self, sign: QuestionStatus) -> None:
        """Show that the question was received or is being thought about, as well as the platform can; best effort."""
        ...

    async def whisper(self, sentence: str) -> None:
        """Tell the person who asked, alone where the platform can do that."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether a platform's events can arrive. `silent`: seconds since its last sign of life, heartbeats included; None
    where it calls us and sends none."""

    up: bool
    silent: float | None = None


class Connected(Protocol):
    """A platform that tells how its connection is."""

    name: str

    def connection(self) -> Connection:
        """How the connection is at this moment. Does no IO."""
        ...


class Platform(Protocol):
    """A chat platform: where replies are shown."""

    name: str
    habits: PlatformDefaults

    def open(self, address: Address) -> Surface:
        """The surface for a reply to this address. Does no IO."""
        ...
