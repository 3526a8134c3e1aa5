"""A surface in memory. It records frame by frame what people would see, and can raise a platform's faults."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from core.domain.errors import Gone, PlatformError
from core.domain.page import Page
from core.domain.ports import Posted, QuestionStatus, Status
from core.domain.rates import RateLimit
from tests.bounds import HANG_SECONDS

GENEROUS = RateLimit("room", 1000, 1.0, spread=False)


@dataclass
class MemorySurface:
    """Implements core.domain.ports.Surface. Each of the next calls raises one of `faults`."""

    limit: int = 2000
    name: str = ""  # prefix of its messages' ids
    by_status: bool = False
    append_only: bool = False
    own_name: str = "nebula"
    post_pace: RateLimit = GENEROUS
    edit_pace: RateLimit = GENEROUS
    messages: dict[str, Page] = field(default_factory=dict)
    frames: list[tuple[str, Page]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    whispers: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[PlatformError] = field(default_factory=list)
    file_faults: list[Exception] = field(default_factory=list)
    delete_faults: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)  # calls wait while this is clear
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def text(self) -> str:
        return "".join(page.text for page in self.messages.values())

    def fits(self, page: Page) -> bool:
        return len(page.head) + len(page.text) + len(page.foot) <= self.limit

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        return self.post_pace if message is None else self.edit_pace

    async def post(self, page: Page) -> Posted:
        await self._call()
        message = f"{self.name}m{len(self.frames)}"
        await self._show(message, page)
        return Posted(message)

    async def edit(self, message: str, page: Page) -> Posted:
        await self._call()
        if message not in self.messages:
            raise Gone(message)
        await self._show(message, page)
        return Posted(message)

    async def delete(self, message: str) -> None:
        if self.delete_faults:
            raise self.delete_faults.pop(0)
        self.messages.pop(message, None)

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        await self._call()
        if self.file_faults:
            raise self.file_faults.pop(0)
        self.files[f"f{len(self.files)}"] = content
        return f"f{len(self.files) - 1}"

    async def status(self, sign: QuestionStatus) -> None:
        self.statuses.append(sign.status)

    async def send_ephemeral(self, sentence: str) -> None:
        self.whispers.append(sentence)

    async def until(self, text: str) -> None:
        """Wait until this text is on screen."""
        async with asyncio.timeout(HANG_SECONDS), self.changed:
            await self.changed.wait_for(lambda: text in self.text)

    def of(self, message: str) -> Iterator[Page]:
        return (page for each, page in self.frames if each == message)

    async def _call(self) -> None:
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)

    async def _show(self, message: str, page: Page) -> None:
        async with self.changed:
            self.messages[message] = page
            self.frames.append((message, page))
            self.changed.notify_all()
