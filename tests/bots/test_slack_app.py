"""The Slack adapter at the wire: what people write, use and press, and what they see."""

from tests.bots.slack_harness import slack_room


async def test_a_mention_is_answered_in_a_thread_under_it(redis_url: str) -> None:
    """A mention in a channel gets its reply in a thread, in a markdown block, without pings or link previews."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("**Hello** <!channel> <@U0NEBULA>, see https://example.com")
        asked = await room.say("ann", "#general", "@nebula hello & <you>")
        reply = await room.answered("#general", "example.com", asked.ts)
        await room.quiet()
        assert reply.thread_ts == asked.ts
        assert room.shown("#general") == ["**Hello** <!channel> <@U0NEBULA>, see https://example.com"]
        assert [block["type"] for block in room.said("#general")[0].blocks] == ["markdown"]
        assert not room.said("#general")[0].pings
        assert not room.said("#general")[0].unfurls
        assert room.nebula.requests[0].messages[-1].content.endswith("hello & <you>")
