"""The menus of a message on Discord, and what people missed: with the intent and without, where the bot may read and
where it may not; and private answers that are shared."""

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.discord.inbound.menus import UNKNOWN
from bots.discord.outbound.interaction_responses import IN_FILE, NOT_SHARED, PARTLY_SHARED, SHARED_FILE
from bots.sandbox.discord.interactions import MODAL_SUBMIT, Interaction
from bots.sandbox.discord.limits import DISCORD_LIMITS
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import (
    SUPPRESS_EMBEDS,
    DiscordChannel,
    DiscordMessage,
    DiscordUpload,
    Overwrite,
    Permission,
)
from bots.sandbox.nebula.server import NebulaServer
from core.inbound.buttons import SHARED
from core.inbound.menus import ASK, SUMMARISE
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_files import content
from tests.bots.discord.test_room_requests import quoted
from tests.redis_server import stored

PRIVILEGED = Intent.MESSAGE_CONTENT
INTENT = f"I can't see what others wrote: the Message Content intent is off. Use Apps → {ASK} on a message."
UNREAD = "I could not read the message that you chose."
NOT_ALLOWED = "I am not allowed to read"
SECRET = "ZEBRA-7 is out"
BOTH = [Intent.MESSAGE_CONTENT, Intent.NONE]
READ = "GET /channels/{channel}/messages*"
FOLLOW_UP = "POST /webhooks/{application}/{token}"


@pytest_asyncio.fixture(params=BOTH, ids=["intent", "no intent"])
async def either(redis_client: Redis, request: pytest.FixtureRequest) -> AsyncIterator[DiscordRoom]:
    """A room with the intent, and one without."""
    async with room(redis_client, privileged=request.param) as stage:
        yield stage


async def about(here: DiscordRoom, message: DiscordMessage, text: str = "what is that?", who: str = "ann") -> str:
    """Ask about a message; return what is shown."""
    here.nebula.answer_next("A release.")
    return await here.finished(await here.asked_about(who, message, text), "A release.")


async def summarised(here: DiscordRoom, message: DiscordMessage, who: str = "ann") -> str:
    """Choose "Summarise thread"; return what is shown."""
    here.nebula.answer_next("In short.")
    return await here.finished(await here.menu(who, message, SUMMARISE), "In short.")


async def caught_up(here: DiscordRoom, where: str | DiscordChannel = GENERAL, who: str = "ann") -> str:
    """Use /catchup; return what only this person sees."""
    here.nebula.answer_next("You missed this.")
    shown = await here.slash(who, where, "catchup")
    text = await here.finished(shown, "You missed this.")
    assert {each.ephemeral_for for each in shown.messages} == {here.people[who].id}
    return text


def words(here: DiscordRoom) -> list[str]:
    """What the last request quotes, without who said it."""
    return [each.partition(": ")[2] for each in quoted(here)]


def long_answer(paragraphs: int) -> str:
    """An answer that takes a message for each paragraph."""
    return "\n\n".join([*(f"Paragraph {each}. {'word ' * 200}" for each in range(paragraphs)), "End."])


def called(here: DiscordRoom, sent: Interaction) -> bool:
    """Whether the bot has tried to answer an interaction."""
    return any(sent.token in call.path for call in here.discord.calls)


def submit(here: DiscordRoom, who: str, where: DiscordChannel, name: str, text: str = "well?") -> Interaction:
    """Submit a form with any id, as no client would."""
    field: dict[str, Any] = {"type": 18, "component": {"type": 4, "custom_id": "text", "value": text}}
    data = {"custom_id": name, "components": [field]}
    where = next(each for each in here.discord.channels(here.guild) if each.id == where.id)
    return here.discord.interactions.send(MODAL_SUBMIT, here.people[who], where, name, data)


def reads(here: DiscordRoom) -> int:
    """How often the bot has read messages."""
    return sum(call.method == "GET" and "/messages" in call.route for call in here.discord.calls)


