"""Intake: a mention is accepted once, queued in Redis, and run by whoever holds its conversation."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import stamina

from core.assistant import Assistant
from core.errors import PlatformError, SlowDown, Stale, StoreError, Unreachable
from core.lease import Lease
from core.model import Mention, Page
from core.ports import Platform, Sign, Status, Surface, full
from core.settings import ChannelSettings, address_of, conversation_of
from core.store.settings import SettingsStore
from core.store.turns import Acceptance, Claimed, Full, Queued, Turn, Turns

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
NOTICE_ATTEMPTS = 10
# How often the place in line of a question that waits is looked up. Seconds.
LINE_SECONDS = 2.0
# A sign that did not change is shown again after so long: Slack's status lasts two minutes. Seconds.
SIGN_AGAIN = 90.0
EMPTY = "Ask me something: write your question in the same message. `!help` shows what else I can do."
ONLY_FILES = "I can read text only, not files or images. Write your question as text."
GAVE_UP = "I tried this several times and was interrupted each time. Please ask again."


class Intake:
    """Accepts mentions and runs turns while its context is open."""

    def __init__(
        self,
        turns: Turns,
        settings: SettingsStore,
        assistant: Assistant,
        platforms: Mapping[str, Platform],
        *,
        question_characters: int = 32_000,
        drain_seconds: float = 20,
    ) -> None:
        self._turns = turns
        self._settings = settings
        self._assistant = assistant
        self._platforms = platforms
        self._longest = question_characters
        self._drain = drain_seconds
        self._serving: dict[asyncio.Task[None], str] = {}  # the conversation of each
        self._tasks: set[asyncio.Task[None]] = set()  # those, and signs and notices on their way
        self._accepted: set[str] = set()  # mentions that wait or run, accepted by this process
        self._waiting: dict[str, _Waiting] = {}  # those that show that they wait, by mention
        self._draining = False
        self._group: asyncio.TaskGroup

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run turns until the context is left; running replies then get `drain_seconds`, the rest is handed back."""
        async with asyncio.TaskGroup() as self._group:
            beside = [
                self._group.create_task(self._sweep()),
                self._group.create_task(self._turns.signals.listen(self._assistant.stop)),
            ]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                self._draining = True
                if self._serving:
                    await asyncio.wait(self._serving, timeout=self._drain)
                for task in tuple(self._tasks):
                    task.cancel()

    async def idle(self) -> None:
        """Wait until no turn runs in this process."""
        while self._serving:
            await asyncio.wait(self._serving)

    async def settled(self, conversation: str) -> None:
        """Wait until nothing of this conversation waits or runs, here or in another process. Raises StoreError."""
        await self.idle()
        while await self._turns.waiting(conversation):
            await asyncio.sleep(0.2)
            await self.idle()

    async def accept(self, mention: Mention) -> Acceptance:
        """Queue a mention, and run it when it is next. Once this returned, the question can't get lost.

        Two round trips: the settings of the place, then the accepting step. Raises StoreError.
        """
        settings = await self._settings.of(mention.place)
        mention = self._judged(mention)
        known = mention.id in self._accepted
        self._accepted.add(mention.id)  # before the step: the turn may begin before its answer is here
        acceptance: Acceptance | None = None
        try:
            acceptance = await self._turns.accept(conversation_of(mention, settings), mention, uuid.uuid4().hex)
        finally:
            if not (known or isinstance(acceptance, Claimed | Queued)):
                self._accepted.discard(mention.id)
        if self._draining:
            if isinstance(acceptance, Claimed):
                await self._turns.release(acceptance.turn)
            return acceptance
        match acceptance:
            case Claimed(turn) if turn.mention.id == mention.id:
                self._serve(turn, settings)
            case Claimed(turn):  # others were left waiting by a process that is gone
                self._serve(turn)
                self._show_waiting(mention, settings)
            case Queued():
                self._show_waiting(mention, settings)
            case Full(waiting) if not (mention.redo or mention.after):  # a press is told by whoever heard it
                self._start(_say(self._surface(mention, settings), full(waiting)))
        return acceptance

    async def once(self, event: str) -> bool:
        """True for the first call with this event's id in all processes. Raises StoreError."""
        return await self._turns.once(event)

    def _judged(self, mention: Mention) -> Mention:
        """The mention, refused when the model has nothing to work on; an over-long text is not even stored."""
        text = mention.text.strip()
        if not text:
            why = ONLY_FILES if mention.attachments else EMPTY
            return replace(mention, text="", refusal=mention.refusal or why)
        if len(text) > self._longest:
            notice = (
                f"Your message has {len(text):,} characters; I take at most {self._longest:,}. "
                "Shorten it or send it in parts."
            )
            return replace(mention, text="", refusal=notice)
        return replace(mention, text=text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    def _surface(self, mention: Mention, settings: ChannelSettings) -> Surface:
        address = address_of(mention, settings, adopted=mention.id not in self._accepted)
        return self._platforms[mention.place.platform].open(address)

    def _show_waiting(self, mention: Mention, settings: ChannelSettings) -> None:
        if mention.redo:
            return  # the answer that is to be replaced stays until its turn comes
        waiting = self._waiting[mention.id] = _Waiting(self._surface(mention, settings))
        self._start(self._wait_in_line(mention, conversation_of(mention, settings), waiting))

    async def _wait_in_line(self, mention: Mention, conversation: str, waiting: "_Waiting") -> None:
        """Show the place in line of a question that waits, until its turn comes, here or in another process."""
        shown, since = 0, 0.0
        try:
            while not waiting.over.is_set():
                with suppress(StoreError):
                    ahead = await self._turns.ahead(conversation, mention)
                    if ahead is None:  # answered elsewhere
                        self._accepted.discard(mention.id)
                        return
                    now = asyncio.get_running_loop().time()
                    if ahead and (ahead != shown or now - since > SIGN_AGAIN) and not waiting.over.is_set():
                        await _sign(waiting.surface, Sign(Status.QUEUED, ahead=ahead))
                        shown, since = ahead, now
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINE_SECONDS):
                        await waiting.over.wait()
        finally:
            self._waiting.pop(mention.id, None)

    def _serve(self, turn: Turn, settings: ChannelSettings | None = None) -> None:
        self._serving[task := self._start(self._converse(turn, settings))] = turn.conversation
        task.add_done_callback(self._serving.pop)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._tasks.add(task := self._group.create_task(work))
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep(self) -> None:
        """Take over conversations that a dead or stopped process left behind."""
        pause = min(1.0, self._turns.limits.lease / 4)
        trouble = ""
        while True:
            try:
                lapsed = await self._turns.lapsed()
                if trouble:  # leases ran out with nobody able to renew them: their holders go first
                    trouble = ""
                    await asyncio.sleep(self._turns.limits.lease / 2)
                    continue
                for conversation in lapsed:
                    # Our own, whose lease ran out while Redis was away, is renewed; what we can't answer is left alone.
                    if conversation in self._serving.values() or conversation.partition("/")[0] not in self._platforms:
                        continue
                    if turn := await self._turns.claim(conversation):
                        log.info("taking over %s, attempt %d", turn.mention.id, turn.attempt)
                        self._serve(turn)
            except StoreError as error:
                if str(error) != trouble:  # once, not every second of an outage
                    log.warning("can't look for turns to take over: %s", error)
                trouble = str(error)
            await asyncio.sleep(pause)

    async def _converse(self, first: Turn, settings: ChannelSettings | None) -> None:
        """Run the turns of one conversation, one after the other, for as long as some wait."""
        turn = first
        while True:
            try:
                following = await self._run(turn, settings)
            except Stale:
                log.warning("turn %s went to another process", turn.mention.id)
                return
            except StoreError as error:
                log.error("turn %s is interrupted until Redis is back: %s", turn.mention.id, error)
                return
            except Exception:
                # A defect of ours: the lease runs out, and after MAX_ATTEMPTS the turn is closed with a sentence.
                log.exception("turn %s failed", turn.mention.id)
                return
            if following is None:
                return
            turn, settings = following, None
            if self._draining:
                with suppress(StoreError):
                    await self._turns.release(turn)
                return

    async def _run(self, turn: Turn, settings: ChannelSettings | None) -> Turn | None:
        """One turn, under its lease, to its commit."""
        mention = turn.mention
        settings = settings or await self._settings.of(mention.place)
        surface = self._surface(mention, settings)
        if waiting := self._waiting.pop(mention.id, None):
            waiting.over.set()
            surface = waiting.surface  # it knows of the signs that are set, or on their way
        refusal = mention.refusal or (GAVE_UP if turn.attempt > MAX_ATTEMPTS else "")
        lease = Lease(self._turns, turn, partial(self._assistant.stop, mention.id))
        try:
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(lease.hold())
                answered = await self._assistant.answer(turn, settings, surface, lease, refusal=refusal)
                async for attempt in stamina.retry_context(on=_passing, attempts=None, timeout=300, wait_max=1):
                    if attempt.num > 1:
                        log.warning("turn %s: committing it again", mention.id)
                    with attempt:
                        following = await self._turns.commit(turn, answered.exchange, answered.messages)
                holding.cancel()
        except asyncio.CancelledError:
            with suppress(StoreError):
                await lease.release()
            raise
        except BaseExceptionGroup as failures:
            for kind in (Stale, StoreError):
                if failures.subgroup(kind):
                    raise kind(mention.id) from failures
            raise
        finally:
            self._accepted.discard(mention.id)
        return following


class _Waiting:
    """A question that shows its place in line on this surface, until that is over."""

    def __init__(self, surface: Surface) -> None:
        self.surface, self.over = surface, asyncio.Event()


def _passing(error: Exception) -> bool:
    """Whether the same step may succeed later."""
    return isinstance(error, StoreError) and not isinstance(error, Stale)


async def _sign(surface: Surface, sign: Sign) -> None:
    try:
        await surface.status(sign)
    except PlatformError:
        pass
    except Exception:
        log.exception("a sign was not shown")  # a defect of a surface must not end every other turn


async def _say(surface: Surface, notice: str) -> None:
    """Show a sentence, waiting for its place when the platform is busy."""
    try:
        for attempt in range(1, NOTICE_ATTEMPTS):
            try:
                await surface.post(Page("", foot=notice))
                return
            except (SlowDown, Unreachable) as error:
                await asyncio.sleep(min(30.0, error.retry_after if isinstance(error, SlowDown) else attempt))
        await surface.post(Page("", foot=notice))
    except PlatformError as error:
        log.warning("a notice was not shown: %s", error)
    except Exception:
        log.exception("a notice was not shown")
