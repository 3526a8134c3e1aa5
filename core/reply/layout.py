"""ReplyLayout: lays a reply out as the pages that people see at one moment, with small print and buttons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.domain.chat import Finish
from core.domain.options import Reasoning
from core.domain.page import Action, Page
from core.markdown.paginate import Pages, flow
from core.reply.state import Phase, Reply

CUT = "This answer reached its length limit (`max_tokens`). Ask me to continue."
FILTERED = "The model's content filter stopped this answer. Try asking in another way."
INCOMPLETE = "The model stopped for a reason that I don't know, so this answer may be incomplete."
SPENT = (
    "The model spent its whole length limit on thinking. Raise it with `!set max_tokens …`, or choose another model."
)
STOPPED = "Stopped."
PAUSED = "I'm restarting. This answer will continue as soon as I'm back."
WRITING = "writing…"
REFUSED = "The platform refused this part of the answer, so I can't show it."
NO_MORE = "I can't write any more here."
IN_FILE = "This is the beginning. The file below has all of it."
WILL_BE_FILE = "This is getting long. I'll send all of it as a file."
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
    until there is text. `again`: with buttons to go on or ask again. `append_only`: the surface can't take back what a
    growing page said.
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
    """Turns the states of one reply into pages. Closed pages stay as they are; only the last one is laid out again."""

    def __init__(self, fits: Callable[[Page], bool], heading: str = "", style: ReplyStyle = PLAIN) -> None:
        """`heading` is small print at the top of the first page."""
        self._fits = fits
        self._heading = heading
        self._style = style
        self._max_pages: int | None = style.pages
        self._capped = False  # no further page may follow, however much text there is
        self._pages = Pages()
        self._text = ""
        self._refused: dict[int, Page] = {}
        self._last: tuple[Reply, str, tuple[Page, ...]] | None = None

    def pages(self, reply: Reply, now: float) -> tuple[Page, ...]:
        """The pages of this reply at time `now` (monotonic seconds); none while there is nothing to show."""
        head = self._head(reply, now)
        if self._last and self._last[0] is reply and self._last[1] == head:
            return self._last[2]
        pages = self._lay_out(reply, head)
        self._last = (reply, head, pages)
        return pages

    def overflows(self, reply: Reply) -> bool:
        """Whether the reply takes more messages than it may, so that it needs a file."""
        return not self._capped and bool(reply.text) and self._exceeds()

    def without_file(self) -> None:
        """Put all of the text into messages, because no file can be attached here."""
        self._max_pages, self._last = None, None

    def end_at(self, pages: int) -> bool:
        """End the reply with the first `pages`, because no further message may be posted.

        Returns False if that was called before.
        """
        if self._capped:
            return False
        self._max_pages, self._capped, self._last = pages, True, None
        return True

    def give_up(self, index: int) -> bool:
        """Show a notice in place of this page, because the platform refused its content.

        Returns False if that was done before.
        """
        if index in self._refused:
            return False
        self._refused[index] = Page("", foot=REFUSED)
        self._last = None
        return True

    def _exceeds(self) -> bool:
        return self._max_pages is not None and len(self._pages.closed) + bool(self._pages.open) > self._max_pages

    def _lay_out(self, reply: Reply, head: str) -> tuple[Page, ...]:
        foot, actions = self._foot(reply), self._actions(reply)
        if not reply.text:
            bare = (Page("", head, foot if reply.over else "", not reply.over, actions),)
            visible = head != self._heading and not (self._style.by_status and not reply.over)
            return self._settled(bare if (reply.over and foot) or visible else ())
        if not reply.text.startswith(self._text):
            self._pages = Pages()  # what was shown turned out to be thought, not answer
        self._text = reply.text
        if self._exceeds() and not reply.over and self._last and self._last[0].text:
            return self._last[2]  # from here on the text only goes into the file
        # Small print takes space. Every page reserves it, so that the end never opens another page.
        end = (foot,) if reply.over else (CUT, _instead(reply), self._footer(reply))
        reserved = Page("", head, "\n".join(filter(None, end)))
        laid = self._pages = flow(
            self._pages,
            reply.text,
            lambda text: self._fits(replace(reserved, text=text)),
            final=reply.over,
            append_only=self._style.append_only,
        )
        pages = [Page(text) for text in laid.closed]
        if laid.open:
            pages.append(Page(laid.open, growing=not reply.over, raw=laid.raw))
        if self._exceeds():
            pages = pages[: self._max_pages]
            pages[-1] = replace(pages[-1], growing=not reply.over)
            foot = self._short_foot(reply, pages[-1], foot)
        if pages:
            pages[0] = replace(pages[0], head=head)
            pages[-1] = replace(pages[-1], foot=foot, actions=actions)
        return self._settled(pages)

    def _short_foot(self, reply: Reply, page: Page, foot: str) -> str:
        """The small print below the beginning of a text: where the rest is, and the usual end if that fits as well."""
        if self._capped or not reply.over:
            return NO_MORE if self._capped else WILL_BE_FILE
        both = f"{IN_FILE}\n{foot}".strip()
        return both if self._fits(replace(page, foot=both)) else IN_FILE

    def _settled(self, pages: Sequence[Page]) -> tuple[Page, ...]:
        """The pages, with notices in place of those that were refused."""
        return tuple(self._refused.get(index, page) for index, page in enumerate(pages))

    def _head(self, reply: Reply, now: float) -> str:
        return "\n".join(filter(None, (self._heading, self._thought(reply, now))))

    def _thought(self, reply: Reply, now: float) -> str:
        """The line about the model's thinking; the settings decide how much of it is shown."""
        if reply.thought_until is not None and reply.thought_since is not None:
            if self._style.reasoning is Reasoning.HIDDEN:
                return ""
            return self._with_tail(reply, f"Thought for {duration(reply.thought_until - reply.thought_since)}")
        if reply.over or reply.text:
            return ""
        shown = reply.thought_since is not None and self._style.reasoning is not Reasoning.HIDDEN
        since = reply.thought_since if reply.thought_since is not None else reply.asked
        if since is None or not (shown or now - since >= SILENCE_SECONDS):
            return ""
        passed = (now - since) // THINKING_STEP_SECONDS * THINKING_STEP_SECONDS
        return self._with_tail(reply, f"Thinking… {duration(passed)}" if passed else "Thinking…")

    def _with_tail(self, reply: Reply, line: str) -> str:
        words = " ".join(reply.thought.split()) if self._style.reasoning is Reasoning.SUMMARY else ""
        if len(words) > THOUGHT_CHARACTERS:
            words = "…" + words[-THOUGHT_CHARACTERS:].partition(" ")[2]
        return f"{line}: {words}" if words else line

    def _actions(self, reply: Reply) -> tuple[Action, ...]:
        if not self._style.buttons or (reply.over and reply.asked is None):  # the model was not asked at all
            return ()
        if not reply.over:
            return (Action.STOP,)
        found = (Action.GO_ON, Action.AGAIN) if _is_cut(reply) else (Action.AGAIN,)
        return found if self._style.again else ()

    def _foot(self, reply: Reply) -> str:
        if not reply.over:
            return WRITING
        return "\n".join(filter(None, (_end(reply), _instead(reply), self._footer(reply))))

    def _footer(self, reply: Reply) -> str:
        """Model, tokens and time, if they are wanted. While the reply grows, a placeholder reserves their space."""
        if not self._style.model or not reply.text:
            return ""
        model = _short(reply.model or self._style.model)
        tokens = f"{reply.usage.completion:,} tokens" if reply.usage else ""
        took = f"{reply.ended - reply.asked:.1f} s" if reply.ended is not None and reply.asked is not None else ""
        return " · ".join(filter(None, (f"`{model}`", tokens, took))) if reply.over else "0" * (_NAME_CHARACTERS + 40)


def _instead(reply: Reply) -> str:
    """The sentence that says that another model answered."""
    return f"`{_short(reply.model)}` answered, because the model set here is not responding." if reply.model else ""


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
