"""What the model knows in Discord, at the wire, where the threads of a channel share its memory."""

from redis.asyncio import Redis

from bots.sandbox.discord.world.values import DiscordChannel
from tests.bots.discord.harness import GENERAL, DiscordRoom, room


def request(here: DiscordRoom) -> tuple[str, list[str]]:
    """The rules and the turns of the newest request."""
    rules, *turns = (message.content for message in here.nebula.requests[-1].messages)
    return rules, turns


async def opened(here: DiscordRoom, who: str, text: str, answer: str) -> DiscordChannel:
    """Ask in the channel; return the thread that this answer opens."""
    here.nebula.answer_next(answer)
    await here.say(who, GENERAL, f"@nebula {text}")

    def threads() -> list[DiscordChannel]:
        return [each for each in here.discord.threads(here.place(GENERAL)) if here.said(each) == [answer]]

    [found] = await here.until(threads)
    await here.bot.runner.idle()
    return found


async def test_a_thread_goes_on_from_the_answer_that_it_hangs_on(redis_client: Redis) -> None:
    """What else was said in the channel is no turn in the thread, and nothing of the thread is one in the channel; the
    rules tell of it."""
    async with room(redis_client) as here:
        await here.used("max", GENERAL, "set", parameter="memory", value="channel")
        await here.answered("ann", GENERAL, "@nebula pears?", "About pears.")
        await here.answered("bob", GENERAL, "@nebula kiwis?", "About kiwis.")
        thread = here.discord.add_thread(here.place(GENERAL), "Kiwis", message=here.shown(GENERAL)[-1])
        await here.answered("ann", thread, "@nebula ripe?", "Ripe ones.")
        rules, turns = request(here)
        assert turns == ["bob: kiwis?", "About kiwis.", "ann: ripe?"]
        assert 'ann asked: "pears?" You answered: "About pears."' in rules
        await here.answered("bob", GENERAL, "@nebula plums?", "About plums.")
        rules, turns = request(here)
        assert turns == ["ann: pears?", "About pears.", "bob: kiwis?", "About kiwis.", "bob: plums?"]
        assert "Ripe ones." in rules


async def test_threads_that_answers_open_are_dialogues(redis_client: Redis) -> None:
    """With `replies thread`, each begins with its question."""
    async with room(redis_client) as here:
        for parameter, value in (("memory", "channel"), ("replies", "thread")):
            await here.used("max", GENERAL, "set", parameter=parameter, value=value)
        pears = await opened(here, "ann", "pears?", "About pears.")
        await opened(here, "bob", "kiwis?", "About kiwis.")
        rules, turns = request(here)
        assert turns == ["bob: kiwis?"]
        assert "About pears." in rules
        await here.answered("ann", pears, "@nebula ripe?", "Ripe ones.")
        rules, turns = request(here)
        assert turns == ["ann: pears?", "About pears.", "ann: ripe?"]
        assert "About kiwis." in rules
