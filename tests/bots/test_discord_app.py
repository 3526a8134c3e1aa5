"""The Discord adapter at the wire: an unmodified discord.py against the sandbox's Discord, with the whole core behind."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis.asyncio import Redis

from tests.bots.discord_harness import GENERAL, Room, room


@pytest_asyncio.fixture
async def here(redis_client: Redis) -> AsyncIterator[Room]:
    """A room where Discord sets no rate limits."""
    async with room(redis_client) as stage:
        yield stage


async def test_a_mention_is_answered_with_a_reply(here: Room) -> None:
    """A mention is answered with a reply to it, which pings nobody; the model reads the question without the mention."""
    here.nebula.answer_next("Hello **Ann**!")
    question = await here.say("ann", GENERAL, "@nebula hello")
    await here.until(lambda: here.said(GENERAL) == ["Hello **Ann**!"])
    assert here.asked().endswith("hello")
    [reply] = here.shown(GENERAL)
    assert reply.reference == question.id
    assert not reply.pings
