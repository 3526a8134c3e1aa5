"""The order of calls: never above the limit, final frames first, replies in turn, and all processes together."""

import asyncio
import math
import os
import signal
from collections import deque
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from core.domain.errors import SlowDown, StoreError
from core.domain.rates import RateLimit, RateLimitStatus
from core.ratelimit import bucket
from core.ratelimit.limiter import RateLimiter, Ticket
from core.ratelimit.shared import CallRequest, Decision
from core.store import ratelimits
from core.store.ratelimits import RedisRateLimit
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection
from tests.redis_topologies import server

QUICK_LIMIT = RateLimit("scope", 4, 0.2)


def now() -> float:
    return asyncio.get_running_loop().time()


async def calls(ticket: Ticket, limit: RateLimit, count: int, made: list[float], *, final: bool = False) -> None:
    for _ in range(count):
        async with await ticket.permit(limit, final=final):
            made.append(now())


def within(made: list[float], limit: RateLimit) -> bool:
    window: deque[float] = deque()
    for time in sorted(made):
        window.append(time)
        while time - window[0] >= limit.seconds:
            window.popleft()
        if len(window) > limit.calls:
            return False
    return True


@pytest.mark.parametrize("final", [False, True])
async def test_limit_holds_in_every_window(final: bool) -> None:
    """No window holds more calls than the platform allows, however many replies ask."""
    limiter, made = RateLimiter(), list[float]()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(calls(limiter.ticket(), QUICK_LIMIT, 4, made, final=final))
    assert within(made, QUICK_LIMIT)


async def test_a_wait_is_told_ahead() -> None:
    """A final call waits only if the window is full; while all of its calls are on their way, for one more window."""
    limit = RateLimit("scope", 2, 3600.0, spread=False)
    limiter = RateLimiter()
    ticket = limiter.ticket()
    assert limiter.wait(limit) == 0
    async with await ticket.permit(limit, final=True):
        assert limiter.wait(limit) == 0
        async with await ticket.permit(limit, final=True):
            assert 0 < limiter.wait(limit) < math.inf
    assert 0 < limiter.wait(limit) < math.inf


async def test_limit_holds_over_processes(redis_client: Redis) -> None:
    """Two processes that share a limit keep it together, and each gets its part."""
    made: dict[str, list[float]] = {"a": [], "b": []}
    limit = RateLimit("shared", 6, 0.4)
    async with redis_client.monitor() as wire:
        async with asyncio.TaskGroup() as group:
            for each in made.values():
                limiter = RateLimiter(_shared(redis_client))
                for final in (False, True):
                    group.create_task(calls(limiter.ticket(), limit, 6, each, final=final))
        await redis_client.set("end", 1)
        # These are the times at which Redis admitted the calls; a busy process may learn of it at any later time.
        admitted: list[int] = []
        while (words := (await wire.next_command())["command"].split())[:2] != ["SET", "end"]:
            if words[0] == "ZADD":
                admitted.append(int(words[2]))
    assert len(admitted) == 24
    assert all(later - first >= 400 for first, later in zip(admitted, admitted[limit.calls :], strict=False))
    assert min(made["a"]) < max(made["b"])
    assert min(made["b"]) < max(made["a"])


async def test_calls_requested_in_advance_count(redis_client: Redis) -> None:
    """However many calls one process asks for at once, no more are sent than the limit allows, and others find some
    left."""
    shared, left = _shared(redis_client), 0
    while not (decision := await shared.admit("wide", CallRequest(50, 600.0, 50, 600.0, 1, 4))).wait:
        assert decision.ahead <= 4
        left += 1 + decision.ahead
    assert left == 50
    assert decision.ahead == 0


