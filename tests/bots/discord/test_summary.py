"""What no longer fits, at the wire of Discord: sixty questions in a channel, in a small window."""

from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, running
from tests.core.summaries.scribe import CATALOG, MODEL, asked, known, plain, scribe, summaries

CONFIG = {"nebula_model": MODEL, "encryption_keys": "k1:MDEyMzQ1Njc4OWFiY2RlZg=="}


async def ask(here: DiscordRoom, text: str) -> None:
    """Ann asks in the channel, and waits for the answer."""
    before = len(here.said(GENERAL))
    await here.say("ann", GENERAL, f"@nebula {text}")
    await here.until(lambda: len(here.said(GENERAL)) > before)
    await here.bot.runner.idle()


async def test_the_first_fact_outlives_a_restart(redis_client: Redis) -> None:
    """After sixty questions another process tells the model of it; small print says so; in Redis nobody can read it."""
    async with discord_server() as discord, NebulaServer(answer=scribe, models=CATALOG) as nebula:
        here = DiscordRoom(discord, nebula)
        config = config_for(discord, nebula, **CONFIG)
        async with running(here, redis_client, config):
            for number in range(60):
                await ask(here, f"Note fact-{number}: it matters.")
        async with running(here, redis_client, config):
            await ask(here, "What was the first fact?")
        assert "fact-0" in known(nebula)
        assert len(summaries(nebula)) <= 5
        assert any("questions are summarised." in text for text in here.said(GENERAL))
        assert not any(b"fact" in each for each in await plain(redis_client))


async def test_what_people_take_back_leaves_the_summary(redis_client: Redis) -> None:
    """A deleted message, and then all that its author asked."""
    async with discord_server() as discord, NebulaServer(answer=scribe, models=CATALOG) as nebula:
        here = DiscordRoom(discord, nebula)
        async with running(here, redis_client, config_for(discord, nebula, **CONFIG)):
            for number in range(40):
                await ask(here, f"Note fact-{number}: it matters.")
            await ask(here, "And now?")
            assert {"fact-1", "fact-2"} <= known(nebula)
            gone = next(each for each in discord.messages(here.place(GENERAL)) if "fact-1:" in each.content)
            await discord.delete(gone)
            await here.until(lambda: len(here.said(GENERAL)) == 40)
            await ask(here, "And now?")
            assert "fact-1" not in known(nebula)
            assert not any("fact-1:" in each.content for each in asked(nebula)[-1].messages)
            await here.used("ann", GENERAL, "forget", whose="me")
            await ask(here, "And now?")
            assert not known(nebula)
            assert len(asked(nebula)[-1].messages) == 2
