"""Signals in Redis: messages that a process must hear at once. A signal may get lost, so its content is also stored."""

import logging
from collections.abc import Callable
from itertools import repeat

from redis.asyncio import Redis

from core.domain.conversation import Lane
from core.domain.errors import StoreError
from core.domain.retry import retried
from core.domain.turn_id import TurnId
from core.store.redis.client import guarded
from core.store.redis.spaces import FIRST, Spaces

log = logging.getLogger(__name__)

STOP, FREE, CHANGED = "stop", "free", "changed"  # behind the space of the bot
_RETRY_SECONDS = 1.0  # until it tries a lost connection again
_READ_TIMEOUT_SECONDS = 30.0  # for a read without a signal


class Signals:
    """Listens for signals on a connection of its own."""

    def __init__(self, redis: "Redis", spaces: Spaces) -> None:
        self._redis, self._spaces = redis, spaces

    async def listen(
        self, stop: Callable[[TurnId], object], free: Callable[[Lane], object], changed: Callable[[str], object]
    ) -> None:
        """Until cancelled, call `stop` with each turn that somebody wants to stop, `free` with each lane that nobody
        holds, and `changed` with each scope whose settings somebody changed. After an outage, listen again."""

        async def listen() -> None:
            async with guarded():
                await self._redis.initialize()  # a Cluster's client must know the nodes before it can choose one
            async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                async with guarded():
                    kinds = (STOP, FREE, CHANGED)
                    await channel.subscribe(*(f"{FIRST}:{kind}" for kind in kinds))
                    # Which of them is known later.
                    await channel.psubscribe(*(f"{FIRST}~*:{kind}" for kind in kinds))
                while True:
                    async with guarded(_READ_TIMEOUT_SECONDS + 1, measured=False):
                        signal = await channel.get_message(timeout=_READ_TIMEOUT_SECONDS)
                    if signal:
                        name = signal["data"].decode("utf-8", "replace")
                        space, _, kind = signal["channel"].decode("utf-8", "replace").rpartition(":")
                        if space != self._spaces.prefix(name):
                            continue  # another bot's, which may have a turn of this name too
                        if kind == STOP:
                            stop(TurnId(name))
                        elif kind == FREE:
                            free(Lane.named(name))
                        else:
                            changed(name)

        def failed(error: Exception, attempt: int) -> None:
            log.debug("can't receive signals at the moment: %s", error)

        await retried(listen, repeat(_RETRY_SECONDS), on=StoreError, failed=failed)
