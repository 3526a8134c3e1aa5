"""The few things that have more than one implementation: models, platforms and the surfaces they reply on."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.model import Address, Catalog, ChatRequest, Completion, Delta, Page
from core.settings import Habits


class ChatModel(Protocol):
    """A model behind an API."""

    def stream(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """The answer as it comes. Leaving the context closes the request. Raises ModelError."""
        ...

    async def complete(self, request: ChatRequest) -> Completion:
        """The whole answer at once. Raises ModelError."""
        ...

    async def catalog(self) -> Catalog:
        """The models on offer, cached; never raises."""
        ...


class Status(StrEnum):
    """What a person sees of a question that has no reply yet."""

    QUEUED = "queued"  # received, waits for its turn
    THINKING = "thinking"  # the model was asked
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Pace:
    """A limit that replies share: at most `calls` in any window of `seconds`, counted under `scope`."""

    scope: str
    calls: int
    seconds: float


class Surface(Protocol):
    """Where one reply is shown: its messages are posted and edited here, by one writer.

    All calls raise PlatformError.
    """

    post_pace: Pace
    edit_pace: Pace

    def fits(self, page: Page) -> bool:
        """Whether the page, translated to the platform's dialect, is within the platform's limits."""
        ...

    async def post(self, page: Page) -> str:
        """Show a new message; returns its id."""
        ...

    async def edit(self, message: str, page: Page) -> None:
        """Replace the content of a message."""
        ...

    async def delete(self, message: str) -> None:
        """Take a message away; one that is gone already is no error."""
        ...

    async def status(self, status: Status) -> None:
        """Show that the question was received or is being thought about, as well as the platform can; best effort."""
        ...


class Platform(Protocol):
    """A chat platform: where replies are shown."""

    name: str
    habits: Habits

    def open(self, address: Address) -> Surface:
        """The surface for a reply to this address. Does no IO."""
        ...
