"""ReplyLayout: lays a reply out as the pages that people see at one moment, with small print and buttons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.domain.chat import Finish
from core.domain.options import Reasoning
from core.domain.page import NO_CHOICES, Action, Choices, Page, ReplyFile
from core.markdown.paginate import LONGEST_PAGE, Pages, step
from core.pauses import Pausing
from core.reply.state import Phase, Reply
from core.reply.takeaway import offers

CUT = "This answer reached its length limit (`max_tokens`). Ask me to continue."
FILTERED = "The model's content filter stopped this answer. Try asking in another way."
INCOMPLETE = "The model stopped for a reason that I don't know, so this answer may be incomplete."
SPENT = (
    "The model spent its whole length limit on thinking. Raise it with `!set max_tokens …`, or choose another model."
)
STOPPED = "Stopped."
PAUSED = "I'm restarting. This answer will continue as soon as I'm back."
WRITING, DRAWING = "writing…", "Drawing…"
REFUSED = "The platform refused this part of the answer, so I can't show it."
REFUSED_REST = "The platform refused the rest of this part, so I can't show it."
NO_MORE = "I can't write any more here."
NO_FILE = "The rest is too long to show here."
IN_FILE = "This is the beginning. The file below has all of it."
NO_PICTURE = "The picture is done, but this place does not take it: I may not attach files here, or it is too large."
WILL_BE_FILE = "This is getting long. I'll send all of it as a file."
FILE_NAME = "answer.md"
LEAST_CHARACTERS = 100  # of a page that was refused as too long and is cut smaller
# The clock of a thinking model moves in steps, so that it costs few edits.
THINKING_STEP_SECONDS = 5
# Show "Thinking…" after this time without output.
SILENCE_SECONDS = 8.0
# How much of the thought is shown: its last characters.
THOUGHT_CHARACTERS = 280
_NAME_CHARACTERS = 60  # at most, of a model's name in the footer


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    """How replies look in one place.

    `model`: its name in the footer, "" for no footer. `pages`: the most messages that a reply takes; if it needs more,
    it comes as a file. `live`: shown while it grows. `by_status`: the surface shows by itself that the model thinks,
    until there is text. `again`: with buttons to go on or ask again. `share`: with one that shows a private answer to
    everybody. `append_only`: the surface can't take back what a growing page said. `draws`: a picture answers.
    """

    reasoning: Reasoning = Reasoning.TIMER
    buttons: bool = False
    model: str = ""
    pages: int = 10
    live: bool = True
    by_status: bool = False
    again: bool = True
    share: bool = False
    append_only: bool = False
    draws: bool = False


PLAIN = ReplyStyle()


class ReplyLayout:
    """Turns the states of one reply into pages. Closed pages stay as they are; only the last one is laid out again.

    The loop of the process waits while this runs, so the work is bounded. `advance` reads a page no more than a few
    times, and nothing is laid out beyond the page after the last that may be shown. All parsing of a page takes time in
    proportion to its length (`core.markdown.spans`, `core.markdown.blocks`), and a page has a greatest length. A worker
    thread would share the interpreter's lock with the loop, and a worker process would copy each reply for each frame.
    """

    def __init__(self, fits: Callable[[Page], bool], heading: str = "", style: ReplyStyle = PLAIN) -> None:
        """`heading` is small print at the top of the first page."""
        self._fits = fits
        self._heading = heading
        self._style = style
        self._max_pages = style.pages
        self._cut_off = ""  # why no further page and no file may follow, however much text there is
        self._pages = Pages()
        self._begun: list[Pages] = []  # what there was when each of the pages began
        self._most: dict[int, int] = {}  # the most characters from this page on, which was refused as too long
        self._closed_head = ""  # the head of the first page when it was closed
        self._full: tuple[Page, ...] = ()  # all pages that the growing text may have
        self._text = ""
        self._refused: dict[int, Page] = {}
        self._offers: tuple[Action, ...] = ()  # the buttons for what people can take out of the complete answer
        self._last: tuple[Reply, str, tuple[Page, ...]] | None = None
        self._work: tuple[Reply, str, Pausing[None]] | None = None

    def advance(self, reply: Reply, now: float) -> bool:
        """Lay this reply out as far as the next pause; returns whether `pages` then has nothing to lay out any more."""
        return self._advance(reply, self._head(reply, now))

    def pages(self, reply: Reply, now: float) -> tuple[Page, ...]:
        """The pages of this reply at time `now` (monotonic seconds); none while there is nothing to show."""
        head = self._head(reply, now)
        if self._last and self._is_known(reply, head):
            return self._last[2]
        pages = self._lay_out(reply, head)
        self._last = (reply, head, pages)
        return pages

    def overflows(self, reply: Reply) -> bool:
        """Whether the reply takes more messages than it may, so that it needs a file."""
        return not self._cut_off and bool(reply.text) and self._exceeds()

    def file(self, reply: Reply) -> ReplyFile | None:
        """What belongs below the finished reply, if a file can be attached: its whole text, where that takes more
        messages than it may, or its picture."""
        if self.overflows(reply):
            return ReplyFile(FILE_NAME, reply.text.encode("utf-8", "replace"))
        return None if self._cut_off else reply.file

    def without_file(self) -> None:
        """End the reply without a file, because none can be attached here."""
        self._cut_off = NO_FILE
        self._forget()

    def end_at(self, pages: int) -> bool:
        """End the reply with the first `pages`, because no further message may be posted.

        Returns False if that was called before.
        """
        if self._cut_off == NO_MORE:
            return False
        self._max_pages, self._cut_off = pages, NO_MORE
        self._forget()
        return True

    def shrink(self, index: int, page: Page) -> bool:
        """Lay this page and those after it out smaller, because the platform refused it as too long.

        Returns False if it can't become smaller.
        """
        most = len(page.text) * 2 // 3
        if most < LEAST_CHARACTERS or index >= len(self._begun):
            return False
        self._most[index] = most
        self._pages = self._begun[index]
        self._forget()
        del self._begun[index:]
        return True

    def give_up(self, index: int, accepted: Page | None = None) -> bool:
        """Show a notice in place of this page, because the platform refused its content, or below the part of it that
        was accepted.

        Returns False if that was done before.
        """
        if accepted is not None and accepted.text and index not in self._refused:
            self._refused[index] = replace(accepted.bare, foot=REFUSED_REST, growing=False)
        elif index in self._refused and not self._refused[index].text:
            return False
        else:
            self._refused[index] = Page("", foot=REFUSED)
        self._forget()
        return True

    def _forget(self) -> None:
        """Lay out anew, because something other than the text has changed."""
        self._last, self._work, self._full = None, None, ()

    def _is_known(self, reply: Reply, head: str) -> bool:
        return self._last is not None and self._last[0] is reply and self._last[1] == head

    def _exceeds(self) -> bool:
        return len(self._pages.closed) + bool(self._pages.open) > self._max_pages

    def _lay_out(self, reply: Reply, head: str) -> tuple[Page, ...]:
        foot, actions = self._foot(reply), self._actions(reply)
        if not reply.text:
            if reply.file and self._cut_off:
                foot = NO_PICTURE
            thumbs = reply.file is not None and self._has_buttons(reply)
            choices = self._choices(reply)
            bare = (Page("", head, foot if reply.over else "", not reply.over, actions, thumbs, choices),)
            visible = head != self._above(reply) and not (self._style.by_status and not reply.over)
            return self._settled(bare if (reply.over and (foot or reply.file)) or visible else ())
        if self._is_full(reply):
            return self._full
        while not self._advance(reply, head):
            pass
        pages = [Page(text) for text in self._pages.closed]
        if self._pages.open:
            pages.append(Page(self._pages.open, growing=not reply.over, raw=self._pages.raw))
        if pages:
            pages[0] = replace(pages[0], head=self._closed_head if len(self._begun) > 1 else head)
        if self._exceeds():
            pages = pages[: self._max_pages]
            pages[-1] = replace(pages[-1], growing=not reply.over)
            foot = self._short_foot(reply, pages[-1], foot)
        full = self._exceeds()
        if pages:
            thumbs = reply.over and self._has_buttons(reply) and bool(pages[-1].text)
            if thumbs:
                actions += self._offers
            pages[-1] = replace(pages[-1], foot=foot, actions=actions, thumbs=thumbs, choices=self._choices(reply))
        settled = self._settled(pages)
        self._full = settled if full and not reply.over else ()
        return settled

    def _follows(self, reply: Reply) -> bool:
        return len(reply.text) >= len(self._text) and reply.text.startswith(self._text)

    def _is_full(self, reply: Reply) -> bool:
        """Whether the growing text has all the pages that it may have: from here on it only goes into the file."""
        return bool(self._full) and not reply.over and self._follows(reply)

    def _advance(self, reply: Reply, head: str) -> bool:
        if self._is_known(reply, head) or not reply.text or self._is_full(reply):
            return True
        if self._work is None or self._work[0] is not reply or self._work[1] != head:
            self._work = (reply, head, self._flow(reply, head))
        return next(self._work[2], self._work) is not None

    def _flow(self, reply: Reply, head: str) -> Pausing[None]:
        while not (yield from self._step(reply, head)):
            yield
        if reply.over and self._has_buttons(reply):
            pages = min(len(self._pages.closed) + bool(self._pages.open), self._max_pages)
            self._offers = yield from offers(reply.text, self._fits, pages)

    def _step(self, reply: Reply, head: str) -> Pausing[bool]:
        """Lay out the next page; returns whether there is no further one to lay out."""
        if reply.text is not self._text and not self._follows(reply):
            self._pages, self._begun = Pages(), []  # what was shown turned out to be thought, not answer
        self._text = reply.text
        index = len(self._pages.closed)
        if index > self._max_pages:
            return True
        if index == 0:
            self._closed_head = head
        if index == len(self._begun):
            self._begun.append(replace(self._pages, open="", raw=""))
        reserved, most = self._reserved(reply, head, index), self._longest(index)
        self._pages, complete = yield from step(
            self._pages,
            reply.text,
            lambda text: len(text) <= most and self._fits(replace(reserved, text=text)),
            final=reply.over,
            append_only=self._style.append_only,
        )
        if not complete and len(self._pages.closed) > self._max_pages:
            self._pages = replace(self._pages, open="", raw="")
            return True
        return complete

    def _longest(self, index: int) -> int:
        return min((most for first, most in self._most.items() if first <= index), default=2 * LONGEST_PAGE)

    def _reserved(self, reply: Reply, head: str, index: int) -> Page:
        """The small print for which this page keeps space, so that the end never opens another page nor makes this one
        too long.
        """
        end = self._foot(reply) if reply.over else "\n".join(filter(None, (CUT, self._by(reply), self._footer(reply))))
        if index == self._max_pages - 1:
            end = f"{IN_FILE}\n{end}".strip()
        return Page("", head if index == 0 else "", max(end, REFUSED_REST, key=len))

    def _short_foot(self, reply: Reply, page: Page, foot: str) -> str:
        """The small print below the beginning of a text: where the rest is, and the usual end if that fits as well."""
        if not reply.over:
            return self._cut_off or WILL_BE_FILE
        if self._cut_off == NO_MORE:
            return NO_MORE
        why = self._cut_off or IN_FILE
        both = f"{why}\n{foot}".strip()
        return both if self._fits(replace(page, foot=both)) else why

    def _settled(self, pages: Sequence[Page]) -> tuple[Page, ...]:
        """The pages, with notices in place of those that were refused."""
        return tuple(self._refused.get(index, page) for index, page in enumerate(pages))

    def _head(self, reply: Reply, now: float) -> str:
        return "\n".join(filter(None, (self._above(reply), self._thought(reply, now))))

    def _above(self, reply: Reply) -> str:
        """The small print at the top that is there from the first word."""
        return "\n".join(filter(None, (self._heading, reply.note)))

    def _thought(self, reply: Reply, now: float) -> str:
        """The line about the model's thinking; the settings decide how much of it is shown."""
        if reply.thought_until is not None and reply.thought_since is not None:
            if self._style.reasoning is Reasoning.HIDDEN:
                return ""
            return self._with_tail(reply, f"Thought for {duration(reply.thought_until - reply.thought_since)}")
        if reply.over or reply.text:
            return ""
        shown = reply.thought_since is not None and self._style.reasoning is not Reasoning.HIDDEN
        shown, doing = (True, DRAWING) if self._style.draws else (shown, "Thinking…")
        since = reply.thought_since if reply.thought_since is not None else reply.asked
        if since is None or not (shown or now - since >= SILENCE_SECONDS):
            return ""
        passed = (now - since) // THINKING_STEP_SECONDS * THINKING_STEP_SECONDS
        return self._with_tail(reply, f"{doing} {duration(passed)}" if passed else doing)

    def _with_tail(self, reply: Reply, line: str) -> str:
        words = " ".join(reply.thought.split()) if self._style.reasoning is Reasoning.SUMMARY else ""
        if len(words) > THOUGHT_CHARACTERS:
            words = "…" + words[-THOUGHT_CHARACTERS:].partition(" ")[2]
        return f"{line}: {words}" if words else line

    def _actions(self, reply: Reply) -> tuple[Action, ...]:
        if not self._has_buttons(reply):
            return ()
        if not reply.over:
            return (Action.STOP,)
        found = (*((Action.GO_ON,) if _is_cut(reply) else ()), Action.AGAIN)
        shared = (Action.SHARE,) if self._style.share and reply.text else ()
        return (*(found if self._style.again else ()), *shared)

    def _choices(self, reply: Reply) -> Choices:
        if not (reply.over and self._has_buttons(reply)):
            return NO_CHOICES
        found = reply.choices if self._style.again and not self._style.draws else Choices(undo=True)
        if reply.empty:  # a notice is no version, and leaves nothing to undo
            return Choices(found.models, sees=found.sees)
        return found

    def _has_buttons(self, reply: Reply) -> bool:
        return self._style.buttons and not (reply.over and reply.asked is None)  # the model was not asked at all

    def _foot(self, reply: Reply) -> str:
        if not reply.over:
            return WRITING
        return "\n".join(filter(None, (_end(reply), self._by(reply), self._footer(reply))))

    def _footer(self, reply: Reply) -> str:
        """Model, tokens and time, if they are wanted. While the reply grows, a placeholder reserves their space."""
        if not self._style.model or reply.empty:
            return ""
        model = _short(reply.model or reply.chosen or self._style.model)
        tokens = f"{reply.usage.completion:,} tokens" if reply.usage else ""
        took = f"{reply.ended - reply.asked:.1f} s" if reply.ended is not None and reply.asked is not None else ""
        return " · ".join(filter(None, (f"`{model}`", tokens, took))) if reply.over else "0" * (_NAME_CHARACTERS + 40)

    def _by(self, reply: Reply) -> str:
        """The sentence that says that another model than usual answered, and why if nobody chose it."""
        if reply.model:
            asked = f"`{_short(reply.chosen)}`" if reply.chosen else "the model set here"
            return f"`{_short(reply.model)}` answered, because {asked} is not responding."
        named = reply.chosen and reply.text and not self._style.model  # the footer names it
        return f"Answered by `{_short(reply.chosen)}`." if named else ""


def _short(model: str) -> str:
    name = model.replace("`", "'")
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"


def _is_cut(reply: Reply) -> bool:
    cut = reply.finish in (Finish.LENGTH, Finish.UNKNOWN)
    return bool(reply.phase is Phase.DONE and cut and reply.text and not reply.notice)


def _end(reply: Reply) -> str:
    match reply.phase:
        case Phase.DONE if reply.notice:
            return reply.notice
        case Phase.DONE if reply.finish is Finish.LENGTH:
            return CUT if reply.text else SPENT
        case Phase.DONE if reply.finish is Finish.FILTER:
            return FILTERED
        case Phase.DONE if reply.finish is Finish.UNKNOWN:
            return INCOMPLETE
        case Phase.FAILED:
            return reply.notice
        case Phase.STOPPED:
            return reply.notice or STOPPED
        case _:
            return ""


def duration(seconds: float) -> str:
    """A length of time as people write it."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
