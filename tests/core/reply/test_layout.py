"""Everything around the text of a reply: signs of life, distinct ends, small print, buttons and the attached file."""

from dataclasses import dataclass, replace

import pytest

from core.domain.chat import Delta, Finish, Usage
from core.domain.errors import Forbidden, Rejected, TooLong, Unreachable
from core.domain.options import Reasoning
from core.domain.page import Action, Page
from core.reply.layout import (
    CUT,
    IN_FILE,
    NO_FILE,
    REFUSED_REST,
    SILENCE_SECONDS,
    THOUGHT_CHARACTERS,
    WILL_BE_FILE,
    WRITING,
    ReplyLayout,
    ReplyStyle,
)
from core.reply.state import Phase, Reply
from tests.core.reply.test_publisher import publishing
from tests.core.room import MemorySurface

THINKING_REPLY = Reply().to(Phase.THINKING, asked=0.0)


def fits(page: Page) -> bool:
    return len(page.text) + len(page.head) + len(page.foot) <= 300


def shown(reply: Reply, now: float = 0.0, style: ReplyStyle = ReplyStyle()) -> tuple[Page, ...]:  # noqa: B008 - frozen
    return ReplyLayout(fits, style=style).pages(reply, now)


def written(text: str, **values: object) -> Reply:
    """A reply with this text that is still growing."""
    return THINKING_REPLY.add(Delta(text=text, **values), 1.0)  # type: ignore[arg-type]


def test_a_silent_model_is_shown_as_thinking() -> None:
    """At first nothing, since typing or a status shows it; after a while a line with the time."""
    assert shown(THINKING_REPLY, SILENCE_SECONDS - 1) == ()
    assert [page.head for page in shown(THINKING_REPLY, SILENCE_SECONDS + 2)] == ["Thinking… 10 s"]
    assert [page.head for page in shown(THINKING_REPLY, 75.0)] == ["Thinking… 1 min 15 s"]


def test_a_surface_with_a_status_shows_no_message_without_text() -> None:
    """If the platform itself shows that the model thinks, no message is posted for it."""
    style = ReplyStyle(by_status=True)
    assert shown(THINKING_REPLY, 75.0, style) == ()
    assert shown(THINKING_REPLY.add(Delta(thought="hm"), 1.0), 75.0, style) == ()
    assert shown(THINKING_REPLY.to(Phase.FAILED, "It broke."), 75.0, style) != ()


@pytest.mark.parametrize(
    ("reasoning", "during", "after"),
    [
        (Reasoning.HIDDEN, "", ""),
        (Reasoning.TIMER, "Thinking… 5 s", "Thought for 6 s"),
        (Reasoning.SUMMARY, "Thinking… 5 s: Let me see.", "Thought for 6 s: Let me see."),
    ],
)
def test_a_thought_is_shown_as_the_setting_says(reasoning: Reasoning, during: str, after: str) -> None:
    """The room chooses: nothing, only its time, or its newest lines as well; never inside the answer."""
    style = ReplyStyle(reasoning=reasoning)
    thinking = THINKING_REPLY.add(Delta(thought="Let me\nsee."), 1.0)
    assert "".join(page.head for page in shown(thinking, 6.5, style)) == during
    answering = thinking.add(Delta(text="Answer"), 7.0)
    (page,) = shown(answering, 8.0, style)
    assert (page.head, page.text) == (after, "Answer")


def test_a_long_thought_is_cut_to_its_newest_words() -> None:
    """A summary is small print, not another answer."""
    thinking = THINKING_REPLY.add(Delta(thought="word " * 500 + "the end."), 1.0)
    (page,) = shown(thinking, 2.0, ReplyStyle(reasoning=Reasoning.SUMMARY))
    assert page.head.endswith("the end.")
    assert len(page.head) < THOUGHT_CHARACTERS + 30


def test_text_that_turned_out_to_be_thought_is_thought() -> None:
    """A thought that is recognised only at its end is shown as a thought."""
    reply = written("Let me see.").add(Delta(text="Answer", restart=True), 2.0)
    (page,) = shown(reply, 3.0, ReplyStyle(reasoning=Reasoning.SUMMARY))
    assert (page.head, page.text) == ("Thought for 1 s: Let me see.", "Answer")


