"""Edits and deletions in Slack at the wire: which of them reach the bot, and as what."""

import pytest

from bots.sandbox.slack.workspace.values import SlackMessage
from core.domain.conversation import Address, Place
from core.domain.options import Placement
from tests.bots.slack.harness import SlackRoom, slack_room
from tests.bots.slack.witness import Witness, witness


async def edited(room: SlackRoom, message: SlackMessage, text: str) -> None:
    """Let the author edit a message, and wait until the bot has received that."""
    await room.slack.edit(message.user, message.channel, message.ts, text)
    await room.quiet()


def heard(room: SlackRoom) -> list[tuple[str, bool, str]]:
    """Return the edits that the dispatcher received: text, whether it asks, and the thread."""
    return [(question.text, asks, question.place.thread) for question, asks in witness(room.dispatcher).edits]


def place(room: SlackRoom, message: SlackMessage, thread: str = "") -> Place:
    """Return the place of this message, as the core names it."""
    return Place("slack", room.slack.team, message.channel, thread, message.channel.startswith("D"))


def address(room: SlackRoom, message: SlackMessage) -> Address:
    """Return the address of a reply beside this message."""
    return Address(place(room, message), Placement.CHANNEL)


async def test_an_edited_question_is_reported_with_its_new_text(redis_url: str) -> None:
    """With its id and place unchanged, although it starts a thread by now; app_mention reports the same."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await edited(room, asked, "@nebula good bye")
        seen = witness(room.dispatcher)
        assert heard(room) == [("good bye", True, "")] * 2
        assert {question.id for question, _ in seen.edits} == {seen.questions[0].id}
        assert seen.edits[0][0].message == asked.ts


async def test_an_edit_without_the_history_scopes_arrives_as_a_mention(redis_url: str) -> None:
    """An app that receives no channel messages receives the mention again."""
    events = frozenset({"app_mention", "message.im"})
    async with slack_room(redis_url, dispatcher=Witness, server={"subscriptions": events}) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await edited(room, asked, "@nebula good bye")
        assert heard(room) == [("good bye", True, "")]


async def test_an_edit_can_remove_the_mention(redis_url: str) -> None:
    """The message is no longer a question."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        root = await room.say("bob", "#general", "lunch?")
        asked = await room.say("ann", "#general", "@nebula lunch?", root.ts)
        await room.quiet()
        await edited(room, asked, "nothing")
        assert heard(room) == [("nothing", False, root.ts)]


async def test_an_edit_in_a_direct_message_needs_no_mention(redis_url: str) -> None:
    """Every message there is for the bot."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        asked = await room.say("ann", "@ann", "hello")
        await room.quiet()
        await edited(room, asked, "good bye")
        assert heard(room) == [("good bye", True, "")]


async def test_changes_to_no_question_are_not_reported(redis_url: str) -> None:
    """Previews, replies in a thread, frames of our own replies, and people's messages to each other. But a deletion is:
    only the store knows whether a message without a mention was a question."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        room.growing()
        room.nebula.answer_next("word " * 40)
        asked = await room.say("ann", "#general", "@nebula hello")
        talk = await room.say("bob", "#general", "hello @ann")
        await room.quiet()
        assert len(room.said("#general")[0].frames) > 2
        lookups = len(room.calls("users.info"))
        await room.slack.unfurl(asked)
        await edited(room, talk, "good bye @ann")
        await room.slack.delete(talk.user, talk.channel, talk.ts)
        await room.quiet()
        seen = witness(room.dispatcher)
        assert (seen.edits, len(seen.questions)) == ([], 2)
        assert seen.deletions == [(place(room, talk), talk.ts)]
        assert len(room.said("#general")) == 1
        assert len(room.calls("users.info")) == lookups


@pytest.mark.parametrize("channel", ["#general", "@ann"])
@pytest.mark.parametrize("replies", [True, False], ids=["tombstone", "gone"])
async def test_a_deleted_question_is_reported(redis_url: str, channel: str, replies: bool) -> None:
    """Slack leaves a tombstone if there are replies; either way the event names the question's own place."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        if not replies:
            await room.say("ann", channel, "@nebula !set replies channel")
            await room.quiet()
        asked = await room.say("ann", channel, "@nebula hello")
        await room.quiet()
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.quiet()
        assert (place(room, asked), asked.ts) in witness(room.dispatcher).deletions


async def test_a_deleted_question_in_a_thread_is_reported(redis_url: str) -> None:
    """With its thread."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        root = await room.say("bob", "#general", "lunch?")
        asked = await room.say("ann", "#general", "@nebula lunch?", root.ts)
        await room.quiet()
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.quiet()
        assert (place(room, asked, root.ts), asked.ts) in witness(room.dispatcher).deletions


async def test_a_deleted_answer_is_reported(redis_url: str) -> None:
    """By default Bolt hides events about our own messages from us."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        (answer,) = room.said("#general")
        await room.slack.delete(room.slack.bot_user, answer.channel, answer.ts)
        await room.quiet()
        assert witness(room.dispatcher).deletions == [(place(room, answer, asked.ts), answer.ts)]


async def test_our_own_deletions_are_not_reported(redis_url: str) -> None:
    """A leftover that the whole answer replaces is not an answer that a person deleted."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        (answer,) = room.said("#general")
        await room.platform.open(address(room, answer)).delete(answer.ts)
        await room.quiet()
        assert room.said("#general") == ()
        assert witness(room.dispatcher).deletions == []


@pytest.mark.parametrize("what", ["edit", "deletion"])
async def test_a_change_that_could_not_be_stored_is_delivered_again(redis_url: str, what: str) -> None:
    """It is not acknowledged, and nobody reads about a question that was none."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        asked = await room.say("ann", "@ann", "hello")
        await room.quiet()
        seen = witness(room.dispatcher)
        seen.broken = 2
        if what == "edit":
            await room.slack.edit(asked.user, asked.channel, asked.ts, "good bye")
        else:
            await room.slack.delete(asked.user, asked.channel, asked.ts)
        for left in (1, 0):
            await seen.failed(left)
            room.slack.expire_acknowledgements()
        await room.quiet()
        assert len(seen.edits + seen.deletions) == 1
        assert len([each for each in room.slack.deliveries if each.problem]) == 2
