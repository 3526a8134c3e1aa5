"""Who asks in Slack, at the wire: members of ours and other organizations, and the cost of finding out."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS, SLACK_LIMITS
from bots.slack.api import people
from bots.slack.api.lookups import CallBudget
from bots.slack.api.workspace import PATIENCE, Patience
from core.access.admission import EXTERNAL
from core.domain.conversation import Author
from core.domain.errors import SlowDown
from core.ratelimit.shared import CallRequest
from core.store import ratelimits
from core.store.ratelimits import RedisRateLimit
from tests.bots.slack.harness import ENDLESS, SlackRoom, empty_room, process, slack_room
from tests.bots.slack.witness import Witness, witness
from tests.bounds import HANG_SECONDS

OTHER_TEAM = "T0OTHER"
LOOKUPS = ("users.info", "conversations.info")
# Slack's own limits of lookups, and no other.
LIMITS = {**NO_SLACK_LIMITS, **{method: SLACK_LIMITS[method] for method in LOOKUPS}}


def authors(room: SlackRoom) -> list[Author]:
    """Return the authors of the questions that the dispatcher received, each once."""
    return list({question.id: question.author for question in witness(room.dispatcher).questions}.values())


async def test_people_of_another_organization_are_recognized(redis_url: str) -> None:
    """In messages, button presses and commands; the operator has to let them in."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        room.person("zoe", team=OTHER_TEAM)
        await room.say("zoe", "#general", "@nebula hello")
        await room.until(lambda: room.slack.ephemerals(room.where("#general")))
        await room.quiet()
        seen = [each.shown for each in (*room.said("#general"), *room.slack.ephemerals(room.where("#general")))]
        assert seen == [EXTERNAL]
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert [author.external for author in authors(room)] == [True, False]
        assert len(room.nebula.requests) == 1
        refused = await room.slack.press(room.people["zoe"], room.said("#general")[-1], "nebula_reply_again")
        await room.until(lambda: refused.messages)
        await room.slack.press(room.people["ann"], room.said("#general")[-1], "nebula_reply_again")
        await room.nebula.until(lambda: len(room.nebula.requests) == 2)
        await room.quiet()
        assert [press.author.external for press in witness(room.dispatcher).presses] == [True, False]
        answer = await room.slash("zoe", "#general", "settings")
        assert EXTERNAL in (await room.until(lambda: answer.messages))[0].shown


async def test_they_can_be_let_in(redis_url: str) -> None:
    """Then they are answered like everybody else."""
    async with slack_room(redis_url, dispatcher=Witness, access_external="on") as room:
        room.person("zoe", team=OTHER_TEAM)
        await room.say("zoe", "#general", "@nebula hello")
        await room.quiet()
        assert [author.external for author in authors(room)] == [True]
        assert len(room.nebula.requests) == 1


async def test_each_person_is_looked_up_once(redis_url: str) -> None:
    """The author, who is also named in the text; but never the bot, and nobody twice."""
    async with slack_room(redis_url) as room:
        for text in ("@nebula what do @ann and @bob like?", "@nebula and @bob?"):
            await room.say("ann", "#general", text)
            await room.quiet()
        asked = sorted(str(call.arguments["user"]) for call in room.calls("users.info"))
        assert asked == sorted(room.people[name] for name in ("ann", "bob"))


async def test_processes_count_lookups_together(redis_url: str) -> None:
    """120 new people ask three processes: Slack refuses no lookup and nobody waits for one. Those for whom no
    call is free have their ids as names, and belong to us all the same."""
    async with empty_room({"limits": LIMITS}) as room, AsyncExitStack() as stack:
        bots = []
        for _ in range(3):
            bot = process(room, redis_url, patience=PATIENCE, dispatcher=Witness, reply_streaming="off")
            await stack.enter_async_context(bot)
            bots.append(witness(room.dispatcher))
        for number in range(40):
            room.open(f"#c{number}")
        for number in range(120):
            room.person(f"p{number}")
            room.nebula.answer_next("Hello.")
            await room.say(f"p{number}", f"#c{number % 40}", "@nebula hello")
            # Three processes share one loop here: more at once are not served in time on any machine.
            if number % 10 == 9:
                await room.until(lambda: not room.slack.pending)
        await room.nebula.until(lambda: len(room.nebula.requests) == 120)
        assert {delivery.problem for delivery in room.slack.deliveries} == {""}
        assert room.calls("users.info")
        assert not [call for call in room.calls("users.info") if call.error]
        heard = {question.author.id: question.author for bot in bots for question in bot.questions}
        assert len(heard) == 120
        assert not [author for author in heard.values() if author.external]


