"""Buttons under replies in Discord, at the wire: who may press them, and their effect in any process."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from redis.asyncio import Redis

from bots.discord.components.buttons import buttons_of
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Conversation
from core.domain.errors import StoreError
from core.domain.page import Action
from core.inbound.buttons import CONTINUED, FORGOTTEN, GO_ON, NOT_YOURS, OVER, UNDER_WAY
from core.reply.layout import CUT, STOPPED
from tests.bots.discord.harness import GENERAL, THUMBS, DiscordRoom, config_for, discord_server, room, running
from tests.redis_server import patient_connection

STOP, AGAIN, GOING_ON = "Stop", "Regenerate", "Continue"
CALLBACK_ROUTE = "POST /interactions/{id}/{token}/callback"


async def begun(
    here: DiscordRoom, where: str | DiscordChannel = GENERAL, who: str = "ann", *, command: bool = False
) -> DiscordMessage:
    """A reply whose model writes three words and then nothing more."""
    before = {message.id for message in here.shown(where)}
    here.nebula.fault(NebulaFault(stall_after=3))
    here.nebula.answer_next("one two three four")
    if command:
        await here.slash(who, where, "ask", prompt="talk")
    else:
        await here.say(who, where, "@nebula talk")

    def found() -> DiscordMessage | None:
        fresh = [message for message in here.shown(where) if message.id not in before]
        return next((message for message in fresh if "one" in message.content and STOP in here.buttons(message)), None)

    message = await here.until(found)
    assert message
    return message


async def ended(
    here: DiscordRoom,
    answer: str,
    where: str | DiscordChannel = GENERAL,
    *,
    finish: str = "stop",
    command: bool = False,
) -> DiscordMessage:
    """The last message of a complete reply."""
    before = {message.id for message in here.shown(where)}
    here.nebula.answer_next(answer, finish=finish)
    if command:
        await here.slash("ann", where, "ask", prompt="question")
    else:
        await here.say("ann", where, "@nebula question")

    def found() -> DiscordMessage | None:
        fresh = [one for one in here.shown(where) if one.id not in before]
        return fresh[-1] if fresh and AGAIN in here.buttons(fresh[-1]) else None

    message = await here.until(found)
    assert message
    await settled(here, where)
    return message


async def settled(here: DiscordRoom, where: str | DiscordChannel = GENERAL) -> None:
    """Wait until every turn in this place has ended, in any process."""
    place = here.place(where)
    parts = (place.guild or "-", place.parent, place.id)
    await here.bot.runner.settled(Conversation("/".join(("discord", *filter(None, parts)))))


def texts(here: DiscordRoom) -> list[str]:
    """The texts of the model's last request, without the system prompt."""
    return [message.content for message in here.nebula.requests[-1].messages[1:]]


class Door:
    """A connection to Redis that can be shut."""

    def __init__(self, beyond: str, path: str) -> None:
        self.path, self._beyond = path, beyond
        self._passing: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()

    async def open(self) -> None:
        """Let all connections through."""
        self._server = await asyncio.start_unix_server(self._pass, self.path)

    async def shut(self) -> None:
        """Refuse new connections and drop the existing ones."""
        self._server.close()
        for writer in self._passing:
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, to_beyond = await asyncio.open_unix_connection(self._beyond)
        self._passing |= {writer, to_beyond}
        with suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, to_beyond))
                group.create_task(_carry(beyond, writer))
        self._passing -= {writer, to_beyond}


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


