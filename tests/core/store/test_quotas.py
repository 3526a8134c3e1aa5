"""Quotas with a real Redis: shared by processes, all or nothing, once per name, with debts, holds and days."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.access.quotas import UserLimits, UserQuotas
from core.domain.conversation import Author, Place
from core.domain.errors import StoreError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.quotas import Demand, Granted, QuotaLimit, QuotaRefused, Quotas
from core.store.redis.client import connection
from tests.redis_server import patient_connection, patient_quotas

# They refill so slowly that nothing comes back during a test.
THREE = QuotaLimit.refilled("three", 3, 3600)
TEN = QuotaLimit.refilled("ten", 10, 3600)


@pytest.fixture
def quotas(redis_client: Redis) -> Quotas:
    return patient_quotas(redis_client)


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[Quotas]:
    """The same quotas in another process."""
    async with patient_connection(redis_url) as client:
        yield patient_quotas(client)


async def taken(quotas: Quotas, name: str, *demands: Demand, patience: float = 0.0, hold: str = "") -> bool:
    return isinstance(await quotas.take(name, demands, patience=patience, hold=hold), Granted)


async def fill(quotas: Quotas, limit: QuotaLimit) -> int:
    """Take single units until refused; returns how many there were."""
    count = 0
    while await taken(quotas, uuid.uuid4().hex, Demand(limit, 1)):
        count += 1
    return count


async def test_processes_share_a_limit(quotas: Quotas, other: Quotas) -> None:
    """Two processes together get as much as one would, in any order of requests."""
    asked = [
        taken(each, f"{number}/{index}", Demand(THREE, 1))
        for number in range(5)
        for index, each in enumerate((quotas, other))
    ]
    assert sum(await asyncio.gather(*asked)) == 3


async def test_a_refusal_names_the_limit_and_the_wait(quotas: Quotas) -> None:
    """The refusal names the limit and the time until there is room: a third of its period."""
    await fill(quotas, THREE)
    refused = await quotas.take("late", [Demand(TEN, 1), Demand(THREE, 1)])
    assert isinstance(refused, QuotaRefused)
    assert refused.limit == THREE
    assert 1100 < refused.wait <= 1200


async def test_all_limits_or_none(quotas: Quotas) -> None:
    """A request that one limit refuses is not counted under the others."""
    await fill(quotas, THREE)
    assert not await taken(quotas, "late", Demand(TEN, 1), Demand(THREE, 1))
    assert await fill(quotas, TEN) == 10


async def test_a_name_is_counted_once(quotas: Quotas, other: Quotas) -> None:
    """A repeated step gets its answer again and uses nothing, in any process."""
    for each in (quotas, other, quotas):
        assert await taken(each, "same", Demand(THREE, 1))
    assert await fill(quotas, THREE) == 2


async def test_places_are_given_in_order(quotas: Quotas) -> None:
    """Requests that can wait get places one after another; the first beyond its patience is refused."""
    limit = QuotaLimit("slow", 1, 0.001)
    waits = []
    for number in range(4):
        answer = await quotas.take(str(number), [Demand(limit, 1)], patience=2500)
        waits.append(round(answer.wait, -2))
        last = answer
    assert waits == [0, 1000, 2000, 3000]
    assert isinstance(last, QuotaRefused)


async def test_a_demand_above_the_bucket_leaves_a_debt(quotas: Quotas) -> None:
    """A request larger than the bucket starts when the bucket is full; the next ones wait until the debt is paid."""
    limit = QuotaLimit("small", 10, 0.1)
    assert await quotas.take("large", [Demand(limit, 30)]) == Granted(0)
    after = await quotas.take("after", [Demand(limit, 1)])
    assert isinstance(after, QuotaRefused)
    assert 200 < after.wait <= 210


async def test_an_overestimate_is_given_back(quotas: Quotas) -> None:
    """After the answer the true cost replaces the estimate, once."""
    assert await taken(quotas, "answer", Demand(TEN, 9))
    for _ in range(2):
        await quotas.settle("answer", [Demand(TEN, -4)])
    assert await fill(quotas, TEN) == 5


async def test_an_underestimate_is_charged(quotas: Quotas) -> None:
    """A true cost above the estimate makes a debt; while there is one, even a demand of 0 is refused."""
    assert await taken(quotas, "answer", Demand(TEN, 1))
    assert await taken(quotas, "before", Demand(TEN, 0))
    await quotas.settle("answer", [Demand(TEN, 20)])
    assert not await taken(quotas, "after", Demand(TEN, 0))


async def test_only_a_reserved_amount_is_given_back(quotas: Quotas) -> None:
    """A refused or lost step reserved nothing, so settling it changes nothing."""
    await fill(quotas, THREE)
    assert not await taken(quotas, "late", Demand(THREE, 1))
    await quotas.settle("late", [Demand(THREE, -1)])
    assert await fill(quotas, THREE) == 0


def left_of_the_day() -> float:
    now = datetime.now(UTC)
    return 86_400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


async def test_a_day_ends_at_midnight(quotas: Quotas, redis_client: Redis) -> None:
    """A daily limit refuses until 00:00 UTC, whatever the patience, and starts again on the next day."""
    day = QuotaLimit.daily("day", 2)
    assert await fill(quotas, day) == 2
    before = left_of_the_day()
    refused = await quotas.take("late", [Demand(day, 1)], patience=1e6)
    assert isinstance(refused, QuotaRefused)
    assert left_of_the_day() - 5 < refused.wait < before + 5
    [key] = await redis_client.keys("nb:{q}:l:*")
    await redis_client.hincrby(key, "at", -86_400_000)  # used yesterday
    assert await taken(quotas, "tomorrow", Demand(day, 1))


async def test_a_hold_applies_to_all_and_orders_the_waiting(quotas: Quotas, other: Quotas) -> None:
    """During a hold no request gets a place before its end; after it places are a step apart, also for a request that
    had an earlier place before the hold."""
    limit = QuotaLimit("fast", 1, 0.001)
    assert await quotas.take("first", [Demand(limit, 1)], hold="model") == Granted(0)
    waiting = await quotas.take("waiting", [Demand(limit, 1)], patience=10_000, hold="model")
    assert 900 < waiting.wait <= 1000
    await other.hold("model", 5000)
    await quotas.hold("model", 4950)  # a hold that was sent at the same time changes nothing
    places = [
        (await each.take(name, [Demand(limit, 1)], patience=10_000, hold="model", step=500)).wait
        for each, name in ((quotas, "waiting"), (other, "new"), (quotas, "waiting"))
    ]
    assert places == pytest.approx([5000, 5500, 5000], abs=100)
    assert await quotas.take("other", [], hold="another") == Granted(0)
    refused = await quotas.take("hasty", [], patience=1000, hold="model")
    assert isinstance(refused, QuotaRefused)
    assert refused.limit is None


async def test_every_key_expires(quotas: Quotas, redis_client: Redis) -> None:
    """Everything that a quota writes expires, and all of it is in one Cluster slot."""
    await quotas.take("a", [Demand(THREE, 1), Demand(QuotaLimit.daily("day", 5), 1)], hold="model")
    await quotas.settle("a", [Demand(TEN, 2)])
    await quotas.hold("model", 60)
    await quotas.take("b", [Demand(THREE, 1)], patience=600, hold="model")
    keys = await redis_client.keys("*")
    assert len(keys) >= 6
    for key in keys:
        assert await redis_client.pttl(key) > 0, key
        assert "nb:{q}:" in str(key)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    costs=st.lists(st.integers(1, 4), min_size=20, max_size=60),
    back=st.sets(st.integers(0, 59), max_size=5),
    most=st.integers(20, 40),
)
async def test_no_window_is_above_a_smooth_limit(redis_url: str, costs: list[int], back: set[int], most: int) -> None:
    """Whatever the requests cost, and even if some are given back, no window of a period exceeds the limit."""
    period = 50_000.0
    limit = QuotaLimit.smooth(uuid.uuid4().hex, most, period)
    begins: dict[int, tuple[float, int]] = {}
    clock = asyncio.get_running_loop().time
    async with patient_connection(redis_url) as one, patient_connection(redis_url) as two:
        processes = patient_quotas(one), patient_quotas(two)
        for number, cost in enumerate(costs):
            name = f"{limit.name}/{number}"
            answer = await processes[number % 2].take(name, [Demand(limit, cost)], patience=1e6)
            assert isinstance(answer, Granted)
            begins[number] = clock() + answer.wait, cost
            if number in back:  # before the request was made
                await processes[1].settle(name, [Demand(limit, -cost)])
                del begins[number]
    for start, _ in begins.values():
        # allow ten seconds for the round trip to Redis
        window = [cost for at, cost in begins.values() if start - 10 <= at < start + period - 10]
        assert sum(window) <= most + 1


def question(name: str, author: str = "U1", channel: str = "C1", *, direct: bool = False) -> Question:
    return Question(TurnId(name), Place("slack", "T1", channel, direct=direct), Author(author, "Ann"), "Hello")


def people(quotas: Quotas, **limits: int) -> UserQuotas:
    return UserQuotas(quotas, UserLimits(**limits))


async def test_a_person_is_told_when_to_ask_again(quotas: Quotas) -> None:
    """Beyond a person's limit the sentence says the limit and the time; others may still ask."""
    limits = people(quotas, person_requests=2)
    assert [await limits.take(question(name)) for name in "ab"] == ["", ""]
    assert await limits.take(question("c", channel="C2")) == (
        "You have used up the 2 questions an hour that each person has here. You can ask again in about 30 min."
    )
    assert await limits.take(question("d", author="U2")) == ""