class TestAsk:
    """ "Ask Nebula": a form, and a private answer."""

    async def test_it_asks_about_the_message(self, either: DiscordRoom, redis_client: Redis) -> None:
        """With the intent and without, nobody else sees question or answer, and nothing is read from Discord. Of the
        message nothing is kept, in Redis or in an export."""
        message = await either.say("bob", GENERAL, SECRET)
        before = reads(either)
        either.nebula.answer_next("A release.")
        shown = await either.asked_about("ann", message, "what is that?")
        text = await either.finished(shown, "A release.")
        assert quoted(either) == [f"bob (person, the question refers to this): {SECRET}"]
        assert either.asked().endswith("what is that?")
        assert "Read 1 message that the question refers to." in text
        assert {each.ephemeral_for for each in shown.messages} == {either.people["ann"].id}
        assert reads(either) == before
        kept = await stored(redis_client)
        assert "what is that?" in kept
        assert "ZEBRA" not in kept
        exported = await either.slash("ann", GENERAL, "export", whose="me")
        [file] = await either.until(lambda: [each for each in exported.messages if each.attachments])
        assert "what is that?" in await content(file)
        assert "ZEBRA" not in await content(file)

    async def test_the_form_shows_what_was_chosen(self, blind: DiscordRoom) -> None:
        """Its beginning, above the field; the id of the form holds nothing of it."""
        message = await blind.say("bob", GENERAL, "one\ntwo\n" + "long " * 200)
        opened = await blind.menu("ann", message, ASK)
        await blind.until(lambda: opened.modal)
        modal = opened.modal
        assert modal
        assert modal.title == ASK
        assert modal.components[0]["content"].startswith("> bob: one\n> two\n> long long")
        assert len(modal.components[0]["content"]) < 400
        assert modal.custom_id == f"about:{opened.id}:{message.id}"

    async def test_nothing_is_in_the_log(self, blind: DiscordRoom, caplog: pytest.LogCaptureFixture) -> None:
        """Neither what was chosen, nor the question, nor the answer."""
        caplog.set_level(logging.DEBUG, "bots")
        caplog.set_level(logging.DEBUG, "core")
        await about(blind, await blind.say("bob", GENERAL, SECRET), "topsecret?")
        text = "\n".join(record.getMessage() for record in caplog.records)
        assert not [word for word in ("ZEBRA", "topsecret", "A release") if word in text]

    async def test_it_works_where_the_bot_sees_nothing(self, either: DiscordRoom) -> None:
        """In a channel that is closed to the bot."""
        message = await either.say("bob", GENERAL, SECRET)
        either.discord.overwrite(either.place(GENERAL), Overwrite(either.me.id, deny=Permission.VIEW_CHANNEL))
        await about(either, message)
        assert quoted(either) == [f"bob (person, the question refers to this): {SECRET}"]

    async def test_long_cards_and_files(self, blind: DiscordRoom) -> None:
        """All of a message of 4,000 characters with a card, and the names of its files."""
        card = {"title": "Alert", "description": "y" * 4_000, "fields": [{"name": "disk", "value": "91 %"}]}
        helper = blind.discord.add_member(blind.guild, "Helper", bot=True)
        message = await blind.discord.posts(helper, blind.place(GENERAL), {"content": "x" * 2_000, "embeds": [card]})
        await about(blind, message)
        [line] = quoted(blind)
        assert line.startswith("Helper (bot, the question refers to this): x")
        assert "x" * 2_000 in line
        assert f"Alert ⏎ {'y' * 4_000} ⏎ disk: 91 %" in line
        upload = DiscordUpload("log.txt", b"secret words", "text/plain")
        await about(blind, await blind.say("bob", GENERAL, "", attachments=[upload]))
        assert quoted(blind) == ["bob (person, the question refers to this): [file: log.txt]"]

    async def test_an_empty_message_is_said_to_be_unreadable(self, either: DiscordRoom) -> None:
        """Such as the news that somebody joined; the question is answered all the same."""
        message = await either.discord.joins(either.people["bob"], either.place(GENERAL))
        text = await about(either, message)
        assert UNREAD in text
        assert not quoted(either)

    async def test_a_deleted_message_is_not_asked_about(self, either: DiscordRoom) -> None:
        """Its author took it back while somebody wrote the question."""
        message = await either.say("bob", GENERAL, SECRET)
        opened = await either.menu("ann", message, ASK)
        await either.until(lambda: opened.modal)
        await either.discord.delete(message)
        await either.answered("bob", "@bob", "hello", "Hi.")  # by then the deletion has arrived
        either.nebula.answer_next("I can't know.")
        shown = await either.discord.submit_modal(opened, {"text": "what is that?"})
        assert UNREAD in await either.finished(shown, "I can't know.")
        assert "ZEBRA" not in str(either.nebula.requests[-1])

    async def test_it_survives_a_restart_between_form_and_submission(self, redis_client: Redis) -> None:
        """What another process knew is read anew; without the intent the question is answered, and small print says
        that the message could not be read."""
        for privileged in BOTH:
            async with discord_server(privileged=privileged) as discord, NebulaServer() as model:
                here, config = DiscordRoom(discord, model), config_for(discord, model)
                message = await here.say("bob", GENERAL, SECRET)
                async with running(here, redis_client, config):
                    opened = await here.menu("ann", message, ASK)
                    await here.until(partial(getattr, opened, "modal"))
                async with running(here, redis_client, config):
                    model.answer_next("Yes.")
                    text = await here.finished(await here.discord.submit_modal(opened, {"text": "really?"}), "Yes.")
                    assert here.asked().endswith("really?")
                    assert (UNREAD in text) is (privileged is Intent.NONE)
                    assert (SECRET in here.asked()) is (privileged is not Intent.NONE)

    @pytest.mark.parametrize(("status", "code"), [(403, 50001), (403, 50013), (404, 10008), (500, 0)])
    async def test_a_message_that_cannot_be_read_anew(self, here: DiscordRoom, status: int, code: int) -> None:
        """Whatever Discord says, the typed question is not lost."""
        message = await here.say("bob", GENERAL, SECRET)
        here.discord.faults.error("GET /channels/{channel}/messages/{message}", status, None, code=code)
        here.nebula.answer_next("Yes.")
        shown = submit(here, "ann", here.place(GENERAL), f"about:1:{message.id}", "really?")
        assert UNREAD in await here.finished(shown, "Yes.")
        assert here.asked().endswith("really?")

    async def test_forged_ids_open_nothing(self, here: DiscordRoom) -> None:
        """Neither what somebody else chose, nor what is elsewhere, nor what the person may not read."""
        eve = here.people["eve"] = here.discord.add_member(here.guild, "eve")
        hidden = here.place("#random")
        here.discord.overwrite(hidden, Overwrite(eve.id, deny=Permission.VIEW_CHANNEL))
        secret = await here.say("bob", hidden, SECRET)
        opened = await here.menu("bob", secret, ASK)
        await here.until(lambda: opened.modal)
        here.discord.overwrite(here.place(GENERAL), Overwrite(eve.id, deny=Permission.READ_MESSAGE_HISTORY))
        old = await here.say("bob", GENERAL, SECRET)
        for name in (f"about:{opened.id}:{secret.id}", f"about:1:{secret.id}", f"about:1:{old.id}"):
            here.nebula.answer_next("No idea.")
            shown = submit(here, "eve", here.place(GENERAL), name)
            assert UNREAD in await here.finished(shown, "No idea.")
            assert "ZEBRA" not in str(here.nebula.requests[-1])
        asked = len(here.nebula.requests)
        for name in ("about:", "about:1", "about:x:y", f"about:1:{'9' * 30}", "about:1:../@me"):
            sent = submit(here, "eve", here.place(GENERAL), name)
            await here.until(partial(called, here, sent))
        assert len(here.nebula.requests) == asked

    async def test_nothing_but_spaces_is_no_question(self, blind: DiscordRoom) -> None:
        """A sentence says so, to the person alone."""
        message = await blind.say("bob", GENERAL, SECRET)
        shown = await blind.asked_about("ann", message, "  ")
        await blind.until(lambda: shown.original and shown.original.content.startswith("-# Ask me something"))
        assert shown.ephemeral
        assert not blind.nebula.requests

    async def test_an_unknown_menu(self, blind: DiscordRoom) -> None:
        """One of another version: a sentence, for the person alone."""
        message = await blind.say("bob", GENERAL, SECRET)
        await blind.menu("ann", message, ASK)
        target = {"id": message.id, "author": {"id": "1"}, "content": "x"}
        data = {"id": "1", "name": "Translate", "type": 3, "target_id": message.id}
        odd: list[dict[str, Any]] = [{"resolved": {"messages": {message.id: target}}}, {"resolved": {}}, {}]
        texts: list[str] = []
        send = partial(blind.discord.interactions.send, 2, blind.people["ann"], blind.place(GENERAL), "Translate")
        for each in odd:
            shown = send(data | each)
            await blind.until(partial(getattr, shown, "original"))
            assert shown.ephemeral
            assert shown.original
            texts.append(shown.original.content)
        assert UNKNOWN in texts[0]
        assert all(texts)

    async def test_another_process_goes_on(self, redis_client: Redis) -> None:
        """A process that ends between question and answer: what was chosen is stored until the answer is there."""
        async with discord_server() as discord, NebulaServer() as model:
            here, config = DiscordRoom(discord, model), config_for(discord, model)
            message = await here.say("bob", GENERAL, SECRET)
            model.hold(5)
            model.answer_next("a long tale " * 40)
            async with running(here, redis_client, config):
                shown = await here.asked_about("ann", message, "what is that?")
                await here.until(lambda: shown.original and "tale" in shown.original.content)
            model.answer_next("A release.")
            async with running(here, redis_client, config):
                await here.finished(shown, "A release.")
            assert SECRET in here.asked()
            assert "ZEBRA" not in await stored(redis_client)

    async def test_of_two_processes_one_opens_the_form_and_one_answers(
        self, blind: DiscordRoom, redis_client: Redis
    ) -> None:
        """Both get both events; the question is asked once, with what was chosen."""
        message = await blind.say("bob", GENERAL, SECRET)
        async with running(blind, redis_client, config_for(blind.discord, blind.nebula)):
            await about(blind, message)
            assert SECRET in blind.asked()
            assert len(blind.nebula.requests) == 1


