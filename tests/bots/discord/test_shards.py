"""Shards of Discord at the wire: each connection serves its share of the guilds, in one process or several."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bots.discord.api import shards
from bots.discord.api.shards import Shard, shards_of
from bots.platforms import load
from bots.sandbox.discord.world.values import DiscordChannel
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Conversation
from core.settings.environment import WrongConfig
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running

SIGN_IN_SECONDS = 0.3
AGAIN = "Regenerate"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections identify soon after each other."""
    monkeypatch.setattr(shards, "IDENTIFY_SECONDS", SIGN_IN_SECONDS)


def guilds(here: DiscordRoom) -> list[DiscordChannel]:
    """A channel in a guild of each of two shards, with Ann in both."""
    found = []
    for number in range(2):
        guild = here.discord.add_guild(f"Guild {number}", shard=(number, 2))
        here.discord.add_member(guild, here.people["ann"])
        found.append(here.discord.add_channel(guild, "hall"))
    return found


def is_said(here: DiscordRoom, where: DiscordChannel, word: str) -> bool:
    """Whether the bot has written a word there."""
    return any(word in text for text in here.said(where))


async def all_events_are_answered_once(here: DiscordRoom, places: list[DiscordChannel]) -> None:
    """Mentions, commands and presses in each place, and direct messages: one answer and one request for each."""
    asked = 0

    async def seen(where: DiscordChannel | str, answer: str) -> None:
        nonlocal asked
        asked += 1
        await here.until(lambda: [text.endswith(answer) for text in here.said(where)].count(True) == 1)
        await here.until(lambda: AGAIN in here.buttons(here.shown(where)[-1]))
        channel = here.place(where)
        await here.bot.runner.settled(Conversation(f"discord/{channel.guild or '-'}/{channel.id}"))

    for place in places:
        here.nebula.answer_next("To a mention.")
        await here.say("ann", place, "@nebula hello")
        await seen(place, "To a mention.")
        here.nebula.answer_next("To a press.")
        await here.press("ann", here.shown(place)[-1], AGAIN)
        await seen(place, "To a press.")
        here.nebula.answer_next("To a command.")
        await here.slash("ann", place, "ask", prompt="hello")
        await seen(place, "To a command.")
        await here.say("ann", place, "@nebula !settings")
        await here.until(partial(is_said, here, place, "temperature"))
        assert "temperature" in await here.used("ann", place, "settings")
    here.nebula.answer_next("To a direct message.")
    await here.say("ann", "@ann", "hello")
    await seen("@ann", "To a direct message.")
    assert len(here.nebula.requests) == asked
    for place in places:
        assert len(here.shown(place)) == 3


async def test_two_shards_in_one_process(redis_client: Redis) -> None:
    """One of two connections serves each guild. They identify one after the other, and everything is answered once."""
    places: list[DiscordChannel] = []
    async with room(
        redis_client, changes={"discord_shards": "0-1/2"}, before=lambda stage: places.extend(guilds(stage))
    ) as here:
        first, second = here.discord.gateway.identified
        assert {first[:2], second[:2]} == {(0, 2), (1, 2)}
        assert second[2] - first[2] >= SIGN_IN_SECONDS
        await all_events_are_answered_once(here, places)
        assert here.discord.commands.puts == 1


@pytest.mark.parametrize("processes", [("0/2", "1/2"), ("0/2", "0/2", "1/2", "1/2")])
async def test_shards_in_several_processes(redis_client: Redis, processes: tuple[str, ...]) -> None:
    """One process per shard, or two for the same shards, of which one is a standby: both receive every event, and one
    answers."""
    async with discord_server() as discord, NebulaServer() as model, AsyncExitStack() as stack:
        here = DiscordRoom(discord, model)
        places = guilds(here)
        for each in processes:
            config = config_for(discord, model, discord_shards=each)
            await stack.enter_async_context(running(here, redis_client, config))
        assert len(discord.gateway.sessions) == len(processes)
        await all_events_are_answered_once(here, places)


async def test_other_shards_are_not_answered(redis_client: Redis) -> None:
    """A process with one of two shards receives nothing of the other's guilds and, as the second, no direct
    messages."""
    places: list[DiscordChannel] = []
    async with room(
        redis_client, changes={"discord_shards": "1/2"}, before=lambda stage: places.extend(guilds(stage))
    ) as here:
        await here.say("ann", places[0], "@nebula hello")
        await here.say("ann", "@ann", "hello")
        await here.answered("ann", places[1], "@nebula hello", "Mine.")
        assert not here.said(places[0])
        assert not here.said("@ann")


async def test_a_bot_that_needs_shards_ends_with_a_sentence(redis_client: Redis) -> None:
    """Discord requires several connections: the bot ends with a sentence that says what to set."""
    async with discord_server() as discord, NebulaServer() as model:
        discord.gateway.unsharded = False
        with pytest.raises(ExceptionGroup) as caught:
            async with running(DiscordRoom(discord, model), redis_client, config_for(discord, model)):
                pass
        [error] = caught.value.exceptions
        assert isinstance(error, WrongConfig)
        assert "set DISCORD_SHARDS" in error.problems[0]


@pytest.mark.parametrize("text", ["3", "2/2", "1-0/2", "0-2/2", "a/b", "0/0", "0-1-2/4", "-1/2"])
def test_a_wrong_range_of_shards_is_refused_at_load(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence names the variable and shows its format."""
    monkeypatch.setenv("DISCORD_SHARDS", text)
    with pytest.raises(WrongConfig) as caught:
        load(tmp_path / "none")
    [problem] = caught.value.problems
    assert problem.startswith("DISCORD_SHARDS: ")
    assert "0-3/8" in problem


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, (Shard(),)),
        ("0/2", (Shard(0, 2),)),
        (" 1 - 3 / 8 ", (Shard(1, 8), Shard(2, 8), Shard(3, 8))),
    ],
)
def test_a_range_of_shards(text: str | None, found: tuple[Shard, ...]) -> None:
    """The text is parsed into these shards."""
    assert shards_of(text) == found


async def test_one_connection_serves_all_guilds_by_default(redis_client: Redis) -> None:
    """Without the setting one connection serves all guilds, and names no shard."""
    places: list[DiscordChannel] = []
    async with room(redis_client, before=lambda stage: places.extend(guilds(stage))) as here:
        [(number, count, _)] = here.discord.gateway.identified
        assert (number, count) == (0, 1)
        for place in (*places, here.place(GENERAL)):
            await here.answered("ann", place, "@nebula hello", "Hi.")
