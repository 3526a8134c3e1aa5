"""A front that does what the real one does and writes down what the Slack adapter told it."""

import asyncio

from core.commands.responses import Response, RightsOf
from core.domain.conversation import Place, Question
from core.domain.errors import StoreError
from core.domain.page import Action
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher
from tests.bounds import HANG_SECONDS


class Witness(Dispatcher):
    """`broken`: so many steps fail first. `gap`: the seconds in which nobody listened, until `present` closes them."""

    gap = _told = 0.0
    broken = 0

    def __init__(self, front: Dispatcher) -> None:
        """In place of this one."""
        self.__dict__.update(front.__dict__)
        self.questions: list[Question] = []
        self.edits: list[tuple[Question, bool]] = []
        self.deletions: list[tuple[Place, str]] = []
        self.late: list[Question] = []
        self.presses: list[ButtonPress] = []
        self.noted: list[str] = []
        self._noted = asyncio.Event()

    async def heard(self, mention: Question, rights: RightsOf) -> Response | None:
        self._fail()
        self.questions.append(mention)
        return await super().heard(mention, rights)

    async def edited(self, mention: Question, *, asks: bool) -> None:
        self._fail()
        self.edits.append((mention, asks))
        await super().edited(mention, asks=asks)

    async def deleted(self, place: Place, message: str) -> None:
        self._fail()
        self.deletions.append((place, message))
        await super().deleted(place, message)

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        self.presses.append(press)
        return await super().pressed(action, press, rights)

    async def away(self, name: str) -> float:
        self._told = self.gap
        return self.gap or await super().away(name)

    async def present(self, name: str) -> None:
        await super().present(name)
        if self._told:  # else the gap began after the look that this ends
            self.gap = self._told = 0.0
        self.noted.append(name)
        self._noted.set()

    async def closed(self) -> None:
        """Until somebody is noted as listening, from now on. Raises TimeoutError."""
        self._noted.clear()
        async with asyncio.timeout(HANG_SECONDS):
            await self._noted.wait()

    async def missed(self, mention: Question) -> None:
        self._fail()
        self.late.append(mention)
        await super().missed(mention)

    async def failed(self, left: int) -> None:
        """Until only so many steps are still to fail. Raises TimeoutError."""
        async with asyncio.timeout(HANG_SECONDS):
            while self.broken > left:
                await asyncio.sleep(0.001)

    def _fail(self) -> None:
        if self.broken:
            self.broken -= 1
            raise StoreError("as a test wants it")


def witness(front: Dispatcher) -> Witness:
    """The room's front, where the test gave a witness."""
    assert isinstance(front, Witness)
    return front
