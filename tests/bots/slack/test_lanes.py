"""Several people at once in Slack, at the wire: threads of a channel do not wait for each other."""

from bots.sandbox.slack.workspace.values import SlackMessage
from core.reply.layout import STOPPED
from tests.bots.slack.harness import SlackRoom, slack_room

ANSWER = "word " * 20 + "end"


def everything(room: SlackRoom) -> tuple[SlackMessage, ...]:
    """What everybody wrote in the channel."""
    return room.slack.messages(room.where("#general"), None)


async def test_threads_are_answered_side_by_side(redis_url: str) -> None:
    """Four people who ask in four threads all read while none of the answers has ended."""
    async with slack_room(redis_url) as room:
        held = room.nebula.hold(after=3, times=None)
        asked = []
        for number, who in enumerate(("ann", "bob", "ann", "bob")):
            room.nebula.answer_next(f"{number} {ANSWER}")
            asked.append(await room.say(who, "#general", f"@nebula question {number}"))
        for each in asked:
            await room.answered("#general", "word", each.ts)
        held.release()
        await room.quiet()
        shown = [text for each in asked for text in room.shown("#general", each.ts)]
        assert sorted(text[0] for text in shown) == ["0", "1", "2", "3"]
        assert all(text.endswith("end") for text in shown)


async def test_questions_of_a_thread_follow_each_other(redis_url: str) -> None:
    """Also while other threads are answered; the second one of a thread sees the answer to the first."""
    async with slack_room(redis_url) as room:
        held = room.nebula.hold(after=3)
        room.nebula.answer_next(ANSWER)
        root = await room.say("ann", "#general", "@nebula first")
        await room.answered("#general", "word", root.ts)
        await room.say("bob", "#general", "@nebula second", root.ts)
        other = await room.say("bob", "#general", "@nebula elsewhere")
        await room.until(lambda: room.said("#general", other.ts))
        assert [each.messages[-1].content for each in room.nebula.requests] == ["ann: first", "bob: elsewhere"]
        held.release()
        await room.quiet()
        first, second = room.said("#general", root.ts)
        assert first.shown.endswith("end")
        assert second.shown
        assert "end" in repr(room.nebula.requests[-1].messages)


async def test_one_answer_at_a_time(redis_url: str) -> None:
    """With `parallel 1` the questions of all threads are answered in order of arrival, one after the other."""
    async with slack_room(redis_url) as room:
        changed = await room.slash("ann", "#general", "set parallel 1")
        await room.until(lambda: changed.messages)
        held = room.nebula.hold(after=3)
        room.nebula.answer_next(ANSWER)
        asked = [await room.say("ann", "#general", "@nebula question 0")]
        await room.answered("#general", "word", asked[0].ts)
        for number, who in enumerate(("bob", "ann", "bob"), 1):
            asked.append(await room.say(who, "#general", f"@nebula question {number}"))
            await room.until(lambda: any(each.ts == asked[-1].ts and each.reactions for each in everything(room)))
        assert len(room.nebula.requests) == 1
        held.release()
        await room.quiet()
        questions = [each.messages[-1].content[-1] for each in room.nebula.requests]
        assert questions == ["0", "1", "2", "3"]
        assert all(room.said("#general", each.ts) for each in asked)


async def test_stop_in_a_thread_ends_the_answer_there(redis_url: str) -> None:
    """Other threads' answers go on."""
    async with slack_room(redis_url) as room:
        held = room.nebula.hold(after=3, times=None)
        asked = []
        for number in range(2):
            room.nebula.answer_next(ANSWER)
            asked.append(await room.say("ann", "#general", f"@nebula question {number}"))
        for each in asked:
            await room.answered("#general", "word", each.ts)
        await room.say("ann", "#general", "@nebula !stop", asked[0].ts)
        await room.answered("#general", STOPPED, asked[0].ts)
        held.release()
        await room.quiet()
        assert room.said("#general", asked[1].ts)[0].shown.endswith("end")


async def test_a_direct_message_is_one_lane(redis_url: str) -> None:
    """A question in the thread of a growing reply waits for its end, and sees it."""
    async with slack_room(redis_url) as room:
        held = room.nebula.hold(after=3)
        room.nebula.answer_next(ANSWER)
        root = await room.say("ann", "@ann", "first")
        await room.answered("@ann", "word")
        await room.say("ann", "@ann", "second", root.ts)
        await room.until(lambda: not room.slack.pending)
        assert len(room.nebula.requests) == 1
        held.release()
        await room.quiet()
        assert "end" in repr(room.nebula.requests[-1].messages)
