"""Pictures in Slack, at the wire: `/nebula imagine` and `!imagine`, with Stop, Regenerate and what can go wrong."""

import pytest

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.pictures import png
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.manifest import SCOPES
from bots.slack.outbound.private_file import DIRECTLY
from core.reply.layout import DRAWING, NO_PICTURE, STOPPED
from core.turns.drawing import NO_MODEL
from tests.bots.slack.harness import SlackRoom, slack_room

STOP, AGAIN, UNDO = "nebula_reply_stop", "nebula_reply_again", "nebula_reply_undo"
THUMB = "nebula_rating"
PROMPT = "a red cat <!everyone> & *dog*"


async def drawn(room: SlackRoom, channel: str = "#general", prompt: str = PROMPT) -> tuple[SlackMessage, SlackMessage]:
    """Ask for a picture as ann by a message; the reply and the message with the file."""
    before = len(room.said(channel))
    await room.say("ann", channel, f"!imagine {prompt}" if channel[0] == "@" else f"@nebula !imagine {prompt}")
    await room.until(lambda: any(each.files for each in room.said(channel)[before:]))
    await room.quiet()
    reply, file = room.said(channel)[before:]
    return reply, file


@pytest.mark.parametrize("channel", ["#general", "@ann"], ids=["edited", "streamed"])
async def test_a_picture_is_a_file_with_its_text_as_alt_text(redis_url: str, channel: str) -> None:
    """In a thread and in a direct message: the text in small print, where it pings nobody, buttons, and the file."""
    async with slack_room(redis_url) as room:
        reply, file = await drawn(room, channel, "a red cat & *dog*")
        assert reply.shown == "a red cat & *dog*"
        assert reply.buttons == (AGAIN, UNDO, THUMB)
        (picture,) = file.files
        assert (picture.name, picture.mimetype, picture.alt) == ("a-red-cat-dog.png", "image/png", "a red cat & *dog*")
        assert picture.data == png("a red cat & *dog*")
        assert file.thread_ts == reply.thread_ts
        assert len(room.nebula.painter.requests) == 1
        assert room.nebula.requests == ()


async def test_the_slash_command_draws(redis_url: str) -> None:
    """In the channel, with who asked for what above it."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "#general", "imagine a cat")
        await room.until(lambda: any(each.files for each in room.said("#general")))
        await room.quiet()
        reply, file = room.said("#general")
        assert reply.shown == "ann: a cat"
        assert file.files[0].alt == "a cat"


async def test_a_private_picture_comes_as_a_direct_message(redis_url: str) -> None:
    """Slack shows no file to one person alone in a channel."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "#general", "imagine --private a cat")
        await room.until(lambda: any(each.files for each in room.said("@ann")))
        await room.quiet()
        assert room.said("#general") == ()
        seen = room.slack.ephemerals(room.where("#general"), room.people["ann"])
        assert any(DIRECTLY in each.shown for each in seen)
        assert any("ann: a cat" in each.shown for each in seen)


async def test_it_says_that_it_draws_and_can_be_stopped(redis_url: str) -> None:
    """The request is closed, and the reply says so."""
    async with slack_room(redis_url) as room:
        room.nebula.painter.fault(NebulaFault(hold=Hold()))
        await room.say("ann", "#general", "@nebula !imagine a cat")
        reply = await room.answered("#general", DRAWING)
        assert reply.buttons == (STOP,)
        await room.nebula.until(lambda: bool(room.nebula.painter.requests))
        await room.slack.press(room.people["ann"], reply, STOP)
        await room.nebula.until(lambda: room.nebula.painter.requests[0].closed_early)
        await room.answered("#general", STOPPED)
        await room.quiet()
        assert [len(each.files) for each in room.said("#general")] == [0]


async def test_a_new_picture_replaces_the_old_one(redis_url: str) -> None:
    """Regenerate: the old file is deleted, and the new one comes."""
    async with slack_room(redis_url) as room:
        reply, old = await drawn(room)
        room.nebula.painter.content = png("another")
        await room.slack.press(room.people["ann"], reply, AGAIN)
        await room.until(lambda: any(each.files and each.ts != old.ts for each in room.said("#general")))
        await room.quiet()
        same, new = room.said("#general")
        assert same.ts == reply.ts
        assert new.files[0].data == png("another")
        assert room.nebula.requests == ()


async def test_the_question_takes_the_picture_with_it(redis_url: str) -> None:
    """Whoever deletes the message that asked takes the reply and the file away."""
    async with slack_room(redis_url) as room:
        question = await room.say("ann", "#general", "@nebula !imagine a cat")
        await room.until(lambda: any(each.files for each in room.said("#general")))
        await room.quiet()
        await room.slack.delete(room.people["ann"], question.channel, question.ts)
        await room.until(lambda: room.said("#general") == ())


async def test_without_the_right_to_upload_it_says_so(redis_url: str) -> None:
    """The scope files:write is missing."""
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES) - {"files:write"}}) as room:
        await room.say("ann", "#general", "@nebula !imagine a cat")
        await room.answered("#general", NO_PICTURE)


async def test_without_a_model_that_draws_it_says_so(redis_url: str) -> None:
    """Nothing is asked of the picture endpoint."""
    async with slack_room(redis_url) as room:
        room.nebula.models = [each for each in room.nebula.models if each[2] != "Image"]
        await room.slash("ann", "#general", "imagine a cat")
        await room.answered("#general", NO_MODEL)
        assert room.nebula.painter.requests == []
