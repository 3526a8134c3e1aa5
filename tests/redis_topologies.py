"""Real topologies for the tests, with the same server program: a primary with a replica and Sentinels, and a Cluster.

Everything is tuned for speed. Nothing is kept on disk. A server that only stands still is not given up, unless a test
says so (`lose_after`).
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from core.store.redis.embedded import bound, find_server
from tests.bounds import HANG_SECONDS
from tests.ports import free_port

SERVICE = "nebula"
# A replica follows within milliseconds. With the usual settings both sides wait for the next full second: the replica
# before it loads what it was sent, and after a diskless copy the primary before it sends more.
SYNC_AT_ONCE = ("--repl-diskless-sync", "no", "--repl-diskless-load", "on-empty-db")
SLOTS = 16_384
LOSS_MS = 500  # a test that waits for a failover lets a server that is silent for this long count as lost
STALL_MS = 60_000  # in all others, no stall of a server may be a loss
TOPOLOGY_WAIT_SECONDS = HANG_SECONDS  # the longest wait for a topology


@dataclass(frozen=True, slots=True, eq=False)
class RedisProcess:
    """A process that listens on this port of 127.0.0.1."""

    port: int
    process: "subprocess.Popen[bytes]"
    password: str = ""

    @contextmanager
    def talk(self) -> Iterator["Redis"]:
        """A blocking client that returns strings and does not retry."""
        retry = Retry(NoBackoff(), 0)
        with Redis(
            port=self.port,
            password=self.password or None,
            decode_responses=True,
            retry=retry,
            socket_timeout=HANG_SECONDS,
            protocol=2,
        ) as client:
            yield client

    def listeners(self, channel: str) -> int:
        """How many connections are subscribed to the channel."""
        with self.talk() as client:
            return int(client.pubsub_numsub(channel)[0][1])

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Guarded:
    """A primary, its replica, and the Sentinels that look after them."""

    url: str
    primary: RedisProcess
    replica: RedisProcess
    sentinels: tuple[RedisProcess, ...]

    def lose_after(self, milliseconds: int) -> None:
        """Give a server up that is silent for this long."""
        for each in self.sentinels:
            _asks(each, "SENTINEL", "SET", SERVICE, "down-after-milliseconds", milliseconds)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The primaries of a Cluster in the order of their slots, and its spare nodes."""

    url: str
    primaries: tuple[RedisProcess, ...]
    replicas: tuple[RedisProcess, ...] = ()

    def lose_after(self, milliseconds: int) -> None:
        """Give a node up that is silent for this long."""
        for each in (*self.primaries, *self.replicas):
            _asks(each, "CONFIG", "SET", "cluster-node-timeout", milliseconds)


@contextmanager
def guarded_primary(password: str = "", sentinel_password: str = "") -> Iterator[Guarded]:
    """Start a primary with a synchronised replica, and a Sentinel that knows both and decides alone."""
    settings = list(SYNC_AT_ONCE)
    if password:
        settings += ["--requirepass", password, "--masterauth", password]
    with ExitStack() as stack:
        primary = stack.enter_context(server(*settings, password=password))
        replica = stack.enter_context(server(*settings, password=password))
        _asks(replica, "REPLICAOF", "127.0.0.1", primary.port)  # as a setting it would wait for the next second
        _until(lambda: _asks(replica, "INFO", "replication")["master_link_status"] == "up")
        _until(lambda: _arrives(primary))
        watcher = stack.enter_context(_sentinel(primary, sentinel_password))
        _until(lambda: _followed(watcher))
        yield Guarded(f"redis+sentinel://127.0.0.1:{watcher.port}/{SERVICE}/0", primary, replica, (watcher,))


class Nursery:
    """Starts nodes of Clusters in advance. A primary accepts no writes in its first two seconds (CLUSTER_WRITABLE_DELAY
    in the server's source); for these nodes that time is over when a test needs them."""

    def __init__(self, ahead: int = 0) -> None:
        """`ahead`: how many nodes to start in advance."""
        self._ahead = ahead
        self._stack = ExitStack()
        self._nodes: list[RedisProcess] = []

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, many: int) -> list[RedisProcess]:
        """Return this many nodes, as soon as they answer. The caller must kill them."""
        self._bear(many)
        taken, self._nodes = self._nodes[:many], self._nodes[many:]
        self._bear(self._ahead)
        for node in taken:
            _until(lambda node=node: bool(_asks(node, "PING")))  # type: ignore[misc]
        return taken

    def _bear(self, many: int) -> None:
        settings = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(LOSS_MS))
        more = ("--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0", *SYNC_AT_ONCE)
        while len(self._nodes) < many:
            node = started(*settings, *more, "--cluster-port", str(free_port()))
            self._nodes.append(self._stack.enter_context(node))


