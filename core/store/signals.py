"""Signals in Redis: what a process must hear at once. One may get lost, so what it says is kept elsewhere as well."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.store.redis.client import guarded

log = logging.getLogger(__name__)

STOP, FREE = "nb:stop", "nb:free"
# Seconds until a lost connection is tried again, and for a read without a signal.
_RETRY, _READ = 1.0, 30.0


class Signals:
    """Listens on a connection of its own."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def listen(self, stop: Callable[[str], object], free: Callable[[str], object]) -> None:
        """Call `stop` with each turn that somebody wants stopped, and `free` with each conversation that was handed
        back, until cancelled. Outages are waited out."""
        while True:
            try:
                async with guarded():
                    await self._redis.initialize()  # a Cluster's client must know the nodes to choose one
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    async with guarded():
                        await channel.subscribe(STOP, FREE)
                    while True:
                        async with guarded(_READ + 1, measured=False):
                            signal = await channel.get_message(timeout=_READ)
                        if signal:
                            call = stop if signal["channel"] == STOP.encode() else free
                            call(signal["data"].decode("utf-8", "replace"))
            except StoreError as error:
                log.debug("no signals for now: %s", error)
                await asyncio.sleep(_RETRY)