class TestStop:
    """The button under a reply that is being written."""

    @pytest.mark.parametrize("command", [False, True])
    async def test_stop_ends_the_answer(self, here: DiscordRoom, command: bool) -> None:
        """The model's request ends, the text stays with a note about it, and Regenerate replaces Stop."""
        message = await begun(here, command=command)
        assert list(here.buttons(message)) == [STOP]
        pressed = await here.press("ann", message, STOP)
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early)
        await here.until(lambda: here.said(GENERAL)[0].endswith(STOPPED))
        assert "one two" in here.said(GENERAL)[0]
        assert list(here.buttons(message)) == [AGAIN, *THUMBS]
        assert pressed.acknowledged
        assert not pressed.followups

    @pytest.mark.parametrize("command", [False, True])
    async def test_only_the_author_or_a_manager_may_stop(self, here: DiscordRoom, command: bool) -> None:
        """Another person's press is refused, visibly to them alone; managers of the channel may stop the answer."""
        message = await begun(here, command=command)
        assert await here.told("bob", message, STOP) == NOT_YOURS
        assert not here.nebula.requests[0].closed_early
        assert STOP in here.buttons(message)
        await here.press("max", message, STOP)
        await here.until(lambda: here.said(GENERAL)[0].endswith(STOPPED))

    async def test_earlier_pages_of_a_long_reply_lose_their_button(self, here: DiscordRoom) -> None:
        """Stop is only under the newest message of a reply, and so are the buttons that replace it."""
        here.nebula.fault(NebulaFault(stall_after=700))
        here.nebula.answer_next("word " * 800)
        await here.say("ann", GENERAL, "@nebula a lot")
        await here.until(lambda: len(here.shown(GENERAL)) == 2 and STOP in here.buttons(here.shown(GENERAL)[1]))
        first, second = here.shown(GENERAL)
        assert not here.buttons(first)
        await here.press("ann", second, STOP)
        await here.until(lambda: AGAIN in here.buttons(second))
        assert not here.buttons(first)

    async def test_a_stop_that_comes_too_late_gets_a_sentence(self, here: DiscordRoom) -> None:
        """A press that was in flight when the answer ended gets a sentence."""
        message = await begun(here)
        custom_id = here.buttons(message)[STOP]
        await here.press("ann", message, STOP)
        await here.until(lambda: AGAIN in here.buttons(message))
        await here.bot.runner.idle()
        here.discord._messages.touch(message)  # a client that has not shown the end yet
        pressed = await here.discord.press(here.people["ann"], message, custom_id)
        [sentence] = await here.until(lambda: pressed.followups)
        assert sentence.content == OVER


