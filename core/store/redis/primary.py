"""The client for a single primary, which drops its connections when the server turns out to be a replica by now."""

import re
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import ResponseError

from core.store.redis.url import Address, Kind

# Servers before 7.0 put the refusal of a command in a script into the script's own error.
_READONLY = re.compile(r"^READONLY|-READONLY|^You can't write against a read only")


class Primary(Redis):
    """As redis-py's, with the address it is for."""

    address: Address = Address(Kind.SERVER, "", "localhost:6379")

    @classmethod
    def at(cls, pool: BlockingConnectionPool, address: Address) -> "Primary":
        """A client that owns this pool."""
        client = cast(Primary, cls.from_pool(pool))  # it is of this class, if not for its annotation
        client.address = address
        return client

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As the library's; but a server that takes no writes any more is left, and its successor asked instead.

        What was refused so has changed nothing, so it can be sent again. The new connection goes where the name, the
        proxy or the Sentinel now leads.
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
    """Connections to the primary of a service, looked up anew for each; callers wait for a free one."""

    sentinel_manager: Sentinel

    async def aclose(self) -> None:
        """Close the connections, those to the Sentinels as well."""
        await super().aclose()
        await self.sentinel_manager.aclose()
