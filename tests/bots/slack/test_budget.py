"""More questions at once than a workspace has edits for: every answer is whole, and Slack refuses no call."""

from collections import Counter
from functools import partial

import pytest

from bots.sandbox.slack.methods.limits import SLACK_LIMITS
from bots.sandbox.slack.workspace.values import SlackMessage
from tests.bots.slack.harness import SlackRoom, slack_room

QUESTIONS, AT_ONCE = 80, 16
WORDS = " ".join(f"word{number}" for number in range(20))


def asked(room: SlackRoom, many: int) -> bool:
    """Whether the model has been asked as often as this."""
    return len(room.nebula.requests) == many


@pytest.mark.parametrize("streaming", ["auto", "edit"])
async def test_a_burst_larger_than_the_budget(redis_url: str, streaming: str) -> None:
    """As many replies grow as can be sure of their end, by edits or as streams; each other one is one post, whole."""
    async with slack_room(redis_url, server={"limits": SLACK_LIMITS}, hasty=False, reply_streaming=streaming) as room:
        rooms = [f"#room{number}" for number in range(QUESTIONS)]
        for name in rooms:
            room.open(name)
        gate = room.held(after=10)
        for number, name in enumerate(rooms, 1):
            room.nebula.answer_next(WORDS)
            await room.say("ann", name, "@nebula hello")
            if number % AT_ONCE == 0:  # no answer ends before the gate opens: all of them want their calls at once
                await room.nebula.until(partial(asked, room, number))
        await room.until(lambda: room.drawn() >= 40)
        gate.set()
        await room.quiet()
        replies = [only for name in rooms for only in room.said(name)]
        assert [reply.shown for reply in replies] == [WORDS] * QUESTIONS
        assert not [call for call in room.slack.calls if call.status == 429]
        edits = Counter(call.arguments["ts"] for call in room.calls("chat.update"))
        streams = len(room.calls("chat.startStream"))
        assert len(edits) > 20
        assert bool(streams) is (streaming == "auto")
        whole = [reply for reply in replies if len(reply.frames) == 1]
        assert len(whole) == QUESTIONS - len(edits) - streams >= QUESTIONS - 48 - 19
        assert not [reply for reply in whole if _touched(reply, edits)]


def _touched(reply: SlackMessage, edits: Counter[object]) -> bool:
    return reply.ts in edits or bool(reply.streaming)
