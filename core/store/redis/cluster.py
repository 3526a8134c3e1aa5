"""The client for a Cluster: redis-py's, with what is lost on one node kept from the callers of the others."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, cast

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, ClusterPubSub, RedisCluster
from redis.commands.core import AsyncScript
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MaxConnectionsError,
    NoScriptError,
    SlotNotCoveredError,
    TimeoutError,
)

from core.store.redis.url import Address, Kind

SLOTS = 16_384
BUSY = 0.01  # seconds until a caller that was sent on to a node without a free connection looks again


class Cluster(RedisCluster):
    """As redis-py's, with the address it is for."""

    # A timeout is not among what the library repeats: the command may have been applied.
    ERRORS_ALLOW_RETRY = (ConnectionError, ClusterDownError, SlotNotCoveredError)  # type: ignore[assignment]
    # Whether all slots are served is asked by `check`, at the start; later one that is lost must not take the others
    # along. Nor must a slot that moved: in its stead the library would now and then close all connections.
    WAYS: dict[str, Any] = {"require_full_coverage": False, "reinitialize_steps": 0}  # noqa: RUF012

    address: Address = Address(Kind.CLUSTER, "", "localhost:6379")
    _failed: str | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands_parser = _Commands()
        self._lines: dict[str, asyncio.Semaphore] = {}  # of those who wait for a connection, by node

    async def initialize(self, additional: Any = None, last_failed_node_name: str | None = None) -> "Cluster":
        """As the library's; the node that failed last is the last to be asked who serves what, by any caller."""
        await super().initialize(additional, last_failed_node_name or self._failed)
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As the library's; what it refuses for its own reasons is put in the terms of a server that is away."""
        while True:
            try:
                return await super().execute_command(*args, **options)
            except MaxConnectionsError:  # nothing was sent: a slot that just moved led past the line
                await asyncio.sleep(BUSY)
            except (ConnectionError, TimeoutError) as error:
                self._failed = getattr(error, "last_failed_node_name", self._failed)
                raise
            except KeyError:  # the library's table of slots
                self._initialize = True  # or it would never ask again who serves them
                raise ClusterDownError("no node serves this slot") from None

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        """As the library's; waits in line for a free connection, within the caller's own bound, instead of failing.

        In order of arrival: if all tried again and again, hundreds of callers would keep the process busy with that
        alone, and the unlucky ones would run out of time.
        """
        line = self._lines.get(target_node.name)
        if line is None:
            line = self._lines[target_node.name] = asyncio.Semaphore(target_node.max_connections)
        async with line:
            return await super()._execute_command(target_node, *args, **options)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> "Together":
        """Commands that go out together, each to its own node."""
        return Together(self)  # type: ignore[abstract]

    def pubsub(
        self, node: ClusterNode | None = None, host: str | None = None, port: int | None = None, **options: Any
    ) -> ClusterPubSub:
        """As the library's, on any node: what is published on one reaches all. The next one may be on another."""
        nodes = [each for each in self.get_nodes() if each.name != self._failed] or self.get_nodes()
        return super().pubsub(node or (random.choice(nodes) if nodes else None), host, port, **options)

    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override]
        """As the library's, but loaded where it is needed only, not on all nodes, of which one may be lost."""
        return _Script(self, script)

    async def aclose(self) -> None:
        """As the library's, which leaves connections open after a node was lost."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


class Together(ClusterPipeline):
    """In the library's own, one lost node closes the connections to all nodes, those in use by others included."""

    def __init__(self, client: Cluster) -> None:
        super().__init__(client)
        self._queue: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> "Together":
        """Put a command into the line."""
        self._queue.append((args, options))
        return self

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        """The answers, in the order of the commands, which run in any order. Raises the first error."""
        queue, self._queue = self._queue, []
        calls = (self.cluster_client.execute_command(*args, **options) for args, options in queue)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if raise_on_error and isinstance(answer, BaseException):
                raise answer
        return answers


class _Commands(AsyncCommandsParser):
    """The server's table of commands is large; the library asks for it whenever it looks who serves what."""

    async def initialize(self, node: ClusterNode | None = None) -> None:
        if not self.commands:
            await super().initialize(node)
        self.node = node or self.node


class _Script(AsyncScript):
    async def __call__(
        self, keys: Sequence[Any] | None = None, args: Iterable[Any] | None = None, client: Any = None
    ) -> Any:
        words = (len(keys or ()), *(keys or ()), *(args or ()))
        try:
            return await self.registered_client.evalsha(self.sha, *words)
        except NoScriptError:
            return await self.registered_client.eval(cast(str, self.script), *words)
