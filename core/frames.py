"""Frames: a reply as the pages that people see at one moment, with its small print."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.model import Finish, Page
from core.pages import Pages, flow
from core.reply import Phase, Reply

CUT = "The answer reached its length limit (`max_tokens`). Ask me to go on."
FILTERED = "The model's content filter stopped this answer."
SPENT = "The model used up its length limit on thinking. Raise it with `!set max_tokens …`, or choose another model."
STOPPED = "Stopped."
INTERRUPTED = "I was restarted in the middle of this answer. Please ask again."
# The clock of a thinking model moves in steps, so that it costs few edits. Seconds.
THINKING_STEP = 5


class Frames:
    """Turns states of one reply into pages. Closed pages stay as they are; only the last one is laid out anew."""

    def __init__(self, fits: Callable[[Page], bool], heading: str = "") -> None:
        """`heading` is small print above the first page."""
        self._fits = fits
        self._heading = heading
        self._pages = Pages()
        self._text = ""
        self._refused: dict[int, Page] = {}
        self._last: tuple[Reply, str, tuple[Page, ...]] | None = None

    def pages(self, reply: Reply, now: float) -> tuple[Page, ...]:
        """The pages of this reply at this time (monotonic seconds); none while there is nothing to show."""
        head = self._head(reply, now)
        if self._last and self._last[0] is reply and self._last[1] == head:
            return self._last[2]
        pages = self._lay_out(reply, head)
        self._last = (reply, head, pages)
        return pages

    def _lay_out(self, reply: Reply, head: str) -> tuple[Page, ...]:
        foot = _foot(reply)
        if not reply.text:
            bare = (Page("", head, foot),) if foot or (head != self._heading) else ()
            return self._settled(bare)
        if not reply.text.startswith(self._text):
            self._pages = Pages()  # what was shown turned out to be thought
        self._text = reply.text
        # Small print takes room: it is reckoned on every page, so that an end never opens a page more.
        room = Page("", head, foot or CUT)
        self._pages = flow(self._pages, reply.text, lambda text: self._fits(replace(room, text=text)), final=reply.over)
        texts = [*self._pages.closed, self._pages.open] if self._pages.open else [*self._pages.closed]
        pages = [Page(text) for text in texts]
        if pages:
            pages[0] = replace(pages[0], head=head)
            pages[-1] = replace(pages[-1], foot=foot)
        return self._settled(pages)

    def _settled(self, pages: Sequence[Page]) -> tuple[Page, ...]:
        """The pages, those that were refused replaced."""
        return tuple(self._refused.get(index, page) for index, page in enumerate(pages))

    def give_up(self, index: int) -> bool:
        """The platform refused the content of this page: say so in its place. False if that was said before."""
        if index in self._refused:
            return False
        self._refused[index] = Page("", foot="This part of the answer was refused by the platform.")
        self._last = None
        return True

    def _head(self, reply: Reply, now: float) -> str:
        if reply.thought_since is None:
            return self._heading
        if reply.thought_until is not None:
            thought = f"Thought for {_span(reply.thought_until - reply.thought_since)}"
        elif reply.over:
            thought = ""
        else:
            passed = (now - reply.thought_since) // THINKING_STEP * THINKING_STEP
            thought = f"Thinking… {_span(passed)}" if passed else "Thinking…"
        return "\n".join(filter(None, (self._heading, thought)))


def _foot(reply: Reply) -> str:
    match reply.phase:
        case Phase.DONE if reply.notice:
            return reply.notice
        case Phase.DONE if reply.finish is Finish.LENGTH:
            return CUT if reply.text else SPENT
        case Phase.DONE if reply.finish is Finish.FILTER:
            return FILTERED
        case Phase.DONE:
            return ""
        case Phase.FAILED:
            return reply.notice
        case Phase.STOPPED:
            return reply.notice or STOPPED
        case Phase.INTERRUPTED:
            return reply.notice or INTERRUPTED
        case _:
            return ""


def _span(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
