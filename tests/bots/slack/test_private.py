"""Private answers in Slack at the wire: what the person sees of them, sharing, and addresses that work no more."""

import asyncio
import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.manifest import SCOPES, SUMMARISE_THREAD
from bots.slack.outbound.ephemeral_surface import THINKING
from bots.slack.outbound.private_file import DIRECTLY
from bots.slack.outbound.responses import NOT_SHARED
from core.domain.ports import waiting
from core.domain.turn_id import Step
from core.inbound.buttons import NOT_KEPT, NOT_YOURS, OVER, SHARED
from core.reply.layout import IN_FILE, NO_FILE, STOPPED
from tests.bots.slack.harness import SlackRoom, empty_room, process, slack_room
from tests.bots.slack.test_streaming import program
from tests.bounds import HANG_SECONDS
from tests.scenarios.warm import started

STOP, SHARE, UNDO = "nebula_reply_stop", "nebula_reply_share", "nebula_reply_undo"
PARAGRAPHS = [f"Paragraph {number:03}. " + "word " * 120 for number in range(80)]  # about five messages


def seen(room: SlackRoom, who: str = "ann", channel: str = "") -> list[SlackMessage]:
    """What only this person sees, oldest first."""
    found = room.slack.ephemerals(room.where(channel) if channel else "", room.people[who])
    return sorted(found, key=lambda each: float(each.ts))


def shown(room: SlackRoom, who: str = "ann") -> list[str]:
    return [each.shown for each in seen(room, who)]


async def ask(room: SlackRoom, answer: str, channel: str = "#general", text: str = "why?") -> None:
    """Ask in private as ann, and wait for the end."""
    room.nebula.answer_next(answer)
    await room.slash("ann", channel, f"ask --private {text}")
    await room.nebula.until(lambda: bool(room.nebula.requests) and room.nebula.requests[-1].finished)
    await room.quiet()


async def press(room: SlackRoom, message: SlackMessage, button: str, who: str = "ann") -> list[str]:
    """Press a button; return what only the person who pressed reads about it."""
    before = shown(room, who)
    answer = await room.slack.press(room.people[who], message, button)
    assert answer.problem == ""
    await room.until(lambda: answer.messages or room.said("#general"))
    return [each for each in shown(room, who) if each not in before]


@pytest.mark.parametrize("replaces", [True, False])
async def test_the_answer_follows_a_sign_that_the_model_thinks(redis_url: str, replaces: bool) -> None:
    """Where Slack replaces that, it is gone; where Slack shows a further message, both read well. Nothing grows."""
    async with slack_room(redis_url, server={"replaces": replaces}) as room:
        gate = room.held(after=10)
        room.nebula.answer_next("word " * 30 + "end")
        await room.slash("ann", "#general", "ask --private why?")
        await room.until(lambda: shown(room) == [THINKING])
        (note,) = seen(room)
        assert note.buttons == (STOP,)
        gate.set()
        await room.until(lambda: shown(room)[-1].endswith("end"))
        await room.quiet()
        answer = f"ann: why?\n\n{'word ' * 30}end"
        assert shown(room) == ([answer] if replaces else [THINKING, answer])
        assert [len(each.frames) for each in seen(room)] == ([2] if replaces else [1, 1])
        assert seen(room)[-1].buttons == (SHARE, UNDO)
        assert not seen(room)[-1].unfurls


async def second_waits(room: SlackRoom, answer: str) -> asyncio.Event:
    """Ask twice in private, so that the second question, which gets this answer, waits until the event is set."""
    gate = room.held(after=3)
    room.nebula.answer_next("The first answer is this.")
    await room.slash("ann", "#general", "ask --private first?")
    await room.until(lambda: shown(room) == [THINKING])
    room.nebula.answer_next(answer)
    await room.slash("ann", "#general", "ask --private second?")
    await room.until(lambda: waiting(1) in shown(room))
    return gate


async def test_a_waiting_question_says_so(redis_url: str) -> None:
    """Private questions of one person are answered one after the other."""
    async with slack_room(redis_url) as room:
        gate = await second_waits(room, "Second.")
        room.at_once()
        gate.set()
        await room.until(lambda: len(shown(room)) == 2 and shown(room)[1].endswith("Second."))
        await room.quiet()
        assert shown(room) == ["ann: first?\n\nThe first answer is this.", "ann: second?\n\nSecond."]


