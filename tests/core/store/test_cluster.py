"""A real Cluster: each step finds its keys in one slot, and a lost node does not affect the others."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from bots.compose import storage
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Conversation, Exchange, Lane, Place
from core.domain.errors import StoreError
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.progress import Progress
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.ratelimit.shared import CallRequest
from core.settings.config import Config
from core.settings.parameters import Stored
from core.store.mailbox import Retention
from core.store.ratelimits import RedisRateLimit
from core.store.ratings import Rating, Ratings
from core.store.records import ConversationLookups
from core.store.redis.check import check
from core.store.redis.client import MAX_CONNECTIONS, connection, guarded
from core.store.redis.setup import SETUP
from core.store.settings import SettingsStore
from core.store.turns import Claimed, Duplicate, Queued, Renewed, Turns
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import process
from tests.redis_server import patient_connection
from tests.redis_topologies import LOSS_MS, SLOTS, Nodes, Nursery, RedisProcess, cluster, move, server, until
from tests.stalls import LIMIT_SECONDS, answer_in_a_stall

ANN = Author("U1", "Ann")
PLACES = [Place("slack", "T1", f"C{number}", "17.1") for number in range(20)]
NO_SETTINGS: dict[str, Any] = {}
PLATFORM_DEFAULTS = {"slack": PlatformDefaults(Memory.CHANNEL, Placement.THREAD)}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Nodes for the tests that need their own Cluster."""
    with Nursery(ahead=4) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def healthy(nursery: Nursery) -> Iterator[Nodes]:
    """A Cluster, shared by all tests of this file that leave it intact."""
    with cluster(nursery=nursery) as nodes:
        yield nodes


@pytest.fixture
def nodes(healthy: Nodes) -> Nodes:
    """The shared Cluster, empty and without scripts."""
    for node in healthy.primaries:
        with node.talk() as client:
            client.flushall()
            client.script_flush()
    return healthy


def question(place: Place, number: int) -> Question:
    return Question(id=TurnId(f"{place.name}/{number}"), place=place, author=ANN, text="why?", message=str(number))


def listeners(node: RedisProcess) -> int:
    return node.listeners("nb:stop")


def connections(node: RedisProcess, name: str = "") -> int:
    """How many connections there are besides our own, or how many with this name."""
    with node.talk() as client:
        clients = client.client_list(_type="normal")
        return sum(each["name"] == name for each in clients) if name else len(clients) - 1


async def converse(turns: Turns, place: Place) -> None:
    """Everything that can happen in one conversation."""
    name = place.name
    first = await turns.accept(Lane(Conversation(name)), question(place, 1), "request 1")
    assert isinstance(first, Claimed)
    assert await turns.accept(Lane(Conversation(name)), question(place, 1), "request 1 again") == Duplicate()
    assert await turns.accept(Lane(Conversation(name)), question(place, 2), "request 2") == Queued(ahead=1)
    assert await turns.waiting(Conversation(name)) == 2
    assert await turns.ahead(Conversation(name), question(place, 2)) == 1
    assert await turns.renew(first.turn, Progress(("m1",), 3)) == Renewed()
    (running,) = await ConversationLookups(turns.mailboxes).running(Conversation(name))
    assert running.messages == ("m1",)
    assert await ConversationLookups(turns.mailboxes).waits(Conversation(name), question(place, 1).id)
    assert await turns.stop(Conversation(name), question(place, 1).id)
    assert await turns.renew(first.turn) == Renewed(stop=True)
    exchange = Exchange(question(place, 1).id, ANN, "why?", "because", ("1", "m1"), 1.0)
    second = await turns.commit(first.turn, exchange, ("m1",))
    assert second
    assert second.history == (exchange,)
    assert await ConversationLookups(turns.mailboxes).answered(Conversation(name), question(place, 1).id)
    assert await ConversationLookups(turns.mailboxes).exchange(Conversation(name), "m1") == exchange
    assert await ConversationLookups(turns.mailboxes).ended(Conversation(name), "m1")
    await turns.release(second, Progress(("m2",), 1))
    assert Lane(Conversation(name)) in await turns.lapsed()
    again = await turns.claim(Lane(Conversation(name)))
    assert again
    assert again.progress.messages == ("m2",)
    assert await ConversationLookups(turns.mailboxes).reset(Conversation(name)) == 1
    assert await turns.commit(again, None) is None
    assert await turns.once(TurnId(f"{name}/event"))
    assert not await turns.once(TurnId(f"{name}/event"))