def test_a_growing_page_is_marked() -> None:
    """Only the last page is marked and has the button, so that nobody takes a growing answer for complete."""
    pages = shown(written("word " * 60), style=ReplyStyle(buttons=True))
    assert len(pages) == 2
    assert [(page.growing, page.foot, page.actions) for page in pages] == [
        (False, "", ()),
        (True, WRITING, (Action.STOP,)),
    ]


def test_the_end_has_its_buttons() -> None:
    """Regenerate after every end, Continue after the length limit; none if there is nothing to ask again."""
    style = ReplyStyle(buttons=True)
    done = written("text").to(Phase.DONE)
    cut = written("text", finish=Finish.LENGTH).to(Phase.DONE)
    refused = Reply().to(Phase.DONE, "Ask me something.")
    assert shown(done, style=style)[0].actions == (Action.AGAIN,)
    assert shown(cut, style=style)[0].actions == (Action.GO_ON, Action.AGAIN)
    assert shown(cut, style=style)[0].foot == CUT
    assert shown(refused, style=style)[0].actions == ()
    assert shown(done, style=replace(style, again=False))[0].actions == ()


def test_the_footer_tells_model_tokens_and_time() -> None:
    """It is shown at the end, if switched on, after the notice about the end; it never opens another page."""
    style = ReplyStyle(model="org/some_model")
    growing = written("x" * 300)
    ended = growing.add(Delta(usage=Usage(9, 1234), finish=Finish.LENGTH), 2.0).to(Phase.DONE, ended=8.25)
    layout = ReplyLayout(fits, style=style)
    before = layout.pages(growing, 0.0)
    after = layout.pages(ended, 0.0)
    assert all("some_model" not in page.foot for page in before)
    assert after[-1].foot == f"{CUT}\n`org/some_model` · 1,234 tokens · 8.2 s"
    assert len(after) == len(before)


def test_a_reply_of_many_pages_shows_its_beginning() -> None:
    """Above the limit the pages stay as they are and announce a file; at the end they say that it is there."""
    style, text = ReplyStyle(pages=2), "word " * 400
    growing, done = written(text), written(text).to(Phase.DONE)
    layout = ReplyLayout(fits, style=style)
    assert layout.overflows(growing) is False  # unknown until the layout
    before = layout.pages(growing, 0.0)
    assert layout.overflows(growing)
    assert (len(before), before[-1].foot, before[-1].growing) == (2, WILL_BE_FILE, True)
    after = layout.pages(done, 0.0)
    assert [page.text for page in after] == [page.text for page in before]
    assert (after[-1].foot, after[-1].growing) == (IN_FILE, False)


async def test_the_whole_answer_is_attached() -> None:
    """The file contains exactly the model's text."""
    room, text = MemorySurface(limit=300), "wörd " * 400
    async with publishing(room, style=ReplyStyle(pages=2)) as draft:
        draft.write(text)
        draft.end()
    assert [page.foot for page in room.messages.values()][-1] == IN_FILE
    assert len(room.messages) == 2
    assert room.files == {"f0": text.encode()}
    assert draft.reported[-1].messages == (*room.messages, "f0")


@pytest.mark.parametrize("error", [Forbidden("missing_scope"), Rejected("too large")])
async def test_where_no_file_can_be_attached_the_reply_ends(error: Exception) -> None:
    """No answer takes more messages than it may: its last one says that there is more."""
    room, words = MemorySurface(limit=300), [f"word{number}" for number in range(300)]
    async with publishing(room, style=ReplyStyle(pages=2)) as draft:
        draft.write(" ".join(words))
        await room.until("word30 ")
        room.file_faults = [error]
        draft.end()
    shown = " ".join(page.text for page in room.messages.values()).split()
    assert shown == words[: len(shown)]
    assert [page.foot for page in room.messages.values()] == ["", NO_FILE]
    assert not room.files


