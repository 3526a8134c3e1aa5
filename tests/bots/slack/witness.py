"""A dispatcher that works like the real one and records what the Slack adapter passes to it."""

import asyncio

from core.commands.responses import Response, RightsOf
from core.domain.conversation import Place
from core.domain.errors import StoreError
from core.domain.page import Action
from core.domain.question import Question
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher
from tests.bounds import HANG_SECONDS


class Witness(Dispatcher):
    """`broken`: how many steps fail first. `gap`: seconds without a listening process, until `present` closes it."""

    gap = _reported_gap = 0.0
    broken = 0

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Take the place of this dispatcher."""
        self.__dict__.update(dispatcher.__dict__)
        self.questions: list[Question] = []
        self.edits: list[tuple[Question, bool]] = []
        self.deletions: list[tuple[Place, str]] = []
        self.late: list[Question] = []
        self.presses: list[ButtonPress] = []
        self.noted: list[str] = []
        self._noted = asyncio.Event()

    async def heard(self, question: Question, rights: RightsOf) -> Response | None:
        self._fail()
        self.questions.append(question)
        return await super().heard(question, rights)

    async def edited(self, question: Question, *, asks: bool) -> None:
        self._fail()
        self.edits.append((question, asks))
        await super().edited(question, asks=asks)

    async def deleted(self, place: Place, message: str) -> None:
        self._fail()
        self.deletions.append((place, message))
        await super().deleted(place, message)

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        self.presses.append(press)
        return await super().pressed(action, press, rights)

    async def away(self, name: str, margin: float = 0.0) -> float:
        self._reported_gap = self.gap
        return self.gap or await super().away(name)

    async def present(self, name: str) -> None:
        await super().present(name)
        if self._reported_gap:  # otherwise the gap began after the search that this ends
            self.gap = self._reported_gap = 0.0
        self.noted.append(name)
        self._noted.set()

    async def closed(self) -> None:
        """Wait until a process is next recorded as listening. Raises TimeoutError."""
        self._noted.clear()
        async with asyncio.timeout(HANG_SECONDS):
            await self._noted.wait()

    async def missed(self, question: Question) -> None:
        self._fail()
        self.late.append(question)
        await super().missed(question)

    async def failed(self, left: int) -> None:
        """Wait until only `left` steps are still to fail. Raises TimeoutError."""
        async with asyncio.timeout(HANG_SECONDS):
            while self.broken > left:
                await asyncio.sleep(0.001)

    def _fail(self) -> None:
        if self.broken:
            self.broken -= 1
            raise StoreError("as the test requests")


def witness(dispatcher: Dispatcher) -> Witness:
    """Return the room's dispatcher, which must be a witness."""
    assert isinstance(dispatcher, Witness)
    return dispatcher