async def test_every_step_of_turns(nodes: Nodes) -> None:
    """Twenty conversations in eight partitions, on all nodes, go through every step."""
    async with patient_connection(nodes.url) as redis:
        turns = Turns(redis, partitions=8)
        for place in PLACES:
            await converse(turns, place)
        keys = [set(await redis.keys("nb:*", target_nodes=node)) for node in redis.get_primaries()]  # type: ignore[attr-defined]
        assert all(keys)  # each node has some
        slots = {key_slot(key) for each in keys for key in each if isinstance(key, bytes)}
        assert slots <= {key_slot(b"{%d}" % number) for number in range(8)}


async def test_every_step_of_settings_rate_limits_and_ratings(nodes: Nodes) -> None:
    """Settings, counts and votes of twenty channels, whose scopes are in different slots, are found again."""
    async with patient_connection(nodes.url) as redis:
        settings, limits = (
            SettingsStore(redis, Config(**NO_SETTINGS).defaults, PLATFORM_DEFAULTS),
            RedisRateLimit(redis, answer_timeout=HANG_SECONDS),
        )
        ratings = Ratings(redis, 60)

        async def use(place: Place) -> None:
            for scope, text in zip(place.scopes[1:], ("channel", "thread"), strict=True):
                await settings.write(scope, "prompt", Stored(text, "Ann", 5.0))
            assert (await settings.of(place)).prompt == "thread"
            await settings.write(place.name, "prompt", None)
            assert (await settings.of(place)).prompt == "channel"
            assert (await limits.admit(place.name, CallRequest(1, 60, 1, 60, 1))).wait == 0
            assert (await limits.admit(place.name, CallRequest(1, 60, 1, 60, 1))).wait > 0
            await limits.refused(place.name, 5, 1)
            await ratings.rate(place.name, "m1", "model", "ann", good=True)
            assert await ratings.of(place.name) == (Rating("model", 1, 0),)

        for place in PLACES:
            await use(place)


async def test_signal_reaches_all_nodes(nodes: Nodes) -> None:
    """A process receives a stop for any slot of the turn, and on any node that it listens to."""
    heard: list[str] = []
    async with (
        patient_connection(nodes.url) as redis,
        patient_connection(nodes.url) as other,
        asyncio.TaskGroup() as group,
    ):
        turns = Turns(redis, partitions=8)
        listening = group.create_task(Turns(other).signals.listen(heard.append, lambda _: None, lambda _: None))
        await until(lambda: any(map(listeners, nodes.primaries)))
        for place in PLACES:
            await turns.accept(Lane(Conversation(place.name)), question(place, 1), "request")
            assert await turns.stop(Conversation(place.name), question(place, 1).id)
        await until(lambda: len(heard) == len(PLACES))
        listening.cancel()
    assert sorted(heard) == sorted(question(place, 1).id for place in PLACES)


