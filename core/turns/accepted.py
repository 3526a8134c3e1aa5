"""AcceptedQuestions: the questions that this process accepted; it shows those that wait their place in line."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from core import metrics
from core.domain.conversation import Conversation
from core.domain.errors import StoreError
from core.domain.ports import NO_STATUS, QuestionStatus, Status, Surface
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.reply.notices import show_status
from core.store.turns import Turns

log = logging.getLogger(__name__)

# How often to look up the place in line of a waiting question.
POLL_SECONDS = 2.0
# When to show an unchanged status again: Slack's status lasts two minutes.
STATUS_REPEAT_SECONDS = 90.0


class _Waiting:
    """One waiting question: the surface that shows its place in line, and the event that ends this."""

    def __init__(self, surface: Surface) -> None:
        self.surface, self.over = surface, asyncio.Event()


class AcceptedQuestions:
    """Holds each question until its turn ends. Any other question was accepted by another process, which may have shown
    its status."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ids: set[TurnId] = set()
        self._waiting: dict[TurnId, _Waiting] = {}

    def __len__(self) -> int:
        """How many of them wait."""
        return len(self._waiting)

    def __contains__(self, turn: TurnId) -> bool:
        return turn in self._ids

    def add(self, turn: TurnId) -> None:
        """This process accepts a question."""
        self._ids.add(turn)

    def discard(self, turn: TurnId) -> None:
        """Its turn ended, or is not ours."""
        self._ids.discard(turn)

    def begun(self, question: Question) -> Surface | None:
        """End the wait, because the question's turn begins.

        Returns the surface that knows which status is set or on its way; None if this question does not wait here.
        """
        waiting = self._waiting.pop(question.id, None)
        if waiting is None:
            return None
        waiting.over.set()
        return waiting.surface

    async def wait(
        self,
        question: Question,
        conversation: Conversation,
        surface: Surface,
        accept: Callable[[Question], Awaitable[object]],
    ) -> None:
        """Show the question's place in line until its turn begins, here or in another process.

        `accept` queues it again, if Redis lost it.
        """
        if not await self._show(question, conversation, surface, accept):
            self.discard(question.id)

    async def _show(
        self,
        question: Question,
        conversation: Conversation,
        surface: Surface,
        accept: Callable[[Question], Awaitable[object]],
    ) -> bool:
        """Show its place until the wait is over. True if its turn began in this process."""
        clock = asyncio.get_running_loop().time
        # After this, a missing question proves nothing: the server forgets the ids of answered questions.
        known_until = clock() + self._turns.limits.dedupe / 2
        waiting = self._waiting[question.id] = _Waiting(surface)
        shown, since = 0, 0.0
        gauge = metrics.WAITING.labels(question.place.platform)
        gauge.inc()
        try:
            while not waiting.over.is_set():
                with suppress(StoreError):
                    ahead = await self._turns.ahead(conversation, question)
                    lost = ahead is None and clock() < known_until and not waiting.over.is_set()
                    if lost and await self._turns.forgotten(conversation, question):
                        # The process whose turn is running goes first, with its next renewal (see Lease).
                        await _passed(waiting.over, self._turns.limits.lease / 2)
                        if not waiting.over.is_set() and await self._turns.forgotten(conversation, question):
                            log.warning("question %s: Redis lost it; it is queued again", question.id)
                            await accept(question)
                        continue
                    if ahead is None:
                        if not waiting.over.is_set():  # withdrawn, or its turn runs elsewhere and cleared the status
                            await show_status(surface, NO_STATUS)
                        return waiting.over.is_set()
                    now = clock()
                    if ahead and (ahead != shown or now - since > STATUS_REPEAT_SECONDS) and not waiting.over.is_set():
                        await show_status(surface, QuestionStatus(Status.QUEUED, ahead=ahead))
                        shown, since = ahead, now
                await _passed(waiting.over, POLL_SECONDS)
            return True
        finally:
            gauge.dec()
            if self._waiting.get(question.id) is waiting:
                del self._waiting[question.id]


async def _passed(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event, or for this long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