async def test_every_sent_call_was_counted(redis_client: Redis) -> None:
    """Two busy processes under a wide limit make no more calls than Redis counted."""
    limit, made = RateLimit("wide", 50, 0.4, spread=False), list[float]()
    shareds = [_Counted(redis_client, answer_timeout=HANG_SECONDS) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        for shared in shareds:
            limiter = RateLimiter(shared)
            for _ in range(5):
                group.create_task(calls(limiter.ticket(), limit, 20, made))
    assert len(made) == 200
    assert sum(shared.counted for shared in shareds) >= 200


async def test_a_burst_requests_nothing_in_advance(redis_client: Redis) -> None:
    """Twenty replies that begin at once use twenty calls and no more, so that others find the rest."""
    limit, shared = RateLimit("wide", 50, 600.0, spread=False), _Counted(redis_client, answer_timeout=HANG_SECONDS)
    limiter = RateLimiter(shared)
    await asyncio.gather(*(limiter.ticket().permit(limit) for _ in range(20)))
    assert shared.counted == 20


async def test_first_call_does_not_wait() -> None:
    """The first visible text comes at once: a free permit is granted without yielding to the loop."""
    with pytest.raises(StopIteration):
        RateLimiter().permit(RateLimit("slow", 1, 60)).send(None)


async def test_a_call_is_kept_for_the_final_frame() -> None:
    """Interim frames leave the last call of a window to a final frame."""
    limiter, limit = RateLimiter(), RateLimit("scope", 5, 60)
    ticket, made = limiter.ticket(), list[float]()
    interim = asyncio.create_task(calls(ticket, limit, 5, made))
    await asyncio.sleep(0.01)
    async with await limiter.ticket().permit(limit, final=True):
        assert not interim.done()
    interim.cancel()


async def test_final_frame_overtakes_waiting_interim_frames() -> None:
    """A finished reply is shown first."""
    limiter, order = RateLimiter(), list[str]()
    limit = RateLimit("scope", 1, 0.05)

    async def wait(name: str, final: bool) -> None:
        async with await limiter.ticket().permit(limit, final=final):
            order.append(name)

    # Nobody is served while a call is on its way, so all three wait before the first is, however slow we are.
    async with asyncio.TaskGroup() as group, await limiter.permit(limit):
        group.create_task(wait("interim 1", False))
        group.create_task(wait("interim 2", False))
        group.create_task(wait("final", True))
        await asyncio.sleep(0)
    assert order == ["final", "interim 1", "interim 2"]


async def test_replies_take_turns() -> None:
    """Of two replies that wait for one limit, the one with the older last call goes next."""
    limiter, limit, order = RateLimiter(), RateLimit("scope", 1, 0.02), list[str]()

    async def reply(name: str) -> None:
        ticket = limiter.ticket()
        for _ in range(3):
            async with await ticket.permit(limit):
                order.append(name)

    # As above: both wait before one is served, and from then on one of them always waits.
    async with asyncio.TaskGroup() as group, await limiter.permit(limit):
        group.create_task(reply("a"))
        group.create_task(reply("b"))
        await asyncio.sleep(0)
    assert order == ["a", "b", "a", "b", "a", "b"]


async def test_scopes_do_not_wait_for_each_other() -> None:
    """An exhausted channel does not hold up another one."""
    limiter = RateLimiter()
    await limiter.permit(RateLimit("busy", 1, 60))
    await limiter.permit(RateLimit("free", 1, 60))


async def test_a_wider_limit_holds_for_all_within_it() -> None:
    """Calls of many channels together keep the limit of the whole bot."""
    limiter, made, whole = RateLimiter(), list[float](), RateLimit("all", 4, 0.2, spread=False)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(
                calls(limiter.ticket(), RateLimit(f"c{number}", 100, 1, spread=False, within=whole), 2, made)
            )
    assert within(made, whole)


async def test_cancelled_waiter_is_skipped() -> None:
    """A cancelled frame gets no permit and does not block the next ones."""
    limiter, limit, made = RateLimiter(), RateLimit("scope", 1, 0.05), list[float]()
    async with await limiter.permit(limit):  # while it is on its way nobody is served: all three wait
        waiting = [asyncio.create_task(calls(limiter.ticket(), limit, 1, made)) for _ in range(3)]
        await asyncio.sleep(0)
        for gone in waiting[:2]:
            gone.cancel()
    await waiting[2]
    assert len(made) == 1
    await limiter.permit(limit)


async def test_permit_granted_in_the_moment_of_a_cancellation_is_given_back() -> None:
    """A call that is not made does not stay counted."""
    limiter, limit = RateLimiter(), RateLimit("scope", 1, 60)
    held = await limiter.permit(limit, final=True)
    waiting = asyncio.create_task(limiter.permit(limit, final=True))
    await asyncio.sleep(0)
    held.give_back()  # now the waiting one is next
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await limiter.permit(limit, final=True)


async def test_platform_may_ask_to_wait() -> None:
    """Calls continue after Retry-After seconds, not earlier; final calls wait as well."""
    limiter, limit = RateLimiter(), RateLimit("scope", 100, 1)
    with suppress(SlowDown):
        async with await limiter.permit(limit):
            start = now()  # the pause counts from the refusal
            raise SlowDown("429", 0.1)
    await limiter.permit(limit, final=True)
    assert now() - start >= 0.1


async def test_a_refusal_of_the_whole_bot_holds_all() -> None:
    """A global limit does not count against the channel that hit it first."""
    limiter, whole = RateLimiter(), RateLimit("all", 100, 1, spread=False)
    one, other = RateLimit("one", 5, 1, within=whole), RateLimit("other", 5, 1, within=whole)
    with suppress(SlowDown):
        async with await limiter.permit(one):
            start = now()  # the pause counts from the refusal
            raise SlowDown("429", 0.1, everywhere=True)
    await limiter.permit(other, final=True)
    assert now() - start >= 0.1


async def test_a_refusal_reaches_all_processes(redis_client: Redis) -> None:
    """If the platform asks one process to wait, the others wait as well, and continue with the lower limit."""
    limit = RateLimit("shared", 40, 1.0)
    here, there = RateLimiter(_shared(redis_client)), RateLimiter(_shared(redis_client))
    with suppress(SlowDown):
        async with await here.permit(limit):
            start = now()  # the pause counts from the refusal
            raise SlowDown("429", 0.1)
    await there.permit(limit, final=True)
    assert now() - start >= 0.09
    assert there.bucket(limit).window.calls == 20


async def test_the_longest_pause_and_the_lowest_limit_stay(redis_client: Redis) -> None:
    """A short pause that another process reports does not end a long one."""
    shared, request = _shared(redis_client), CallRequest(40, 1.0, 40, 1.0, 1)
    await shared.refused("scope", 3000, 10)
    await shared.refused("scope", 1, 20)
    decision = await shared.admit("scope", request)
    assert decision.wait > 2500
    assert decision.calls == 10


async def test_ended_replies_take_no_share(redis_client: Redis) -> None:
    """Replies that make their last call leave the whole limit at once to replies of other processes."""
    limit = RateLimit("shared", 40, 1.0)
    here, there = RateLimiter(_shared(redis_client)), RateLimiter(_shared(redis_client))
    tickets = [here.ticket() for _ in range(3)]
    for ticket in tickets:
        async with await ticket.permit(limit):
            pass
    for ticket in tickets:
        ticket.ending = True
        async with await ticket.permit(limit, final=True):
            pass
    async with await there.ticket().permit(limit):
        assert there.bucket(limit).others == 0


PROMISED = RateLimit("promised", 10, 60, spread=False, promised=True)


async def test_no_more_ends_are_promised_than_there_are_calls(redis_client: Redis) -> None:
    """Two processes promise together what the limit has, less the margin, and each end then leaves at once."""
    limiters = [RateLimiter(_shared(redis_client)) for _ in range(2)]
    tickets = [limiters[number % 2].ticket() for number in range(12)]
    granted = [ticket for ticket in tickets if await ticket.promise(PROMISED)]
    assert len(granted) == 9
    for ticket in granted:
        async with await ticket.permit(PROMISED, final=True):
            assert not ticket.owes(PROMISED)
    assert not await tickets[-1].promise(PROMISED)
    assert await tickets[-1].promise(PROMISED, certain=True)


async def test_interim_calls_leave_what_any_process_owes(redis_client: Redis) -> None:
    """One process has promised all; the other's interim call waits, and goes when the promises are given up."""
    here, there = RateLimiter(_shared(redis_client)), RateLimiter(_shared(redis_client))
    tickets = [here.ticket() for _ in range(9)]
    assert all([await ticket.promise(PROMISED) for ticket in tickets])
    interim = asyncio.create_task(there.ticket().permit(PROMISED))
    done, _ = await asyncio.wait({interim}, timeout=0.3)
    assert not done
    for ticket in tickets[:-1]:
        ticket.leave()
    async with await tickets[-1].permit(PROMISED, final=True):
        await interim


async def test_a_promise_is_renewed_while_its_holder_waits_for_something_else(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis forgets what is owed by those who are silent; who holds promises says so again."""
    monkeypatch.setattr(bucket, "_RENEWAL_SECONDS", 0.0)
    here, there = RateLimiter(_shared(redis_client)), RateLimiter(_shared(redis_client))
    tickets = [here.ticket() for _ in range(9)]
    assert all([await ticket.promise(PROMISED) for ticket in tickets])
    await redis_client.flushdb()  # as after two minutes
    await tickets[0].renew()
    assert not await there.ticket().promise(PROMISED)
    await redis_client.flushdb()
    for ticket in tickets:
        ticket.leave()
    await tickets[0].renew()
    assert await RateLimiter(_shared(redis_client)).ticket().promise(PROMISED)


async def test_a_call_that_may_not_wait_keeps_the_wider_limit_as_well() -> None:
    """It is made only if both limits have one; otherwise neither counts it."""
    limiter, wide = RateLimiter(), RateLimit("wide", 2, 600.0, spread=False)
    narrow = RateLimit("narrow", 5, 600.0, spread=False, within=wide)
    for _ in range(2):
        permit = await limiter.ticket().attempt(narrow, final=True)
        assert permit
        async with permit:
            pass
    assert await limiter.ticket().attempt(narrow, final=True) is None
    assert limiter.bucket(narrow).window.used(now()) == 2


async def test_a_failed_end_is_still_owed() -> None:
    """The promise is kept by a call that lands; after one that failed there is a call for the next try."""
    ticket = RateLimiter().ticket()
    assert await ticket.promise(PROMISED)
    with suppress(StoreError):
        async with await ticket.permit(PROMISED, final=True):
            raise StoreError("any error")
    assert ticket.owes(PROMISED)
    (await ticket.permit(PROMISED, final=True)).give_back()
    assert ticket.owes(PROMISED)
    ticket.leave()
    assert not ticket.owes(PROMISED)


async def test_the_stated_limit_is_learnt() -> None:
    """A permit passes on what an answer says about the limit."""
    limiter, limit = RateLimiter(), RateLimit("scope", 5, 0.1)
    async with await limiter.permit(limit) as permit:
        start = now()  # the time until the limit is free again counts from the answer
        permit.learn(RateLimitStatus(2, 0, 0.2))
    await limiter.permit(limit, final=True)
    assert now() - start >= 0.2


async def test_a_look_at_a_hung_redis_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies do not wait for the whole timeout again and again; once Redis has answered, it has all of it again."""
    monkeypatch.setattr(ratelimits, "RETRY_AFTER_FAILURE_SECONDS", 0.0)
    call = CallRequest(100, 1.0, 100, 1.0, 1)
    with server() as process:
        async with patient_connection(f"redis://127.0.0.1:{process.port}/0") as redis:
            one, other = (RedisRateLimit(redis, answer_timeout=HANG_SECONDS / 8) for _ in range(2))
            for lost, failures, ready in ((one, 1, other), (other, 3, one)):
                await ready.admit("scope", call)
                await redis.config_set("maxmemory", "1")
                for _ in range(failures):
                    with pytest.raises(StoreError):
                        await lost.admit("scope", call)
                await redis.config_set("maxmemory", "0")
                os.kill(process.process.pid, signal.SIGSTOP)
                try:
                    asked, looked = (asyncio.create_task(each.admit("scope", call)) for each in (ready, lost))
                    over, _ = await asyncio.wait((asked, looked), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    os.kill(process.process.pid, signal.SIGCONT)
                assert over == {looked}
                assert isinstance(looked.exception(), StoreError)
                await asked
                await lost.admit("scope", call)


def _shared(redis: Redis) -> RedisRateLimit:
    """Limits that are shared however long a busy machine takes for an answer: nobody counts alone."""
    return RedisRateLimit(redis, answer_timeout=HANG_SECONDS)


class _Counted(RedisRateLimit):
    """Sums the calls that were counted, in advance or when they were sent."""

    counted = 0

    async def admit(self, scope: str, request: CallRequest) -> Decision:
        decision = await super().admit(scope, request)
        self.counted += (decision.wait <= 0) + decision.ahead
        return decision


class _Lost:
    """A Redis that can't be reached."""

    async def admit(self, scope: object, request: object) -> None:
        raise StoreError("away")

    async def refused(self, scope: object, seconds: object, calls: object) -> None:
        raise StoreError("away")


async def test_without_redis_each_process_counts_alone() -> None:
    """An outage neither stops replies nor makes them exceed the limit."""
    made = list[float]()
    limiter = RateLimiter(_Lost())  # type: ignore[arg-type]
    await calls(limiter.ticket(), QUICK_LIMIT, 8, made, final=True)
    assert within(made, QUICK_LIMIT)
    with suppress(SlowDown):
        async with await limiter.permit(QUICK_LIMIT):
            raise SlowDown("429", 0.01)
