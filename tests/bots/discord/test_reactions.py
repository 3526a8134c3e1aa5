"""Reactions on waiting questions, at the wire: what Discord shows, for any order of events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from bots.discord.api.http import Http
from bots.discord.api.limits import Limits
from bots.discord.api.rest import Rest
from bots.discord.outbound import reactions as reactions_module
from bots.discord.outbound.reactions import Reactions
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.world.values import DiscordMessage
from tests.bounds import HANG_SECONDS

SET = "PUT /channels/{channel}/messages/{message}/reactions/*"
DELETE_REACTION = "DELETE /channels/{channel}/messages/{message}/reactions/*"
OTHER_CHANNEL_QUESTION = 3
QUICK_REACTIONS = Limits(reaction_seconds=0.01)


class Desk:
    """Questions, three in one channel and `OTHER_CHANNEL_QUESTION` one in another, and the reactions on them."""

    def __init__(self, discord: DiscordServer, reactions: Reactions, questions: tuple[DiscordMessage, ...]) -> None:
        self.discord, self.reactions, self.questions = discord, reactions, questions

    def add(self, number: int) -> None:
        """Request the reaction on a question."""
        self.reactions.add(self.questions[number].channel, self.questions[number].id)

    def remove(self, number: int, *, adopted: bool = False) -> None:
        """Request its removal."""
        self.reactions.remove(self.questions[number].channel, self.questions[number].id, adopted=adopted)

    def shown(self, number: int) -> bool:
        """Whether people see a reaction."""
        found = self.discord.message(self.questions[number])
        return bool(found and found.reactions)

    def delayed(self, number: int) -> bool:
        """Whether a reaction waits for the end of a pause that Discord asked for."""
        question = self.questions[number]
        state = self.reactions._states.get((question.channel, question.id, reactions_module.EYES))
        return state is reactions_module._State.WANTED

    def calls(self, number: int) -> list[tuple[str, int]]:
        """The calls about a question, and the HTTP status of each answer."""
        of_this = f"/messages/{self.questions[number].id}/reactions/"
        return [(call.method, call.status) for call in self.discord.calls if of_this in call.path]


@asynccontextmanager
async def serving(http: Http, reactions: Reactions) -> AsyncIterator[None]:
    """Run the reactions."""
    async with http.open(), asyncio.TaskGroup() as group:
        running = group.create_task(reactions.run())
        await asyncio.sleep(0)  # until it has begun
        yield
        running.cancel()


@asynccontextmanager
async def standing() -> AsyncIterator[tuple[Desk, Http]]:
    """The questions on a Discord without rate limits, and the connection to it."""
    async with DiscordServer(limits=None) as discord:
        guild = discord.add_guild("Works")
        ann, channels = discord.add_member(guild, "ann"), [discord.add_channel(guild, name) for name in ("one", "two")]
        places = (*[channels[0]] * 3, channels[1])
        questions = tuple([await discord.say(ann, place, "a question") for place in places])
        http = Http(discord.api_url, discord.token)
        yield Desk(discord, Reactions(Rest(http), QUICK_REACTIONS), questions), http


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    """The questions, with running reactions."""
    async with standing() as (desk, http), serving(http, desk.reactions):
        yield desk


async def test_a_reaction_is_set_once_and_removed_once(desk: Desk) -> None:
    """However often each is requested."""
    desk.add(0)
    desk.add(0)
    await desk.discord.until(lambda: desk.shown(0))
    desk.remove(0)
    desk.remove(0)
    await desk.discord.until(lambda: not desk.shown(0))
    desk.add(1)
    await desk.discord.until(lambda: desk.shown(1))
    assert desk.calls(0) == [("PUT", 204), ("DELETE", 204)]


async def test_a_reaction_removed_before_its_turn_is_never_set(desk: Desk) -> None:
    """The one under way is removed once it is there, the next is dropped, and the last is set."""
    answer = desk.discord.faults.hold(SET)
    for number in range(3):
        desk.add(number)
    await desk.discord.until(lambda: desk.shown(0))  # set, but the call is not answered yet
    desk.remove(0)
    desk.remove(1)
    answer.release()
    await desk.discord.until(lambda: desk.shown(2) and not desk.shown(0))
    assert desk.calls(0) == [("PUT", 204), ("DELETE", 204)]
    assert desk.calls(1) == []


async def test_a_rate_limited_reaction_is_repeated_once(desk: Desk) -> None:
    """A reaction that Discord delays once is set; if Discord delays it again, the bot gives it up, like a removal."""
    desk.discord.faults.rate_limit(SET, 0.01)
    desk.add(0)
    await desk.discord.until(lambda: desk.shown(0))
    assert desk.calls(0) == [("PUT", 429), ("PUT", 204)]
    desk.discord.faults.rate_limit(DELETE_REACTION, 0.01)
    desk.remove(0)
    await desk.discord.until(lambda: not desk.shown(0))
    assert desk.calls(0)[2:] == [("DELETE", 429), ("DELETE", 204)]
    desk.discord.faults.rate_limit(SET, 0.01, times=2)
    desk.add(1)
    desk.add(2)
    await desk.discord.until(lambda: desk.shown(2))
    desk.remove(1)
    desk.remove(2)
    await desk.discord.until(lambda: not desk.shown(2))
    assert desk.calls(1) == [("PUT", 429), ("PUT", 429)]


async def test_a_long_refusal_delays_no_other_reaction(desk: Desk) -> None:
    """A reaction for which Discord asks to wait a minute is given up; the next one is set."""
    desk.discord.faults.rate_limit(SET, 60)
    desk.add(0)
    desk.add(1)
    await desk.discord.until(lambda: desk.shown(1))
    assert desk.calls(0) == [("PUT", 429)]


async def test_a_reaction_removed_while_it_is_delayed_is_never_set(desk: Desk) -> None:
    """The question's turn began during Discord's pause."""
    desk.discord.faults.rate_limit(SET, 0.1)
    desk.add(0)
    desk.add(1)
    await desk.discord.until(lambda: desk.calls(0))
    while not desk.delayed(0):  # caught at that moment, before the pause can be over
        await asyncio.sleep(0)
    desk.remove(0)
    await desk.discord.until(lambda: desk.shown(1))
    assert desk.calls(0) == [("PUT", 429)]


async def test_a_delayed_reaction_does_not_delay_another_channel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that Discord asks for affects only that channel."""
    monkeypatch.setattr(reactions_module, "LONGEST_WAIT_SECONDS", 10 * HANG_SECONDS)
    desk.discord.faults.rate_limit(SET, 5 * HANG_SECONDS)
    desk.add(0)
    desk.add(1)
    await desk.discord.until(lambda: desk.calls(0))
    desk.add(OTHER_CHANNEL_QUESTION)
    await desk.discord.until(lambda: desk.shown(OTHER_CHANNEL_QUESTION))
    assert not desk.calls(1)


