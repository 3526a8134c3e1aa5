"""Questions put while nobody listened, at the wire: they are found, once, and in their order."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bots.sandbox.slack import faults
from bots.sandbox.slack.limits import Limit
from bots.slack.inbound import backfill as missed
from bots.slack.inbound import presence
from bots.slack.manifest import OF_HISTORY, SCOPES
from tests.bots.slack.harness import Room, process, slack_room
from tests.bots.slack.witness import Witness, witness

LISTED, HISTORY = "users.conversations", "conversations.history"


class Returned(Witness):
    """Of a process that comes after an hour without one."""

    gap = 3600.0


@asynccontextmanager
async def alone(redis_url: str, **server: Any) -> AsyncIterator[Room]:
    """A room from which the bot's process has just gone."""
    options = {"retry_delays": (), **server}
    async with slack_room(redis_url, front=Witness, server=options) as room:
        await room.say("ann", "#general", "@nebula known")
        await room.quiet()
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        yield room


@asynccontextmanager
async def back(room: Room, redis_url: str) -> AsyncIterator[Witness]:
    """The next process, once it has looked back."""
    async with process(room, redis_url, front=Returned) as (_, _, intake, _):
        told = witness(room.front)
        if not told.noted:
            await told.closed()
        await intake.idle()
        yield told


async def test_missed_questions_are_answered_in_their_order(redis_url: str) -> None:
    """Mentions in channels and threads, all that people write directly; nothing that was not for the bot."""
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
        async with back(room, redis_url) as told:
            fresh = [mention.text for mention in told.late if mention.text != "known"]
            assert fresh == ["one", "two", "three"]
        asked = [request.messages[-1].content for request in room.nebula.requests]
        assert [sum(word in each for each in asked) for word in ("known", "one", "two", "three")] == [1, 1, 1, 1]
        assert [len(room.said(channel)) for channel in ("#general", "@ann", "#secret")] == [2, 1, 1]


