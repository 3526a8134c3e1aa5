"""The publisher: the newest text on screen, nothing stale, and the end for certain."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from core.domain.chat import Beat, Delta, Finish
from core.domain.errors import Frozen, Gone, Rejected, SlowDown, Unreachable
from core.domain.page import Page
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.rates import RateLimit
from core.ratelimit.limiter import RateLimiter
from core.reply import publisher
from core.reply.latest import Latest
from core.reply.layout import CUT, PLAIN, STOPPED, ReplyStyle
from core.reply.publisher import ReplyPublisher
from core.reply.state import Phase, Reply
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import eventually
from tests.core.room import MemorySurface


class Draft:
    """A reply being written, and the room in which it is shown."""

    def __init__(
        self, room: MemorySurface, progress: Progress = NOTHING_SHOWN, heading: str = "", style: ReplyStyle = PLAIN
    ) -> None:
        self.cell = Latest(Reply().to(Phase.THINKING))
        self.reported: list[Progress] = []
        self.publisher = ReplyPublisher(self.cell, room, RateLimiter(), self, progress, heading=heading, style=style)

    def on_edit(self, progress: Progress, page: Page) -> None:
        self.reported.append(progress)

    async def on_post(self, progress: Progress, page: Page) -> None:
        self.reported.append(progress)

    async def check(self) -> None:
        pass

    def write(self, text: str = "", thought: str = "", now: float = 0.0) -> None:
        self.cell.set(self.cell.value.add(Delta(text=text, thought=thought), now))

    async def pause(self) -> None:
        """Let the publisher run."""
        for _ in range(5):
            await asyncio.sleep(0)

    def end(self, phase: Phase = Phase.DONE, notice: str = "") -> None:
        self.cell.close(self.cell.value.to(phase, notice))


@asynccontextmanager
async def publishing(
    room: MemorySurface, progress: Progress = NOTHING_SHOWN, heading: str = "", style: ReplyStyle = PLAIN
) -> AsyncIterator[Draft]:
    """A draft whose publisher runs; leaving waits for its last frame."""
    draft = Draft(room, progress, heading, style)
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(draft.publisher.publish())
        yield draft


async def test_reply_grows_in_place() -> None:
    """The first word is posted; edits of the same message show the rest."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("One")
        await room.until("One")
        draft.write(" two")
        await room.until("One two")
        draft.write(" three")
        draft.end()
    assert [page.text for page in room.of("m0")] == ["One", "One two", "One two three"]
    assert draft.reported == [Progress(("m0",), 3), Progress(("m0",), 7), Progress(("m0",), 13)]


async def test_stale_text_is_never_sent() -> None:
    """After a call, only the newest state of the text written during it is sent."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("n0")
        await room.until("n0")
        room.gate.clear()
        for number in range(1, 100):
            draft.write(f" n{number}")
            await asyncio.sleep(0)
        room.gate.set()
        await room.until(" n99")
        draft.end()
    assert len(room.frames) <= 4  # the first, the newest, and the end


async def test_writer_never_waits_for_the_platform() -> None:
    """Even if the platform does not answer, the whole answer is written."""
    room = MemorySurface()
    room.gate.clear()
    async with publishing(room) as draft:
        for number in range(1000):
            draft.write(f"n{number} ")
        draft.end()
        assert draft.cell.value.over
        room.gate.set()
    assert room.text.endswith(" n999")
    assert len(room.frames) <= 4


async def test_long_reply_takes_several_messages() -> None:
    """Text over the limit continues in the next message, and none of it is lost."""
    room = MemorySurface(limit=300)
    words = [f"word{number}" for number in range(200)]
    async with publishing(room) as draft:
        for index, word in enumerate(words):
            draft.write(word + " ")
            if index % 10 == 0:
                await asyncio.sleep(0)
        draft.end()
    assert len(room.messages) > 5
    assert " ".join(page.text for page in room.messages.values()).split() == words
    assert draft.reported[-1].messages == tuple(room.messages)


@pytest.mark.parametrize(
    ("phase", "notice", "foot"),
    [
        (Phase.DONE, "", ""),
        (Phase.FAILED, "It broke.", "It broke."),
        (Phase.STOPPED, "", STOPPED),
    ],
)
async def test_ends_look_different(phase: Phase, notice: str, foot: str) -> None:
    """Done, failed and stopped look different; the text so far stays."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("Some text")
        draft.end(phase, notice)
    (page,) = room.messages.values()
    assert (page.text, page.foot) == ("Some text", foot)


