"""Several people at once in Discord, at the wire: nobody waits for somebody else's answer."""

from functools import partial

from redis.asyncio import Redis

from tests.bots.discord.harness import GENERAL, DiscordRoom, room

ANSWER = "word " * 20 + "end"


def is_marked(here: DiscordRoom, message: str) -> bool:
    """Whether the bot has put its mark on a message, which says that it was received."""
    return any(each.id == message and each.reactions for each in here.discord.messages(here.place(GENERAL)))


async def test_people_are_answered_side_by_side(redis_client: Redis) -> None:
    """Each reads while none of the answers has ended, and each reply refers to its question."""
    async with room(redis_client) as here:
        held = here.nebula.hold(after=3, times=None)
        asked = []
        for who in ("ann", "bob", "max", "ada"):
            here.nebula.answer_next(ANSWER)
            asked.append(await here.say(who, GENERAL, f"@nebula I am {who}"))
        await here.until(lambda: len(here.said(GENERAL)) == 4)
        assert not any("end" in text for text in here.said(GENERAL))
        held.release()
        await here.bot.runner.idle()
        assert all(text.endswith("end") for text in here.said(GENERAL))
        assert {each.reference for each in here.shown(GENERAL)} == {each.id for each in asked}


async def test_questions_of_one_person_follow_each_other(redis_client: Redis) -> None:
    """Also while others are answered; the second one sees the answer to the first."""
    async with room(redis_client) as here:
        held = here.nebula.hold(after=3)
        here.nebula.answer_next(ANSWER)
        await here.say("ann", GENERAL, "@nebula first")
        await here.until(lambda: bool(here.said(GENERAL)))
        await here.say("ann", GENERAL, "@nebula second")
        await here.say("bob", GENERAL, "@nebula another")
        await here.until(lambda: len(here.said(GENERAL)) == 2)
        assert [each.messages[-1].content for each in here.nebula.requests] == ["ann: first", "bob: another"]
        held.release()
        await here.until(lambda: len(here.said(GENERAL)) == 3)
        await here.bot.runner.idle()
        assert "end" in repr(here.nebula.requests[-1].messages)


async def test_one_answer_at_a_time(redis_client: Redis) -> None:
    """With `REPLY_PARALLEL=1` the questions of a channel are answered in order of arrival, one after the other."""
    async with room(redis_client, changes={"reply_parallel": 1}) as here:
        held = here.nebula.hold(after=3)
        here.nebula.answer_next(ANSWER)
        await here.say("ann", GENERAL, "@nebula 0")
        await here.until(lambda: bool(here.said(GENERAL)))
        for number, who in enumerate(("bob", "max"), 1):
            question = await here.say(who, GENERAL, f"@nebula {number}")
            await here.until(partial(is_marked, here, question.id))
        assert len(here.nebula.requests) == 1
        held.release()
        await here.until(lambda: len(here.said(GENERAL)) == 3)
        await here.bot.runner.idle()
        assert [each.messages[-1].content[-1] for each in here.nebula.requests] == ["0", "1", "2"]
