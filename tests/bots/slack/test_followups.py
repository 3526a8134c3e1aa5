"""Messages without a mention, at the wire: which of them the bot answers, and which never."""

from collections.abc import Awaitable
from typing import Any

import pytest

from bots.sandbox.slack.workspace.values import SlackFile
from bots.slack.api.workspace import Identity
from bots.slack.inbound.events import RawQuestion, read
from tests.bots.slack.harness import SlackRoom, process, slack_room
from tests.bots.slack.test_backfill import alone, back

GENERAL = "#general"
ME = Identity("T1", "U0", "B0")


async def opened(room: SlackRoom, who: str = "ann") -> str:
    """Ask in the channel; return the thread that this opens."""
    asked = await room.say(who, GENERAL, "@nebula why?")
    await room.quiet()
    return asked.ts


def seen(room: SlackRoom) -> tuple[int, int, int]:
    """How much the bot has asked the model, and shown to everybody and to single people."""
    return len(room.nebula.requests), len(room.said(GENERAL)), len(room.slack.ephemerals(room.where(GENERAL)))


async def is_answered(room: SlackRoom, who: str, text: str, thread: str = "", **how: Any) -> bool:
    """Write a message, and see whether it becomes a question: nothing but one answer may appear."""
    return await answers(room, room.say(who, GENERAL, text, thread, **how))


async def answers(room: SlackRoom, message: Awaitable[object]) -> bool:
    """Whether the bot answers this message."""
    asked, shown, whispered = seen(room)
    await message
    await room.quiet()
    assert seen(room) in ((asked, shown, whispered), (asked + 1, shown + 1, whispered)), room.shown(GENERAL)
    return seen(room)[0] > asked


async def test_whoever_asked_goes_on(redis_url: str) -> None:
    """In the thread that the question opened; another person does so after asking there too."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        assert await is_answered(room, "ann", "and in Rust?", thread)
        assert not await is_answered(room, "bob", "I like Rust", thread)
        assert await is_answered(room, "bob", "@nebula me too?", thread)
        assert await is_answered(room, "bob", "and in C?", thread)
        assert not await is_answered(room, "ann", "lunch?")
        assert room.nebula.requests[-1].messages[-1].content == "bob: and in C?"


async def test_what_is_never_for_the_bot(redis_url: str) -> None:
    """By somebody who has asked in this thread, and by others."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        assert not await is_answered(room, "ann", "@here lunch?", thread)
        others = ("hey @bob, lunch?", "Thanks @bob!", "hi there @bob", "#general @bob lunch?")
        for text in ("@bob lunch?", "*@bob* lunch?", ":wave: @bob lunch?", *others, "!play a song", "?rank", "  "):
            assert not await is_answered(room, "ann", text, thread), text
        other = room.slack.add_bot("other")
        assert not await answers(room, room.slack.bot_says(other, room.where(GENERAL), "and in Go?", thread))
        assert not await is_answered(room, "ann", "and in Rust?", thread, edited=True)
        about = (
            "no @bob is wrong, right?",
            "> @bob wrote this\nis that true?",
            "- @bob owns the API",
            "1. @bob 2. @eve",
        )
        for text in ("what does @bob say?", *about, "(@bob asked for this) shorten it", "hi! can you explain this?"):
            assert await is_answered(room, "ann", text, thread), text


