"""Answers to `/ask` in Discord, at the wire: private ones stay private, and an expired token loses nothing."""

import time
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from bots.discord.inbound import asking
from bots.discord.outbound import interaction_surface
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.values import SUPPRESS_EMBEDS, DiscordMessage
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.inbound.buttons import NOTED
from core.reply.layout import STOPPED
from tests.bots.discord.harness import (
    BELOW_PRIVATE,
    GENERAL,
    THUMBS,
    DiscordRoom,
    config_for,
    discord_server,
    long_answer,
    room,
    running,
)

STOP, AGAIN = "Stop", "Regenerate"
EDIT = "PATCH /channels/{channel}/messages/{message}"
RESPOND = "PATCH /webhooks/{application}/{token}/messages/*"
FOLLOW_UP = "POST /webhooks/{application}/{token}"
DEAD_TOKENS = [(401, 50027), (404, 10015)]
LONG = long_answer(14)


async def asked(here: DiscordRoom, who: str = "ann", where: str = GENERAL, prompt: str = "topsecret?") -> Interaction:
    """Ask a private question."""
    return await here.slash(who, where, "ask", prompt=prompt, private=True)


async def answered(here: DiscordRoom, answer: str, who: str = "ann", where: str = GENERAL) -> Interaction:
    """Ask a private question and wait for its whole answer."""
    here.nebula.answer_next(answer)
    shown = await asked(here, who, where)
    await here.until(lambda: bool(shown.messages) and shown.messages[-1].content.endswith(answer[-10:]))
    await here.bot.runner.idle()
    return shown


def known(here: DiscordRoom) -> str:
    """Everything in the model's last request."""
    return "\n".join(message.content for message in here.nebula.requests[-1].messages)


def public(here: DiscordRoom) -> list[DiscordMessage]:
    """All messages of the bot that people other than Ann can see."""
    places = [*here.discord.channels(here.guild), here.discord.open_dm(here.people["bob"])]
    return [message for place in places for message in here.shown(place)]


def complete(messages: list[DiscordMessage]) -> bool:
    """Whether the long answer is complete, each paragraph once and in order."""
    text = "\n".join(message.content for message in messages)
    places = [text.find(f"Paragraph {number:02}.") for number in range(14)]
    return text.endswith("End.") and -1 not in places and places == sorted(places) and text.count("Paragraph") == 14


