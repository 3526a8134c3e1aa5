"""Waiting: questions that show their place in line until their turn comes, here or in another process."""

import asyncio
from contextlib import suppress

from core import metrics
from core.domain.conversation import Question
from core.domain.errors import StoreError
from core.domain.ports import NO_SIGN, QuestionStatus, Status, Surface
from core.reply.notices import show_status
from core.store.turns import Turns

# How often the place in line of a question that waits is looked up. Seconds.
LINE_SECONDS = 2.0
# A sign that did not change is shown again after so long: Slack's status lasts two minutes. Seconds.
SIGN_AGAIN = 90.0


class _Question:
    """One that shows its place on this surface, until that is over."""

    def __init__(self, surface: Surface) -> None:
        self.surface, self.over = surface, asyncio.Event()


class Waiting:
    """The questions that wait and were accepted by this process."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._questions: dict[str, _Question] = {}  # by mention

    def __len__(self) -> int:
        return len(self._questions)

    def begun(self, mention: Question) -> Surface | None:
        """The turn of this mention begins: the surface that knows of the signs which are set, or on their way."""
        question = self._questions.pop(mention.id, None)
        if question is None:
            return None
        question.over.set()
        return question.surface

    async def show(self, mention: Question, conversation: str, surface: Surface) -> bool:
        """Show the place in line of this mention until that is over: true when its turn began in this process."""
        question = self._questions[mention.id] = _Question(surface)
        shown, since = 0, 0.0
        waiting = metrics.WAITING.labels(mention.place.platform)
        waiting.inc()
        try:
            while not question.over.is_set():
                with suppress(StoreError):
                    ahead = await self._turns.ahead(conversation, mention)
                    if ahead is None:
                        if not question.over.is_set():  # withdrawn, or its turn runs elsewhere and has taken them
                            await show_status(surface, NO_SIGN)
                        return question.over.is_set()
                    now = asyncio.get_running_loop().time()
                    if ahead and (ahead != shown or now - since > SIGN_AGAIN) and not question.over.is_set():
                        await show_status(surface, QuestionStatus(Status.QUEUED, ahead=ahead))
                        shown, since = ahead, now
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINE_SECONDS):
                        await question.over.wait()
            return True
        finally:
            waiting.dec()
            if self._questions.get(mention.id) is question:
                del self._questions[mention.id]