async def test_stop_ends_a_private_answer(redis_url: str) -> None:
    """The button under the sign finds the answer, though Slack returns no id for it."""
    async with slack_room(redis_url) as room:
        room.nebula.fault(NebulaFault(stall_after=20))
        room.nebula.answer_next("word " * 60)
        await room.slash("ann", "#general", "ask --private talk")
        await room.until(lambda: shown(room) == [THINKING])
        await room.nebula.until(lambda: bool(room.nebula.requests))
        await room.slack.press(room.people["ann"], seen(room)[0], STOP)
        await room.until(lambda: STOPPED in shown(room)[-1])
        await room.quiet()
        assert not room.said("#general")


async def test_an_old_stop_ends_no_newer_answer(redis_url: str) -> None:
    """Where the sign of an answer stays, its button is of that answer alone."""
    async with slack_room(redis_url, server={"replaces": False}) as room:
        await ask(room, "First.")
        old = seen(room)[0]
        assert old.buttons == (STOP,)
        gate = room.held(after=3)
        room.nebula.answer_next("The second answer is this.")
        await room.slash("ann", "#general", "ask --private second?")
        await room.until(lambda: shown(room).count(THINKING) == 2)
        stale = await room.slack.press(room.people["ann"], old, STOP)
        assert [each.shown for each in await room.until(lambda: stale.messages)] == [OVER]
        gate.set()
        await room.until(lambda: shown(room)[-1].endswith("The second answer is this."))


# --- sharing ---


@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
async def test_an_answer_is_shared_once_where_the_bot_is_no_member(redis_url: str, http: bool) -> None:
    """Everybody reads who shares what; it pings nobody and unfurls nothing; a second press has no effect."""
    async with slack_room(redis_url, http=http) as room:
        room.open("#far", bot_in=False)
        text = "<!here> <@U00000002> @channel see https://example.com"
        await ask(room, text, "#far", "why, <!channel>?")
        (answer,) = seen(room)
        both = [await room.slack.press(room.people["ann"], answer, SHARE) for _ in range(2)]
        (public,) = await room.until(lambda: room.said("#far"))
        assert public.shown.startswith("**ann** shares an answer to: why, ")
        assert "see https://example.com" in public.shown
        assert (public.pings, public.unfurls, public.only_for, public.thread_ts) == ((), False, "", "")
        await room.until(lambda: SHARED in shown(room))
        assert len(room.said("#far")) == 1
        assert {each.problem for each in both} == {""}