async def test_conversation_moves_with_its_slot_to_another_node(nodes: Nodes) -> None:
    """When slots move to other nodes, a conversation continues there with everything stored of it."""
    place = PLACES[0]
    async with patient_connection(nodes.url) as redis:
        turns = Turns(redis, partitions=8)
        assert isinstance(await turns.accept(Lane(Conversation(place.name)), question(place, 1), "request 1"), Claimed)
        slot = key_slot(turns.mailboxes.key("c", Conversation(place.name)).encode())
        owner = nodes.primaries[slot * 3 // SLOTS]
        target = next(node for node in nodes.primaries if node is not owner)
        try:
            await asyncio.to_thread(move, nodes, slot, owner, target)
            assert await turns.accept(Lane(Conversation(place.name)), question(place, 2), "request 2") == Queued(
                ahead=1
            )
            assert await turns.waiting(Conversation(place.name)) == 2
        finally:
            await asyncio.to_thread(move, nodes, slot, target, owner)
        assert await turns.accept(Lane(Conversation(place.name)), question(place, 3), "request 3") == Queued(ahead=2)


async def test_question_is_answered(nodes: Nodes) -> None:
    """A process of the bot's core works on a Cluster just as on one server."""
    async with NebulaServer() as model, patient_connection(nodes.url) as redis, process(redis, model) as bot:
        assert await bot.answer("hi")


async def test_more_callers_than_connections(nodes: Nodes) -> None:
    """Two hundred simultaneous commands on one node, or on several, share the connections; none fails."""
    url = f"{nodes.url}?client_name=mine"
    async with patient_connection(url) as redis:
        # This ignores the bot's own timeout for a step: on a busy machine our own part of so many commands takes
        # longer.
        @guarded(HANG_SECONDS)
        async def count() -> None:
            await redis.incr("n")

        await asyncio.gather(*(count() for _ in range(200)))
        assert await redis.get("n") == b"200"

        @guarded(HANG_SECONDS)
        async def read() -> None:
            async with redis.pipeline(transaction=False) as pipe:
                for scope in PLACES[0].scopes:  # as settings are read: each in its own slot
                    pipe.hgetall(f"nb:s:{scope}")
                assert await pipe.execute() == [{}] * len(PLACES[0].scopes)

        await asyncio.gather(*(read() for _ in range(200)))
        counts = [connections(node, "mine") for node in nodes.primaries]
        assert 0 < max(counts) <= MAX_CONNECTIONS + 1  # and the one on which it asked who serves the slots


async def seen(redis: Redis, name: str) -> int:
    """How long a list is, as soon as its node answers."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(StoreError):
                async with guarded():
                    return int(await redis.llen(name))
            await asyncio.sleep(0.02)


async def test_an_answer_during_a_stall_is_in_time(nodes: Nodes) -> None:
    """Of a node whose address we were given, and of one that the Cluster named."""
    first = nodes.url.partition(",")[0]
    keys = {key_slot(name.encode()) * 3 // SLOTS: name for name in map(str, range(99))}
    for number, node in enumerate(nodes.primaries):
        async with connection(first, answer_timeout=LIMIT_SECONDS) as redis:
            await seen(redis, keys[number])
            with answer_in_a_stall(node, keys[number]):
                async with guarded(HANG_SECONDS):
                    assert await redis.rpush(keys[number], "once") == 1


async def test_a_timeout_is_not_repeated(nodes: Nodes) -> None:
    """A command that timed out is not sent again, since it may have been applied; the library would send it."""
    owner = nodes.primaries[key_slot(b"list") * 3 // SLOTS]
    async with connection(nodes.url, answer_timeout=0.5) as redis:
        await seen(redis, "list")
        os.kill(owner.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match="no answer in time"):
                async with guarded():
                    await redis.rpush("list", "once")
        finally:
            os.kill(owner.process.pid, signal.SIGCONT)  # it applies everything that it received meanwhile
        assert await seen(redis, "list") == 1


async def test_check_names_the_servers(nodes: Nodes) -> None:
    """A complete Cluster is reported with its version."""
    async with patient_connection(nodes.url) as redis:
        found = await check(redis)
    assert found.name in ("Redis", "Valkey")
    assert found.warnings == ()


async def test_one_partition_in_a_cluster_gives_a_warning(nodes: Nodes) -> None:
    """With one partition all conversations are on one node: the operator gets a warning."""
    for partitions, warnings in ((1, 1), (8, 0)):
        options: dict[str, Any] = {"redis_url": nodes.url, "redis_partitions": partitions}
        async with storage(Config(**options)) as store:
            assert len(store.warnings) == warnings
            await store.redis.delete(SETUP)  # else the second number would be refused


async def test_check_warns_of_eviction_on_one_node(nodes: Nodes) -> None:
    """One node that evicts data is enough for a warning."""
    with nodes.primaries[2].talk() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            async with patient_connection(nodes.url) as redis:
                (warning,) = (await check(redis)).warnings
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert "allkeys-lru" in warning


async def test_check_wants_the_address_of_a_cluster(nodes: Nodes) -> None:
    """A Cluster's node under redis:// would refuse most keys: the sentence says how the address must begin."""
    async with patient_connection(f"redis://127.0.0.1:{nodes.primaries[0].port}") as redis:
        with pytest.raises(StoreError, match=r"node of a Cluster.*redis\+cluster://"):
            await check(redis)


async def test_check_refuses_a_single_server_as_a_cluster() -> None:
    """A server that is not a Cluster's node is recognised."""
    with server() as single:
        async with patient_connection(f"redis+cluster://127.0.0.1:{single.port}") as redis:
            with pytest.raises(StoreError, match=r"is not a Cluster.*redis://"):
                await check(redis)


async def test_check_refuses_a_cluster_without_all_slots(nursery: Nursery) -> None:
    """Slots that no node serves would mean unreachable conversations, until a node gets them."""
    with cluster(slots=16_000, nursery=nursery) as nodes:
        async with patient_connection(nodes.url) as redis:
            with pytest.raises(StoreError, match=rf"only 16000 of {SLOTS} slots"):
                await check(redis)
            key = _key_in(16_000, SLOTS)
            with pytest.raises(StoreError):
                async with guarded():
                    await redis.get(key)
            with nodes.primaries[2].talk() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 16_000, SLOTS - 1)  # type: ignore[no-untyped-call]
            async with asyncio.timeout(HANG_SECONDS):
                while True:
                    with suppress(StoreError):
                        async with guarded():
                            await redis.set(key, "served")
                        break
                    await asyncio.sleep(0.05)


