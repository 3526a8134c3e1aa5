"""Beat: when the stream of a quick model is read, agreed between who reads it and who shows it."""

import asyncio

SECONDS = 0.1  # from one read of a quick stream to the next, where nobody asks for it before
QUICK = 4  # reads in succession, each within that time of the one before, until a stream counts as quick


class Beat:
    """Of one answer. Pieces of a quick stream gather, at no cost, until a beat has passed or somebody asks for them.

    The first pieces and those of a slow stream are read as they come.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._quick = 0
        self._wanted = asyncio.Event()
        self._resting = False

    @property
    def quick(self) -> bool:
        """Whether what comes next should be let gather."""
        return self._quick > QUICK

    def read(self) -> None:
        """A read begins."""
        self._since = self._clock()

    def heard(self) -> None:
        """It brought something from the model."""
        self._quick = self._quick + 1 if self._clock() - self._since < SECONDS else 0

    async def rest(self) -> None:
        """Until the next beat, or until what has come is wanted."""
        self._wanted.clear()
        self._resting = True
        alarm = asyncio.get_running_loop().call_later(SECONDS, self._wanted.set)
        try:
            await self._wanted.wait()
        finally:
            self._resting = False
            alarm.cancel()

    def now(self) -> bool:
        """Have what has gathered read at once; false if nothing is let gather at this moment."""
        if self._resting:
            self._wanted.set()
        return self._resting