async def test_an_answer_is_shared_in_its_thread(redis_url: str) -> None:
    """A summary goes below the message that began the thread, wherever it was shown in private."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "the deploy failed")
        await room.say("bob", "#general", "disk full", root.ts)
        room.nebula.answer_next("Summed up.")
        await room.slack.shortcut(room.people["ann"], root, SUMMARISE_THREAD)
        await room.until(lambda: shown(room) and shown(room)[0].endswith("Summed up."))
        await room.quiet()
        assert seen(room)[0].thread_ts == ""
        await room.slack.press(room.people["ann"], seen(room)[0], SHARE)
        (public,) = await room.until(lambda: room.said("#general"))
        assert public.thread_ts == root.ts


@pytest.mark.parametrize("code", ["restricted_action", "is_archived", "channel_not_found"])
async def test_what_slack_refuses_to_share_may_be_shared_again(redis_url: str, redis_client: Redis, code: str) -> None:
    """The person reads why, and loses nothing."""
    async with slack_room(redis_url) as room:
        await ask(room, "Because.")
        (answer,) = seen(room)
        room.slack.faults.add("response_url", faults.refused(code))
        (told,) = await press(room, answer, SHARE)
        assert told == NOT_SHARED.format(f" (`{code}`)")
        assert not room.said("#general")
        async with asyncio.timeout(HANG_SECONDS):  # the person may read why before Redis knows it
            while await redis_client.keys(f"*:d:*/{Step.SHARED}"):
                await asyncio.sleep(0.01)
        assert await press(room, answer, SHARE) == []
        assert room.shown("#general")[0].endswith("Because.")


async def test_only_the_owner_shares(redis_url: str) -> None:
    """A forged press of somebody else shows nothing."""
    async with slack_room(redis_url) as room:
        await ask(room, "Because.")
        (answer,) = seen(room)
        assert await press(room, answer, SHARE, "bob") == [NOT_YOURS]
        assert not room.said("#general")


async def test_a_forgotten_answer_is_not_shared(redis_url: str) -> None:
    """The person reads why."""
    async with slack_room(redis_url) as room:
        await ask(room, "Because.")
        (answer,) = seen(room)
        forgotten = await room.slash("ann", "#general", "forget")
        await room.until(lambda: forgotten.messages)
        assert await press(room, answer, SHARE) == [NOT_KEPT]


async def test_sharing_works_after_a_restart(redis_url: str) -> None:
    """A button names its answer: any process knows what to do."""
    async with slack_room(redis_url) as room:
        await ask(room, "Because.")
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        async with process(room, redis_url):
            await room.slack.press(room.people["ann"], seen(room)[0], SHARE)
            await room.answered("#general", "Because.")


# --- long answers ---


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_long_answer_takes_several_messages(redis_url: str, replaces: bool) -> None:
    """Each part is there once, in order."""
    async with slack_room(redis_url, server={"replaces": replaces}) as room:
        await ask(room, "\n\n".join(PARAGRAPHS[:30]))
        text = "\n\n".join(each for each in shown(room) if each != THINKING)
        assert re.findall(r"Paragraph (\d{3})", text) == [f"{number:03}" for number in range(30)]
        assert len(seen(room)) == (2 if replaces else 3)
        assert [each.buttons for each in seen(room)[-2:]] == [(), (SHARE, UNDO)]


@pytest.mark.parametrize("replaces", [True, False])
async def test_of_a_longer_answer_the_rest_comes_as_a_private_file(redis_url: str, replaces: bool) -> None:
    """In the direct messages of the person: the five uses of the address are not enough, and others see nothing."""
    async with slack_room(redis_url, server={"replaces": replaces}) as room:
        await ask(room, "\n\n".join(PARAGRAPHS))
        await room.until(lambda: DIRECTLY in shown(room))
        assert IN_FILE in shown(room)[-2]
        (shared,) = room.said("@ann")
        assert [file.data.decode() for file in shared.files] == ["\n\n".join(PARAGRAPHS)]
        assert not room.said("#general")


async def test_of_a_longer_answer_that_waited_nothing_is_lost_either(redis_url: str) -> None:
    """It was said that the question waits, and that the model thinks: two of the five uses."""
    async with slack_room(redis_url) as room:
        gate = await second_waits(room, "\n\n".join(PARAGRAPHS))
        room.at_once()
        gate.set()
        await room.until(lambda: DIRECTLY in shown(room))
        await room.quiet()
        assert IN_FILE in shown(room)[-2]
        assert seen(room)[-2].buttons == (SHARE, UNDO)
        assert [len(each.files) for each in room.said("@ann")] == [1]


async def test_without_the_right_to_send_files_the_rest_is_left_out(redis_url: str) -> None:
    """An app with an older manifest says so below, without showing the last part once more."""
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES) - {"im:write"}}) as room:
        await ask(room, "\n\n".join(PARAGRAPHS))
        assert shown(room)[-1] == NO_FILE
        assert len(re.findall(r"Paragraph 000", "".join(shown(room)))) == 1
        assert not room.said("@ann")
        assert not room.said("#general")


async def test_all_of_an_answer_that_is_too_long_to_share_is_not_lost(redis_url: str) -> None:
    """What the press's address can't show is said to be left out."""
    async with slack_room(redis_url) as room:
        await ask(room, "\n\n".join(PARAGRAPHS * 2))
        last = next(each for each in seen(room) if SHARE in each.buttons)
        await room.slack.press(room.people["ann"], last, SHARE)
        await room.until(lambda: len(room.said("#general")) == 5)
        assert NO_FILE in room.shown("#general")[-1]


# --- addresses that do not work ---


@pytest.mark.parametrize("fault", [faults.refused("used_url"), faults.refused("expired_url"), faults.page("gone", 404)])
async def test_what_the_address_refuses_comes_as_a_direct_message(redis_url: str, fault: faults.SlackFault) -> None:
    """Never as a public one; there is nothing to share there."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("response_url", fault, times=None)
        await ask(room, "Because.")
        (reply,) = room.said("@ann")
        assert reply.shown == "ann: why?\n\nBecause."
        assert SHARE not in reply.buttons
        assert not room.said("#general")


async def test_an_address_that_is_too_old_is_not_tried(redis_url: str) -> None:
    """Somebody fills in the form after half an hour: Slack would refuse the answer."""
    async with slack_room(redis_url, server={"response_seconds": 0.0}) as room:
        await ask(room, "Because.")
        assert room.shown("@ann") == ["ann: why?\n\nBecause."]
        assert not room.said("#general")


async def test_an_address_that_dies_between_two_messages(redis_url: str) -> None:
    """The rest comes directly; no part is missing."""
    async with slack_room(redis_url) as room:
        gate = room.held()
        room.nebula.answer_next("\n\n".join(PARAGRAPHS[:30]))
        await room.slash("ann", "#general", "ask --private why?")
        await room.until(lambda: shown(room) == [THINKING])
        room.slack.faults.add("response_url", faults.applied_then_slow(0))
        room.slack.faults.add("response_url", faults.refused("used_url"), times=None)
        gate.set()
        await room.until(lambda: room.said("@ann") and "Paragraph 029" in room.shown("@ann")[-1])
        text = "\n\n".join([*shown(room), *room.shown("@ann")])
        assert re.findall(r"Paragraph (\d{3})", text) == [f"{number:03}" for number in range(30)]
        assert not room.said("#general")