async def test_check_says_where_no_node_listens() -> None:
    """Unreachable nodes give a sentence with their addresses and without the password."""
    with server() as single:
        single.kill()
        async with patient_connection(f"redis+cluster://bot:hunter2@127.0.0.1:{single.port}") as redis:
            with pytest.raises(StoreError, match=rf"Can't reach Redis at 127\.0\.0\.1:{single.port} ") as caught:
                await check(redis)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
async def test_a_lost_node_takes_only_its_own_slots(nursery: Nursery, how: signal.Signals) -> None:
    """Conversations of a lost node keep failing in bounded time; all others continue, even with new scripts."""
    with cluster(nursery=nursery) as nodes:
        async with connection(nodes.url, answer_timeout=0.5, connect_timeout=0.5) as redis:
            await check(redis)
            turns, settings = (
                Turns(redis, Retention(lease=3600), partitions=8),
                SettingsStore(redis, Config(**NO_SETTINGS).defaults, PLATFORM_DEFAULTS),
            )
            lost = nodes.primaries[0]
            on_it = {place.name for place in PLACES if _on_first(turns, place)}
            assert 0 < len(on_it) < len(PLACES)
            nodes.lose_after(LOSS_MS)  # before and after the others notice it
            os.kill(lost.process.pid, how)
            try:

                async def accept(place: Place, number: int) -> None:
                    while True:
                        try:
                            await turns.accept(Lane(Conversation(place.name)), question(place, number), "request")
                            return
                        except StoreError:
                            # On a busy machine a call to a live node may run out of time too; the next one finds it.
                            if place.name in on_it:
                                raise

                for number in (1, 2):
                    asked = (accept(each, number) for each in PLACES)
                    # Reads from several nodes at once, one of them lost, must not interrupt the others.
                    reads = (settings.of(place) for place in PLACES)
                    async with asyncio.timeout(HANG_SECONDS):
                        answers, _ = await asyncio.gather(
                            asyncio.gather(*asked, return_exceptions=True),
                            asyncio.gather(*reads, return_exceptions=True),
                        )
                    failed = {place.name: type(it) for place, it in zip(PLACES, answers, strict=True) if _error(it)}
                    assert failed == dict.fromkeys(on_it, StoreError)
                assert await turns.lapsed() == ()
            finally:
                os.kill(lost.process.pid, signal.SIGCONT)
        await until(lambda: not any(map(connections, nodes.primaries[1:])))


def _on_first(turns: Turns, place: Place) -> bool:
    return key_slot(turns.mailboxes.key("c", Conversation(place.name)).encode()) < SLOTS // 3


def _error(answer: object) -> bool:
    return isinstance(answer, BaseException)


async def test_listener_moves_to_another_node(nursery: Nursery) -> None:
    """When a process loses the node that it listens on, it hears of stops on another."""
    heard: list[str] = []
    with cluster(nursery=nursery) as nodes:
        async with patient_connection(nodes.url) as redis, asyncio.TaskGroup() as group:
            listening = group.create_task(Turns(redis).signals.listen(heard.append, lambda _: None, lambda _: None))
            await until(lambda: any(map(listeners, nodes.primaries)))
            first = next(node for node in nodes.primaries if listeners(node))
            first.kill()
            left = [node for node in nodes.primaries if node is not first]
            await until(lambda: any(map(listeners, left)))
            with left[0].talk() as client:
                client.publish("nb:stop", "this turn")
            await until(lambda: heard)
            listening.cancel()
    assert heard == ["this turn"]


async def test_replica_takes_over(nursery: Nursery) -> None:
    """After a failover inside the Cluster the same client continues, though the promoted node knows no scripts."""
    with cluster(replicas=1, nursery=nursery) as nodes:
        async with patient_connection(nodes.url) as redis:
            turns = Turns(redis, Retention(lease=0.5), partitions=8)
            place = next(place for place in PLACES if _on_first(turns, place))
            key = turns.mailboxes.key("c", Conversation(place.name))
            await turns.accept(Lane(Conversation(place.name)), question(place, 1), "request")
            await until(lambda: _holds(nodes.replicas[0], key))
            nodes.lose_after(LOSS_MS)
            nodes.primaries[0].kill()
            async with asyncio.timeout(HANG_SECONDS):
                while True:
                    with suppress(StoreError):
                        if turn := await turns.claim(Lane(Conversation(place.name))):
                            break
                    await asyncio.sleep(0.05)
    assert turn.question == question(place, 1)


def _holds(replica: RedisProcess, key: str) -> bool:
    with replica.talk() as client:
        return key in str(client.keys())


def _key_in(first: int, end: int) -> str:
    return next(key for key in map(str, range(100_000)) if first <= key_slot(key.encode()) < end)
