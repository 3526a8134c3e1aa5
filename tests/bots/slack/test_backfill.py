"""Questions asked while the bot was offline, at the wire: it finds them, once, and in their order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.methods.limits import SlackLimit
from bots.slack.inbound import backfill, presence
from bots.slack.manifest import FOR_HISTORY, SCOPES
from tests.bots.slack.harness import SlackRoom, process, slack_room
from tests.bots.slack.witness import Witness, witness
from tests.bounds import HANG_SECONDS

LISTED, HISTORY = "users.conversations", "conversations.history"


class Returned(Witness):
    """The dispatcher of a process that starts after an hour without one."""

    gap = 3600.0


@asynccontextmanager
async def alone(redis_url: str, **server: Any) -> AsyncIterator[SlackRoom]:
    """A room whose bot process has just exited."""
    options = {"retry_delays": (), **server}
    async with slack_room(redis_url, dispatcher=Witness, server=options) as room:
        await room.say("ann", "#general", "@nebula known")
        await room.quiet()
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        yield room


@asynccontextmanager
async def back(room: SlackRoom, redis_url: str) -> AsyncIterator[Witness]:
    """Start the next process, and wait until it has looked back."""
    async with process(room, redis_url, dispatcher=Returned) as (_, _, runner, _):
        seen = witness(room.dispatcher)
        if not seen.noted:
            await seen.closed()
        await runner.idle()
        yield seen


async def test_missed_questions_are_answered_in_their_order(redis_url: str) -> None:
    """Mentions in channels and threads, and everything in direct messages; nothing that was not for the bot."""
    async with alone(redis_url) as room:
        room.open("#secret", private=True)
        room.open("#closed", bot_in=False)
        root = await room.say("bob", "#general", "lunch?")
        await room.say("ann", "#general", "@nebula one")
        await room.say("bob", "#general", "no question")
        await room.say("ann", "@ann", "two")
        await room.say("bob", "#secret", "@nebula three")
        await room.say("bob", "#closed", "@nebula unheard")
        await room.say("ann", "#general", "unheard as well", root.ts)
        await room.slack.bot_says(room.slack.add_bot("other"), room.where("#general"), "@nebula not me")
        async with back(room, redis_url) as seen:
            fresh = [question.text for question in seen.late if question.text != "known"]
            assert fresh == ["one", "two", "three"]
        asked = [request.messages[-1].content for request in room.nebula.requests]
        assert [sum(word in each for each in asked) for word in ("known", "one", "two", "three")] == [1, 1, 1, 1]
        assert [len(room.said(channel)) for channel in ("#general", "@ann", "#secret")] == [2, 1, 1]


@pytest.mark.parametrize("http", [True, False])
async def test_the_next_process_finds_what_the_last_one_missed(
    redis_url: str, http: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From start to finish, based on what Redis knows about the time in between."""
    monkeypatch.setattr(presence, "SHORTEST_GAP_SECONDS", 0.0)
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.05)
    async with slack_room(redis_url, dispatcher=Witness, http=http, server={"retry_delays": ()}) as room:
        await witness(room.dispatcher).closed()
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        await room.say("ann", "#general", "@nebula hello")
        await room.until(lambda: not room.slack.pending)
        async with process(room, redis_url):
            await room.answered("#general", "stand-in")
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize("channel", ["#general", "@ann"])
async def test_a_question_in_an_older_thread_is_found(
    redis_url: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread involves the bot, but began before the gap, so recent messages do not include it."""
    monkeypatch.setattr(presence, "SHORTEST_GAP_SECONDS", 0.0)
    monkeypatch.setattr(backfill, "_MARGIN_SECONDS", 0.0)
    async with slack_room(redis_url, dispatcher=Witness, server={"retry_delays": ()}) as room:
        room.slack.backdate(3600)
        root = await room.say("ann", channel, "@nebula known")
        await room.quiet()
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        room.slack.backdate(0)

        class Later(Witness):
            """The dispatcher of a process that starts when none has listened for half an hour."""

            async def away(self, name: str, margin: float = 0.0) -> float:
                return 0.0 if self.noted else 1800.0

        await room.say("ann", channel, "@nebula one", root.ts)
        async with process(room, redis_url, dispatcher=Later) as (_, _, runner, _):
            seen = witness(room.dispatcher)
            await seen.closed()
            await runner.idle()
        assert [(question.text, question.place.thread) for question in seen.late] == [("one", root.ts)]
        assert len(room.said(channel, root.ts)) == 2


async def test_a_short_absence_costs_nothing(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart the bot asks Slack for nothing, and regularly records that it is listening."""
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.05)
    async with slack_room(redis_url, dispatcher=Witness) as room:
        await witness(room.dispatcher).closed()
        assert set(witness(room.dispatcher).noted) == {f"slack/{room.slack.team}"}
        assert not room.calls(LISTED)


