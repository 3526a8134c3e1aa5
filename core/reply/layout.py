"""Frames: a reply as the pages that people see at one moment, with its small print and its buttons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.domain.chat import Finish
from core.domain.options import Reasoning
from core.domain.page import Action, Page
from core.markdown.paginate import Pages, flow
from core.reply.state import Phase, Reply

CUT = "The answer reached its length limit (`max_tokens`). Ask me to go on."
FILTERED = "The model's content filter stopped this answer."
SPENT = "The model used up its length limit on thinking. Raise it with `!set max_tokens …`, or choose another model."
STOPPED = "Stopped."
PAUSED = "I am being restarted; this answer goes on as soon as I am back."
WRITING = "writing…"
REFUSED = "This part of the answer was refused by the platform."
NO_MORE = "I may not write any more here."
IN_FILE = "That is the beginning; the whole answer is in the file below."
WILL_BE_FILE = "It is getting long: the whole answer will come as a file."
# The clock of a thinking model moves in steps, so that it costs few edits. Seconds.
THINKING_STEP = 5
# A model that has said nothing for so long is said to be thought with. Seconds.
SILENCE = 8.0
# Characters of the thought that are shown, its newest.
THOUGHT_SHOWN = 280
_NAME = 60  # characters of a model's name in the footer


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    """How replies look in one place.

    `model`: its name in the footer, "" for no footer. `pages`: so many messages at most, then a file. `live`: shown
    while they grow. `by_status`: until there is text, the surface has its own sign. `again`: with buttons for more.
    `append_only`: what a growing page said can't be taken back.
    """

    reasoning: Reasoning = Reasoning.TIMER
    buttons: bool = False
    model: str = ""
    pages: int = 10
    live: bool = True
    by_status: bool = False
    again: bool = True
    append_only: bool = False


PLAIN = ReplyStyle()


class ReplyLayout:
    """Turns states of one reply into pages. Closed pages stay as they are; only the last one is laid out anew."""

    def __init__(self, fits: Callable[[Page], bool], heading: str = "", look: ReplyStyle = PLAIN) -> None:
        """`heading` is small print above the first page."""
        self._fits = fits
        self._heading = heading
        self._look = look
        self._most: int | None = look.pages
        self._ends = False  # after so many pages, whatever there would be to say
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

    def overflows(self, reply: Reply) -> bool:
        """Whether the reply takes more messages than it may, so that a file is to hold it."""
        return not self._ends and bool(reply.text) and self._exceeds()

    def without_file(self) -> None:
        """No file can be attached here: all of the text goes into messages."""
        self._most, self._last = None, None

    def end_at(self, pages: int) -> bool:
        """No further message may be posted: the reply ends with the first `pages`. False if that was said before."""
        if self._ends:
            return False
        self._most, self._ends, self._last = pages, True, None
        return True

    def give_up(self, index: int) -> bool:
        """The platform refused the content of this page: say so in its place. False if that was said before."""
        if index in self._refused:
            return False
        self._refused[index] = Page("", foot=REFUSED)
        self._last = None
        return True

    def _exceeds(self) -> bool:
        return self._most is not None and len(self._pages.closed) + bool(self._pages.open) > self._most

    def _lay_out(self, reply: Reply, head: str) -> tuple[Page, ...]:
        foot, actions = self._foot(reply), self._actions(reply)
        if not reply.text:
            bare = (Page("", head, foot if reply.over else "", not reply.over, actions),)
            told = head != self._heading and not (self._look.by_status and not reply.over)
            return self._settled(bare if (reply.over and foot) or told else ())
        if not reply.text.startswith(self._text):
            self._pages = Pages()  # what was shown turned out to be thought
        self._text = reply.text
        if self._exceeds() and not reply.over and self._last and self._last[0].text:
            return self._last[2]  # what comes now is for the file
        # Small print takes room: it is reckoned on every page, so that an end never opens a page more.
        end = (foot,) if reply.over else (CUT, _instead(reply), self._footer(reply))
        room = Page("", head, "\n".join(filter(None, end)))
        laid = self._pages = flow(
            self._pages,
            reply.text,
            lambda text: self._fits(replace(room, text=text)),
            final=reply.over,
            append_only=self._look.append_only,
        )
        pages = [Page(text) for text in laid.closed]
        if laid.open:
            pages.append(Page(laid.open, growing=not reply.over, raw=laid.raw))
        if self._exceeds():
            pages = pages[: self._most]
            pages[-1] = replace(pages[-1], growing=not reply.over)
            foot = self._short_foot(reply, pages[-1], foot)
        if pages:
            pages[0] = replace(pages[0], head=head)
            pages[-1] = replace(pages[-1], foot=foot, actions=actions)
        return self._settled(pages)

    def _short_foot(self, reply: Reply, page: Page, foot: str) -> str:
        """The small print below the beginning of a text: where the rest of it is, and its end if there is room."""
        if self._ends or not reply.over:
            return NO_MORE if self._ends else WILL_BE_FILE
        both = f"{IN_FILE}\n{foot}".strip()
        return both if self._fits(replace(page, foot=both)) else IN_FILE

    def _settled(self, pages: Sequence[Page]) -> tuple[Page, ...]:
        """The pages, those that were refused replaced."""
        return tuple(self._refused.get(index, page) for index, page in enumerate(pages))

    def _head(self, reply: Reply, now: float) -> str:
        return "\n".join(filter(None, (self._heading, self._thought(reply, now))))

    def _thought(self, reply: Reply, now: float) -> str:
        """The line about the model's thinking; what of it is shown is what the room wants to see."""
        if reply.thought_until is not None and reply.thought_since is not None:
            if self._look.reasoning is Reasoning.HIDDEN:
                return ""
            return self._with_tail(reply, f"Thought for {span(reply.thought_until - reply.thought_since)}")
        if reply.over or reply.text:
            return ""
        shown = reply.thought_since is not None and self._look.reasoning is not Reasoning.HIDDEN
        since = reply.thought_since if reply.thought_since is not None else reply.asked
        if since is None or not (shown or now - since >= SILENCE):
            return ""
        passed = (now - since) // THINKING_STEP * THINKING_STEP
        return self._with_tail(reply, f"Thinking… {span(passed)}" if passed else "Thinking…")

    def _with_tail(self, reply: Reply, line: str) -> str:
        words = " ".join(reply.thought.split()) if self._look.reasoning is Reasoning.SUMMARY else ""
        if len(words) > THOUGHT_SHOWN:
            words = "…" + words[-THOUGHT_SHOWN:].partition(" ")[2]
        return f"{line}: {words}" if words else line

    def _actions(self, reply: Reply) -> tuple[Action, ...]:
        if not self._look.buttons or (reply.over and reply.asked is None):  # the model was not asked at all
            return ()
        if not reply.over:
            return (Action.STOP,)
        found = (Action.GO_ON, Action.AGAIN) if _is_cut(reply) else (Action.AGAIN,)
        return found if self._look.again else ()

    def _foot(self, reply: Reply) -> str:
        if not reply.over:
            return WRITING
        return "\n".join(filter(None, (_end(reply), _instead(reply), self._footer(reply))))

    def _footer(self, reply: Reply) -> str:
        """Model, tokens and time, if they are wanted; reckoned with while the reply grows."""
        if not self._look.model or not reply.text:
            return ""
        model = _short(reply.model or self._look.model)
        tokens = f"{reply.usage.completion:,} tokens" if reply.usage else ""
        took = f"{reply.ended - reply.asked:.1f} s" if reply.ended is not None and reply.asked is not None else ""
        return " · ".join(filter(None, (f"`{model}`", tokens, took))) if reply.over else "0" * (_NAME + 40)


def _instead(reply: Reply) -> str:
    """That another model answered than was asked."""
    return f"Answered by `{_short(reply.model)}`: the model set here does not answer." if reply.model else ""


def _short(model: str) -> str:
    name = model.replace("`", "'")
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _is_cut(reply: Reply) -> bool:
    return bool(reply.phase is Phase.DONE and reply.finish is Finish.LENGTH and reply.text and not reply.notice)


def _end(reply: Reply) -> str:
    match reply.phase:
        case Phase.DONE if reply.notice:
            return reply.notice
        case Phase.DONE if reply.finish is Finish.LENGTH:
            return CUT if reply.text else SPENT
        case Phase.DONE if reply.finish is Finish.FILTER:
            return FILTERED
        case Phase.FAILED:
            return reply.notice
        case Phase.STOPPED:
            return reply.notice or STOPPED
        case _:
            return ""


def span(seconds: float) -> str:
    """A time as people write it."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
