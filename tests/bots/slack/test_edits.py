"""Edits and deletions in Slack at the wire: which of them the bot hears, and as what."""

import pytest

from bots.sandbox.slack.values import Message
from core.domain.conversation import Address, Place
from core.domain.options import Placement
from tests.bots.slack.harness import Room, slack_room
from tests.bots.slack.witness import Witness, witness


async def edited(room: Room, message: Message, text: str) -> None:
    """Its author writes it anew, and the bot has heard that."""
    await room.slack.edit(message.user, message.channel, message.ts, text)
    await room.quiet()


def heard(room: Room) -> list[tuple[str, bool, str]]:
    """The edits as the front heard them: text, whether it asks, and the thread."""
    return [(mention.text, asks, mention.place.thread) for mention, asks in witness(room.front).edits]


def place(room: Room, message: Message, thread: str = "") -> Place:
    """Where this message was said, as the core names it."""
    return Place("slack", room.slack.team, message.channel, thread, message.channel.startswith("D"))


def address(room: Room, message: Message) -> Address:
    """The address of a reply beside this message."""
    return Address(place(room, message), Placement.CHANNEL)


async def test_an_edited_question_is_told_as_it_reads_now(redis_url: str) -> None:
    """Under the id that it had, where it was asked, though it heads a thread by now; app_mention says the same."""
    async with slack_room(redis_url, front=Witness) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await edited(room, asked, "@nebula good bye")
        told = witness(room.front)
        assert heard(room) == [("good bye", True, "")] * 2
        assert {mention.id for mention, _ in told.edits} == {told.questions[0].id}
        assert told.edits[0][0].message == asked.ts


async def test_an_edit_without_history_is_heard_by_its_mention(redis_url: str) -> None:
    """An app that hears no channel messages is sent the mention again."""
    events = frozenset({"app_mention", "message.im"})
    async with slack_room(redis_url, front=Witness, server={"subscriptions": events}) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await edited(room, asked, "@nebula good bye")
        assert heard(room) == [("good bye", True, "")]


async def test_an_edit_can_take_the_mention_away(redis_url: str) -> None:
    """The message asks no longer."""
    async with slack_room(redis_url, front=Witness) as room:
        root = await room.say("bob", "#general", "lunch?")
        asked = await room.say("ann", "#general", "@nebula lunch?", root.ts)
        await room.quiet()
        await edited(room, asked, "nothing")
        assert heard(room) == [("nothing", False, root.ts)]


async def test_an_edit_in_a_direct_message_needs_no_mention(redis_url: str) -> None:
    """All that is written there is for the bot."""
    async with slack_room(redis_url, front=Witness) as room:
        asked = await room.say("ann", "@ann", "hello")
        await room.quiet()
        await edited(room, asked, "good bye")
        assert heard(room) == [("good bye", True, "")]


async def test_what_changes_no_question_is_not_told(redis_url: str) -> None:
    """Previews, replies in a thread, frames of our own replies, and what people say to each other."""
    async with slack_room(redis_url, front=Witness) as room:
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
        told = witness(room.front)
        assert (told.edits, told.deletions, len(told.questions)) == ([], [], 2)
        assert len(room.calls("users.info")) == lookups


@pytest.mark.parametrize("channel", ["#general", "@ann"])
@pytest.mark.parametrize("replies", [True, False], ids=["tombstone", "gone"])
async def test_a_deleted_question_is_told(redis_url: str, channel: str, replies: bool) -> None:
    """Slack leaves a tombstone where there are replies; either way the question's own place is named."""
    async with slack_room(redis_url, front=Witness) as room:
        if not replies:
            await room.say("ann", channel, "@nebula !set replies channel")
            await room.quiet()
        asked = await room.say("ann", channel, "@nebula hello")
        await room.quiet()
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.quiet()
        assert (place(room, asked), asked.ts) in witness(room.front).deletions


async def test_a_deleted_question_of_a_thread_is_told(redis_url: str) -> None:
    """With its thread."""
    async with slack_room(redis_url, front=Witness) as room:
        root = await room.say("bob", "#general", "lunch?")
        asked = await room.say("ann", "#general", "@nebula lunch?", root.ts)
        await room.quiet()
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.quiet()
        assert (place(room, asked, root.ts), asked.ts) in witness(room.front).deletions


async def test_a_deleted_answer_is_told(redis_url: str) -> None:
    """Bolt would keep from us what happens to our own messages."""
    async with slack_room(redis_url, front=Witness) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        (answer,) = room.said("#general")
        await room.slack.delete(room.slack.bot_user, answer.channel, answer.ts)
        await room.quiet()
        assert witness(room.front).deletions == [(place(room, answer, asked.ts), answer.ts)]


async def test_what_we_delete_ourselves_is_not_told(redis_url: str) -> None:
    """A stub that the whole answer replaces is no answer that a person took away."""
    async with slack_room(redis_url, front=Witness) as room:
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        (answer,) = room.said("#general")
        await room.platform.open(address(room, answer)).delete(answer.ts)
        await room.quiet()
        assert room.said("#general") == ()
        assert witness(room.front).deletions == []


@pytest.mark.parametrize("what", ["edit", "deletion"])
async def test_a_change_that_could_not_be_stored_comes_again(redis_url: str, what: str) -> None:
    """It is not acknowledged, and nobody is told of a question that was none."""
    async with slack_room(redis_url, front=Witness) as room:
        asked = await room.say("ann", "@ann", "hello")
        await room.quiet()
        told = witness(room.front)
        told.broken = 2
        if what == "edit":
            await room.slack.edit(asked.user, asked.channel, asked.ts, "good bye")
        else:
            await room.slack.delete(asked.user, asked.channel, asked.ts)
        for left in (1, 0):
            await told.failed(left)
            room.slack.give_up_waiting()
        await room.quiet()
        assert len(told.edits + told.deletions) == 1
        assert len([each for each in room.slack.deliveries if each.problem]) == 2
