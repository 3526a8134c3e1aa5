"""Ports: what has more than one implementation, namely models, platforms and the surfaces on which they reply."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult
from core.domain.conversation import Address, Attachment, Place
from core.domain.options import PlatformDefaults
from core.domain.page import Page
from core.domain.question import Question
from core.domain.rates import RateLimit, RateLimitStatus
from core.domain.surroundings import Reach, Surroundings


class ChatModel(Protocol):
    """A model behind an API."""

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer as it arrives. Leaving the context closes the request. Raises ModelError."""
        ...

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises ModelError."""
        ...

    async def catalog(self) -> Catalog:
        """Return the models on offer, cached; never raises."""
        ...


class ImageModel(Protocol):
    """A model behind an API that draws."""

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture. Raises ModelError."""
        ...


class Model(ChatModel, ImageModel, Protocol):
    """What answers questions: it writes and draws, each with the model that a request names."""


class Status(StrEnum):
    """The state of a question that has no reply yet."""

    QUEUED = "queued"  # received, waiting for its turn
    THINKING = "thinking"  # the model has been asked
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QuestionStatus:
    """What a person sees of such a question. `ahead`: questions before it. `seconds`: how long the model has had it."""

    status: Status
    ahead: int = 0
    seconds: float = 0.0


def waiting(ahead: int) -> str:
    """The sentence for a question that has to wait."""
    return f"Your question is waiting for its turn: {'one is' if ahead == 1 else f'{ahead} are'} ahead of it."


def full(ahead: int) -> str:
    """The sentence for a question when too many are waiting already."""
    return f"Too many questions are waiting here ({ahead}). Please ask again once they are answered."


NO_STATUS = QuestionStatus(Status.NONE)


@dataclass(frozen=True, slots=True)
class Posted:
    """The message that shows a page now. `rate_limit`: what the platform's response said about that call's limit."""

    id: str
    rate_limit: RateLimitStatus | None = None


class Surface(Protocol):
    """Where one reply appears: one writer posts and edits its messages here.

    All calls raise PlatformError. `by_status`: only `status` shows that the model is thinking, never a message without
    text. `append_only`: the surface can't take back what a growing page has shown. `own_name`: the bot's name as people
    see it here, "" if it is not known.
    """

    by_status: bool
    append_only: bool
    own_name: str

    def fits(self, page: Page) -> bool:
        """Whether the page, translated into the platform's dialect, keeps the platform's limits on length."""
        ...

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        """The rate limit under which this page would be shown, in this message or, for None, in a new one. `wait` says
        how many seconds each of several limits would delay it; infinite: there it can't be shown before it is over."""
        ...

    async def post(self, page: Page) -> Posted:
        """Post a new message."""
        ...

    async def edit(self, message: str, page: Page) -> Posted:
        """Replace the content of a message. Returns another message if the content had to go into that one."""
        ...

    async def delete(self, message: str) -> None:
        """Delete a message. It is no error if it is gone already."""
        ...

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        """Post a file below the reply and return the id of its message, "" if the platform does not say. `description`:
        what a picture shows, for people who can't see it."""
        ...

    async def status(self, status: QuestionStatus) -> None:
        """Show that the question was received or that the model is thinking, as well as possible; best effort."""
        ...

    async def send_ephemeral(self, sentence: str) -> None:
        """Send a sentence to the person who asked, visible only to them if the platform can do that."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether events of a platform can arrive. `silent`: seconds since its last sign of life, heartbeats included; None
    if the platform calls us and so sends none."""

    up: bool
    silent: float | None = None


class Connected(Protocol):
    """A platform that reports the state of its connection."""

    name: str

    def connection(self) -> Connection:
        """The current state of the connection. Does no IO."""
        ...


class Platform(Protocol):
    """A chat platform, where replies appear."""

    name: str
    defaults: PlatformDefaults

    def open(self, address: Address) -> Surface:
        """The surface for a reply to this address. Does no IO."""
        ...

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        """What was said around a question. Raises PlatformError; whoever calls it gives it 5 s."""
        ...

    async def channel_name(self, place: Place) -> str:
        """The name of a channel, also for a thread in it, "" if it is not known. Raises PlatformError; whoever calls it
        gives it 5 s."""
        ...

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """The content of a file, at most `most` bytes of it. Raises PlatformError: TooLong if it is larger, Forbidden
        if we may not read it, Rejected if it is kept elsewhere, Gone if it was deleted, Unreachable. Whoever calls it
        gives it a deadline."""
        ...


@runtime_checkable
class Entitles(Protocol):
    """A platform on which chats have titles that the bot may set; a terminal has none."""

    def chat(self, address: Address) -> str:
        """The id of the chat that a question at this address began and whose title is ours to set; "" if there is none.
        Does no IO."""
        ...

    async def entitle(self, address: Address, title: str, *, begun: bool = False) -> None:
        """Give that chat this title, unless a person has given it one. `begun`: the reply to the question is not there
        yet. Raises PlatformError."""
        ...