async def test_threads_that_the_bot_did_not_open(redis_url: str) -> None:
    """Not even after a question in the middle of one."""
    async with slack_room(redis_url) as room:
        root = (await room.say("bob", GENERAL, "the deploy failed")).ts
        assert not await is_answered(room, "ann", "why?", root)
        assert await is_answered(room, "ann", "@nebula why?", root)
        assert not await is_answered(room, "ann", "I'll restart it", root)
        assert not await is_answered(room, "bob", "thanks", root)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("mention", [False, False, False, False]),
        ("followups", [True, False, False, False]),
        ("thread", [True, True, False, False]),
        ("all", [True, True, True, True]),
    ],
)
async def test_listen(redis_url: str, listen: str, expected: list[bool]) -> None:
    """Set in the chat, it applies to the next message: the asker and another person in the thread, anybody in somebody
    else's thread and in the channel."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        root = (await room.say("bob", GENERAL, "the deploy failed")).ts
        await room.say("ann", GENERAL, f"@nebula !set listen {listen}")
        await room.answered(GENERAL, "is now")
        await room.quiet()
        found = [
            await is_answered(room, "ann", "and in Rust?", thread),
            await is_answered(room, "eve", "and in C?", thread),
            await is_answered(room, "bob", "why?", root),
            await is_answered(room, "eve", "why is it so?"),
        ]
        assert found == expected
        assert not await is_answered(room, "ann", "@bob lunch?")


async def test_mute(redis_url: str) -> None:
    """In a thread until somebody mentions the bot there; in a channel until `unmute`; everybody may say that."""
    async with slack_room(redis_url, reply_listen="all") as room:
        thread = await opened(room)
        await room.say("bob", GENERAL, "!mute", thread)
        await room.answered(GENERAL, "Muted: in this thread", thread)
        await room.quiet()
        assert not await is_answered(room, "ann", "and in Rust?", thread)
        assert not await is_answered(room, "ann", "!unmute", thread)
        assert await is_answered(room, "bob", "one?")
        assert await is_answered(room, "ann", "@nebula and in Rust?", thread)
        assert await is_answered(room, "ann", "and in C?", thread)
        assert (await room.slash("bob", GENERAL, "mute")).problem == ""
        await room.answered(GENERAL, "Muted: in this channel")
        await room.quiet()
        assert not await is_answered(room, "ann", "two?")
        assert not await is_answered(room, "ann", "and in Go?", thread)
        back = await room.slash("bob", GENERAL, "unmute")
        await room.until(lambda: any("again" in message.shown for message in back.messages))
        assert await is_answered(room, "ann", "three?")


async def test_two_processes_and_a_restart(redis_url: str) -> None:
    """Whichever process gets the event knows who asked, and one answers."""
    async with slack_room(redis_url, reply_listen="thread") as room:
        first = room.runner
        async with process(room, redis_url, reply_listen="thread") as (_, _, second, _):
            thread = await opened(room)
            await second.idle()
            for number in range(6):
                await room.say("bob", GENERAL, f"and {number}?", thread)
                await room.answered(GENERAL, "", thread)
                await room.until(lambda number=number: len(room.said(GENERAL, thread)) == number + 2)  # type: ignore[misc]
                await room.quiet()
                await second.idle()
        await room.leave()
        await first.idle()
        assert len(room.nebula.requests) == 7
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        await room.leave()
        async with process(room, redis_url) as (_, _, runner, _):
            await room.say("ann", GENERAL, "and in Rust?", thread)
            await room.say("bob", GENERAL, "I like Rust", thread)
            await room.until(lambda: len(room.said(GENERAL, thread)) == 2)
            await room.until(lambda: not room.slack.pending)
            await runner.idle()
            assert len(room.nebula.requests) == 2


async def test_commands_without_a_mention(redis_url: str) -> None:
    """They are heard where a follow-up would be, and only there."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        await room.say("ann", GENERAL, "!model show", thread)
        await room.until(lambda: any("answers here" in text for text in room.shown(GENERAL, thread)))
        await room.say("bob", GENERAL, "!model show", thread)
        await room.say("ann", GENERAL, "!model show")
        await room.quiet()
        assert sum("answers here" in text for text in room.shown(GENERAL)) == 1