class TestRegenerate:
    """The button that asks for another answer."""

    @pytest.mark.parametrize("command", [False, True])
    async def test_the_new_answer_replaces_the_old(self, here: DiscordRoom, command: bool) -> None:
        """The new answer comes in the same message, and the model remembers it instead of the old one."""
        message = await ended(here, "An old answer.", command=command)
        here.nebula.answer_next("A new one.")
        await here.press("ann", message, AGAIN)
        await here.until(lambda: here.said(GENERAL)[0].endswith("A new one."))
        await here.bot.runner.idle()
        assert [one.id for one in here.shown(GENERAL)] == [message.id]
        assert texts(here) == ["ann: question"]
        assert list(here.buttons(message)) == [AGAIN, *THUMBS, "‹", "2/2", "›"]
        await here.answered("bob", GENERAL, "@nebula and then?", "Then.")
        assert texts(here) == ["ann: question", "A new one.", "bob: and then?"]

    async def test_messages_that_the_new_answer_does_not_need_are_deleted(self, here: DiscordRoom) -> None:
        """A long answer that becomes short leaves one message; a longer one posts the messages it needs."""
        await ended(here, "word " * 700 + "end")
        first, second = here.shown(GENERAL)
        here.nebula.answer_next("Short.")
        await here.press("ann", second, AGAIN)
        await here.until(lambda: here.said(GENERAL) == ["Short."])
        await here.bot.runner.idle()
        here.nebula.answer_next("other " * 600 + "end")
        await here.press("ann", first, AGAIN)
        await here.until(lambda: len(here.said(GENERAL)) == 2 and here.said(GENERAL)[1].endswith("end"))
        assert not any("word" in text for text in here.said(GENERAL))

    async def test_only_the_author_or_a_manager_may_replace_an_answer(self, here: DiscordRoom) -> None:
        """Another person's press is refused, visibly to them alone, and the answer stays."""
        message = await ended(here, "The answer.")
        assert await here.told("bob", message, AGAIN) == NOT_YOURS
        here.nebula.answer_next("Another.")
        await here.press("max", message, AGAIN)
        await here.until(lambda: here.said(GENERAL) == ["Another."])

    async def test_a_second_press_learns_that_the_first_is_running(self, here: DiscordRoom) -> None:
        """Two presses ask the model once."""
        message = await ended(here, "The answer.")
        held = here.nebula.hold(0)
        here.nebula.answer_next("Another.")
        await here.press("ann", message, AGAIN)
        await here.nebula.until(lambda: len(here.nebula.requests) == 2)
        assert await here.told("ann", message, AGAIN) == UNDER_WAY
        held.release()
        await here.until(lambda: here.said(GENERAL) == ["Another."])
        await here.bot.runner.idle()
        assert len(here.nebula.requests) == 2

    async def test_while_another_answer_is_written_the_old_one_stays(self, here: DiscordRoom) -> None:
        """The repeated question waits for its turn like any other; only the person who pressed reads that."""
        message = await ended(here, "The answer.", command=True)
        other = await begun(here)
        assert "one is ahead of it" in await here.told("ann", message, AGAIN)
        here.nebula.answer_next("Another.")
        shown = here.discord.message(message)
        assert shown is not None
        assert shown.content.endswith("The answer.")
        await here.press("ann", other, STOP)
        await here.until(lambda: here.said(GENERAL)[0].endswith("Another."))
        assert not any("is waiting for its turn" in frame.content for frame in here.shown(GENERAL)[0].frames)

    async def test_a_forgotten_question_gets_a_sentence(self, here: DiscordRoom) -> None:
        """After a reset the question can't be asked again."""
        message = await ended(here, "The answer.")
        await here.used("max", GENERAL, "reset")
        assert await here.told("ann", message, AGAIN) == FORGOTTEN


class TestContinue:
    """The button under an answer that reached its length limit."""

    @pytest.mark.parametrize("command", [False, True])
    async def test_continue_posts_the_rest_below(self, here: DiscordRoom, command: bool) -> None:
        """The old answer stays; the rest comes in a message of its own, and both are remembered."""
        message = await ended(here, "The first half", finish="length", command=command)
        assert list(here.buttons(message)) == [GOING_ON, AGAIN, *THUMBS]
        assert CUT in here.said(GENERAL)[0]
        here.nebula.answer_next("The other half.")
        await here.press("ann", message, GOING_ON)
        await here.until(lambda: len(here.said(GENERAL)) == 2 and here.said(GENERAL)[1].endswith("The other half."))
        await here.bot.runner.idle()
        assert "The first half" in here.said(GENERAL)[0]
        assert texts(here) == ["ann: question", "The first half", f"ann: {GO_ON}"]

    async def test_a_second_continue_asks_nothing(self, here: DiscordRoom) -> None:
        """An answer that was already continued is not continued twice."""
        message = await ended(here, "The first half", finish="length")
        here.nebula.answer_next("The other half.")
        await here.press("bob", message, GOING_ON)
        await here.until(lambda: here.said(GENERAL)[-1] == "The other half.")
        await settled(here)  # what is on screen may not be stored yet
        assert await here.told("ann", message, GOING_ON) == CONTINUED