async def test_a_lost_file_is_sent_again() -> None:
    """A temporary fault costs only a moment."""
    room, text = MemorySurface(limit=300), "word " * 400
    async with publishing(room, style=ReplyStyle(pages=2)) as draft:
        room.file_faults = [Unreachable("502")]
        draft.write(text)
        draft.end()
    assert list(room.files.values()) == [text.encode()]


async def test_a_room_may_show_only_complete_replies() -> None:
    """With streaming off, nothing is shown until the answer is complete; then all of it is."""
    room = MemorySurface()
    async with publishing(room, style=ReplyStyle(live=False)) as draft:
        for _ in range(5):
            draft.write("word ")
            await draft.pause()
        assert not room.messages
        draft.end()
    assert [page.text for page in room.messages.values()] == [("word " * 5).rstrip()]


def test_the_fallback_model_is_named() -> None:
    """If the fallback answered, the small print says so and the footer names it; there is space for both."""
    done = written("Hello", model="vendor/spare").to(Phase.DONE, ended=2.0)
    (page,) = shown(done)
    assert page.foot == "`vendor/spare` answered, because the model set here is not responding."
    (page,) = shown(done, style=ReplyStyle(model="vendor/asked"))
    assert page.foot.splitlines()[1].startswith("`vendor/spare` · ")
    long = written("word " * 100, model="vendor/" + "m" * 80)
    layout = ReplyLayout(fits, style=ReplyStyle(model="x"))
    before = len(layout.pages(long, 1.0))
    assert len(layout.pages(long.to(Phase.DONE, ended=2.0), 2.0)) == before


async def test_a_page_that_is_refused_as_too_long_is_cut_smaller() -> None:
    """A platform whose limit is less than we take it to be gets smaller pages, and all of the text."""
    room, words = Strict(limit=600), [f"word{number}" for number in range(150)]
    async with publishing(room) as draft:
        draft.write(" ".join(words[:10]))
        await room.until("word9")
        draft.write(" " + " ".join(words[10:]))
        draft.end()
    assert room.refusals
    assert " ".join(page.text for page in room.messages.values()).split() == words


async def test_what_was_accepted_of_a_refused_page_stays() -> None:
    """Where a later word is refused, what people have read already stays, with a sentence below it."""
    room = Strict(forbidden="ZEBRA")
    async with publishing(room) as draft:
        draft.write("A harmless beginning.")
        await room.until("beginning")
        draft.write(" Now ZEBRA comes.")
        draft.end()
    [page] = room.messages.values()
    assert (page.text, page.foot) == ("A harmless beginning.", REFUSED_REST)


@dataclass
class Strict(MemorySurface):
    """A room that refuses what is too long for it, or says a forbidden word."""

    forbidden: str = ""
    refusals: int = 0

    async def _show(self, message: str, page: Page) -> None:
        if not self.forbidden and len(page.text) > self.limit // 2:
            self.refusals += 1
            raise TooLong("too long")
        if self.forbidden and self.forbidden in page.text:
            raise Rejected("AutoMod")
        await super()._show(message, page)


def test_nothing_is_laid_out_that_is_not_shown() -> None:
    """However long a complete answer is, no more is laid out than the pages that it may have and the one after them."""
    measured: list[int] = []

    def counted(page: Page) -> bool:
        measured.append(len(page.text))
        return fits(page)

    def cost(words: int) -> int:
        measured.clear()
        layout = ReplyLayout(counted, style=ReplyStyle(pages=3))
        done = written("word " * words).to(Phase.DONE)
        assert len(layout.pages(done, 0.0)) == 3
        assert layout.overflows(done)
        return sum(measured)

    assert cost(20_000) == cost(2_000)


def test_others_run_after_each_time_that_a_page_is_measured() -> None:
    """However many pages an answer has, and however often they are measured; and what is laid out is not measured
    again.
    """
    measured: list[int] = []

    def counted(page: Page) -> bool:
        measured.append(len(page.text))
        return fits(page)

    layout, complete = ReplyLayout(counted, style=ReplyStyle(pages=1000)), False
    done = written("word " * 3000).to(Phase.DONE)
    while not complete:
        measured.clear()
        complete = layout.advance(done, 0.0)
        assert len(measured) <= 1
    measured.clear()
    assert len(layout.pages(done, 0.0)) > 1
    assert not measured