@pytest.mark.parametrize("http", [True, False])
async def test_the_next_process_finds_what_the_last_did_not_hear(
    redis_url: str, http: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From beginning to end, by what Redis knows of the time between the two."""
    monkeypatch.setattr(presence, "SHORT", 0.0)
    monkeypatch.setattr(presence, "EVERY", 0.05)
    async with slack_room(redis_url, front=Witness, http=http, server={"retry_delays": ()}) as room:
        await witness(room.front).closed()
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
    """Of a conversation that the bot has a part in: it began before the gap, and is not in what was written since."""
    monkeypatch.setattr(presence, "SHORT", 0.0)
    monkeypatch.setattr(missed, "_MARGIN", 0.0)
    async with slack_room(redis_url, front=Witness, server={"retry_delays": ()}) as room:
        room.slack.lies_back(3600)
        root = await room.say("ann", channel, "@nebula known")
        await room.quiet()
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        room.slack.lies_back(0)

        class Later(Witness):
            """Of a process that comes when nobody has listened for half an hour."""

            async def away(self, name: str) -> float:
                return 0.0 if self.noted else 1800.0

        await room.say("ann", channel, "@nebula one", root.ts)
        async with process(room, redis_url, front=Later) as (_, _, intake, _):
            told = witness(room.front)
            await told.closed()
            await intake.idle()
        assert [(mention.text, mention.place.thread) for mention in told.late] == [("one", root.ts)]
        assert len(room.said(channel, root.ts)) == 2


async def test_a_short_absence_is_no_work(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart asks Slack for nothing, and says now and then that somebody listens."""
    monkeypatch.setattr(presence, "EVERY", 0.05)
    async with slack_room(redis_url, front=Witness) as room:
        await witness(room.front).closed()
        assert set(witness(room.front).noted) == {f"slack/{room.slack.team}"}
        assert not room.calls(LISTED)


async def test_a_new_connection_looks_back(redis_url: str) -> None:
    """Slack drops what nobody took while the socket was away."""
    async with slack_room(redis_url, front=Witness) as room:
        told = witness(room.front)
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        told.gap = 3600.0
        await room.slack.disconnect_sockets()
        await told.closed()
        assert [mention.text for mention in told.late] == ["hello"]
        assert len(room.said("#general")) == 1


async def test_an_outage_of_redis_is_a_gap_too(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack gives up after three attempts; the socket stays, so nothing but the clock can tell."""
    monkeypatch.setattr(presence, "EVERY", 0.05)
    async with slack_room(redis_url, front=Witness, server={"retry_delays": ()}) as room:
        told = witness(room.front)
        told.broken = 1
        await room.say("ann", "@ann", "hello")
        await told.failed(0)
        room.slack.give_up_waiting()
        await room.quiet()
        assert room.said("@ann") == ()
        told.gap = 3600.0
        await room.answered("@ann", "")


async def test_without_history_nothing_is_looked_for(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """An app of an older manifest works as it did; one line tells what it lacks, and it is no warning."""
    caplog.set_level(logging.INFO)
    granted = frozenset(SCOPES) - OF_HISTORY - {"im:history", "mpim:history"}
    async with alone(redis_url, scopes=granted | {"im:history"}) as room:
        await room.say("ann", "#general", "@nebula lost")
        await room.say("ann", "@ann", "found")
        async with back(room, redis_url) as told:
            assert [mention.text for mention in told.late] == ["found"]
        assert {call.arguments["types"] for call in room.calls(LISTED)} == {"im"}
    lines = [record for record in caplog.records if "can't read along" in record.getMessage()]
    assert {record.levelno for record in lines} == {logging.INFO}
    assert not [record for record in caplog.records if "history" in record.getMessage() and "lacks" not in record.msg]


@pytest.mark.parametrize("method", [LISTED, HISTORY])
@pytest.mark.parametrize("fault", [faults.rate_limited(1), faults.server_error()], ids=["429", "503"])
async def test_looking_back_has_patience(
    redis_url: str, method: str, fault: faults.Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's limits and passing troubles put it off, and lose nothing."""
    monkeypatch.setattr(missed, "_PAUSE", 0.05)
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        room.slack.faults.add(method, fault)
        async with back(room, redis_url) as told:
            assert "one" in [mention.text for mention in told.late]


async def test_looking_back_is_tried_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as Slack or Redis fails the gap stays open, so that this process or the next can close it."""
    monkeypatch.setattr(missed, "_PAUSE", 0.0)
    monkeypatch.setattr(presence, "EVERY", 0.05)
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        room.slack.faults.add(LISTED, faults.server_error(), times=None)
        async with process(room, redis_url, front=Returned) as (_, _, intake, _):
            told = witness(room.front)
            await room.until(lambda: len(room.calls(LISTED)) > 6)
            assert told.noted == []
            told.broken = 1
            room.slack.faults.clear()
            await told.closed()
            await intake.idle()
        assert len(room.said("#general")) == 2


async def test_a_channel_that_can_not_be_read_hides_no_other(redis_url: str) -> None:
    """It is passed over."""
    async with alone(redis_url) as room:
        room.slack.faults.add(HISTORY, faults.refused("not_in_channel"))
        await room.say("ann", "@ann", "one")
        async with back(room, redis_url) as told:
            assert [mention.text for mention in told.late] == ["one"]


async def test_pages_are_read_to_the_beginning_of_the_gap(redis_url: str) -> None:
    """A busy channel has more messages than one page holds."""
    async with alone(redis_url) as room:
        await room.say("ann", "#general", "@nebula one")
        for number in range(130):
            await room.say("bob", "#general", f"talk {number}")
        async with back(room, redis_url) as told:
            assert "one" in [mention.text for mention in told.late]
        assert len(room.calls(HISTORY)) == 2


async def test_calls_are_paced(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many conversations are looked through at the speed that Slack allows, so that replies keep their share."""
    monkeypatch.setattr(missed, "_CALLS", 3)
    monkeypatch.setattr(missed, "_MINUTE", 0.2)
    async with alone(redis_url, limits={HISTORY: Limit(4, 0.2)}) as room:
        for number in range(9):
            room.open(f"#room{number}")
            await room.say("bob", f"#room{number}", f"@nebula question {number}")
        async with back(room, redis_url) as told:
            assert [mention.text for mention in told.late][1:] == [f"question {number}" for number in range(9)]
        assert {call.error for call in room.calls(HISTORY)} == {""}
