"""The client for a Cluster: redis-py's, except that a lost node does not affect the callers of the others."""

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

from core.store.redis.url import RedisAddress, RedisKind

# What this package uses of redis-py's Cluster beyond its documented interface, verified in 8.1.0: all of it is here.
#   redis._parsers.AsyncCommandsParser  without it the bot does not start; without its `node`, no look-up of the slots
#   commands_parser                     else the table of commands is loaded with each look-up of the slots
#   _execute_command                    else callers that find no free connection try again until they get one
#   _initialize                         else a process asks again who serves a lost slot only after another failure
#   connection_kwargs (in client.py)    else a stall of the loop ends the calls that run
#   last_failed_node_name               in `initialize`: without it TypeError; in errors: the lost node is asked again
#   nodes_manager: slots_cache, aclose  without them AttributeError, at the start and at the end
# tests/core/store/test_cluster.py loses and moves nodes of a real Cluster, and so notices a changed meaning.
SLOTS = 16_384
BUSY_RETRY_SECONDS = 0.01  # until a caller redirected to a node without a free connection tries again


class Cluster(RedisCluster):
    """redis-py's client, with its address."""

    # The library must not repeat a command after a timeout, because it may have been applied.
    ERRORS_ALLOW_RETRY = (ConnectionError, ClusterDownError, SlotNotCoveredError)  # type: ignore[assignment]
    # `check` asks at the start whether all slots are served; later a lost slot must not affect the others. Nor must a
    # slot that moved: by default the library would then sometimes close all connections.
    OPTIONS: dict[str, Any] = {"require_full_coverage": False, "reinitialize_steps": 0}  # noqa: RUF012

    address: RedisAddress = RedisAddress(RedisKind.CLUSTER, "", "localhost:6379")
    _failed: str | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands_parser = _CommandTable()
        self._waiting: dict[str, asyncio.Semaphore] = {}  # the callers that wait for a connection, by node

    async def initialize(self, additional: Any = None, last_failed_node_name: str | None = None) -> "Cluster":
        """As in the library, but callers ask the node that failed last only after all others who serves the slots."""
        await super().initialize(additional, last_failed_node_name or self._failed)
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As in the library, but its internal failures become the errors of a server that is out of reach."""
        while True:
            try:
                return await super().execute_command(*args, **options)
            except MaxConnectionsError:  # nothing was sent: a redirection for a slot that just moved bypassed the queue
                await asyncio.sleep(BUSY_RETRY_SECONDS)
            except (ConnectionError, TimeoutError) as error:
                self._failed = getattr(error, "last_failed_node_name", self._failed)
                raise
            except KeyError:  # the library's table of slots
                self._initialize = True  # otherwise it would never ask again who serves the slots
                raise ClusterDownError("no node serves this slot") from None

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        """As in the library, but queues for a free connection, within the caller's timeout, instead of failing.

        Callers take turns in order of arrival: if all tried again and again, hundreds of them would keep the process
        busy with that alone, and the unlucky ones would run out of time.
        """
        queue = self._waiting.get(target_node.name)
        if queue is None:
            queue = self._waiting[target_node.name] = asyncio.Semaphore(target_node.max_connections)
        async with queue:
            return await super()._execute_command(target_node, *args, **options)

    def served_slots(self) -> int:
        """How many slots have a node, as far as the client knows."""
        return len(self.nodes_manager.slots_cache)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> "ConcurrentPipeline":
        """Commands that are sent together, each to its own node."""
        return ConcurrentPipeline(self)  # type: ignore[abstract]

    def pubsub(
        self, node: ClusterNode | None = None, host: str | None = None, port: int | None = None, **options: Any
    ) -> ClusterPubSub:
        """As in the library, on any node: a message published on one reaches all. The next may be on another."""
        nodes = [each for each in self.get_nodes() if each.name != self._failed] or self.get_nodes()
        return super().pubsub(node or (random.choice(nodes) if nodes else None), host, port, **options)

    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override]
        """As in the library, but loads the script only on the nodes that need it, since any other may be lost."""
        return _Script(self, script)

    async def aclose(self) -> None:
        """As in the library, but also closes the connections that it leaves open after a node was lost."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


class ConcurrentPipeline(ClusterPipeline):
    """A pipeline; in the library's, one lost node closes the connections to all nodes, even those in use by others."""

    def __init__(self, client: Cluster) -> None:
        super().__init__(client)
        self._commands: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> "ConcurrentPipeline":
        """Queue a command."""
        self._commands.append((args, options))
        return self

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        """Run the commands in any order; returns the answers in the order of the commands. Raises the first error."""
        commands, self._commands = self._commands, []
        calls = (self.cluster_client.execute_command(*args, **options) for args, options in commands)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if raise_on_error and isinstance(answer, BaseException):
                raise answer
        return answers


class _CommandTable(AsyncCommandsParser):
    """Loads the server's large table of commands once; the library does so whenever it looks up the slots."""

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