class TestPrivate:
    """`/ask private:True`."""

    async def test_a_private_answer_is_seen_by_one_person(self, here: DiscordRoom) -> None:
        """The response and its followups are for the person alone, from the first status to the last word."""
        shown = await answered(here, LONG)
        assert len(shown.messages) >= 3
        assert complete(list(shown.messages))
        assert all(message.ephemeral_for == here.people["ann"].id for message in shown.messages)
        assert not public(here)

    async def test_a_private_question_is_remembered_apart(self, here: DiscordRoom) -> None:
        """Each person has one private history per channel; the channel's own history does not include it."""
        await answered(here, "The secret answer.")
        for who, where in (("bob", GENERAL), ("ann", "#random")):
            await answered(here, "Something else.", who, where)
            assert "The secret answer." not in known(here)
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert "secret" not in known(here)
        await answered(here, "Another secret.")
        assert "The secret answer." in known(here)
        assert "Hi." not in known(here)

    async def test_the_file_of_a_private_answer_is_private(self, redis_client: Redis) -> None:
        """An answer that is too long for messages comes as a file that the person alone sees."""
        async with room(redis_client, changes={"reply_pages": 1}) as here:
            here.nebula.answer_next(LONG)
            shown = await asked(here)
            await here.until(lambda: any(message.attachments for message in shown.messages))
            await here.bot.runner.idle()
            assert all(message.ephemeral_for == here.people["ann"].id for message in shown.messages)
            assert not public(here)

    @pytest.mark.parametrize("finish", ["stop", "length"])
    async def test_a_private_answer_has_stop_and_then_thumbs(self, here: DiscordRoom, finish: str) -> None:
        """While it grows, it has Stop; then Share, the thumbs and Undo."""
        held = here.nebula.hold(3)
        here.nebula.answer_next("word " * 20 + "end", finish=finish)
        shown = await asked(here)
        await here.until(lambda: shown.original and STOP in here.buttons(shown.original))
        held.release()
        await here.until(lambda: shown.original and list(here.buttons(shown.original)) == BELOW_PRIVATE)
        assert shown.original
        assert "end" in shown.original.content

    async def test_a_private_answer_can_be_stopped(self, here: DiscordRoom) -> None:
        """The button under a private answer ends it."""
        here.nebula.fault(NebulaFault(stall_after=3))
        shown = await asked(here)
        await here.until(lambda: shown.original and STOP in here.buttons(shown.original))
        assert shown.original
        await here.press("ann", shown.original, STOP)
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early)
        await here.until(lambda: shown.original and STOPPED in shown.original.content)
        assert list(here.buttons(shown.original)) == BELOW_PRIVATE

    async def test_two_private_questions_do_not_wait_for_each_other(self, here: DiscordRoom) -> None:
        """A private question waits only for its own author's questions, and shows that to nobody else."""
        here.nebula.fault(NebulaFault(stall_after=3))
        await here.say("bob", GENERAL, "@nebula talk")
        await here.until(lambda: here.shown(GENERAL))
        before = public(here)
        here.nebula.answer_next("At once.")
        other = await asked(here)
        await here.until(lambda: other.original and other.original.content.endswith("At once."))
        here.nebula.fault(NebulaFault(stall_after=3))
        running = await asked(here)
        await here.until(lambda: running.original and STOP in here.buttons(running.original))
        waiting = await asked(here)
        await here.until(lambda: waiting.original and "one is ahead of it" in waiting.original.content)
        here.nebula.answer_next("Then this.")
        assert running.original
        await here.press("ann", running.original, STOP)
        await here.until(lambda: waiting.original and waiting.original.content.endswith("Then this."))
        assert {one.id for one in public(here)} == {one.id for one in before}

    async def test_too_many_private_questions_are_refused_in_private(self, redis_client: Redis) -> None:
        """Only the person sees the sentence about it."""
        async with room(redis_client, changes={"inbox_limit": 1}) as here:
            here.nebula.fault(NebulaFault(stall_after=3))
            running = await asked(here)
            await here.until(lambda: running.original and STOP in here.buttons(running.original))
            refused = await asked(here)
            await here.until(lambda: refused.original and "Please ask again" in refused.original.content)
            assert not public(here)

    @pytest.mark.parametrize(("status", "code"), DEAD_TOKENS)
    async def test_without_its_token_a_private_answer_continues_as_a_direct_message(
        self, here: DiscordRoom, status: int, code: int
    ) -> None:
        """The channel never shows it; the message that can't be edited any more is sent again in full, and can be
        stopped and rated."""
        here.discord.faults.error(RESPOND, status, None, code=code, before=1)
        here.nebula.pace = 20
        here.nebula.answer_next("a secret " * 100)
        shown = await asked(here)
        [reply] = await here.until(lambda: here.shown("@ann"))
        assert shown.original
        assert reply.content.startswith("-# ann: topsecret?")
        assert not reply.pings
        await here.press("ann", reply, STOP)
        await here.until(lambda: here.said("@ann")[0].endswith(STOPPED))
        assert list(here.buttons(reply)) == [*THUMBS, "Undo"]
        assert await here.told("ann", reply, THUMBS[1]) == NOTED
        assert not public(here)

    async def test_a_private_answer_of_several_messages_outlives_its_token(self, redis_client: Redis) -> None:
        """The posted part stays; the rest comes as direct messages, in order."""
        async with room(redis_client) as here:
            here.discord.faults.error(FOLLOW_UP, 401, None, code=50027, before=1)
            here.discord.faults.error(RESPOND, 401, None, code=50027, before=4)
            here.nebula.pace = 1000
            here.nebula.answer_next(LONG)
            shown = await asked(here)
            await here.until(lambda: here.said("@ann") and here.said("@ann")[-1].endswith("End."))
            await here.bot.runner.idle()
            text = "\n".join([*(message.content for message in shown.messages), *here.said("@ann")])
            assert all(f"Paragraph {number:02}." in text for number in range(14))
            assert not public(here)

    async def test_without_direct_messages_the_answer_is_lost_but_stays_private(
        self, redis_client: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The turn ends with a log line and nothing in the channel, and the next question is answered."""
        async with room(redis_client) as here:
            here.people["eve"] = here.discord.add_member(here.guild, "eve", dms=False)
            here.discord.faults.error(RESPOND, 401, None, code=50027, before=1)
            held = here.nebula.hold(5)
            here.nebula.answer_next("a secret " * 20)
            shown = await asked(here, "eve")
            await here.until(lambda: shown.original and "secret" in shown.original.content)
            held.release()
            await here.until(lambda: any(call.code == 50007 for call in here.discord.calls))
            await here.bot.runner.idle()
            here.discord.faults.clear()
            assert not public(here)
            assert not here.said("@eve")
            await here.answered("eve", GENERAL, "@nebula hello", "Hi.")
        told = [record.getMessage() for record in caplog.records]
        assert any("can no longer be shown" in text and "50007" in text for text in told)
        assert not any("secret" in text for text in told)

    async def test_a_private_question_deferred_too_late_is_answered_in_private(self, here: DiscordRoom) -> None:
        """Without a token, only a direct message can hold the answer."""
        here.discord.faults.error("POST /interactions/*", 404, code=10062)
        here.nebula.answer_next("A secret.")
        await asked(here)
        await here.until(lambda: any(text.endswith("A secret.") for text in here.said("@ann")))
        assert not public(here)

    async def test_another_process_continues_a_private_turn(self, redis_client: Redis) -> None:
        """The next process finishes it in the same message, for the same person alone."""
        async with discord_server() as discord, NebulaServer() as model:
            here, config = DiscordRoom(discord, model), config_for(discord, model)
            model.hold(5)
            model.answer_next("a long secret " * 40)
            async with running(here, redis_client, config):
                shown = await asked(here)
                await here.until(lambda: shown.original and "secret" in shown.original.content)
            model.answer_next("The whole secret.")
            async with running(here, redis_client, config):
                await here.until(lambda: shown.original and shown.original.content.endswith("The whole secret."))
                await here.bot.runner.idle()
            assert len(shown.messages) == 1
            assert not public(here)


class TestTokens:
    """What happens to an answer whose command's token expires."""

    async def test_an_answer_leaves_its_token_before_it_expires(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same message is edited in time as an ordinary one: no call is refused, and the buttons stay."""
        passed = 0.0
        monkeypatch.setattr(interaction_surface, "time", SimpleNamespace(time=lambda: time.time() + passed))
        async with room(redis_client) as here:
            here.nebula.pace = 20
            here.nebula.answer_next("a long tale " * 100)
            shown = await here.slash("ann", GENERAL, "ask", prompt="slowly")
            await here.until(lambda: shown.original and "tale" in shown.original.content)
            passed = asking.TOKEN_SECONDS
            await here.until(lambda: any(call.route == EDIT for call in here.discord.calls))
            assert shown.original
            assert list(here.buttons(shown.original)) == [STOP]
            await here.press("ann", shown.original, STOP)
            await here.until(lambda: shown.original and AGAIN in here.buttons(shown.original))
            await here.bot.runner.idle()
            here.nebula.pace = 0
            here.nebula.answer_next("Another.")
            await here.press("ann", shown.original, AGAIN)
            await here.until(lambda: shown.original and shown.original.content.endswith("Another."))
            assert len(here.shown(GENERAL)) == 1
            assert shown.original.flags & SUPPRESS_EMBEDS
            assert not [call for call in here.discord.calls if call.status >= 400]

    @pytest.mark.parametrize(("status", "code"), DEAD_TOKENS)
    async def test_an_answer_whose_token_dies_early_continues_in_the_same_message(
        self, here: DiscordRoom, status: int, code: int
    ) -> None:
        """The token is tried only once more; the end arrives with its button, and the answer can be regenerated."""
        here.discord.faults.error(RESPOND, status, None, code=code, before=1)
        held = here.nebula.hold(3)
        here.nebula.answer_next("word " * 20 + "end")
        shown = await here.slash("ann", GENERAL, "ask", prompt="slowly")
        await here.until(lambda: shown.original and "word" in shown.original.content)
        held.release()
        await here.until(lambda: shown.original and AGAIN in here.buttons(shown.original))
        assert shown.original
        assert shown.original.content.endswith("end")
        assert list(here.buttons(shown.original)) == [AGAIN, *THUMBS]
        await here.bot.runner.idle()
        here.nebula.answer_next("Another.")
        await here.press("ann", shown.original, AGAIN)
        await here.until(lambda: shown.original and shown.original.content.endswith("Another."))
        assert len(here.shown(GENERAL)) == 1
        assert sum(call.status == status for call in here.discord.calls) == 2  # once per answer

    async def test_a_token_that_dies_before_the_first_word(self, here: DiscordRoom) -> None:
        """The answer is in a message of its own."""
        here.discord.faults.error(RESPOND, 404, None, code=10015)
        here.nebula.answer_next("Here.")
        await here.slash("ann", GENERAL, "ask", prompt="hello")
        await here.until(lambda: any(text.endswith("Here.") for text in here.said(GENERAL)))

    async def test_a_token_that_dies_between_two_messages(self, here: DiscordRoom) -> None:
        """The text continues in ordinary messages, each part once."""
        here.discord.faults.error(FOLLOW_UP, 401, None, code=50027, before=1)
        here.nebula.answer_next(LONG)
        await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: complete(here.shown(GENERAL)))

    async def test_a_superfluous_message_of_a_dead_token_is_deleted(self, here: DiscordRoom) -> None:
        """A shorter answer that replaces a long one leaves none of the other messages behind."""
        here.nebula.answer_next(LONG)
        shown = await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: complete(here.shown(GENERAL)) and AGAIN in here.buttons(here.shown(GENERAL)[-1]))
        await here.bot.runner.idle()
        here.discord.faults.error("DELETE /webhooks/*", 401, None, code=50027)
        here.nebula.answer_next("Short.")
        await here.press("ann", shown.messages[-1], AGAIN)
        await here.until(lambda: len(here.said(GENERAL)) == 1 and here.said(GENERAL)[0].endswith("Short."))

    @pytest.mark.parametrize("fault", ["reset", "503"])
    async def test_a_followup_whose_answer_was_lost_is_not_posted_twice(self, here: DiscordRoom, fault: str) -> None:
        """Webhooks have no nonce: the bot looks for a message that seemed to fail before sending it again."""
        if fault == "reset":
            here.discord.faults.reset(FOLLOW_UP, times=2)
        else:
            here.discord.faults.error(FOLLOW_UP, 503, times=2)
        here.nebula.answer_next(LONG)
        await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: complete(here.shown(GENERAL)))
        await here.bot.runner.idle()
        assert complete(here.shown(GENERAL))
        assert not any(here.buttons(message) for message in here.shown(GENERAL)[:-1])

    async def test_a_deleted_response_ends_its_turn(self, here: DiscordRoom) -> None:
        """It is not posted again, and the next question is answered."""
        here.nebula.pace = 20
        here.nebula.answer_next("a long tale " * 20)
        shown = await here.slash("ann", GENERAL, "ask", prompt="a tale")
        await here.until(lambda: shown.original and "tale" in shown.original.content)
        assert shown.original
        await here.discord.delete(shown.original)
        await here.bot.runner.idle()
        here.nebula.pace = 0
        await here.answered("bob", GENERAL, "@nebula next", "Next.")
        assert here.said(GENERAL) == ["Next."]


class TestWaiting:
    """A command that waits for its turn."""

    async def test_the_answer_replaces_the_place_in_the_queue(self, here: DiscordRoom) -> None:
        """The deferred response shows how many questions come first, and then the answer."""
        here.nebula.fault(NebulaFault(stall_after=3))
        await here.say("ann", GENERAL, "@nebula talk")
        await here.until(lambda: here.shown(GENERAL))
        first = here.shown(GENERAL)[0]
        shown = await here.slash("ann", GENERAL, "ask", prompt="and now?")
        await here.until(lambda: shown.original and "one is ahead of it" in shown.original.content)
        assert shown.original
        assert not here.buttons(shown.original)
        here.nebula.answer_next("You too.")
        await here.press("ann", first, STOP)
        await here.until(lambda: shown.original and shown.original.content.endswith("You too."))
        assert len(here.shown(GENERAL)) == 2

    @pytest.mark.parametrize("kind", ["late", "slow"])
    async def test_a_slow_status_never_overwrites_the_answer(self, here: DiscordRoom, kind: str) -> None:
        """The turn begins while the status is in flight: the answer is shown after it, and stays."""
        here.nebula.fault(NebulaFault(stall_after=3))
        await here.say("ann", GENERAL, "@nebula talk")
        await here.until(lambda: here.shown(GENERAL) and STOP in here.buttons(here.shown(GENERAL)[0]))
        status = here.discord.faults.hold(RESPOND, late=kind == "late")
        here.nebula.answer_next("You too.")
        shown = await here.slash("ann", GENERAL, "ask", prompt="and now?")
        await here.until(lambda: status.met)
        await here.press("ann", here.shown(GENERAL)[0], STOP)
        await here.nebula.until(lambda: len(here.nebula.requests) == 2 and here.nebula.requests[1].finished)
        await here.answered("max", "#random", "@nebula hello", "Hi.", settle=False)  # time enough for an answer
        status.release()
        await here.bot.runner.idle()
        assert shown.original
        assert shown.original.content.endswith("You too.")
        assert any("one is ahead of it" in frame.content for frame in shown.original.frames)