async def test_lookups_of_one_channel_run_at_once(redis_url: str) -> None:
    """A slow one keeps no other from beginning; the questions stay in their order."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        gates = [asyncio.Event(), asyncio.Event()]
        for gate in gates:
            room.slack.faults.add("users.info", faults.held(gate))
        for who in ("ann", "bob"):
            await room.say(who, "#general", "@nebula hello", as_both=False)
        await room.until(lambda: not room.slack.faults.left("users.info"))
        gates[1].set()
        await room.until(lambda: room.calls("users.info"))
        assert authors(room) == []
        gates[0].set()
        await room.quiet()
        assert [author.name for author in authors(room)] == ["ann", "bob"]


async def test_a_late_name_is_there_for_the_next_question(redis_url: str) -> None:
    """The lookup that nobody waits for any more is not made again."""
    async with slack_room(redis_url, dispatcher=Witness, patience=replace(ENDLESS, names=0.1)) as room:
        late = asyncio.Event()
        room.slack.faults.add("users.info", faults.held(late))
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await room.say("ann", "#general", "@nebula hello?")
        await room.quiet()
        late.set()
        command = await room.slash("ann", "#general", "set temperature 1")  # this waits until it is known who she is
        await room.until(lambda: command.messages)
        await room.say("ann", "#general", "@nebula hello!")
        await room.quiet()
        assert [author.name for author in authors(room)] == [room.people["ann"]] * 2 + ["ann"]
        assert len(room.calls("users.info")) == 1


async def test_a_late_name_is_the_one_in_the_event(redis_url: str) -> None:
    """Where the event has one: a command's has."""
    async with slack_room(redis_url, patience=replace(ENDLESS, names=0.1)) as room:
        late = asyncio.Event()
        room.slack.faults.add("users.info", faults.held(late), times=None)
        await room.slash("ann", "#general", "ask hello")
        await room.answered("#general", "ann: hello")
        late.set()


async def test_late_rights_are_none(redis_url: str) -> None:
    """A command whose rights are not known in time is refused, and keeps no question of its channel waiting."""
    async with slack_room(redis_url, patience=Patience(names=0.1, rights=0.1)) as room:
        late = asyncio.Event()
        room.slack.faults.add("users.info", faults.held(late), times=None)
        await room.say("eve", "#general", "@nebula !set temperature 1")
        await room.say("ann", "#general", "@nebula hello")
        await room.answered("#general", people.UNKNOWN)
        await room.nebula.until(lambda: bool(room.nebula.requests))
        late.set()


async def test_no_free_call_is_no_right(redis_url: str, redis_client: Redis) -> None:
    """When other processes have made all calls of a minute, an admin reads that they should try again."""
    async with empty_room({"limits": LIMITS}) as room:
        most, others = people.USERS.rights, RedisRateLimit(redis_client, answer_timeout=HANG_SECONDS)
        request = CallRequest(most, 80, most, 80, active=1)
        for _ in range(most):
            assert (await others.admit(f"slack/{room.slack.team}/users.info", request)).wait == 0
        async with process(room, redis_url):
            answer = await room.slash("eve", "#general", "set temperature 1")
            assert people.UNKNOWN in (await room.until(lambda: answer.messages))[0].shown
            assert not room.calls("users.info")


async def test_a_refusal_ends_lookups_in_all_processes(redis_url: str) -> None:
    """For as long as Slack says, whatever they are for; questions go on."""
    async with empty_room() as room, process(room, redis_url):
        room.slack.faults.add("users.info", faults.rate_limited(600))
        await room.say("ann", "#general", "@nebula hello", as_both=False)
        await room.answered("#general", "")
        async with process(room, redis_url):
            for number in range(12):
                room.person(f"p{number}")
                await room.say(f"p{number}", "#general", "@nebula and @bob?", as_both=False)
            await room.until(lambda: len(room.said("#general")) == 13)
            assert len(room.calls("users.info")) == 1


async def call(budget: CallBudget, made: list[CallBudget]) -> None:
    """Make one of ten calls, if it is free."""

    async def make() -> None:
        made.append(budget)

    with suppress(SlowDown):
        await budget.call(10, make)


async def test_without_redis_a_process_makes_its_part_of_the_calls(redis_client: Redis) -> None:
    """Two processes that can't count together any more stay below the limit together."""
    processes = [
        CallBudget(RedisRateLimit(redis_client, answer_timeout=HANG_SECONDS), "slack/T1/users.info", 10)
        for _ in range(2)
    ]
    made: list[CallBudget] = []
    for each in processes * 2:  # each has met the other
        await call(each, made)
    await redis_client.config_set("maxmemory", "1")
    try:
        for each in processes * 10:
            await call(each, made)
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert [made.count(each) for each in processes] == [5, 5]


async def test_calls_made_without_redis_count_when_it_is_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis does not know of them and would allow as many again within the same minute."""
    monkeypatch.setattr(ratelimits, "RETRY_AFTER_FAILURE_SECONDS", 0.0)
    budget = CallBudget(RedisRateLimit(redis_client), "slack/T1/users.info", 10)
    made: list[CallBudget] = []
    await redis_client.config_set("maxmemory", "1")
    try:
        for _ in range(6):
            await call(budget, made)
    finally:
        await redis_client.config_set("maxmemory", "0")
    await asyncio.gather(*(call(budget, made) for _ in range(14)))
    assert len(made) == 10