class TestSummarise:
    """ "Summarise thread": a private answer, without a form."""

    async def test_a_message_in_a_thread(self, either: DiscordRoom, redis_client: Redis) -> None:
        """The whole thread with the intent; without it the message at hand, and what to do."""
        first = await either.say("bob", GENERAL, "the deploy failed")
        thread = either.discord.add_thread(either.place(GENERAL), "Deploy", message=first)
        await either.say("max", thread, "the disk is full")
        message = await either.say("bob", thread, SECRET)
        text = await summarised(either, message)
        if either.discord.privileged:
            assert len(quoted(either)) == 3
            assert "Read 3 messages of this thread." in text
        else:
            assert quoted(either) == [f"bob (person, the question refers to this): {SECRET}"]
            assert INTENT in text
            assert INTENT in await summarised(either, message)  # not only at the first time
        assert not [word for word in ("ZEBRA", "the disk", "deploy") if word in await stored(redis_client)]

    async def test_a_message_that_started_a_thread(self, here: DiscordRoom) -> None:
        """Used in the channel, it is the thread that is read."""
        first = await here.say("bob", GENERAL, "the deploy failed")
        await here.say("bob", GENERAL, "not of the thread")
        thread = here.discord.add_thread(here.place(GENERAL), "Deploy", message=first)
        await here.say("max", thread, "the disk is full")
        text = await summarised(here, first)
        assert quoted(here) == ["bob (person): the deploy failed", "max (person): the disk is full"]
        assert "Read 2 messages of this thread." in text

    async def test_a_message_with_replies(self, either: DiscordRoom) -> None:
        """Those that hang on it, and what it replies to."""
        above = await either.say("max", GENERAL, "is it out?")
        message = await either.say("bob", GENERAL, SECRET, reply_to=above, ping=False)
        other = await either.say("max", GENERAL, "what time is it?")
        reply = await either.say("max", GENERAL, "at last", reply_to=message)
        await either.say("ada", GENERAL, "noon", reply_to=other)
        await either.say("ada", GENERAL, "and it works", reply_to=reply)
        text = await summarised(either, message)
        if either.discord.privileged:
            assert sorted(words(either)) == sorted(["is it out?", SECRET, "at last", "and it works"])
        else:
            assert words(either) == [SECRET]
            assert INTENT in text

    async def test_a_message_alone(self, either: DiscordRoom) -> None:
        """Small print says that there is no thread, and what was handed over is summarised."""
        text = await summarised(either, await either.say("bob", GENERAL, SECRET))
        assert words(either) == [SECRET]
        assert "That message has no thread, and I found no replies to it." in text

    @pytest.mark.parametrize(("status", "code"), [(403, 50001), (403, 50013), (404, 10008)])
    async def test_where_the_bot_may_not_read(self, here: DiscordRoom, status: int, code: int) -> None:
        """What Discord handed over is summarised, and small print says what could not be read."""
        thread = here.discord.add_thread(here.place(GENERAL), "Deploy")
        await here.say("max", thread, "the disk is full")
        message = await here.say("bob", thread, SECRET)
        here.discord.faults.error(READ, status, None, code=code)
        text = await summarised(here, message)
        assert words(here) == [SECRET]
        assert (NOT_ALLOWED in text) is (status == 403)

    async def test_a_closed_channel(self, either: DiscordRoom) -> None:
        """The same where the bot does not even see the channel."""
        message = await either.say("bob", GENERAL, SECRET)
        either.discord.overwrite(either.place(GENERAL), Overwrite(either.me.id, deny=Permission.VIEW_CHANNEL))
        text = await summarised(either, message)
        assert words(either) == [SECRET]
        assert NOT_ALLOWED in text

    async def test_a_thread_of_five_thousand_messages(self, here: DiscordRoom) -> None:
        """The newest two hundred in few calls, with the first one."""
        first = await here.say("bob", GENERAL, "the beginning")
        thread = here.discord.add_thread(here.place(GENERAL), "Long", message=first)
        message = None
        for number in range(5_000):
            message = await here.discord.posts(here.people["bob"], thread, {"content": f"line {number}"})
        assert message
        before = reads(here)
        text = await summarised(here, message)
        assert "Read the newest 200 messages of this thread" in text
        assert words(here)[1:3] == ["the beginning", "line 4801"]
        assert reads(here) - before <= 5

    async def test_context_off(self, here: DiscordRoom) -> None:
        """Only what was handed over is read."""
        await here.used("max", GENERAL, "set", parameter="context", value="off")
        message = await here.say("bob", GENERAL, SECRET)
        before = reads(here)
        text = await summarised(here, message)
        assert reads(here) == before
        assert words(here) == [SECRET]
        assert "I did not read more" in text


