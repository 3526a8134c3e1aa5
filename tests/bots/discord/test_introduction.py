"""The bot introduces itself in a server to which it is added, at the wire."""

import time

from redis.asyncio import Redis

from bots.sandbox.discord.world.values import DiscordChannel, Guild, Overwrite, Permission
from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_followups import settled


def introductions(here: DiscordRoom, guild: Guild) -> list[str]:
    """What the bot said about itself in a server."""
    places: list[DiscordChannel] = list(here.discord.channels(guild))
    return [text for each in places for text in here.said(each) if "Hello, I am" in text]


async def test_it_says_once_what_it_is(redis_client: Redis) -> None:
    """Who runs it, what leaves the server, how to forget, and help: in the system channel, once for all processes."""
    async with discord_server() as server, NebulaServer() as model:
        here = DiscordRoom(server, model)
        config = config_for(server, model, operator="The platform team")
        async with running(here, redis_client, config), running(here, redis_client, config):
            guild = server.add_guild("Club", system="welcome")
            server.add_channel(guild, "other")
            [text] = await here.until(lambda: introductions(here, guild))
            for part in (here.me.name, "The platform team runs me", "Nebula Block", "!forget", "!help", "this server"):
                assert part in text
            server.gateway.guild_create(guild)  # after an outage
            server.gateway.guild_create(guild, joined=True)
            await settled(here)
            last = server.add_guild("Last", system="welcome")  # what it is told, it is told after all others
            await here.until(lambda: introductions(here, last))
            assert len(introductions(here, guild)) == 1
        async with running(here, redis_client, config):
            await settled(here)
            assert len(introductions(here, guild)) == 1


async def test_servers_that_know_it_are_not_told(redis_client: Redis) -> None:
    """Discord sends every server at each start and after an outage; and nobody may ask in a denied one."""
    old: list[Guild] = []

    def before(here: DiscordRoom) -> None:
        old.append(here.discord.add_guild("Old", system="welcome", joined=time.time() - 86_400))
        old.append(here.discord.add_guild("Denied", system="welcome"))

    async with discord_server() as server, NebulaServer() as model:
        here = DiscordRoom(server, model)
        before(here)
        async with running(here, redis_client, config_for(server, model, access_deny=old[1].id)):
            for guild in old:
                server.gateway.guild_create(guild)
            await settled(here)
            last = server.add_guild("Last", system="welcome")
            await here.until(lambda: introductions(here, last))
            assert not [text for guild in old for text in introductions(here, guild)]


async def test_it_writes_only_where_it_may(redis_client: Redis) -> None:
    """Without a system channel, or without the right to write there, nowhere."""
    async with room(redis_client) as here:
        none = here.discord.add_guild("None")
        here.discord.add_channel(none, "general")
        denied = Overwrite(here.me.id, deny=Permission.SEND_MESSAGES)
        mute = here.discord.add_guild("Mute", system="welcome", overwrites=[denied])
        await settled(here)
        last = here.discord.add_guild("Last", system="welcome")
        await here.until(lambda: introductions(here, last))
        assert not introductions(here, none)
        assert not introductions(here, mute)
        assert not [call for call in here.discord.calls if call.status == 403]


async def test_one_that_discord_refused_is_tried_again(redis_client: Redis) -> None:
    """When Discord sends the server once more, as after an outage."""
    async with room(redis_client) as here:
        here.discord.faults.error("POST /channels/{channel}/messages", 403, code=50013)
        guild = here.discord.add_guild("Club", system="welcome")
        await here.until(lambda: [call for call in here.discord.calls if call.status == 403])
        await settled(here)
        assert not introductions(here, guild)
        here.discord.gateway.guild_create(guild)
        await here.until(lambda: introductions(here, guild))


async def test_the_operator_can_switch_it_off(redis_client: Redis) -> None:
    """INTRODUCTION=off."""
    async with room(redis_client, changes={"introduction": "off"}) as here:
        guild = here.discord.add_guild("Club", system="welcome")
        await settled(here)
        assert not introductions(here, guild)