async def test_cut_by_length_is_marked() -> None:
    """An answer that hit max_tokens does not look complete."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.cell.set(draft.cell.value.add(Delta(text="and then", finish=Finish.LENGTH), 0))
        draft.end()
    assert [page.foot for page in room.messages.values()] == [CUT]


async def test_failure_before_the_first_word_is_shown() -> None:
    """Silence is never an answer: the notice is a message of its own."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.end(Phase.FAILED, "No credits.")
    assert [(page.text, page.foot) for page in room.messages.values()] == [("", "No credits.")]


async def test_thinking_is_shown_then_its_time() -> None:
    """While a model thinks aloud people see that, and afterwards how long it took; the thought itself stays hidden."""
    room = MemorySurface()
    loop = asyncio.get_running_loop()
    async with publishing(room) as draft:
        draft.write(thought="secret musing", now=loop.time() - 100)
        async with asyncio.timeout(HANG_SECONDS), room.changed:
            await room.changed.wait_for(lambda: bool(room.messages))
        draft.write("Answer", now=loop.time() - 88)
        draft.end()
    heads = [page.head for page in room.of("m0")]
    assert heads[0].startswith("Thinking… 1 min")
    assert heads[-1] == "Thought for 12 s"
    assert "musing" not in repr(room.frames)


async def test_text_that_was_thought_is_removed() -> None:
    """Text that was shown and turns out to be thought goes away, even if it filled several messages."""
    room = MemorySurface(limit=300)
    async with publishing(room) as draft:
        draft.write("Let me think about it. " * 40)
        await room.until("think")
        draft.cell.set(draft.cell.value.add(Delta(text="The answer.", restart=True), 1.0))
        draft.end()
    assert [page.text for page in room.messages.values()] == ["The answer."]


async def test_refused_frame_is_replaced_by_a_newer_one() -> None:
    """A 429 causes a pause, but no text is lost."""
    room = MemorySurface(faults=[SlowDown("429", 0.05), SlowDown("429", 0.05)])
    async with publishing(room) as draft:
        draft.write("All of it")
        draft.end()
    assert room.text == "All of it"


async def test_final_frame_is_tried_again() -> None:
    """A temporary fault leaves no incomplete answer on screen."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("Half")
        await room.until("Half")
        room.faults = [Unreachable("502"), Unreachable("reset")]
        draft.write(" and whole")
        draft.end()
    assert room.text == "Half and whole"


async def test_deleted_reply_ends_the_publisher() -> None:
    """A reply that somebody deletes does not come back."""
    room = MemorySurface()
    draft = Draft(room)
    draft.write("Half")
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        published = group.create_task(_outcome(draft.publisher.publish()))
        await room.until("Half")
        room.messages.clear()
        draft.write(" and")
    assert isinstance(published.result(), Gone)


async def _outcome(work: Awaitable[None]) -> Exception | None:
    try:
        await work
    except (Gone, Rejected) as error:
        return error
    return None


async def test_a_sentence_replaces_refused_content() -> None:
    """If the platform refuses the final text for good, a sentence replaces it, not half of the text."""
    room = MemorySurface(faults=[Rejected("automod")])
    async with publishing(room) as draft:
        draft.write("Forbidden word")
        draft.end()
    (page,) = room.messages.values()
    assert "refused" in page.foot


async def test_message_that_cannot_be_edited_is_posted_again() -> None:
    """If edits are forbidden, a new message has the whole text once it is complete; the stub is deleted."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("Half")
        await room.until("Half")
        room.faults = [Frozen("edit_window_closed")]
        draft.write(" and")
        await eventually(lambda: not room.faults)
        draft.write(" whole")
        draft.end()
    assert [page.text for page in room.messages.values()] == ["Half and whole"]
    assert len(room.frames) == 2