class TestButtonPlaces:
    """Buttons in every kind of place."""

    @pytest.mark.parametrize("where", ["@ann", "a thread", "the reply's thread"])
    async def test_buttons_work_wherever_the_bot_answers(self, here: DiscordRoom, where: str) -> None:
        """In a direct message, in a thread, and in the thread that the reply itself opens."""
        place: str | DiscordChannel = where
        if where == "a thread":
            place = here.discord.add_thread(here.place(GENERAL), "Aside")
        elif where == "the reply's thread":
            await here.used("max", GENERAL, "set", parameter="replies", value="thread")
            here.nebula.answer_next("An old answer.")
            await here.say("ann", GENERAL, "@nebula question")
            [place] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
            await here.until(lambda: AGAIN in here.buttons(here.shown(place)[0]) if here.shown(place) else False)
            await here.bot.runner.idle()
            message = here.shown(place)[0]
        if where != "the reply's thread":
            message = await ended(here, "An old answer.", place)
        here.nebula.answer_next("A new one.")
        await here.press("ann", message, AGAIN)
        await here.until(lambda: here.said(place)[0].endswith("A new one."))
        await here.bot.runner.idle()
        going = await begun(here, place)
        await here.press("ann", going, STOP)
        await here.until(lambda: here.said(place)[-1].endswith(STOPPED))

    async def test_a_room_without_buttons(self, here: DiscordRoom) -> None:
        """With `buttons off` no reply has any, neither while it is written nor afterwards."""
        await here.used("max", GENERAL, "set", parameter="buttons", value="off")
        before = len(here.shown(GENERAL))
        held = here.nebula.hold(3)
        here.nebula.answer_next("word " * 30 + "end")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: "word" in here.said(GENERAL)[-1])
        held.release()
        await here.until(lambda: here.said(GENERAL)[-1].endswith("end"))
        await here.bot.runner.idle()
        assert len(here.nebula.requests) == 1
        [reply] = here.shown(GENERAL)[before:]
        assert len(reply.frames) > 1
        assert not any(frame.components for frame in reply.frames)

    @pytest.mark.parametrize("conversation", ["{0}/{0}", "{0}/{0}/{0}", "-/{0}", "{0}/{0}/{0}/private/{0}"])
    def test_every_conversation_has_its_buttons(self, conversation: str) -> None:
        """With ids of real length the button ids stay within Discord's 100 characters in every kind of place."""
        name = f"discord/{conversation.format('1' * 19)}"
        actions = [Action.STOP] if "private" in name else list(Action)
        found = buttons_of(((each, each) for each in actions), Conversation(name))
        assert len(found) == len(actions)
        assert all(len(button.id) <= 100 for button in found)


