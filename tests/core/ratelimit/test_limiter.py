"""Who calls next: never over the limit, finals first, nobody left out, and all processes together within it."""

import asyncio
from collections import deque
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from core.domain.errors import SlowDown, StoreError
from core.domain.rates import RateLimit, RateLimitStatus
from core.ratelimit.limiter import CallRequest, Decision, RateLimiter, Ticket
from core.store.ratelimits import RedisRateLimit

QUICK = RateLimit("scope", 4, 0.2)


def now() -> float:
    return asyncio.get_running_loop().time()


async def calls(line: Ticket, pace: RateLimit, count: int, made: list[float], *, final: bool = False) -> None:
    for _ in range(count):
        async with await line.permit(pace, final=final):
            made.append(now())


def within(made: list[float], pace: RateLimit) -> bool:
    window: deque[float] = deque()
    for time in sorted(made):
        window.append(time)
        while time - window[0] >= pace.seconds:
            window.popleft()
        if len(window) > pace.calls:
            return False
    return True


@pytest.mark.parametrize("final", [False, True])
async def test_limit_holds_in_every_window(final: bool) -> None:
    """However many ask, no window sees more calls than the platform allows."""
    pacer, made = RateLimiter(), list[float]()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(calls(pacer.line(), QUICK, 4, made, final=final))
    assert within(made, QUICK)


async def test_limit_holds_over_processes(redis_client: Redis) -> None:
    """Two processes that share a limit keep it together, and each gets something of it."""
    made: dict[str, list[float]] = {"a": [], "b": []}
    pace = RateLimit("shared", 6, 0.4)
    async with redis_client.monitor() as wire:
        async with asyncio.TaskGroup() as group:
            for each in made.values():
                pacer = RateLimiter(RedisRateLimit(redis_client))
                for final in (False, True):
                    group.create_task(calls(pacer.line(), pace, 6, each, final=final))
        await redis_client.set("end", 1)
        # When Redis admitted each: a busy process may come to know of it any time later.
        admitted: list[int] = []
        while (words := (await wire.next_command())["command"].split())[:2] != ["SET", "end"]:
            if words[0] == "ZADD":
                admitted.append(int(words[2]))
    assert len(admitted) == 24
    assert all(later - first >= 400 for first, later in zip(admitted, admitted[pace.calls :], strict=False))
    assert min(made["a"]) < max(made["b"])
    assert min(made["b"]) < max(made["a"])


async def test_calls_asked_for_ahead_count_as_made(redis_client: Redis) -> None:
    """However many calls are asked for at once, no more leave than the limit has, and who asks next finds some too."""
    ledger, left = RedisRateLimit(redis_client), 0
    while not (admission := await ledger.admit("wide", CallRequest(50, 600.0, 50, 600.0, 1, 4))).wait:
        assert admission.ahead <= 4
        left += 1 + admission.ahead
    assert left == 50
    assert admission.ahead == 0


async def test_no_call_leaves_that_was_not_counted(redis_client: Redis) -> None:
    """Two busy processes under a wide limit use up no more calls than Redis counted."""
    pace, made = RateLimit("wide", 50, 0.4, spread=False), list[float]()
    ledgers = [_Counted(redis_client) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        for ledger in ledgers:
            pacer = RateLimiter(ledger)
            for _ in range(5):
                group.create_task(calls(pacer.line(), pace, 20, made))
    assert len(made) == 200
    assert sum(ledger.counted for ledger in ledgers) >= 200


async def test_first_call_does_not_wait() -> None:
    """The first visible text comes at once: a permit that is free is granted without giving way."""
    with pytest.raises(StopIteration):
        RateLimiter().permit(RateLimit("slow", 1, 60)).send(None)


async def test_final_frame_finds_a_call_left() -> None:
    """Interim frames leave the last call of a window to a final one."""
    pacer, pace = RateLimiter(), RateLimit("scope", 5, 60)
    line, made = pacer.line(), list[float]()
    interim = asyncio.create_task(calls(line, pace, 5, made))
    await asyncio.sleep(0.01)
    async with await pacer.line().permit(pace, final=True):
        assert not interim.done()
    interim.cancel()


async def test_final_frame_overtakes_waiting_interim_frames() -> None:
    """Whoever is finished is shown first."""
    pacer, order = RateLimiter(), list[str]()
    pace = RateLimit("scope", 1, 0.05)
    async with await pacer.permit(pace):
        pass

    async def wait(name: str, final: bool) -> None:
        async with await pacer.line().permit(pace, final=final):
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("interim 1", False))
        group.create_task(wait("interim 2", False))
        group.create_task(wait("final", True))
    assert order == ["final", "interim 1", "interim 2"]


async def test_replies_take_turns() -> None:
    """Of two replies that wait in one scope, the one goes next whose last call is longer ago."""
    pacer, order = RateLimiter(), list[str]()

    async def reply(name: str) -> None:
        line = pacer.line()
        for _ in range(3):
            async with await line.permit(RateLimit("scope", 1, 0.02)):
                order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(reply("a"))
        group.create_task(reply("b"))
    assert order == ["a", "b", "a", "b", "a", "b"]


async def test_scopes_do_not_wait_for_each_other() -> None:
    """An exhausted channel does not hold up another one."""
    pacer = RateLimiter()
    await pacer.permit(RateLimit("busy", 1, 60))
    await pacer.permit(RateLimit("free", 1, 60))


