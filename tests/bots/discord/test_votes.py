"""Votes on answers in Discord, at the wire: thumbs, the reason for a bad one, and who reads it."""

import logging

import pytest
from redis.asyncio import Redis

from bots.discord.components.votes import asks_why, thumbs
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.values import DiscordMessage, DiscordRefuses
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.commands.handlers import ALOUD
from core.domain.conversation import LONGEST_REASON, Conversation
from core.domain.page import SAY_WHY, WHY
from core.inbound.buttons import NO_VOTE, NOTED, WHY_NOTED
from tests.bots.discord.harness import (
    BELOW_PRIVATE,
    GENERAL,
    THUMBS,
    DiscordRoom,
    config_for,
    discord_server,
    running,
)

UP, DOWN = THUMBS
AGAIN = "Regenerate"
CALLBACK_ROUTE = "POST /interactions/{id}/{token}/callback"


async def answer(here: DiscordRoom, text: str = "The answer.", where: str = GENERAL) -> DiscordMessage:
    """A finished answer."""
    await here.answered("ann", where, "@nebula question", text)
    return here.shown(where)[-1]


async def asked_why(here: DiscordRoom, who: str, message: DiscordMessage) -> Interaction:
    """Vote an answer down, and open the form that asks why."""
    voted = await here.press(who, message, DOWN)
    [thanks] = await here.until(lambda: voted.followups)
    opened = await here.press(who, thanks, SAY_WHY)
    await here.until(lambda: opened.modal)
    return opened


async def explain(here: DiscordRoom, who: str, message: DiscordMessage, reason: str) -> Interaction:
    """Vote an answer down and say why."""
    sent = await here.discord.submit_modal(await asked_why(here, who, message), {"text": reason})
    await here.until(lambda: sent.original and sent.original.content == WHY_NOTED)
    return sent


async def test_votes_are_counted(here: DiscordRoom) -> None:
    """Each person counts once, with their last vote; only they read the thanks, and `/ratings` shows the counts."""
    message = await answer(here)
    assert list(here.buttons(message)) == [AGAIN, UP, DOWN]
    for who, thumb in (("ann", DOWN), ("bob", DOWN), ("ann", UP)):
        assert await here.told(who, message, thumb) == NOTED
    assert await here.used("bob", GENERAL, "ratings") == "- `meta-llama/Llama-3.3-70B-Instruct`: 👍 1, 👎 1"
    assert here.said(GENERAL) == ["The answer."]


async def test_thumbs_are_only_below_the_end_of_an_answer(here: DiscordRoom) -> None:
    """Not while it grows, nor on its earlier messages, nor where there is no text to rate."""
    held = here.nebula.hold(5)
    here.nebula.answer_next("word " * 700 + "end")
    await here.say("ann", GENERAL, "@nebula a lot")
    await here.until(lambda: here.shown(GENERAL) and "Stop" in here.buttons(here.shown(GENERAL)[0]))
    assert list(here.buttons(here.shown(GENERAL)[0])) == ["Stop"]
    held.release()
    await here.until(lambda: AGAIN in here.buttons(here.shown(GENERAL)[-1]))
    await here.bot.runner.idle()
    first, last = here.shown(GENERAL)
    assert not here.buttons(first)
    assert list(here.buttons(last)) == [AGAIN, UP, DOWN]
    here.nebula.fault(NebulaFault(status=400, body='{"error":{"message":"no"}}'))
    await here.say("ann", GENERAL, "@nebula hello")
    await here.until(lambda: len(here.shown(GENERAL)) == 3 and here.buttons(here.shown(GENERAL)[-1]))
    assert list(here.buttons(here.shown(GENERAL)[-1])) == [AGAIN]


async def test_the_reason_for_a_bad_vote(here: DiscordRoom, caplog: pytest.LogCaptureFixture) -> None:
    """A form asks for it, the message that offered the form shows thanks, and managers read it; others and the log do
    not. It pings nobody."""
    caplog.set_level(logging.INFO)
    message = await answer(here)
    opened = await asked_why(here, "bob", message)
    assert opened.modal
    assert opened.modal.title == WHY
    with pytest.raises(DiscordRefuses):
        await here.discord.submit_modal(opened, {"text": "x" * (LONGEST_REASON + 1)})
    ann = here.people["ann"].id
    sent = await here.discord.submit_modal(opened, {"text": f"@everyone <@{ann}> the\n`year` is wrong"})
    await here.until(lambda: sent.original and sent.original.content == WHY_NOTED)
    assert sent.original
    assert (sent.original.ephemeral_for, here.buttons(sent.original)) == (here.people["bob"].id, {})
    assert "is wrong" in await here.used("max", GENERAL, "ratings")
    shown = await here.slash("max", GENERAL, "ratings")
    await here.until(lambda: shown.original)
    assert shown.original
    assert (shown.original.pings, shown.original.ephemeral_for) == (frozenset(), here.people["max"].id)
    assert "wrong" not in await here.used("ann", GENERAL, "ratings")
    assert "is wrong" not in caplog.text


