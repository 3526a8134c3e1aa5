"""The bot introduces itself where it is added, at the wire."""

import asyncio
from functools import partial

from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from tests.bots.slack.harness import SlackRoom, process, slack_room
from tests.bounds import HANG_SECONDS


def introductions(room: SlackRoom, channel: str) -> list[str]:
    """What the bot said about itself there."""
    return [text for text in room.shown(channel) if "Hello, I am" in text]


async def invited(room: SlackRoom, channel: str, *, private: bool = False) -> None:
    """Open a channel without the bot, and invite it."""
    room.open(channel, private=private, bot_in=False)
    room.slack.join(room.slack.bot_user, room.where(channel))
    await room.quiet()


async def test_it_says_once_what_it_is(redis_url: str) -> None:
    """Who runs it, what leaves the workspace, how to forget, and help; in public and private channels."""
    async with slack_room(redis_url, operator="The platform team (#help-it)") as room:
        for channel in ("#random", "#secret"):
            await invited(room, channel, private=channel == "#secret")
            [text] = await room.until(partial(introductions, room, channel))
            for part in ("nebula", "The platform team (#help-it) runs me", "Nebula Block", "!forget", "!help"):
                assert part in text
            assert "questions" in text
            assert "display names" in text
        message = room.said("#random")[0]
        assert not message.thread_ts
        assert not message.pings


async def test_without_an_operator_that_is_left_out(redis_url: str) -> None:
    """The rest stays."""
    async with slack_room(redis_url) as room:
        await invited(room, "#random")
        [text] = await room.until(lambda: introductions(room, "#random"))
        assert "runs me" not in text


async def test_it_does_so_once(redis_url: str) -> None:
    """However often Slack sends the event, in any process, and if it is removed and added again."""
    async with slack_room(redis_url) as room, process(room, redis_url):
        room.slack.redeliver(2)
        await invited(room, "#random")
        await room.until(lambda: introductions(room, "#random"))
        room.slack.leave(room.slack.bot_user, room.where("#random"))
        room.slack.join(room.slack.bot_user, room.where("#random"))
        await room.quiet()
        assert len(introductions(room, "#random")) == 1


async def test_one_that_slack_refused_is_tried_when_it_is_added_again(redis_url: str, redis_client: Redis) -> None:
    """Nobody has read it."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", faults.refused("restricted_action"))
        await invited(room, "#random")
        await room.until(lambda: "chat.postMessage" in [each.method for each in room.slack.calls])
        async with asyncio.timeout(HANG_SECONDS):  # Redis learns later than Slack that nobody has read it
            while await redis_client.keys("*:d:*/introduced"):
                await asyncio.sleep(0.01)
        assert not introductions(room, "#random")
        room.slack.leave(room.slack.bot_user, room.where("#random"))
        room.slack.join(room.slack.bot_user, room.where("#random"))
        await room.until(lambda: introductions(room, "#random"))


async def test_others_who_join_are_not_greeted(redis_url: str) -> None:
    """Nor is anybody in a direct message, or where nobody may ask, or if the operator wants none."""
    async with slack_room(redis_url) as room:
        room.slack.join(room.person("zoe"), room.where("#general"))
        await room.say("ann", "@ann", "hello")
        await room.until(lambda: room.said("@ann"))
        await room.quiet()
        assert not introductions(room, "#general")
        assert not introductions(room, "@ann")
    async with slack_room(redis_url, introduction="off") as room:
        await invited(room, "#random")
        assert not room.said("#random")
    async with slack_room(redis_url, access_deny="T0NEBULA") as room:
        await invited(room, "#random")
        assert not room.said("#random")