class TestCatchUp:
    """/catchup."""

    async def test_since_the_askers_last_message(self, here: DiscordRoom, redis_client: Redis) -> None:
        """Of the channel, answers of the bot among it; nothing of it is kept."""
        await here.say("bob", GENERAL, "long ago")
        await here.say("ann", GENERAL, "good night")
        await here.answered("bob", GENERAL, "@nebula one", "First.")
        await here.say("max", GENERAL, SECRET)
        text = await caught_up(here)
        assert words(here) == ["@Nebula one", "First.", SECRET]
        assert "Read 3 messages of this channel." in text
        assert "since my last message" in here.asked()
        assert "ZEBRA" not in await stored(redis_client)

    async def test_in_a_thread(self, here: DiscordRoom) -> None:
        """A thread that the asker never wrote in, and the channel since their last message there."""
        thread = here.discord.add_thread(here.place(GENERAL), "Deploy")
        await here.say("ann", GENERAL, "good night")
        await here.say("bob", thread, "one")
        await here.say("bob", GENERAL, "two")
        await caught_up(here, thread)
        assert words(here) == ["one", "two"]
        await here.say("ann", thread, "I see")
        await here.say("bob", thread, "three")
        await caught_up(here, thread)
        assert words(here) == ["two", "three"]

    async def test_as_a_message(self, here: DiscordRoom) -> None:
        """The message that asks is not the last message of its author."""
        await here.say("ann", GENERAL, "good night")
        await here.say("bob", GENERAL, SECRET)
        await here.answered("ann", GENERAL, "@nebula !catchup", "You missed this.")
        assert words(here) == [SECRET]

    async def test_nothing_was_missed(self, here: DiscordRoom) -> None:
        """Small print says so."""
        await here.say("ann", GENERAL, "good night")
        assert "Nothing was said here since your last message." in await caught_up(here)

    async def test_more_than_fits(self, here: DiscordRoom) -> None:
        """The newest two hundred, and small print says that there is more."""
        await here.say("ann", GENERAL, "good night")
        for number in range(250):
            await here.discord.posts(here.people["bob"], here.place(GENERAL), {"content": f"line {number}"})
        assert "Read the newest 200 messages of this channel." in await caught_up(here)
        assert quoted(here)[1].endswith(": line 50")

    async def test_a_channel_without_a_message_of_the_asker(self, here: DiscordRoom) -> None:
        """All of it is read, and nothing is missing."""
        await here.say("bob", GENERAL, "one")
        await here.say("bob", GENERAL, "two")
        assert "Read 2 messages of this channel." in await caught_up(here)

    async def test_without_the_intent(self, blind: DiscordRoom) -> None:
        """Small print says what to do, each time."""
        await blind.say("bob", GENERAL, SECRET)
        for _ in range(2):
            assert INTENT in await caught_up(blind)
            assert not quoted(blind)

    @pytest.mark.parametrize("denied", [Permission.VIEW_CHANNEL, Permission.READ_MESSAGE_HISTORY])
    async def test_where_the_bot_may_not_read(self, here: DiscordRoom, denied: Permission) -> None:
        """Small print says so."""
        await here.say("bob", GENERAL, SECRET)
        here.discord.overwrite(here.place(GENERAL), Overwrite(here.me.id, deny=denied))
        assert NOT_ALLOWED in await caught_up(here)
        assert not quoted(here)

    async def test_what_the_asker_may_not_read(self, here: DiscordRoom) -> None:
        """The bot may, and does not tell them."""
        await here.say("bob", GENERAL, SECRET)
        denied = Overwrite(here.people["ann"].id, deny=Permission.READ_MESSAGE_HISTORY)
        here.discord.overwrite(here.place(GENERAL), denied)
        assert NOT_ALLOWED in await caught_up(here)
        assert not quoted(here)