async def test_reasons_are_not_read_aloud(here: DiscordRoom) -> None:
    """The response to `!ratings` is for all to read, so it only says that there are some."""
    await explain(here, "bob", await answer(here), "It is wrong.")
    await here.say("max", GENERAL, "@nebula !ratings")
    await here.until(lambda: here.said(GENERAL)[-1].endswith(ALOUD))
    assert not any("wrong" in text for text in here.said(GENERAL))


async def test_a_good_vote_and_forget_take_the_reason_back(here: DiscordRoom) -> None:
    """A person's reason goes when they change their mind, and when they have their part forgotten."""
    message = await answer(here)
    await explain(here, "bob", message, "Too long.")
    await explain(here, "ann", message, "Too short.")
    await here.told("bob", message, UP)
    assert "Too long" not in await here.used("max", GENERAL, "ratings")
    assert "Too short" in await here.used("max", GENERAL, "ratings")
    await here.used("ann", GENERAL, "forget")
    assert "Too short" not in await here.used("max", GENERAL, "ratings")


async def test_a_reason_without_a_vote_is_refused(here: DiscordRoom) -> None:
    """A form that is sent after the vote was changed gets a sentence."""
    message = await answer(here)
    opened = await asked_why(here, "bob", message)
    await here.told("bob", message, UP)
    sent = await here.discord.submit_modal(opened, {"text": "late"})
    [sentence] = await here.until(lambda: sent.followups)
    assert (sentence.content, sentence.ephemeral_for) == (NO_VOTE, here.people["bob"].id)
    assert "late" not in await here.used("max", GENERAL, "ratings")


@pytest.mark.parametrize("where", ["@ann", "private"])
async def test_votes_in_direct_messages_and_on_private_answers(here: DiscordRoom, where: str) -> None:
    """They count too, with a reason."""
    if where == "private":
        here.nebula.answer_next("The secret.")
        shown = await here.slash("ann", GENERAL, "ask", prompt="what?", private=True)
        await here.until(lambda: shown.original and shown.original.content.endswith("The secret."))
        await here.bot.runner.idle()
        assert shown.original
        message, place, who = shown.original, GENERAL, "max"
        assert list(here.buttons(message)) == BELOW_PRIVATE
    else:
        message, place, who = await answer(here, where=where), where, "ann"
    await explain(here, "ann", message, "Not good.")
    counts = await here.used(who, place, "ratings")
    assert "`meta-llama/Llama-3.3-70B-Instruct`: 👍 0, 👎 1" in counts
    assert "Not good." in counts


async def test_votes_outlive_a_restart(redis_client: Redis) -> None:
    """Of two processes that hear of a press one counts it and one opens the form, for answers of an ended process."""
    async with discord_server() as discord, NebulaServer() as model:
        here, config = DiscordRoom(discord, model), config_for(discord, model)
        async with running(here, redis_client, config):
            message = await answer(here)
        async with running(here, redis_client, config), running(here, redis_client, config):
            await explain(here, "bob", message, "Not good.")
            text = await here.used("max", GENERAL, "ratings")
    assert "👍 0, 👎 1" in text
    assert text.count("Not good.") == 1


async def test_a_thumb_of_another_channel_does_nothing(here: DiscordRoom) -> None:
    """An id that names a conversation in another place is refused, and so is one that names none."""
    message = await answer(here)
    foreign = here.buttons(message)[UP]
    other = await answer(here, "Elsewhere.", "#random")
    parts = [{"type": 2, "style": 2, "label": "x", "custom_id": foreign}]
    here.discord._messages.edit(other, {"components": [{"type": 1, "components": parts}]})
    assert await here.told("ann", other, "x") != NOTED
    parts = [{"type": 2, "style": 2, "label": "x", "custom_id": "vote:great:x"}]
    here.discord._messages.edit(other, {"components": [{"type": 1, "components": parts}]})
    ignored = await here.press("ann", other, "x")
    await here.until(lambda: ignored.acknowledged)
    assert not ignored.followups
    assert "Nobody" in await here.used("ann", "#random", "ratings")


@pytest.mark.parametrize("conversation", ["{0}/{0}", "{0}/{0}/{0}", "-/{0}", "{0}/{0}/{0}/private/{0}"])
def test_every_conversation_has_its_thumbs(conversation: str) -> None:
    """With ids of real length all ids stay within Discord's 100 characters."""
    named = Conversation(*f"discord/{conversation.format('1' * 19)}".split("/private/"))
    found = (*thumbs(named), asks_why("1" * 19, named))
    assert len(found) == 3
    assert all(len(button.id) <= 100 for button in found)