async def test_backoff_ends_with_the_reply() -> None:
    """A failed interim frame does not delay the end: it is tried at once when the answer is complete."""
    room = MemorySurface()
    async with publishing(room) as draft:
        draft.write("Half")
        await room.until("Half")
        room.faults = [Unreachable("502")] * 4
        for _ in range(4):
            draft.write(" more")
            before = len(room.faults)
            await eventually(lambda before=before: len(room.faults) < before)  # type: ignore[misc]
            break
        room.faults = []
        draft.write(" and whole")
        draft.end()
    assert room.text.endswith("and whole")


async def test_surface_that_refuses_everything_is_given_up() -> None:
    """A page and the sentence that replaces it are tried once each."""
    room = MemorySurface(faults=[Rejected("no")] * 5)
    draft = Draft(room)
    draft.write("Some text")
    draft.end()
    async with asyncio.timeout(HANG_SECONDS):
        assert isinstance(await _outcome(draft.publisher.publish()), Rejected)
    assert len(room.faults) == 3


async def test_another_process_continues_in_the_same_messages() -> None:
    """A takeover edits the existing messages and deletes those that the new text does not need."""
    room = MemorySurface()
    room.messages = {"old0": Page("Half"), "old1": Page("way")}
    async with publishing(room, Progress(("old0", "old1"))) as draft:
        draft.write("The whole answer")
        draft.end()
    assert {message: page.text for message, page in room.messages.items()} == {"old0": "The whole answer"}


async def test_takeover_does_not_rewind() -> None:
    """A new attempt is shown once it is as long as the one before; until then the old text stays."""
    room = MemorySurface()
    room.messages = {"old": Page("One two three")}
    async with publishing(room, Progress(("old",), 13)) as draft:
        for word in ("One", " two", " three", " four"):
            draft.write(word)
            await asyncio.sleep(0)
            assert len(room.text) >= 13
        await room.until("four")
        draft.end()
    assert all(len(page.text) >= 13 for page in room.of("old"))


async def test_superfluous_messages_are_deleted_at_the_end() -> None:
    """Even on a busy platform, no message of an earlier attempt stays on screen."""
    room = MemorySurface(messages={"a": Page("old"), "b": Page("old"), "c": Page("old")})
    room.delete_faults = [SlowDown("429", 0.01), Unreachable("502")]
    async with publishing(room, Progress(("a", "b", "c"))) as draft:
        draft.write("New")
        draft.end()
    assert [page.text for page in room.messages.values()] == ["New"]


async def test_end_does_not_wait_for_the_next_permit() -> None:
    """A reply that ends while its next frame waits is shown at once, with the call that was kept for its end."""
    room = MemorySurface(edit_pace=RateLimit("shared", 5, 60))
    async with publishing(room) as draft:
        draft.write("a")
        await room.until("a")
        draft.write("b")  # the next permit comes in a quarter of a minute
        await asyncio.sleep(0)
        draft.end()
    assert room.text == "ab"


async def test_a_call_that_only_ends_are_promised_is_made_while_the_reply_grows() -> None:
    """A stream that has to stop early stops at once: of the calls that stop streams none is left for interim frames."""
    stops = RateLimit("stops", 2, 600.0, spread=False, promised=True)
    room = MemorySurface(post_pace=RateLimit("starts", 1000, 1.0, spread=False, end=stops), edit_pace=stops)
    async with publishing(room) as draft:
        draft.write("a")
        await room.until("a")
        draft.write("b")
        await room.until("ab")
        draft.end()
    assert room.text == "ab"


async def test_a_call_is_given_back_when_the_publisher_ends_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that is cancelled while gathered text is read for a frame uses up no call."""
    monkeypatch.setattr(publisher, "FRESH_TEXT_TIMEOUT_SECONDS", HANG_SECONDS)

    class Gathering(Beat):
        """Reports gathered text although it has none."""

        asked = asyncio.Event()

        def now(self) -> bool:
            self.asked.set()
            return True

    limit = RateLimit("scope", 1, 600.0)
    limiter, beat, draft = RateLimiter(), Gathering(), Draft(MemorySurface())
    draft.write("One")
    publishing = ReplyPublisher(draft.cell, MemorySurface(post_pace=limit), limiter, draft, NOTHING_SHOWN, beat)
    task = asyncio.create_task(publishing.publish())
    await beat.asked.wait()
    task.cancel()
    await asyncio.wait({task})
    async with asyncio.timeout(HANG_SECONDS):
        await limiter.ticket().permit(limit, final=True)