async def last_told(here: DiscordRoom, shown: Interaction, label: str) -> str:
    """Press a button; return the sentence that only this person sees, after what everybody does."""
    pressed = await here.press("ann", shown.messages[-1], label)
    return (await here.until(lambda: [each for each in pressed.followups if each.ephemeral_for]))[0].content


class TestShare:
    """The button under a private answer."""

    async def private(self, here: DiscordRoom, answer: str) -> Interaction:
        here.nebula.answer_next(answer)
        shown = await here.asked_about("ann", await here.say("bob", GENERAL, SECRET), "what is that, @everyone?")
        await here.finished(shown, answer[-4:])
        return shown

    async def test_it_shows_the_answer_to_everybody(self, here: DiscordRoom) -> None:
        """With who asked what; it pings nobody, has no previews, and nothing of the message that was chosen."""
        shown = await self.private(here, "A release, <@1> @everyone https://example.com")
        assert not here.shown(GENERAL)
        await here.press("ann", shown.messages[-1], "Share")
        [message] = await here.until(lambda: here.shown(GENERAL))
        assert "**ann** shares an answer to: what is that, everyone?" in message.content
        assert "A release" in message.content
        assert "ZEBRA" not in message.content
        assert not message.pings
        assert message.flags & SUPPRESS_EMBEDS

    async def test_a_second_press_says_so(self, here: DiscordRoom) -> None:
        """However quickly they follow, there is one message."""
        shown = await self.private(here, "A release.")
        first = await here.press("ann", shown.messages[-1], "Share")
        second = await here.press("ann", shown.messages[-1], "Share")
        await here.until(lambda: first.followups and second.followups)
        both = [*first.followups, *second.followups]
        assert sorted(bool(one.ephemeral_for) for one in both) == [False, True]
        assert [one.content for one in both if one.ephemeral_for] == [SHARED]
        assert len(here.shown(GENERAL)) == 1

    async def test_two_processes_share_once(self, here: DiscordRoom, redis_client: Redis) -> None:
        """Both hear of the press."""
        shown = await self.private(here, "A release.")
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            await here.press("ann", shown.messages[-1], "Share")
            await here.until(lambda: here.shown(GENERAL))
            assert await here.told("ann", shown.messages[-1], "Share") == SHARED
        assert len(here.shown(GENERAL)) == 1

    async def test_a_long_answer_comes_with_a_file(self, here: DiscordRoom) -> None:
        """A few messages, and all of it as a file."""
        shown = await self.private(here, long_answer(7))
        await here.press("ann", shown.messages[-1], "Share")
        [message] = await here.until(lambda: [each for each in here.shown(GENERAL) if each.attachments])
        assert (message.attachments[0].name, message.content) == (SHARED_FILE, f"-# {IN_FILE}")
        assert len(here.shown(GENERAL)) == 4
        async with aiohttp.ClientSession() as session, session.get(message.attachments[0].url) as answer:
            assert (await answer.text()).endswith("End.")

    async def test_what_cannot_be_shared_is_said(self, here: DiscordRoom) -> None:
        """Once Discord refuses it for good; a pause that it asks for is waited for."""
        shown = await self.private(here, "A release.")
        here.discord.faults.error(FOLLOW_UP, 400, code=200000)
        assert await here.told("ann", shown.messages[-1], "Share") == NOT_SHARED
        assert not here.shown(GENERAL)
        while not here.shown(GENERAL):  # nothing was shown, so it is not shared, as soon as that is stored
            again = await here.press("ann", shown.messages[-1], "Share")
            await here.until(partial(getattr, again, "followups"))
        other = await self.private(here, "Another.")
        here.discord.faults.rate_limit(FOLLOW_UP, 0.01)
        await here.press("ann", other.messages[-1], "Share")
        await here.until(lambda: len(here.shown(GENERAL)) == 2)

    @pytest.mark.parametrize(("after", "pages"), [(1, 3), (3, 7)], ids=["a page", "the file"])
    async def test_what_is_shared_in_part_is_said(self, here: DiscordRoom, after: int, pages: int) -> None:
        """The rest is missing, and a second press would repeat the beginning."""
        shown = await self.private(here, long_answer(pages))
        here.discord.faults.error(FOLLOW_UP, 400, code=200000, before=after)
        assert await last_told(here, shown, "Share") == PARTLY_SHARED
        assert len(here.shown(GENERAL)) == after
        assert await here.told("ann", shown.messages[-1], "Share") == SHARED

    async def test_it_keeps_discords_limits(self, redis_client: Redis) -> None:
        """With its real limits on interactions, a long answer is shared all the same."""
        async with room(redis_client, limits=DISCORD_LIMITS, privileged=Intent.MESSAGE_CONTENT) as here:
            shown = await self.private(here, long_answer(8))
            await here.press("ann", shown.messages[-1], "Share")
            await here.until(lambda: len(here.shown(GENERAL)) == 4)