class TestProcesses:
    """The process that receives a press need not be the one that writes or wrote the reply."""

    async def test_buttons_outlive_a_restart(self, redis_client: Redis) -> None:
        """A later process regenerates what an earlier one wrote, also in reply to a command."""
        async with discord_server() as discord, NebulaServer() as model:
            here, config = DiscordRoom(discord, model), config_for(discord, model)
            async with running(here, redis_client, config):
                messages = [await ended(here, "Old."), await ended(here, "Older.", command=True)]
            async with running(here, redis_client, config):
                for message in messages:
                    model.answer_next("New.")
                    await here.press("ann", message, AGAIN)
                await here.until(lambda: all(text.endswith("New.") for text in here.said(GENERAL)))
        assert [one.id for one in here.shown(GENERAL)] == [message.id for message in messages]

    async def test_one_of_two_replicas_handles_a_press(
        self, redis_client: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Both get the event: there is one new answer, one acknowledgement, and no error message."""
        caplog.set_level(logging.INFO, "bots")
        async with room(redis_client) as here, running(here, redis_client, config_for(here.discord, here.nebula)):
            message = await ended(here, "The first half", finish="length")
            here.nebula.answer_next("Anew.", finish="length")
            pressed = [await here.press("ann", message, AGAIN)]
            await here.until(lambda: "Anew." in here.said(GENERAL)[0] and GOING_ON in here.buttons(message))
            await settled(here)
            here.nebula.answer_next("The rest.")
            pressed.append(await here.press("ann", message, GOING_ON))
            await here.until(lambda: here.said(GENERAL)[-1] == "The rest.")
            await settled(here)

            def taken() -> list[int]:
                return sorted(call.status for call in here.discord.calls if call.route == CALLBACK_ROUTE)

            await here.until(lambda: len(taken()) == 4)
            assert taken() == [204, 204, 400, 400]
            assert len(here.nebula.requests) == 3
            assert len(here.shown(GENERAL)) == 2
            assert not any(one.followups for one in pressed)
        # A slow Redis, as on a busy machine, is no failure of the press.
        told = [record for record in caplog.records if not record.name.startswith(("core.store", "core.turns.lease"))]
        assert not [record for record in told if record.levelno >= logging.WARNING]

    async def test_stop_reaches_the_replica_that_writes(self, redis_client: Redis) -> None:
        """No matter which process receives the press, the model's request ends in the process that runs it."""
        async with room(redis_client) as here, running(here, redis_client, config_for(here.discord, here.nebula)):
            for _ in range(3):
                await here.press("ann", await begun(here), STOP)
                await here.nebula.until(lambda: all(request.closed_early for request in here.nebula.requests))
                await settled(here)
            assert [text.endswith(STOPPED) for text in here.said(GENERAL)] == [True] * 3


class TestFailedPresses:
    """Only the person sees why a press failed, and it never ends in "interaction failed"."""

    async def test_without_redis_the_person_gets_a_sentence(self, redis_url: str, tmp_path: Path) -> None:
        """While Redis is away a press gets a sentence; when Redis is back, the same button works."""
        door = Door(redis_url.removeprefix("unix://"), str(tmp_path / "door"))
        async with door, patient_connection(f"unix://{door.path}") as redis, room(redis) as here:
            message = await ended(here, "The answer.")
            await door.shut()
            assert await here.told("ann", message, AGAIN) == StoreError.notice
            await door.open()
            here.nebula.answer_next("Another.")
            await here.press("ann", message, AGAIN)
            await here.until(lambda: here.said(GENERAL) == ["Another."])

    @pytest.mark.parametrize("custom_id", ["reply:", "reply:fly:1/2", "reply:stop", "nonsense", "reply:again:"])
    async def test_an_unknown_button_is_acknowledged_and_ignored(
        self, here: DiscordRoom, custom_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A button of another version, or an unknown one, is acknowledged; no traceback, no new question."""
        message = await ended(here, "The answer.")
        row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "Odd", "custom_id": custom_id}]}
        here.discord._messages.edit(message, {"components": [row]})
        pressed = await here.press("ann", message, "Odd")
        await here.until(lambda: pressed.acknowledged)
        await here.bot.runner.idle()
        assert len(here.nebula.requests) == 1
        assert here.said(GENERAL)[0] == "The answer."
        assert not [record for record in caplog.records if record.exc_info]

    async def test_a_press_whose_acknowledgement_fails_takes_effect(self, here: DiscordRoom) -> None:
        """If Discord does not accept the acknowledgement, the answer still comes."""
        message = await ended(here, "The answer.")
        here.discord.faults.error("POST /interactions/*", 503)
        here.nebula.answer_next("Another.")
        await here.press("ann", message, AGAIN)
        await here.until(lambda: here.said(GENERAL) == ["Another."])

    async def test_a_button_of_another_channel_does_nothing(self, here: DiscordRoom) -> None:
        """An id that names a conversation in another place is refused with a sentence."""
        message = await ended(here, "The answer.")
        foreign = here.buttons(message)[AGAIN]
        here.nebula.answer_next("Elsewhere.")
        await here.say("bob", "#random", "@nebula hello")
        await here.until(lambda: here.said("#random") == ["Elsewhere."])
        await here.bot.runner.idle()
        [other] = here.shown("#random")
        row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "Foreign", "custom_id": foreign}]}
        here.discord._messages.edit(other, {"components": [row]})
        assert await here.told("ada", other, "Foreign") == FORGOTTEN