async def test_a_reaction_whose_response_was_lost_is_removed(desk: Desk) -> None:
    """The call may have succeeded, as it has here."""
    desk.discord.faults.reset(SET)
    desk.add(0)
    desk.add(1)
    await desk.discord.until(lambda: desk.shown(1))
    assert desk.shown(0)
    desk.remove(0)
    await desk.discord.until(lambda: not desk.shown(0))


async def test_a_reaction_without_permission_is_not_removed(desk: Desk) -> None:
    """Discord refused it: there is nothing to remove, and the next question is not delayed."""
    desk.discord.faults.error(SET, 403, code=50013)
    desk.add(0)
    desk.add(1)
    await desk.discord.until(lambda: desk.shown(1))
    desk.remove(0)
    desk.remove(1)
    await desk.discord.until(lambda: not desk.shown(1))
    assert desk.calls(0) == [("PUT", 403)]


async def test_the_process_that_adopts_a_question_removes_its_reaction() -> None:
    """A reaction stays while its process stops; the next process removes it only from an adopted question."""
    async with standing() as (desk, http):
        async with serving(http, desk.reactions):
            desk.add(0)
            desk.add(1)
            await desk.discord.until(lambda: desk.shown(0) and desk.shown(1))
        desk.reactions = Reactions(Rest(http), QUICK_REACTIONS)
        async with serving(http, desk.reactions):
            desk.remove(0)
            desk.remove(1, adopted=True)
            await desk.discord.until(lambda: not desk.shown(1))
        assert desk.shown(0)


async def test_reactions_to_remove_are_removed_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process knows of the reaction on a question that was answered here."""
    monkeypatch.setattr(reactions_module, "CLOSE_SECONDS", HANG_SECONDS)
    async with standing() as (desk, http):
        async with serving(http, desk.reactions):
            desk.add(0)
            await desk.discord.until(lambda: desk.shown(0))
            desk.remove(0)
        assert not desk.shown(0)
