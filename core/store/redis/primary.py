"""The client for a single primary, which drops its connections if the server has become a replica."""

import re
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import ResponseError

from core.store.redis.url import RedisAddress, RedisKind

# In servers before 7.0 the error of a script contains the refusal of its command.
_READONLY = re.compile(r"^READONLY|-READONLY|^You can't write against a read only")


class Primary(Redis):
    """redis-py's client, with its address."""

    address: RedisAddress = RedisAddress(RedisKind.SERVER, "", "localhost:6379")

    @classmethod
    def at(cls, pool: BlockingConnectionPool, address: RedisAddress) -> "Primary":
        """A client that owns this pool."""
        client = cast(Primary, cls.from_pool(pool))  # it has this class, though not in its annotation
        client.address = address
        return client

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As in the library, but leaves a server that no longer accepts writes and asks its successor instead.

        A command refused in this way has changed nothing, so it can be sent again. The new connection goes where the
        host name, the proxy or the Sentinel now leads.
        """
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            if not _READONLY.search(str(error)):
                raise
        await self.connection_pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        await self.connection_pool.disconnect(inuse_connections=False)
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary of a service, which each looks up again; callers wait for a free one."""

    sentinel_manager: Sentinel

    async def aclose(self) -> None:
        """Close the connections, including those to the Sentinels."""
        await super().aclose()
        await self.sentinel_manager.aclose()
