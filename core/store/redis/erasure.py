"""Erasure: has the server rewrite its append-only file, which otherwise keeps what was forgotten for as long as it
likes (Redis persistence, Log rewriting)."""

import asyncio
import logging
from contextlib import suppress
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from core.domain.errors import StoreError
from core.store.redis.client import guarded
from core.store.redis.cluster import Cluster

log = logging.getLogger(__name__)

# A rewrite costs the server as much as all of its data, so people can't cause more than one in this time.
PAUSE_SECONDS = 600.0
# What expires leaves the file too, though nobody asks for it.
EXPIRED_SECONDS = 86_400.0
# How often each process looks whether a rewrite is due.
LOOK_SECONDS = 30.0
# A request is kept until a rewrite that began after it.
WANTED, RECENT, DAILY = "nb:{0}:erase:wanted", "nb:{0}:erase:recent", "nb:{0}:erase:daily"
_KEEP_SECONDS = 30 * 86_400


class Erasure:
    """Rewrites on request, at most one in PAUSE_SECONDS over all processes; a request that comes too soon is not lost.

    If the bot may not ask the server for a rewrite, the server's next one of its own does it.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def request(self) -> None:
        """Something was forgotten. Never raises: what matters to the caller is that it is forgotten."""
        with suppress(StoreError):
            async with guarded():
                await self._redis.set(WANTED, 1, ex=_KEEP_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Begin a rewrite if one is wanted and none began a short time ago. Raises StoreError."""
        async with guarded():
            if await self._redis.set(DAILY, 1, nx=True, ex=round(EXPIRED_SECONDS)):
                await self._redis.set(WANTED, 1, ex=_KEEP_SECONDS)
            if not await self._redis.exists(WANTED):
                return
            if not await self._redis.set(RECENT, 1, nx=True, ex=round(PAUSE_SECONDS)):
                return
            await self._redis.delete(WANTED)  # before the rewrite: what is forgotten during it asks for another
            try:
                await self._rewrite()
            except NoPermissionError:
                log.info("may not have Redis rewrite its append-only file (BGREWRITEAOF); its next rewrite erases")
            except ResponseError as error:  # such as one under way, which began before
                log.info("Redis does not rewrite its append-only file now: %s", error)
                await self._redis.set(WANTED, 1, ex=_KEEP_SECONDS)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            with suppress(StoreError):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _rewrite(self) -> None:
        client = cast(Redis | Cluster, self._redis)
        if isinstance(client, Cluster):  # the replicas have files of their own
            await client.execute_command("BGREWRITEAOF", target_nodes=Cluster.ALL_NODES)
        else:
            await self._redis.bgrewriteaof()
