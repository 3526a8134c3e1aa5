"""TurnRunner: runs turns in this process, from the claim to the commit, and takes over those that others left.

The algorithm in one page. A *conversation* is a mailbox in Redis: a line of questions and a history. Each question
belongs to a *lane*, that of its thread or of its author. A *turn* is the first question of a lane, under the lane's
lease and with a fencing token. Turns of a lane follow each other; lanes run side by side, `parallel` at once at most.
Every change of a mailbox is one Lua step in `core/store/turns.py`: atomic, and safe to repeat.

*Accept.* The adapter awaits `accept`, and only then confirms the event to a platform that expects this: after a crash
before that, the platform delivers again; after a crash later, the question is stored. The step remembers the question's
id, so further deliveries are duplicates; it appends the question to the line; and if there is room for one more lane,
it claims one. A retry after a lost answer carries the same request id and gets the same answer. A process that closes,
or is full, does not claim; it leaves the question to others.

*Claim.* A claim takes the lane that waits longest, which may be another than the new question's. A lane whose lease ran
out is left to its holder, who may be alive, and to takeover. The fencing token of a claim is a time, so no token is
given out twice, even by a server that lost its last writes; if it lost the claim itself, the holder's next renewal puts
the token back. The claim also counts the attempt: a question that kills its processes ends with a sentence after a few
attempts instead of being tried for ever.

*Stream and show.* `_run_turn` runs three tasks side by side. The first renews the lease at every third of its length
and stores how far the reply has come. The second reads the model's stream into a one-slot cell and never waits for the
platform. The third, the publisher, waits for the rate limit, takes the newest state from the cell, and posts or edits
it. A new message awaits a checkpoint in Redis (a second at most), so that a takeover goes on in that message and does
not post it again; only a kill between the post and its checkpoint can leave a stub. An edit awaits nothing: the next
renewal records it. Before each frame the publisher checks the lease, but asks Redis only if the lease may have run out
by our own clock, as after a pause of the process: a stale holder shows nothing. While Redis is out of reach, running
turns go on: usually nobody else can reach it then either, so nobody takes over.

*Commit.* The final frame lands first, then the commit stores the exchange, ends the turn, and claims the lane that
waits longest now, its own or another: one round trip, and no wake-up that could get lost. Where a step leaves room
otherwise (a hand-back, a deletion), it puts the lanes that wait longest among those that anybody may take over, and
says so by a signal. A crash between frame and commit loses nothing: the successor finishes the same messages. The
commit is retried through an outage of Redis; it remembers which turn is done, so a retry only learns what comes next.
If the token is not the newest any more, it writes nothing and raises Stale: whoever lost the lease cannot write
history.

*Takeover.* A dead process renews nothing. `Takeover` looks for leases that ran out about once a second, and at once
when a signal in Redis says that a lane is free or when a turn ends here and leaves room; it claims what it finds. After
an outage of Redis it first waits for half a lease, so that living holders can renew. It never takes a lane that runs in
its own process: its holder will renew it. The successor asks the model again, but keeps the old text on screen until
the new one is as long.

*Hand-back.* At shutdown nothing new begins, and running turns get `drain_seconds`. Then they are cancelled; each
releases its turn with its progress, which is not counted as an attempt, and a signal wakes the others. The old process
watches for a moment whether somebody takes the turn; if nobody does, it writes under the text that the reply is paused.
A turn cancelled while its commit was on its way may have ended already: then release hands back the next turn, and the
finished reply is not marked.

*Stop, delete, merge.* A stop sets a field in the mailbox and sends a signal. Signals may get lost; the next renewal
reads the field. A question deleted during its answer sets another field: the answer ends, its messages go, and nothing
is remembered. With `overlap merge`, a turn also answers the plain questions behind it, and the commit removes each one
only if it still reads as it did: a question edited meanwhile keeps its place in line and gets an answer of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile

from core.access.admission import UNLIMITED, Quota
from core.domain.conversation import Conversation, Lane
from core.domain.errors import PlatformError, QuestionDeleted, Stale, StoreError
from core.domain.options import Overlap
from core.domain.ports import NO_STATUS, Surface
from core.domain.question import Question
from core.domain.retry import backoff, retried
from core.prompt.build import together
from core.reply.notices import retract, show_status
from core.reply.versions import VersionsOf, no_versions
from core.settings.parameters import ChannelSettings
from core.store.settings import SettingsStore
from core.store.turns import Turn, Turns
from core.turns.accepted import AcceptedQuestions
from core.turns.assistant import Assistant, Refusal, TurnResult
from core.turns.background import Background
from core.turns.lease import HANDOVER_SECONDS, Lease
from core.turns.surfaces import Surfaces
from core.turns.takeover import Takeover
from core.turns.titles import Titles

log = logging.getLogger(__name__)

LOST = "This answer was interrupted, because my memory lost its question. Please ask again."
GAVE_UP = "I tried this several times and was interrupted each time. Please ask again."


class TurnRunner:
    """Runs turns while its context is open."""

    def __init__(
        self,
        turns: Turns,
        settings: SettingsStore,
        assistant: Assistant,
        surfaces: Surfaces,
        accepted: AcceptedQuestions,
        background: Background,
        silent: Callable[[], bool],
        *,
        quota: Quota = UNLIMITED,
        titles: Titles | None = None,
        drain_seconds: float = 20,
        handover_seconds: float = HANDOVER_SECONDS,
        attempts: int = 3,
        at_once: int = 200,
    ) -> None:
        """`silent`: whether Redis left somebody without an answer a moment ago. `titles`: None if chats get none.
        `drain_seconds`: how long running replies may take at shutdown. `handover_seconds`: how long other processes
        then have to take over the rest. `attempts`: after this many, a sentence closes the turn. `at_once`: how many
        turns run in this process; further ones are left to other processes, or wait."""
        self._turns = turns
        self._settings = settings
        self._assistant = assistant
        self._surfaces = surfaces
        self._accepted = accepted
        self._background, self._silent = background, silent
        self._quota, self._titles = quota, titles
        self._drain_seconds, self._handover_seconds = drain_seconds, handover_seconds
        self._attempts, self._at_once = attempts, at_once
        self._running: dict[asyncio.Task[None], Lane] = {}
        self._takeover = Takeover(turns, surfaces)
        self.closing = False  # nothing new begins
        self._group: asyncio.TaskGroup

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run turns until the caller leaves the context; then let running replies finish in time, and hand back the
        rest."""
        async with asyncio.TaskGroup() as self._group, self._background.open():
            self._group.create_task(self._takeover.run(self._wanted, self.run))
            listening = self._turns.signals.listen(self._assistant.stop, self._takeover.hint, self._settings.changed)
            signals = self._group.create_task(listening)
            try:
                yield
            finally:
                self.closing = True
                self._takeover.close()
                if self._running:
                    await asyncio.wait(self._running, timeout=self._drain_seconds)
                signals.cancel()
                for task in tuple(self._running):
                    task.cancel()

    async def idle(self) -> None:
        """Wait until no turn runs in this process."""
        while self._running:
            await asyncio.wait(self._running)

    async def settled(self, conversation: Conversation) -> None:
        """Wait until no question of this conversation waits or runs, here or in another process. Raises StoreError."""
        await self.idle()
        while await self._turns.waiting(conversation):
            await asyncio.sleep(0.2)
            await self.idle()

    @property
    def has_room(self) -> bool:
        """Whether this process may claim another turn."""
        return not (self.closing or self._takeover.backlog or len(self._running) >= self._at_once)

    def run(self, turn: Turn, settings: ChannelSettings | None = None) -> None:
        """Run a claimed turn, and after it those for which its end makes room. `settings`: if already read."""
        self._running[task := self._group.create_task(self._run_turns(turn, settings))] = turn.lane
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._takeover.hint()  # a waiting lane now has room

    def _wanted(self, lane: Lane) -> bool:
        """Whether to take over a lane that nobody holds. Not one of ours whose lease ran out while Redis was away: its
        holder renews it."""
        return len(self._running) < self._at_once and lane not in self._running.values()

    async def _run_turns(self, first: Turn, settings: ChannelSettings | None) -> None:
        """Run turns of one conversation one after the other, until none waits for room."""
        turn, task = first, asyncio.current_task()
        assert task
        while True:
            self._running[task] = turn.lane
            try:
                try:
                    following = await self._run_turn(turn, settings)
                finally:
                    self._accepted.discard(turn.question.id)
            except Stale:
                log.warning("turn %s: another process took it over", turn.question.id)
                return
            except StoreError as error:
                log.error("turn %s: interrupted until Redis is back: %s", turn.question.id, error)
                return
            except Exception:
                # A defect of ours: the lease runs out, and after several attempts a sentence closes the turn.
                log.exception("turn %s failed", turn.question.id)
                return
            if following is None:
                return
            turn, settings = following, None
            if self.closing:
                with suppress(StoreError):
                    await self._turns.release(turn)
                return

    async def _run_turn(self, turn: Turn, settings: ChannelSettings | None) -> Turn | None:
        """Run one turn under its lease up to its commit, and return the next turn. Raises Stale and StoreError."""
        question = turn.question
        settings = (settings or await self._settings.of(question.place, question.asker)).with_model(question.model)
        surface = self._accepted.begun(question) or self._surfaces.reply(
            question, settings, adopted=question.id not in self._accepted
        )
        stop = partial(self._assistant.stop, question.id)
        lease = Lease(self._turns, turn, stop, self._silent, handover_seconds=self._handover_seconds)
        try:
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(lease.hold())
                turn, settings = await self._merge_waiting(turn, settings)
                if self._titles:
                    self._titles.begun(turn, settings)
                result = await self._answer(turn, settings, surface, lease)
                try:
                    following = await self._commit(turn, result)
                    self._assistant.committed(result)
                except QuestionDeleted:  # after the last renewal of the lease
                    await retract(surface, lease.progress.messages)
                    following = await self._commit(turn, TurnResult(None))
                else:
                    if self._titles and result.exchange:
                        self._titles.answered(turn, settings)
                holding.cancel()
        except asyncio.CancelledError:
            with suppress(StoreError, PlatformError, TimeoutError):
                await lease.hand_back(surface)
            raise
        except BaseExceptionGroup as failures:
            if failures.subgroup(Stale):
                await self._close_if_lost(turn, lease, surface)
            for kind in (Stale, StoreError):
                if failures.subgroup(kind):
                    raise kind(question.id) from failures
            raise
        try:
            await self._quota.charge(question, result.tokens)
        except StoreError:
            self._background.start(self._charge(question, result.tokens))
        return following

    async def _charge(self, question: Question, tokens: int) -> None:
        """Count later what the answer took: a limit that an outage lifts is none."""
        try:
            await retried(partial(self._quota.charge, question, tokens), backoff(0.5, 5.0), on=StoreError, within=600)
        except StoreError as error:
            log.warning("the tokens of turn %s are not counted: %s", question.id, error)

    async def _close_if_lost(self, turn: Turn, lease: Lease, surface: Surface) -> None:
        """Somebody else has the conversation. If Redis has lost our question, nobody goes on with its reply: say so."""
        with suppress(StoreError, PlatformError):
            if not (lease.page and lease.page.growing and lease.progress.messages):
                return
            if await self._turns.forgotten(turn.conversation, turn.question):
                page = replace(lease.page.bare, growing=False, foot=LOST)
                await surface.edit(lease.progress.messages[-1], page)

    async def _commit(self, turn: Turn, result: TurnResult) -> Turn | None:
        """Commit the turn, through an outage of Redis too. Raises Stale, QuestionDeleted, and StoreError at last."""
        return await retried(
            partial(self._turns.commit, turn, result.exchange, result.messages),
            backoff(0.1, 1.0),
            on=StoreError,
            unless=(Stale, QuestionDeleted),
            within=300,
            failed=lambda error, attempt: log.warning("turn %s: retrying the commit", turn.question.id),
        )

    async def _answer(self, turn: Turn, settings: ChannelSettings, surface: Surface, lease: Lease) -> TurnResult:
        """Answer the question. If it was deleted, take away everything the turn showed and return an empty result."""
        result = TurnResult(None)
        if not lease.retracted:
            refusal = None
            if declined := turn.question.declined:
                refusal = Refusal(declined.sentence)
            elif turn.attempt > self._attempts:
                refusal = Refusal(GAVE_UP, again=True)
            replaces = turn.question.replaces
            versions: VersionsOf = no_versions
            if replaces and replaces.keeps:
                versions = partial(self._turns.mailboxes.versions, turn.conversation, replaces.turn)
            result = await self._assistant.answer(turn, settings, surface, lease, refusal=refusal, versions=versions)
            if result.stopped:
                await lease.refresh()
        if lease.retracted:
            await retract(surface, lease.progress.messages)
            return TurnResult(None)
        return result

    async def _merge_waiting(self, turn: Turn, settings: ChannelSettings) -> tuple[Turn, ChannelSettings]:
        """The turn together with the questions behind it that it answers as well: those for the same model. Where they
        are other people's, nobody's own defaults count."""
        head = turn.question
        if settings.overlap is Overlap.QUEUE or not head.is_plain:
            return turn, settings
        line = await self._turns.line(turn.lane)
        behind = tuple(takewhile(lambda each: _goes_with(each[0], head), line[1:]))
        also = tuple(question for question, _ in behind)
        for each in also:
            self._accepted.discard(each.id)
            if surface := self._accepted.begun(each):
                self._background.start(show_status(surface, NO_STATUS))
        entries = tuple(entry for _, entry in behind)
        whole = together(head, also)
        if whole.asker != head.asker:
            settings = (await self._settings.of(head.place)).with_model(head.model)
        return replace(turn, question=whole, also=also, entries=entries), settings


def _goes_with(question: Question, head: Question) -> bool:
    """Whether a question can be answered together with the one before it."""
    return question.is_plain and question.place == head.place and question.model == head.model