@contextmanager
def cluster(replicas: int = 0, *, slots: int = SLOTS, nursery: Nursery | None = None) -> Iterator[Nodes]:
    """Start three primaries that share the first `slots` slots, and replicas of the first one. The Cluster continues
    without a lost node.
    """
    with ExitStack() as stack:
        nodes = (nursery or stack.enter_context(Nursery())).take(3 + replicas)
        for node in nodes:
            stack.callback(node.kill)
        primaries, spares = nodes[:3], nodes[3:]
        bounds = [0, slots // 3, 2 * slots // 3, slots]
        first = nodes[0]
        for index, node in enumerate(primaries):
            _asks(node, "CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
            _asks(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for node in nodes[1:]:
            bus = _asks(node, "CONFIG", "GET", "cluster-port")
            _asks(first, "CLUSTER", "MEET", "127.0.0.1", node.port, bus[1])
        _until(lambda: all(_known(node) == len(nodes) for node in nodes))
        name = _asks(first, "CLUSTER", "MYID")
        for node in spares:
            _asks(node, "CLUSTER", "REPLICATE", name)
        for node in spares:
            _until(lambda node=node: _asks(node, "INFO", "replication").get("master_link_status") == "up")  # type: ignore[misc]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in primaries)
        found = Nodes(f"redis+cluster://{hosts}", tuple(primaries), tuple(spares))
        _until(lambda: all(_served(node) == slots and _has_replicas(node, replicas) for node in nodes))
        found.lose_after(STALL_MS)  # not before: with this the nodes tell each other less often
        _until(lambda: all(_served(node) == slots for node in nodes))  # unless one stood still just before
        yield found


@contextmanager
def server(*settings: str, program: tuple[str, ...] = (), password: str = "") -> Iterator[RedisProcess]:
    """Start a server process on a free port with these settings, and wait until it answers."""
    with started(*settings, program=program, password=password) as found:
        _until(lambda: bool(_asks(found, "PING")))
        yield found


@contextmanager
def started(*settings: str, program: tuple[str, ...] = (), password: str = "") -> Iterator[RedisProcess]:
    """The same, without waiting for its answer."""
    port = free_port()
    with TemporaryDirectory(prefix="nb-") as folder:
        command = [str(find_server(os.environ.get("REDIS_SERVER")))]
        plain = ["--save", "", "--appendonly", "no"]
        if program:  # a Sentinel reads, and writes, a file
            Path(folder, "conf").write_text(
                "\n".join((f"port {port}", "bind 127.0.0.1", f"dir {folder}", *program)) + "\n"
            )
            command += [str(Path(folder, "conf")), "--sentinel"]
        else:
            command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *plain, *settings]
        with Path(folder, "log").open("wb") as log, subprocess.Popen(bound(command), stdout=log, stderr=log) as process:
            try:
                yield RedisProcess(port, process, password)
            finally:
                process.kill()


@contextmanager
def _sentinel(primary: RedisProcess, password: str) -> Iterator[RedisProcess]:
    lines = [
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1",
        f"sentinel down-after-milliseconds {SERVICE} {STALL_MS}",
        f"sentinel failover-timeout {SERVICE} 1500",
    ]
    if primary.password:
        lines.append(f"sentinel auth-pass {SERVICE} {primary.password}")
    if password:
        lines.append(f"requirepass {password}")
    with server(program=tuple(lines), password=password) as found:
        with suppress(RedisError):  # servers before 7.0 lack this command, and take a few seconds longer
            # Not too short for a busy machine: a replica that was silent for five pings is not promoted.
            pace = {"INFO-PERIOD": 100, "PING-PERIOD": 150, "ASK-PERIOD": 50, "PUBLISH-PERIOD": 100}
            _asks(found, "SENTINEL", "DEBUG", *(word for item in pace.items() for word in item))
        yield found


def _followed(sentinel: RedisProcess) -> bool:
    """Whether the replica itself has told the Sentinel that it follows."""
    with sentinel.talk() as client:
        (replica,) = client.sentinel_slaves(SERVICE)
        return bool(replica["master-link-status"] == "ok")


def _arrives(primary: RedisProcess) -> bool:
    """Whether writes reach the replica. Even if its link is up, the primary may not send anything yet."""
    with primary.talk() as client:
        client.set("arrives", 1)
        followers = int(client.wait(1, 1000))  # on the connection that wrote, because on others WAIT waits for nothing
        client.delete("arrives")
        return followers == 1


async def until(holds: Callable[[], object]) -> None:
    """Like `_until`, without blocking the event loop."""
    async with asyncio.timeout(TOPOLOGY_WAIT_SECONDS):
        while True:
            with suppress(RedisError, OSError):
                if holds():
                    return
            await asyncio.sleep(0.02)


def move(nodes: Nodes, slot: int, owner: RedisProcess, target: RedisProcess) -> None:
    """Move a slot with its keys to another node, and tell all nodes
    (https://redis.io/docs/latest/commands/cluster-setslot/)."""
    names = {each: _asks(each, "CLUSTER", "MYID") for each in (owner, target)}
    _asks(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[owner])
    _asks(owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    if keys := _asks(owner, "CLUSTER", "GETKEYSINSLOT", slot, 1000):
        _asks(owner, "MIGRATE", "127.0.0.1", target.port, "", 0, round(HANG_SECONDS * 1000), "KEYS", *keys)
    for each in (target, owner, *nodes.primaries):
        _asks(each, "CLUSTER", "SETSLOT", slot, "NODE", names[target])


def _known(node: RedisProcess) -> int:
    return int(_asks(node, "CLUSTER INFO")["cluster_known_nodes"])


def _served(node: RedisProcess) -> int:
    with node.talk() as client:
        info: Any = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return int(info["cluster_slots_ok"]) if info["cluster_state"] == "ok" else 0


def _has_replicas(node: RedisProcess, many: int) -> bool:
    with node.talk() as client:
        nodes: Any = client.execute_command("CLUSTER NODES")  # type: ignore[no-untyped-call]
        return str(nodes).count("slave") >= many


def _asks(node: RedisProcess, *command: Any) -> Any:
    with node.talk() as client:
        return client.execute_command(*command)  # type: ignore[no-untyped-call]


def _until(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds. A server that is not there yet is no error."""
    stop = time.monotonic() + TOPOLOGY_WAIT_SECONDS
    while True:
        with suppress(RedisError, OSError, ValueError):
            if holds():
                return
        if time.monotonic() > stop:
            raise AssertionError("the topology did not come up in time")
        time.sleep(0.02)
