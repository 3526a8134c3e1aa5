"""A hold: something that a sandbox server keeps back until the test releases it."""

import asyncio
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Hold:
    """`met`: whether it has kept back a request."""

    met: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def let_go(self) -> None:
        """Release what is kept back; keep nothing back from now on."""
        self._open.set()

    async def wait(self) -> None:
        """Wait until `let_go` is called."""
        await self._open.wait()
