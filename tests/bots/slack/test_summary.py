"""What no longer fits, at the wire of Slack: a thread of sixty questions in a small window."""

from typing import Any

from redis.asyncio import Redis

from bots.sandbox.slack.workspace.values import SlackMessage
from tests.bots.slack.harness import SlackRoom, empty_room, process
from tests.core.summaries.scribe import CATALOG, MODEL, asked, known, plain, scribe, summaries

CONFIG: dict[str, Any] = {"nebula_model": MODEL, "encryption_keys": "k1:MDEyMzQ1Njc4OWFiY2RlZg=="}


async def ask(room: SlackRoom, text: str, root: SlackMessage) -> None:
    """Ann goes on in her thread, and waits for the answer."""
    before = len(asked(room.nebula))
    await room.say("ann", "#general", text, root.ts)
    await room.until(lambda: len(asked(room.nebula)) > before)
    await room.quiet()


async def sixty(room: SlackRoom) -> SlackMessage:
    """Ann tells sixty facts in a thread; returns its root, once the first fact is summarised and told to the model."""
    root = await room.say("ann", "#general", "@nebula Note fact-0: it matters.")
    await room.until(lambda: room.said("#general", root.ts))
    await room.quiet()
    for number in range(1, 60):
        await ask(room, f"Note fact-{number}: it matters.", root)
    return root


async def test_the_first_fact_outlives_a_restart(redis_url: str, redis_client: Redis) -> None:
    """After sixty questions another process tells the model of it; small print says so; in Redis nobody can read it."""
    async with empty_room() as room:
        room.nebula.models, room.nebula.say = CATALOG, scribe
        async with process(room, redis_url, **CONFIG) as bot:
            room.config, room.platform, room.runner, room.running = bot
            root = await sixty(room)
        async with process(room, redis_url, **CONFIG) as bot:
            room.config, room.platform, room.runner, room.running = bot
            await ask(room, "What was the first fact?", root)
        assert "fact-0" in known(room.nebula)
        assert len(summaries(room.nebula)) <= 5
        assert any("questions are summarised." in text for text in room.shown("#general", root.ts))
        assert not any(b"fact" in each for each in await plain(redis_client))


async def test_what_people_take_back_leaves_the_summary(redis_url: str) -> None:
    """A deleted message, and then all that its author asked."""
    async with empty_room() as room:
        room.nebula.models, room.nebula.say = CATALOG, scribe
        async with process(room, redis_url, **CONFIG) as bot:
            room.config, room.platform, room.runner, room.running = bot
            root = await sixty(room)
            await ask(room, "And now?", root)
            assert {"fact-1", "fact-2"} <= known(room.nebula)
            gone = next(each for each in room.slack.messages(root.channel, root.ts) if "fact-1:" in each.text)
            await room.slack.delete(gone.user, gone.channel, gone.ts)
            await room.quiet()
            await ask(room, "And now?", root)
            assert "fact-1" not in known(room.nebula)
            answer = await room.slash("ann", "#general", "forget me")
            await room.until(lambda: answer.messages)
            await ask(room, "@nebula And now?", root)  # it is forgotten too who asked in the thread
            assert not known(room.nebula)
            assert len(asked(room.nebula)[-1].messages) == 2
