"""A hold: a sandbox server keeps a request back until the test releases it."""

import asyncio
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Hold:
    """Keeps requests back until it is released. `met`: whether it has kept back a request."""

    met: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Release the requests that are kept back, and keep none back from now on."""
        self._open.set()

    async def wait(self) -> None:
        """Wait until `release` is called."""
        await self._open.wait()