async def test_a_follow_up_can_be_edited_and_deleted(redis_url: str) -> None:
    """As any question; an edit makes no question of what was none, and a mention in front is for somebody else."""
    async with slack_room(redis_url, reply_edits="rerun") as room:
        thread = await opened(room)
        asked = await room.say("ann", GENERAL, "and in Rust?", thread)
        talk = await room.say("ann", GENERAL, "@bob lunch?", thread)
        await room.quiet()
        assert len(room.nebula.requests) == 2
        await room.slack.edit(talk.user, talk.channel, talk.ts, "lunch?")
        await room.slack.edit(asked.user, asked.channel, asked.ts, "@bob and in Rust?")
        await room.quiet()
        assert len(room.nebula.requests) == 2
        await room.slack.edit(asked.user, asked.channel, asked.ts, "and in C?")
        await room.until(lambda: len(room.nebula.requests) == 3)
        await room.quiet()
        assert room.nebula.requests[-1].messages[-1].content == "ann: and in C?"
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.until(lambda: len(room.said(GENERAL, thread)) == 1)
        await room.quiet()


@pytest.mark.parametrize(("command", "text"), [("mute", "and in C?"), ("set listen mention", ".env")])
async def test_a_waiting_follow_up_can_be_edited_where_the_bot_listens_no_more(
    redis_url: str, command: str, text: str
) -> None:
    """It is still asked, in its newest words, whatever they look like."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        gate = room.held(after=3)
        room.nebula.answer_next("The first answer is this.")
        await room.say("ann", GENERAL, "first?", thread)
        await room.until(lambda: len(room.nebula.requests) == 2)
        asked = await room.say("ann", GENERAL, "second?", thread)
        await room.until(lambda: not room.slack.pending)
        changed = await room.slash("eve", GENERAL, command)
        await room.until(lambda: changed.messages)
        await room.slack.edit(asked.user, asked.channel, asked.ts, text)
        await room.until(lambda: not room.slack.pending)
        room.at_once()
        gate.set()
        await room.until(lambda: len(room.nebula.requests) == 3)
        await room.quiet()
        assert room.nebula.requests[-1].messages[-1].content == f"ann: {text}"


async def test_a_file_alone_is_a_follow_up(redis_url: str) -> None:
    """It gets a sentence; in the channel it is nobody's business."""
    async with slack_room(redis_url) as room:
        thread = await opened(room)
        await room.say("ann", GENERAL, "", thread, files=[SlackFile("a.png", b"x", "image/png")])
        await room.answered(GENERAL, "files", thread)
        await room.say("ann", GENERAL, "", files=[SlackFile("b.png", b"x", "image/png")])
        await room.quiet()
        assert len(room.said(GENERAL)) == 2


async def test_missed_follow_ups_are_answered(redis_url: str) -> None:
    """After the question that opened their thread, which was missed too; nothing that people said to each other."""
    async with alone(redis_url) as room:
        known = room.slack.messages(room.where(GENERAL))[0]
        await room.say("ann", GENERAL, "one", known.ts)
        root = await room.say("bob", GENERAL, "@nebula two")
        await room.say("bob", GENERAL, "three", root.ts)
        await room.say("ann", GENERAL, "I like that", root.ts)
        await room.say("bob", GENERAL, "@ann lunch?", root.ts)
        await room.say("bob", GENERAL, "lunch?")
        async with back(room, redis_url) as seen:
            assert [each.text for each in seen.late if each.text != "known"] == ["one", "two", "three"]
        assert len(room.said(GENERAL)) == 4


@pytest.mark.parametrize(
    ("text", "to_other"),
    [
        ("<@U9> lunch?", True),
        ("<@U9|bob> lunch?", True),
        ("<!subteam^S1|@ops> lunch?", True),
        ("<!channel> lunch?", True),
        ("> *<@U9>* lunch?", True),
        (":wave::skin-tone-2: <@U9>", True),
        ("what does <@U9> say?", False),
        ("<https://example.com> says so", False),
        ("<#C1|general> is full", False),
        (":wave: hello", False),
        (":" * 50_000, False),
    ],
)
def test_who_a_message_speaks_to(text: str, to_other: bool) -> None:
    """A mention of a person, an app or a group in front; links, channels and emoji are none."""
    raw = read({"type": "message", "channel": "C1", "user": "U1", "ts": "1.2", "text": text}, ME)
    assert isinstance(raw, RawQuestion)
    assert raw.said
    assert raw.said.to_other is to_other