async def test_a_new_connection_looks_back(redis_url: str) -> None:
    """Slack drops unacknowledged events while the socket is away."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        seen = witness(room.dispatcher)
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        seen.gap = 3600.0
        await room.slack.disconnect_sockets()
        async with asyncio.timeout(HANG_SECONDS):  # not the next note: it may be one that was begun before
            while seen.gap:
                await asyncio.sleep(0.01)
        assert [question.text for question in seen.late] == ["hello"]
        assert len(room.said("#general")) == 1


async def test_an_outage_of_redis_is_a_gap_too(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack gives up after three attempts; the socket stays open, so only the clock can reveal the gap."""
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.05)
    async with slack_room(redis_url, dispatcher=Witness, server={"retry_delays": ()}) as room:
        seen = witness(room.dispatcher)
        seen.broken = 1
        await room.say("ann", "@ann", "hello")
        await seen.failed(0)
        room.slack.expire_acknowledgements()
        await room.quiet()
        assert room.said("@ann") == ()
        seen.gap = 3600.0
        await room.answered("@ann", "")


async def test_without_the_history_scopes_channels_are_not_searched(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An app with an older manifest works as before; one line, not a warning, says what it lacks."""
    caplog.set_level(logging.INFO)
    granted = frozenset(SCOPES) - FOR_HISTORY - {"im:history", "mpim:history"}
    async with alone(redis_url, scopes=granted | {"im:history"}) as room:
        await room.say("ann", "#general", "@nebula lost")
        await room.say("ann", "@ann", "found")
        async with back(room, redis_url) as seen:
            assert [question.text for question in seen.late] == ["found"]
        assert {call.arguments["types"] for call in room.calls(LISTED)} == {"im"}
    lines = [record for record in caplog.records if "can't read channel messages" in record.getMessage()]
    assert {record.levelno for record in lines} == {logging.INFO}
    assert not [record for record in caplog.records if "history" in record.getMessage() and "lacks" not in record.msg]


@pytest.mark.parametrize("method", [LISTED, HISTORY])
@pytest.mark.parametrize("fault", [faults.rate_limited(1), faults.server_error()], ids=["429", "503"])
async def test_looking_back_waits_for_slack(
    redis_url: str, method: str, fault: faults.SlackFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's rate limits and temporary failures delay it, and lose nothing."""
    monkeypatch.setattr(backfill, "_PAUSE_SECONDS", 0.05)
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        room.slack.faults.add(method, fault)
        async with back(room, redis_url) as seen:
            assert "one" in [question.text for question in seen.late]


async def test_looking_back_is_retried(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Slack or Redis fails the gap stays open, so that this process or the next can close it."""
    monkeypatch.setattr(backfill, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.05)
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        room.slack.faults.add(LISTED, faults.server_error(), times=None)
        async with process(room, redis_url, dispatcher=Returned) as (_, _, runner, _):
            seen = witness(room.dispatcher)
            await room.until(lambda: len(room.calls(LISTED)) > 6)
            assert seen.noted == []
            seen.broken = 1
            room.slack.faults.clear()
            await seen.closed()
            await runner.idle()
        assert len(room.said("#general")) == 2


async def test_an_unreadable_channel_does_not_hide_the_others(redis_url: str) -> None:
    """It is skipped."""
    async with alone(redis_url) as room:
        room.slack.faults.add(HISTORY, faults.refused("not_in_channel"))
        await room.say("ann", "@ann", "one")
        async with back(room, redis_url) as seen:
            assert [question.text for question in seen.late] == ["one"]


async def test_pages_are_read_to_the_beginning_of_the_gap(redis_url: str) -> None:
    """A busy channel has more messages than one page holds."""
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        for number in range(130):
            await room.say("bob", "#general", f"talk {number}")
        async with back(room, redis_url) as seen:
            assert "one" in [question.text for question in seen.late]
        assert len(room.calls(HISTORY)) == 2


async def test_calls_are_paced(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many conversations are searched at the rate that Slack allows, which leaves a share for replies."""
    monkeypatch.setattr(backfill, "_CALLS", 3)
    monkeypatch.setattr(backfill, "_MINUTE_SECONDS", 0.2)
    async with alone(redis_url, limits={HISTORY: SlackLimit(4, 0.2)}) as room:
        for number in range(9):
            room.open(f"#room{number}")
            await room.say("bob", f"#room{number}", f"@nebula question {number}")
        async with back(room, redis_url) as seen:
            assert [question.text for question in seen.late][1:] == [f"question {number}" for number in range(9)]
        assert {call.error for call in room.calls(HISTORY)} == {""}
