"""Intake: a mention is accepted once, queued in Redis, and run by whoever holds its conversation."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile

import stamina

from core.access.admission import Admission
from core.domain.conversation import Question
from core.domain.errors import PlatformError, Stale, StoreError
from core.domain.options import Overlap
from core.domain.ports import NO_SIGN, Platform, Surface, full
from core.prompt.build import together
from core.reply.notices import retract, say, show_status, whisper
from core.settings.parameters import DAY_SECONDS, ChannelSettings
from core.settings.routing import address_of, conversation_of
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.turns import Acceptance, Claimed, Full, Queued, Refused, Turn, Turns
from core.turns.assistant import Answered, Assistant, Refusal
from core.turns.lease import HANDOVER, Lease
from core.turns.queue_position import Waiting
from core.turns.takeover import Takeover

log = logging.getLogger(__name__)

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
        gate: Admission | None = None,
        drain_seconds: float = 20,
        handover: float = HANDOVER,
        attempts: int = 3,
        at_once: int = 200,
    ) -> None:
        """`drain_seconds`: what running replies get at the end; `handover`: what others then get to take them.
        `attempts`: after so many a turn is closed with a sentence. `at_once`: turns that run in this process; others
        are left to other processes, or wait."""
        self._turns = turns
        self._records = ConversationLookups(turns.mailboxes)
        self._settings = settings
        self._assistant = assistant
        self._platforms = platforms
        self._gate = gate or Admission()
        self._drain, self._handover, self._attempts, self._at_once = drain_seconds, handover, attempts, at_once
        self._serving: dict[asyncio.Task[None], str] = {}  # the conversation of each
        self._tasks: set[asyncio.Task[None]] = set()  # those, and signs and notices on their way
        self._accepted: set[str] = set()  # mentions that wait or run, accepted by this process
        self._waiting = Waiting(turns)
        self._takeover = Takeover(turns, platforms)
        self._closing = self._ended = False
        self._group: asyncio.TaskGroup

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run turns until the context is left; running replies then get their time, the rest is handed back."""
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._takeover.run(self._wanted, self._serve))
            signals = self._group.create_task(self._turns.signals.listen(self._assistant.stop, self._takeover.hint))
            try:
                yield
            finally:
                self._closing = True
                self._takeover.close()
                if self._serving:
                    await asyncio.wait(self._serving, timeout=self._drain)
                signals.cancel()
                self._ended = True
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

    async def accept(self, mention: Question) -> Acceptance:
        """Queue a mention, and run it when it is next. Once this returned, the question can't get lost.

        Two round trips: the settings of the place, then the accepting step; one more where people's use is limited.
        Raises StoreError.
        """
        settings = await self._settings.of(mention.place)
        if sentence := await self._gate.refusal(mention):
            if await self._turns.once(f"{mention.id}/refused"):
                self.beside(whisper(self._surface(mention, settings), sentence))
            return Refused(sentence)
        mention = self._gate.judged(mention)
        known = mention.id in self._accepted
        self._accepted.add(mention.id)  # before the step: the turn may begin before its answer is here
        conversation = conversation_of(mention, settings)
        keep = None if settings.retention is None else settings.retention * DAY_SECONDS
        acceptance: Acceptance | None = None
        try:
            claim = not (self._closing or self._takeover.behind or len(self._serving) >= self._at_once)
            acceptance = await self._turns.accept(conversation, mention, uuid.uuid4().hex, keep, claim=claim)
        finally:
            if not (known or isinstance(acceptance, Claimed | Queued)):
                self._accepted.discard(mention.id)
        if self._closing:
            if isinstance(acceptance, Claimed):  # it began to close meanwhile
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
                if settings.overlap is Overlap.INTERRUPT and not mention.redo:
                    await self._interrupt(conversation, mention)
            case Full(waiting) if not (mention.redo or mention.after):  # a press is told by whoever heard it
                self.beside(say(self._surface(mention, settings), full(waiting)))
        return acceptance

    async def once(self, event: str) -> bool:
        """True for the first call with this event's id in all processes. Raises StoreError."""
        return await self._turns.once(event)

    def surface(self, mention: Question, settings: ChannelSettings, turn: str) -> Surface:
        """Where something of ours beside the reply to this mention is shown; `turn` tells it from the reply."""
        address = replace(address_of(mention, settings), turn=turn)
        return self._platforms[mention.place.platform].open(address)

    def beside(self, work: Coroutine[None, None, None]) -> None:
        """Something that is done beside the turns; cancelled at the end, and not begun after it."""
        if self._ended:  # nobody would cancel it: it could hold the end up, or come after it
            work.close()
            return
        self._tasks.add(task := self._group.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def _interrupt(self, conversation: str, mention: Question) -> None:
        """A newer question ends the answer that is being written. Best effort: it is answered in any case."""
        with suppress(StoreError):
            running = await self._records.running(conversation)
            if running and running.mention.id != mention.id:
                await self._turns.stop(conversation, running.mention.id)

    def _surface(self, mention: Question, settings: ChannelSettings) -> Surface:
        address = address_of(mention, settings, adopted=mention.id not in self._accepted)
        return self._platforms[mention.place.platform].open(address)

    def _show_waiting(self, mention: Question, settings: ChannelSettings) -> None:
        if not mention.redo:  # the answer that is to be replaced stays until its turn comes
            surface = self._surface(mention, settings)
            self.beside(self._wait(mention, conversation_of(mention, settings), surface))

    async def _wait(self, mention: Question, conversation: str, surface: Surface) -> None:
        if not await self._waiting.show(mention, conversation, surface):  # its turn ran elsewhere
            self._accepted.discard(mention.id)

    def _serve(self, turn: Turn, settings: ChannelSettings | None = None) -> None:
        self._serving[task := self._group.create_task(self._converse(turn, settings))] = turn.conversation
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._serving[task]
        self._takeover.hint()  # there is room for one that waits

    def _wanted(self, conversation: str) -> bool:
        """Whether to take a conversation over that nobody holds: our own, whose lease ran out while Redis was away, is
        renewed."""
        return len(self._serving) < self._at_once and conversation not in self._serving.values()

    async def _converse(self, first: Turn, settings: ChannelSettings | None) -> None:
        """Run the turns of one conversation, one after the other, for as long as some wait."""
        turn = first
        while True:
            try:
                try:
                    following = await self._run(turn, settings)
                finally:
                    self._accepted.discard(turn.mention.id)
            except Stale:
                log.warning("turn %s went to another process", turn.mention.id)
                return
            except StoreError as error:
                log.error("turn %s is interrupted until Redis is back: %s", turn.mention.id, error)
                return
            except Exception:
                # A defect of ours: the lease runs out, and after some attempts the turn is closed with a sentence.
                log.exception("turn %s failed", turn.mention.id)
                return
            if following is None:
                return
            turn, settings = following, None
            if self._closing:
                with suppress(StoreError):
                    await self._turns.release(turn)
                return

    async def _run(self, turn: Turn, settings: ChannelSettings | None) -> Turn | None:
        """One turn, under its lease, to its commit."""
        mention = turn.mention
        settings = settings or await self._settings.of(mention.place)
        surface = self._waiting.begun(mention) or self._surface(mention, settings)
        stop = partial(self._assistant.stop, mention.id)
        lease = Lease(self._turns, turn, stop, handover=self._handover)
        try:
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(lease.hold())
                turn = await self._with_others(turn, settings)
                answered = await self._answered(turn, settings, surface, lease)
                async for attempt in stamina.retry_context(on=_passing, attempts=None, timeout=300, wait_max=1):
                    if attempt.num > 1:
                        log.warning("turn %s: committing it again", mention.id)
                    with attempt:
                        following = await self._turns.commit(turn, answered.exchange, answered.messages)
                holding.cancel()
        except asyncio.CancelledError:
            with suppress(StoreError, PlatformError, TimeoutError):
                await lease.hand_back(surface)
            raise
        except BaseExceptionGroup as failures:
            for kind in (Stale, StoreError):
                if failures.subgroup(kind):
                    raise kind(mention.id) from failures
            raise
        with suppress(StoreError):
            await self._gate.quota.charge(mention, answered.tokens)
        return following

    async def _answered(self, turn: Turn, settings: ChannelSettings, surface: Surface, lease: Lease) -> Answered:
        """What the turn came to; nothing, with all it showed taken away, when its question was deleted."""
        answered = Answered(None)
        if not lease.retracted:
            refusal = None
            if turn.mention.refusal:
                refusal = Refusal(turn.mention.refusal)
            elif turn.attempt > self._attempts:
                refusal = Refusal(GAVE_UP, again=True)
            answered = await self._assistant.answer(turn, settings, surface, lease, refusal=refusal)
            if answered.stopped:
                await lease.ended()
        if lease.retracted:
            await retract(surface, lease.progress.messages)
            return Answered(None)
        return answered

    async def _with_others(self, turn: Turn, settings: ChannelSettings) -> Turn:
        """The turn, with the questions that wait behind it and are to be answered together with it."""
        head = turn.mention
        if settings.overlap is Overlap.QUEUE or not _plain(head):
            return turn
        line = await self._turns.line(turn.conversation)
        behind = tuple(takewhile(lambda each: _plain(each[0]) and each[0].place == head.place, line[1:]))
        also = tuple(mention for mention, _ in behind)
        for each in also:
            self._accepted.discard(each.id)
            if surface := self._waiting.begun(each):
                self.beside(show_status(surface, NO_SIGN))
        entries = tuple(entry for _, entry in behind)
        return replace(turn, mention=together(head, also), also=also, entries=entries)


def _plain(mention: Question) -> bool:
    """Whether this is a question like any other, for the model."""
    return not (mention.redo or mention.after or mention.refusal or mention.interaction)


def _passing(error: Exception) -> bool:
    """Whether the same step may succeed later."""
    return isinstance(error, StoreError) and not isinstance(error, Stale)
