"""Beat: decides when to read the stream of a quick model; shared by the task that reads and the task that shows."""

import asyncio

BEAT_SECONDS = 0.15  # between two reads of a quick stream, unless somebody asks for its text sooner
QUICK_READS = 4  # a stream counts as quick after more reads in a row than this, each within BEAT_SECONDS


class Beat:
    """The beat of one answer. Pieces of a quick stream gather, at no cost, until a beat has passed or somebody asks.

    The first pieces, and all pieces of a slow stream, are read as they come.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._quick = 0
        self._wanted = asyncio.Event()
        self._resting = False

    @property
    def quick(self) -> bool:
        """Whether the next pieces should gather before they are read."""
        return self._quick > QUICK_READS

    def read(self) -> None:
        """Note that a read begins."""
        self._since = self._clock()

    def heard(self) -> None:
        """Note that the read brought something from the model."""
        self._quick = self._quick + 1 if self._clock() - self._since < BEAT_SECONDS else 0

    async def rest(self) -> None:
        """Wait for the next beat, or until somebody wants what has gathered."""
        self._wanted.clear()
        self._resting = True
        alarm = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._wanted.set)
        try:
            await self._wanted.wait()
        finally:
            self._resting = False
            alarm.cancel()

    def now(self) -> bool:
        """Have the gathered pieces read at once. False if nothing is gathering at the moment."""
        if self._resting:
            self._wanted.set()
        return self._resting
