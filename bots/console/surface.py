"""The terminal as a surface: it redraws the last page of a reply in place; earlier pages scroll away for good."""

import asyncio
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from core.domain.conversation import Address, Attachment, Place
from core.domain.errors import Forbidden, Rejected
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.page import Page
from core.domain.ports import Posted, QuestionStatus, Status, Surface
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.surroundings import Reach, Surroundings
from core.text import harmless

# A page must leave this many lines free on the screen, so that it can be redrawn in place.
_SPARE_LINES = 6
SAVED = "Saved as {}"
_RATE_LIMIT = RateLimit("console", 20, 1.0, shared=False)


class ConsoleSurface:
    """One reply in the terminal. If the output is a file or pipe, only finished pages are printed."""

    by_status = True
    append_only = False
    own_name = ""

    def __init__(self, console: Console, folder: Path) -> None:
        """`folder`: where files are kept, as a terminal shows none."""
        self._console, self._folder = console, folder
        self._live: Live | None = None
        self._page: Page | None = None
        self._pages = 0

    def fits(self, page: Page) -> bool:
        """Whether the page can be redrawn on this screen."""
        if not self._console.is_terminal:
            return True
        lines = self._console.render_lines(_rendered(page))
        return len(lines) <= max(5, self._console.height - _SPARE_LINES)

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        return _RATE_LIMIT

    async def post(self, page: Page) -> Posted:
        if self._pages:
            self.close()
        self._pages += 1
        self._show(page)
        return Posted(str(self._pages))

    async def edit(self, message: str, page: Page) -> Posted:
        self._show(page)
        return Posted(message)

    async def delete(self, message: str) -> None:
        """Do nothing: printed text stays."""

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        """Keep the file, and say where it is. Raises Rejected."""
        try:
            path = await asyncio.to_thread(keep, self._folder, name, content)
        except OSError as error:
            raise Rejected(f"cannot write to {self._folder} ({error.strerror})") from error
        await self.send_ephemeral(SAVED.format(path))
        return ""

    async def status(self, status: QuestionStatus) -> None:
        if status.status is Status.THINKING and self._live is None and self._console.is_terminal:
            self._draw(Spinner("dots", Text("thinking", style="dim")))

    async def send_ephemeral(self, sentence: str) -> None:
        self._console.print(harmless(sentence), style="dim italic", markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Finish the page as it is."""
        if self._live:
            self._live.stop()
            self._live = None
        elif self._page:
            self._console.print(_plain(self._page), markup=False, highlight=False, soft_wrap=True)
        self._page = None

    def _show(self, page: Page) -> None:
        self._page = page
        if self._console.is_terminal:
            self._draw(_rendered(page))

    def _draw(self, content: RenderableType) -> None:
        if self._live is None:
            self._live = Live(content, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(content, refresh=True)


class ConsolePlatform:
    """The terminal as a platform: one surface at a time."""

    name = "console"
    defaults = PlatformDefaults(memory=Memory.CHANNEL, replies=Placement.CHANNEL)

    def __init__(self, console: Console, folder: Path) -> None:
        """`folder`: as in ConsoleSurface."""
        self._console, self._folder = console, folder
        self.surface: ConsoleSurface | None = None

    def open(self, address: Address) -> Surface:
        self.surface = ConsoleSurface(self._console, self._folder)
        return self.surface

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        """Nobody else writes here."""
        return Surroundings()

    async def channel_name(self, place: Place) -> str:
        """A terminal has no channels."""
        return ""

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """Nobody can attach a file here. Raises Forbidden."""
        raise Forbidden("a terminal has no files")

    def close(self) -> None:
        """Finish the reply on screen, if there is one."""
        if self.surface:
            self.surface.close()
            self.surface = None


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Write a file that only this user can read, in place of no other one; return where it is. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = Path(name)
    for number in count():
        path = folder / (f"{wanted.stem}-{number}{wanted.suffix}" if number else wanted.name)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return path
    raise AssertionError("there is always a further number")


def markdown(text: str) -> Markdown:
    """Return Markdown as a terminal may show it: without control characters, and with the address of each link in
    sight, as a terminal's own links hide where they lead."""
    return Markdown(harmless(text), hyperlinks=False)


def _rendered(page: Page) -> RenderableType:
    parts: list[RenderableType] = []
    if page.head:
        parts.append(Text(harmless(page.head), style="dim italic"))
    if page.text:
        parts.append(markdown(page.text))
    if page.foot:
        parts.append(Text(harmless(page.foot), style="dim italic"))
    return Group(*parts)


def _plain(page: Page) -> str:
    parts = (page.head and f"({page.head})", page.text, page.foot and f"({page.foot})")
    return harmless("\n".join(filter(None, parts)))