async def test_a_channel_has_its_own_limit(quotas: Quotas) -> None:
    """A channel's limit counts the questions of all its people; in a direct message only the person's limit counts."""
    limits = people(quotas, channel_requests=2)
    assert [await limits.take(question(name, author=name)) for name in "ab"] == ["", ""]
    assert "This channel has used up its 2 questions an hour." in await limits.take(question("c", author="c"))
    assert [await limits.take(question(f"d{number}", channel="D1", direct=True)) for number in range(3)] == [""] * 3


async def test_a_redelivery_is_not_counted(quotas: Quotas) -> None:
    """The same question delivered twice counts once."""
    limits = people(quotas, person_requests=2)
    assert [await limits.take(question(name)) for name in "aaaab"] == [""] * 5
    assert await limits.take(question("c"))


async def test_tokens_are_charged_after_the_answer(quotas: Quotas) -> None:
    """An answer may exceed the tokens; then the next question is refused. It is charged once."""
    limits = people(quotas, person_tokens=1000)
    assert await limits.take(question("a")) == ""
    await limits.charge(question("a"), 600)
    await limits.charge(question("a"), 600)
    assert await limits.take(question("b")) == ""
    await limits.charge(question("b"), 600)
    sentence = await limits.take(question("c"))
    assert sentence.startswith("You have used up the 1,000 tokens a day that each person has here.")


async def test_without_redis_nobody_is_let_through_uncounted(quotas: Quotas) -> None:
    """The question waits with its platform, as without limits it would: its other steps need Redis too."""
    async with connection("unix:///nowhere/redis.sock") as client:
        limits = people(Quotas(client), person_requests=1, person_tokens=1)
        with pytest.raises(StoreError):
            await limits.take(question("a"))
        with pytest.raises(StoreError):
            await limits.charge(question("a"), 600)
        with pytest.raises(StoreError):
            await Quotas(client).take("a", [])
