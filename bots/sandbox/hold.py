"""Hold: something that a sandbox server keeps back until it is told to let it go."""

import asyncio
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Hold:
    """`met`: a request came that is kept back by it."""

    met: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def let_go(self) -> None:
        """What is kept goes on, and what comes later is not kept."""
        self._open.set()

    async def wait(self) -> None:
        """Until it is let go."""
        await self._open.wait()
