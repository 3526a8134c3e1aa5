"""The reason for a bad vote in Slack, at the wire: a button with the thanks, a modal, and who reads it."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.people import InteractionResult
from bots.sandbox.slack.workspace.values import SlackMessage, View
from bots.slack.components import votes
from bots.slack.inbound.presses import NO_FORM, OLD_REASON, UNKNOWN
from core.commands.handlers import ALOUD
from core.domain.conversation import LONGEST_REASON
from core.inbound.buttons import NO_VOTE, NOTED
from tests.bots.slack.harness import SlackRoom, slack_room

THUMB = "nebula_rating"


async def answer(room: SlackRoom, channel: str = "#general") -> SlackMessage:
    """Return a finished answer."""
    room.at_once()
    room.nebula.answer_next("The answer.")
    question = await room.say("ann", channel, "talk" if channel[0] == "@" else "@nebula talk")
    await room.quiet()
    return room.said(channel, question.ts)[0]


async def vote(room: SlackRoom, who: str, message: SlackMessage, *, good: bool = False) -> SlackMessage:
    """Vote, and return the thanks that only this person reads."""
    name = "positive_button" if good else "negative_button"
    value = next(block["elements"][0][name]["value"] for block in message.blocks if block["type"] == "context_actions")
    voted = await room.slack.press(room.people[who], message, THUMB, value)
    (thanks,) = await room.until(lambda: voted.messages)
    assert (thanks.shown.splitlines()[0], thanks.only_for) == (NOTED, room.people[who])
    return thanks


async def form(room: SlackRoom, who: str, message: SlackMessage) -> View:
    """Vote an answer down, and open the modal."""
    thanks = await vote(room, who, message)
    assert thanks.buttons == (votes.ASKED,)
    await room.slack.press(room.people[who], thanks, votes.ASKED)
    return await room.form()


async def ratings(room: SlackRoom, who: str, channel: str = "#general") -> str:
    """Return what `ratings` shows to this person."""
    shown = await room.slash(who, channel, "ratings")
    (message, *_) = await room.until(lambda: shown.messages)
    assert message.only_for == room.people[who]
    assert not message.pings
    return message.shown


@pytest.mark.parametrize("channel", ["#general", "@ann"])
async def test_a_reason_is_asked_for_and_kept(redis_url: str, channel: str, caplog: pytest.LogCaptureFixture) -> None:
    """A good vote asks nothing; the reason for a bad one is read by managers only, and is in no log."""
    caplog.set_level(logging.INFO)
    async with slack_room(redis_url) as room:
        message = await answer(room, channel)
        assert not (await vote(room, "ann", message, good=True)).buttons
        view = await form(room, "ann", message)
        with pytest.raises(ValueError, match="too long"):
            await room.fill("ann", view, "x" * (LONGEST_REASON + 1))
        sent = await room.fill("ann", view, "<!channel> @bob the\n`year` is wrong")
        assert (sent.problem, sent.closed) == ("", True)
        text = await ratings(room, "ann" if channel == "@ann" else "eve", channel)
        assert "👍 0, 👎 1" in text
        assert "the 'year' is wrong" in text
        if channel != "@ann":
            assert "wrong" not in await ratings(room, "bob", channel)
    assert "is wrong" not in caplog.text


async def test_a_private_answer_that_came_directly_takes_votes(redis_url: str) -> None:
    """The buttons under it name the conversation of the channel where it was asked, to nobody but the asker."""
    async with slack_room(redis_url) as room:
        room.at_once()
        room.nebula.answer_next("The answer.")
        room.slack.faults.add("response_url", faults.refused("used_url"), times=None)
        await room.slash("ann", "#general", "ask --private talk")
        message = await room.answered("@ann", "The answer.")
        await room.quiet()
        room.slack.faults.clear()
        await vote(room, "ann", message, good=True)
        sent = await room.fill("ann", await form(room, "ann", message), "It is wrong.")
        assert (sent.problem, sent.closed) == ("", True)
        assert "It is wrong." in await ratings(room, "ann", "@ann")
        assert "wrong" not in await ratings(room, "eve")


async def test_reasons_are_not_read_aloud(redis_url: str) -> None:
    """The response to `!ratings` is for all to read, so it only says that there are some."""
    async with slack_room(redis_url) as room:
        await room.fill("bob", await form(room, "bob", await answer(room)), "It is wrong.")
        await room.say("eve", "#general", "@nebula !ratings")
        await room.answered("#general", ALOUD)
        assert not any("wrong" in message.shown for message in room.said("#general"))


async def test_a_reason_without_a_vote_stays_in_the_form(redis_url: str) -> None:
    """A form that is sent after the vote was changed says so."""
    async with slack_room(redis_url) as room:
        message = await answer(room)
        view = await form(room, "bob", message)
        await vote(room, "bob", message, good=True)
        sent = await room.fill("bob", view, "late")
        assert (sent.closed, [*sent.errors.values()]) == (False, [NO_VOTE])
        assert "late" not in await ratings(room, "eve")


@pytest.mark.parametrize(
    "metadata", ["", "x", "1.2", "1.2 slack", "1.2 slack/T0NEBULA/C/x", "1.2 slack/T0OTHER/C1", "1.2 slack/T0NEBULA/"]
)
async def test_a_forged_form_does_nothing(redis_url: str, metadata: str) -> None:
    """Metadata that none of our forms has get a sentence in the form."""
    async with slack_room(redis_url) as room:
        view = await form(room, "bob", await answer(room))
        forged = replace(view, raw={**view.raw, "private_metadata": metadata})
        sent = await room.fill("bob", forged, "forged")
        assert [*sent.errors.values()] in ([OLD_REASON], [NO_VOTE])
        assert "forged" not in await ratings(room, "eve")


@pytest.mark.parametrize("value", ["", "x", "1.2 slack/T0NEBULA/C0OTHER"])
async def test_a_forged_button_opens_no_form(redis_url: str, value: str) -> None:
    """A value that none of our buttons has gets a private sentence."""
    async with slack_room(redis_url) as room:
        thanks = await vote(room, "bob", await answer(room))
        element: dict[str, Any] = {"type": "button", "text": {"type": "plain_text", "text": "x"}, "value": value}
        block = {"type": "actions", "block_id": "forged", "elements": [{**element, "action_id": votes.ASKED}]}
        assert await told(room, await press(room, replace(thanks, blocks=(block,)))) == UNKNOWN


async def test_a_form_that_does_not_open(redis_url: str) -> None:
    """The person reads that they can try again."""
    async with slack_room(redis_url) as room:
        thanks = await vote(room, "bob", await answer(room))
        room.slack.faults.add("views.open", faults.refused("expired_trigger_id"))
        assert await told(room, await press(room, thanks)) == NO_FORM


async def press(room: SlackRoom, thanks: SlackMessage) -> InteractionResult:
    """Press the button that opens the form."""
    return await room.slack.press(room.people["bob"], thanks, votes.ASKED)


async def told(room: SlackRoom, pressed: InteractionResult) -> str:
    """Return what only the person who pressed reads."""
    (message,) = await room.until(lambda: pressed.messages)
    assert message.only_for
    return message.shown