@pytest.mark.parametrize(
    "fault", [faults.rate_limited(0), faults.server_error(), faults.refused("a_new_code"), faults.applied_then_reset()]
)
async def test_trouble_that_passes_is_waited_for(redis_url: str, fault: faults.SlackFault) -> None:
    """The answer appears all the same, in the same place."""
    async with slack_room(redis_url) as room:
        gate = room.held()
        room.nebula.answer_next("Because.")
        await room.slash("ann", "#general", "ask --private why?")
        await room.until(lambda: shown(room) == [THINKING])
        room.slack.faults.add("response_url", fault)
        gate.set()
        await room.until(lambda: shown(room) == ["ann: why?\n\nBecause."])
        await room.quiet()
        assert not room.said("@ann")


async def test_a_code_that_stays_unknown_ends_as_a_direct_message(redis_url: str) -> None:
    """After a few attempts."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("response_url", faults.refused("a_new_code"), times=None)
        await ask(room, "Because.")
        assert room.shown("@ann") == ["ann: why?\n\nBecause."]


async def test_markdown_blocks_may_be_missing(redis_url: str) -> None:
    """Then there are sections."""
    async with slack_room(redis_url) as room:
        gate = room.held()
        room.nebula.answer_next("**Because.**")
        await room.slash("ann", "#general", "ask --private why?")
        await room.until(lambda: shown(room) == [THINKING])
        room.slack.faults.add("response_url", faults.refused("invalid_blocks"))
        gate.set()
        await room.until(lambda: "Because." in shown(room)[0])
        assert [block["type"] for block in seen(room)[0].blocks] == ["context", "section", "actions"]


# --- restarts ---


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_private_question_outlives_its_process(redis_url: str, tmp_path: Path, replaces: bool) -> None:
    """SIGKILL between question and answer: the next process answers with what uses are left, for the person alone."""
    async with empty_room({"replaces": replaces}) as room:
        room.open("#far", bot_in=False)
        message = await room.say("bob", "#far", "the disk is full")
        async with started(tmp_path, "run", **program(room, redis_url)) as killed:
            await room.until(lambda: room.slack.sockets)
            room.held(after=3)
            room.nebula.answer_next("half " * 30)
            await room.slack.shortcut(room.people["ann"], message, SUMMARISE_THREAD)
            await room.until(lambda: shown(room) == [THINKING])
            await room.nebula.until(lambda: bool(room.nebula.requests))
            killed.kill()
            await killed.wait()
        room.at_once()
        room.nebula.answer_next("All of it.")
        async with process(room, redis_url, lease=1):
            await room.until(lambda: shown(room)[-1].endswith("All of it."))
        assert shown(room)[:-1] == ([] if replaces else [THINKING])
        assert not room.said("#far")
        assert not room.said("@ann")
        assert "the disk is full" in room.nebula.requests[-1].messages[-1].content


@pytest.mark.parametrize("answer", ["First.", "\n\n".join(PARAGRAPHS[:30])], ids=["one", "two"])
async def test_what_a_killed_process_had_shown_is_finished(redis_url: str, tmp_path: Path, answer: str) -> None:
    """SIGKILL before Slack confirms the last message: the first one is replaced, and nothing becomes public."""
    async with empty_room() as room:
        confirmed = asyncio.Event()
        async with started(tmp_path, "run", **program(room, redis_url)) as killed:
            await room.until(lambda: room.slack.sockets)
            gate = room.held()
            room.nebula.answer_next(answer)
            await room.slash("ann", "#general", "ask --private why?")
            await room.until(lambda: shown(room) == [THINKING])
            parts = 1 if answer == "First." else 2
            for _ in range(parts - 1):
                room.slack.faults.add("response_url", faults.applied_then_slow(0))
            room.slack.faults.add("response_url", faults.applied_then_held(confirmed))
            gate.set()
            await room.until(lambda: len(shown(room)) == parts and answer[-20:].strip() in shown(room)[-1])
            killed.kill()
            await killed.wait()
        confirmed.set()
        room.at_once()
        room.nebula.answer_next("All of it.")
        async with process(room, redis_url, lease=1):
            await room.until(lambda: shown(room)[0] == "ann: why?\n\nAll of it.")
            await room.until(lambda: SHARE in seen(room)[0].buttons)
        assert len(shown(room)) == parts
        assert not room.said("#general")