async def test_a_wider_limit_holds_for_all_within_it() -> None:
    """Calls of many channels together keep the limit of the whole bot."""
    pacer, made, whole = RateLimiter(), list[float](), RateLimit("all", 4, 0.2, spread=False)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(calls(pacer.line(), RateLimit(f"c{number}", 100, 1, spread=False, within=whole), 2, made))
    assert within(made, whole)


async def test_waiter_that_gave_up_is_passed_over() -> None:
    """A cancelled frame neither gets a permit nor blocks those behind it."""
    pacer, pace, made = RateLimiter(), RateLimit("scope", 1, 0.05), list[float]()
    async with await pacer.permit(pace):
        pass
    waiting = [asyncio.create_task(calls(pacer.line(), pace, 1, made)) for _ in range(3)]
    await asyncio.sleep(0)
    for gone in waiting[:2]:
        gone.cancel()
    await waiting[2]
    assert len(made) == 1
    await pacer.permit(pace)


async def test_permit_granted_in_the_moment_of_a_cancellation_is_given_back() -> None:
    """A call that is not made does not stay counted."""
    pacer, pace = RateLimiter(), RateLimit("scope", 1, 60)
    held = await pacer.permit(pace, final=True)
    waiting = asyncio.create_task(pacer.permit(pace, final=True))
    await asyncio.sleep(0)
    held.give_back()  # the turn of the one that waits
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await pacer.permit(pace, final=True)


async def test_platform_may_ask_to_wait() -> None:
    """After Retry-After seconds, not before, the scope goes on; finals wait as well."""
    pacer, pace = RateLimiter(), RateLimit("scope", 100, 1)
    with suppress(SlowDown):
        async with await pacer.permit(pace):
            raise SlowDown("429", 0.1)
    start = now()
    await pacer.permit(pace, final=True)
    assert now() - start >= 0.1


async def test_a_refusal_of_the_whole_bot_holds_all() -> None:
    """A global limit is not held against the channel that met it first."""
    pacer, whole = RateLimiter(), RateLimit("all", 100, 1, spread=False)
    one, other = RateLimit("one", 5, 1, within=whole), RateLimit("other", 5, 1, within=whole)
    with suppress(SlowDown):
        async with await pacer.permit(one):
            raise SlowDown("429", 0.1, everywhere=True)
    start = now()
    await pacer.permit(other, final=True)
    assert now() - start >= 0.1


async def test_a_refusal_reaches_all_processes(redis_client: Redis) -> None:
    """When one process is asked to wait, the others wait as well, and go on with the lower limit."""
    pace = RateLimit("shared", 40, 1.0)
    here, there = RateLimiter(RedisRateLimit(redis_client)), RateLimiter(RedisRateLimit(redis_client))
    with suppress(SlowDown):
        async with await here.permit(pace):
            raise SlowDown("429", 0.1)
    start = now()
    await there.permit(pace, final=True)
    assert now() - start >= 0.09
    assert there.scope(pace).budget.calls == 20


async def test_the_longest_pause_and_the_lowest_limit_stay(redis_client: Redis) -> None:
    """A short pause that another process is told does not end a long one."""
    ledger, claim = RedisRateLimit(redis_client), CallRequest(40, 1.0, 40, 1.0, 1)
    await ledger.refused("scope", 30, 10)
    await ledger.refused("scope", 1, 20)
    admission = await ledger.admit("scope", claim)
    assert admission.wait > 25
    assert admission.calls == 10


async def test_whoever_ends_shares_no_more(redis_client: Redis) -> None:
    """Replies that make their last call leave the whole budget to those that go on elsewhere, at once."""
    pace = RateLimit("shared", 40, 1.0)
    here, there = RateLimiter(RedisRateLimit(redis_client)), RateLimiter(RedisRateLimit(redis_client))
    lines = [here.line() for _ in range(3)]
    for line in lines:
        async with await line.permit(pace):
            pass
    for line in lines:
        line.ending = True
        async with await line.permit(pace, final=True):
            pass
    async with await there.line().permit(pace):
        assert there.scope(pace).others == 0


async def test_what_the_platform_tells_is_learnt() -> None:
    """A permit passes on what an answer says of the limit."""
    pacer, pace = RateLimiter(), RateLimit("scope", 5, 0.1)
    async with await pacer.permit(pace) as permit:
        permit.learn(RateLimitStatus(2, 0, 0.2))
    start = now()
    await pacer.permit(pace, final=True)
    assert now() - start >= 0.2


class _Counted(RedisRateLimit):
    """Keeps account of the calls that were counted, ahead or when they left."""

    counted = 0

    async def admit(self, scope: str, claim: CallRequest) -> Decision:
        admission = await super().admit(scope, claim)
        self.counted += (admission.wait <= 0) + admission.ahead
        return admission


class _Lost:
    """Redis that is away."""

    async def admit(self, scope: object, claim: object) -> None:
        raise StoreError("away")

    async def refused(self, scope: object, seconds: object, calls: object) -> None:
        raise StoreError("away")


async def test_without_redis_each_goes_by_its_own_count() -> None:
    """An outage neither stops replies nor makes them break the limit."""
    made = list[float]()
    pacer = RateLimiter(_Lost())  # type: ignore[arg-type]
    await calls(pacer.line(), QUICK, 8, made, final=True)
    assert within(made, QUICK)
    with suppress(SlowDown):
        async with await pacer.permit(QUICK):
            raise SlowDown("429", 0.01)
