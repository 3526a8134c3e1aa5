"""Replies beside each other in one Slack channel, at the wire: a quiet link says what each message belongs to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.text import texts
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.components.blocks import MARKDOWN_BYTES
from tests.bots.slack.harness import SlackRoom, slack_room

LINES = [f"Line {number} says something of no importance at all." for number in range(600)]


@asynccontextmanager
async def room_without_threads(redis_url: str, **options: Any) -> AsyncIterator[SlackRoom]:
    """A room in which replies go into the channel itself."""
    async with slack_room(redis_url, **options) as room:
        await room.say("ann", "#general", "@nebula !set replies channel")
        await room.quiet()
        yield room


def permalink(message: SlackMessage) -> str:
    """Return the address of a message."""
    return f"https://sandbox.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}"


def replies(to: SlackMessage) -> str:
    """Return the small print of the first page of a reply to this question."""
    return f"In reply to [this question]({permalink(to)})"


def continues(page: SlackMessage) -> str:
    """Return the small print of the page after this one."""
    return f"Continues [this message]({permalink(page)})"


def pages(room: SlackRoom) -> tuple[SlackMessage, ...]:
    """Return the bot's messages in #general, without that about the setting."""
    return tuple(page for page in room.said("#general") if "is now" not in page.shown)


def heads(room: SlackRoom) -> list[str]:
    """Return the first paragraph of each message of a reply."""
    return [page.shown.partition("\n\n")[0] for page in pages(room)]


async def ask(room: SlackRoom, who: str, text: str = "@nebula hello") -> SlackMessage:
    """Ask in #general, and wait for the end of the reply."""
    asked = await room.say(who, "#general", text)
    await room.quiet()
    return asked


async def test_each_page_says_what_it_belongs_to(redis_url: str) -> None:
    """From its first state to its last one, without a ping or a preview; all of the answer is there, and the link is
    within the length of a message."""
    async with room_without_threads(redis_url) as room:
        room.growing(tokens=400)
        room.nebula.answer_next("\n\n".join(LINES))
        asked = await ask(room, "ann")
        reply = pages(room)
        assert len(reply) > 2
        assert heads(room) == [replies(asked), *map(continues, reply[:-1])]
        for page, head in zip(reply, heads(room), strict=True):
            assert all(frame.shown.startswith(head) for frame in page.frames)
            assert (page.thread_ts, page.pings, page.unfurls) == ("", (), False)
            said = [text for kind, text in texts(list(page.blocks)) if kind != "plain_text"]
            assert sum(len(text.encode()) for text in said) <= MARKDOWN_BYTES
        written = "\n\n".join(page.shown.partition("\n\n")[2] for page in reply)
        assert written.split("\n\n") == LINES


async def test_replies_to_several_people_can_be_told_apart(redis_url: str) -> None:
    """Each names its own question, whichever is answered first."""
    async with room_without_threads(redis_url) as room:
        questions = {who: await room.say(who, "#general", f"@nebula I am {who}") for who in ("ann", "bob", "eve")}
        await room.quiet()
        assert len(pages(room)) == 3
        for who, asked in questions.items():
            (reply,) = (page for page in pages(room) if f"I am {who}" in page.shown)
            assert reply.shown.partition("\n\n")[0] == replies(asked)


async def test_a_regenerated_reply_keeps_its_links(redis_url: str) -> None:
    """Whoever writes into its messages again."""
    async with room_without_threads(redis_url) as room:
        room.nebula.answer_next("\n\n".join(LINES[:400]))
        asked = await ask(room, "ann")
        first, second = pages(room)
        room.nebula.answer_next("\n\n".join(LINES[200:]))
        await room.slack.press(room.people["ann"], second, "nebula_reply_again")
        await room.answered("#general", LINES[-1])
        await room.quiet()
        assert heads(room) == [replies(asked), continues(first), *map(continues, pages(room)[1:-1])]


async def test_a_page_that_is_posted_again_keeps_its_link(redis_url: str) -> None:
    """Where Slack does not allow edits, all of the text comes in new messages."""
    async with room_without_threads(redis_url) as room:
        room.slack.faults.add("chat.update", faults.refused("edit_window_closed"), times=None)
        more = room.held(after=20)
        room.nebula.answer_next("word " * 40 + "end")
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.answered("#general", "word")
        more.set()
        await room.quiet()
        assert heads(room) == [replies(asked)]


async def test_the_link_is_there_without_markdown_blocks(redis_url: str) -> None:
    """In small print above the sections."""
    async with room_without_threads(redis_url, server={"unknown_blocks": {"markdown"}}) as room:
        asked = await ask(room, "ann")
        assert heads(room) == [replies(asked)]


@pytest.mark.parametrize("streaming", ["edit", "native"])
async def test_threads_and_direct_messages_need_no_link(redis_url: str, streaming: str) -> None:
    """There it is clear what a reply belongs to; Slack's own streams are always in a thread."""
    async with slack_room(redis_url, reply_streaming=streaming) as room:
        room.growing(most=40)
        for channel in ("#general", "@ann"):
            room.nebula.answer_next("word " * 60)
            await room.say("ann", channel, "@nebula hello")
        await room.quiet()
        shown = room.shown("#general") + room.shown("@ann")
        assert len(shown) == 2
        assert not [each for each in shown if "archives" in each]


async def test_a_native_reply_is_in_a_thread_of_a_channel_without_threads(redis_url: str) -> None:
    """It needs no link there. If Slack refuses the stream, the reply is edited in the channel, with a link."""
    async with room_without_threads(redis_url, reply_streaming="native") as room:
        room.growing(most=40)
        room.nebula.answer_next("word " * 60)
        streamed = await ask(room, "ann")
        room.slack.faults.add("chat.startStream", faults.refused("channel_type_not_supported"))
        room.nebula.answer_next("word " * 60)
        edited = await ask(room, "bob")
        first, second = pages(room)
        assert (first.thread_ts, second.thread_ts) == (streamed.ts, "")
        assert "archives" not in first.shown
        assert second.shown.startswith(replies(edited))


async def test_a_question_by_command_has_no_message_to_link_to(redis_url: str) -> None:
    """Its first page names question and person; further pages link to the one before."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("\n\n".join(LINES[:400]))
        await room.slash("ann", "#general", "ask hello")
        await room.answered("#general", LINES[399])
        await room.quiet()
        first, _ = pages(room)
        assert heads(room) == ["ann: hello", continues(first)]
