"""A Discord app that people add to their account: it answers them alone wherever they are, in few messages, and reads
nothing there but what they hand over."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.discord.components.commands import NOT_SWITCHED_ON
from bots.discord.inbound.interactions import NOT_FOR_GUESTS
from bots.discord.inbound.presses import NO_GUEST
from bots.discord.outbound.interaction_responses import HIDDEN
from bots.sandbox.discord.interactions import COMMAND, Interaction
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import (
    DiscordRefuses,
    Overwrite,
    Permission,
)
from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import DENIED
from core.inbound.menus import ASK, SUMMARISE
from core.reply.layout import IN_FILE, NO_MORE
from tests.bots.discord.harness import THUMBS, DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_menus import SECRET, long_answer, words
from tests.redis_server import stored

ABROAD, GROUP = "#abroad", "#group"
FOLLOW_UP = "POST /webhooks/{application}/{token}"
ON: dict[str, Any] = {"discord_user_install": "on"}


def abroad(here: DiscordRoom) -> None:
    """Add a guild without the bot and a group chat. Ann has added the app to her account; Bob has not."""
    other = here.discord.add_guild("Elsewhere", bot=False)
    here.people["eve"] = here.discord.add_member(other, "eve")
    for name in ("ann", "bob"):
        here.discord.add_member(other, here.people[name])
    here.discord.install(here.people["ann"])
    here.channels[ABROAD] = here.discord.add_channel(other, "abroad")
    here.channels[GROUP] = here.discord.add_group("friends", here.people["ann"], here.people["bob"])


@pytest_asyncio.fixture
async def here(redis_client: Redis) -> AsyncIterator[DiscordRoom]:
    """A room whose app people may add to their account."""
    async with room(redis_client, changes=ON, before=abroad, privileged=Intent.MESSAGE_CONTENT) as stage:
        yield stage


async def answered(here: DiscordRoom, where: str, answer: str = "Here you are.") -> Interaction:
    """Ask as Ann with /ask."""
    here.nebula.answer_next(answer)
    shown = await here.slash("ann", where, "ask", prompt="what now?")
    await here.finished(shown, answer[-4:])
    return shown


def looked(here: DiscordRoom, where: str) -> list[str]:
    """The calls of the bot that name a place or its guild."""
    place = here.place(where)
    names = {place.id, place.guild} - {""}
    return [call.route for call in here.discord.calls if names & set(call.path.split("?")[0].split("/"))]


@pytest.mark.parametrize("where", [ABROAD, GROUP])
async def test_ask_is_answered_in_private(here: DiscordRoom, where: str, redis_client: Redis) -> None:
    """In a guild without the bot, and in a group chat, without any call about the place."""
    shown = await answered(here, where)
    assert {each.ephemeral_for for each in shown.messages} == {here.people["ann"].id}
    assert not looked(here, where)
    await answered(here, where, "Again.")
    assert "Here you are." in str(here.nebula.requests[-1])  # it remembers what this person asked there
    place = here.place(where)
    [history] = [key async for key in redis_client.scan_iter("nb:*:h:*")]
    assert f"discord/{place.guild or '-'}~/{place.id}/private/{here.people['ann'].id}".encode() in history


@pytest.mark.parametrize("where", [ABROAD, GROUP])
async def test_the_menus_work_too(here: DiscordRoom, where: str, redis_client: Redis) -> None:
    """With what Discord hands over; small print says that no more could be read."""
    message = await here.say("bob", where, SECRET)
    here.nebula.answer_next("A release.")
    shown = await here.asked_about("ann", message, "what is that?")
    assert "Read 1 message that the question refers to." in await here.finished(shown, "A release.")
    assert words(here) == [SECRET]
    here.nebula.answer_next("In short.")
    shown = await here.menu("ann", message, SUMMARISE)
    assert "I am not allowed to read all that was said here." in await here.finished(shown, "In short.")
    assert words(here) == [SECRET]
    assert shown.ephemeral
    assert not looked(here, where)
    assert "ZEBRA" not in await stored(redis_client)


async def test_a_thread_abroad(here: DiscordRoom) -> None:
    """Nothing of it is read, and neither is what a link names."""
    thread = here.discord.add_thread(here.place(ABROAD), "Aside")
    message = await here.say("bob", thread, SECRET)
    here.nebula.answer_next("Well.")
    url = f"https://discord.com/channels/{thread.guild}/{thread.id}/{message.id}"
    shown = await here.slash("ann", thread, "ask", prompt=f"<@{here.people['eve'].id}> said {url}?")
    assert "I am not allowed to read what others said here." in await here.finished(shown, "Well.")
    assert not looked(here, ABROAD)
    assert thread.id not in str([call.path for call in here.discord.calls])


async def test_a_form_after_a_restart(redis_client: Redis) -> None:
    """The message can't be read anew; the question is answered, and small print says so."""
    async with discord_server() as discord, NebulaServer() as model:
        here, config = DiscordRoom(discord, model), config_for(discord, model, **ON)
        abroad(here)
        message = await here.say("bob", ABROAD, SECRET)
        async with running(here, redis_client, config):
            opened = await here.menu("ann", message, ASK)
            await here.until(lambda: opened.modal)
        async with running(here, redis_client, config):
            model.answer_next("Yes.")
            text = await here.finished(await discord.submit_modal(opened, {"text": "really?"}), "Yes.")
            assert "I could not read the message that you chose." in text
            assert not looked(here, ABROAD)


async def test_an_answer_takes_five_messages_and_a_file(here: DiscordRoom) -> None:
    """The first and four more, then all of it as the fifth: Discord takes no more."""
    here.nebula.answer_next(long_answer(8))
    shown = await here.slash("ann", ABROAD, "ask", prompt="a lot")
    await here.until(lambda: any(each.attachments for each in shown.messages))
    await here.bot.runner.idle()
    assert len(shown.followups) == 5
    assert IN_FILE in shown.messages[4].content
    assert not [call for call in here.discord.calls if call.code == 40094]
    assert not here.shown("@ann")


async def test_without_followups_left_the_rest_is_said_to_be_missing(here: DiscordRoom) -> None:
    """It does not continue elsewhere."""
    here.discord.faults.error(FOLLOW_UP, 400, None, code=40094, before=1)
    here.nebula.answer_next(long_answer(4))
    shown = await here.slash("ann", ABROAD, "ask", prompt="a lot")
    await here.until(lambda: shown.messages and NO_MORE in shown.messages[-1].content)
    await here.bot.runner.idle()
    assert len(shown.messages) == 2
    assert not here.shown("@ann")


@pytest.mark.parametrize("where", [ABROAD, GROUP])
async def test_an_answer_can_be_shared(here: DiscordRoom, where: str) -> None:
    """In the place, with the token of the press; a long one as a file."""
    shown = await answered(here, where)
    pressed = await here.press("ann", shown.messages[-1], "Share")
    [message] = await here.until(lambda: pressed.followups)
    assert not message.ephemeral_for
    assert "shares an answer to: what now?" in message.content
    shown = await answered(here, where, long_answer(5))
    pressed = await here.press("ann", shown.messages[-1], "Share")
    await here.until(lambda: any(each.attachments for each in pressed.followups))
    assert len(pressed.followups) == 4


async def test_where_discord_hides_it_the_person_is_told(here: DiscordRoom) -> None:
    """Without the permission to use external apps, only the person sees what is shared."""
    deny = Overwrite(here.place(ABROAD).guild, deny=Permission.USE_EXTERNAL_APPS)
    here.discord.overwrite(here.place(ABROAD), deny)
    shown = await answered(here, ABROAD)
    pressed = await here.press("ann", shown.messages[-1], "Share")
    await here.until(lambda: len(pressed.followups) == 2)
    assert pressed.followups[1].content == f"-# {HIDDEN}"
    assert all(each.ephemeral_for for each in pressed.followups)


async def test_a_picture_is_for_the_person_alone(here: DiscordRoom) -> None:
    """It works like a question, and the file is as private as the reply."""
    shown = await here.slash("ann", ABROAD, "imagine", text="a cat")
    await here.until(lambda: any(each.attachments for each in shown.messages))
    await here.bot.runner.idle()
    assert len(shown.messages) == 2
    assert {each.ephemeral_for for each in shown.messages} == {here.people["ann"].id}


async def test_only_what_belongs_to_no_place_is_offered(here: DiscordRoom) -> None:
    """Neither settings nor anything else of a place, and nothing to those who did not add the app."""
    await answered(here, ABROAD)
    for path in ("settings", "catchup", "help", "export", "reset"):
        with pytest.raises(DiscordRefuses):
            await here.discord.slash(here.people["ann"], here.place(ABROAD), path, {})
    with pytest.raises(DiscordRefuses):
        await here.discord.slash(here.people["bob"], here.place(ABROAD), "ask", {"prompt": "me too?"})
    portable = {each["name"] for each in here.discord.commands.registered if 1 in each["integration_types"]}
    assert portable == {"ask", "imagine", ASK, SUMMARISE}


async def test_a_forged_command_abroad_is_refused(here: DiscordRoom) -> None:
    """Whoever sends it may change and see nothing."""
    await answered(here, ABROAD)
    data = {"id": "1", "name": "set", "type": 1, "options": [{"type": 3, "name": "parameter", "value": "model"}]}
    shown = here.discord.interactions.send(COMMAND, here.people["ann"], here.place(ABROAD), "set", data)
    await here.until(lambda: shown.original)
    assert [each.content for each in shown.messages] == [NOT_FOR_GUESTS]
    assert shown.ephemeral


async def test_settings_are_the_operators(redis_client: Redis) -> None:
    """Not those of a guild that the bot has left: nobody there can see or change them."""
    async with room(redis_client, changes=ON, before=abroad) as here:
        guild = here.place(ABROAD).guild
        await redis_client.hset(f"nb:s:discord/{guild}", "prompt", '{"value":"Be rude.","by":"x","at":1.0}')
        await answered(here, ABROAD)
        assert "Be rude." not in str(here.nebula.requests[-1])


@pytest.mark.parametrize("denied", ["person", "guild", "channel"])
async def test_the_access_lists_apply(redis_client: Redis, denied: str) -> None:
    """To people, guilds and channels alike."""
    async with discord_server() as discord, NebulaServer() as model:
        here = DiscordRoom(discord, model)
        abroad(here)
        place = here.place(ABROAD)
        name = {"person": here.people["ann"].id, "guild": place.guild, "channel": place.id}[denied]
        async with running(here, redis_client, config_for(discord, model, **ON, access_deny=name)):
            shown = await here.slash("ann", ABROAD, "ask", prompt="what now?")
            await here.until(lambda: shown.messages and DENIED in shown.messages[-1].content)
            assert not model.requests


async def test_where_the_bot_is_a_member_nothing_changes(here: DiscordRoom) -> None:
    """Though the person has added the app to their account, the guild has it too: the answer is for everybody."""
    here.nebula.answer_next("Hi.")
    shown = await here.slash("ann", "#general", "ask", prompt="hello")
    await here.finished(shown, "Hi.")
    assert not shown.ephemeral
    await answered(here, "@ann", "In private.")
    assert [each for each in here.said("@ann") if each.endswith("In private.")]


async def test_it_is_off_by_default(redis_client: Redis) -> None:
    """Nothing is offered; a command that Discord still knows from before gets a sentence."""
    async with room(redis_client, before=abroad) as here:
        await here.until(lambda: here.discord.commands.registered)
        assert all(each["integration_types"] == [0] for each in here.discord.commands.registered)
        data = {"id": "1", "name": "ask", "type": 1, "options": [{"type": 3, "name": "prompt", "value": "hello"}]}
        shown = here.discord.interactions.send(COMMAND, here.people["ann"], here.place(ABROAD), "ask", data)
        await here.until(lambda: shown.original)
        assert [each.content for each in shown.messages] == [NO_GUEST]


async def test_without_the_switch_in_the_portal(redis_client: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The commands are registered all the same, and one line says what to do."""

    def switched_off(stage: DiscordRoom) -> None:
        stage.discord.user_install = False

    caplog.set_level(logging.INFO, "bots.discord")
    async with room(redis_client, changes=ON, before=switched_off) as here:
        assert "ask" in await here.used("ann", "#general", "help")
        assert all(each["integration_types"] == [0] for each in here.discord.commands.registered)
    assert [record.getMessage() for record in caplog.records].count(NOT_SWITCHED_ON) == 1


async def test_a_portal_that_does_not_say(redis_client: Redis) -> None:
    """If Discord refuses the commands, they are registered without."""

    def refusing(stage: DiscordRoom) -> None:
        stage.discord.faults.error("PUT /applications/*", 400, code=50035)

    async with room(redis_client, changes=ON, before=refusing) as here:
        await here.until(lambda: here.discord.commands.registered)
        assert all(each["integration_types"] == [0] for each in here.discord.commands.registered)


async def test_a_second_start_registers_nothing(here: DiscordRoom, redis_client: Redis) -> None:
    """Menus and contexts are compared like the commands."""
    await here.until(lambda: here.discord.commands.puts)
    route = "GET /applications/{application}/commands"
    async with running(here, redis_client, config_for(here.discord, here.nebula, **ON)):
        await here.until(lambda: sum(call.route == route for call in here.discord.calls) == 2)
        await here.used("ann", "#general", "help")
    assert here.discord.commands.puts == 1


async def test_another_process_goes_on_abroad(redis_client: Redis) -> None:
    """It finishes the same message, and asks Discord nothing about the place."""
    async with discord_server() as discord, NebulaServer() as model:
        here, config = DiscordRoom(discord, model), config_for(discord, model, **ON)
        abroad(here)
        model.hold(5)
        model.answer_next("a long tale " * 40)
        async with running(here, redis_client, config):
            shown = await here.slash("ann", GROUP, "ask", prompt="a tale")
            await here.until(lambda: shown.original and "tale" in shown.original.content)
        model.answer_next("The whole tale.")
        async with running(here, redis_client, config):
            await here.finished(shown, "The whole tale.")
        assert len(shown.messages) == 1
        assert not looked(here, GROUP)


async def test_buttons_end_with_it(redis_client: Redis) -> None:
    """Switched off at a restart, it is off for what was asked before, too."""
    async with discord_server() as discord, NebulaServer() as model:
        here = DiscordRoom(discord, model)
        abroad(here)
        async with running(here, redis_client, config_for(discord, model, **ON)):
            shown = await answered(here, ABROAD)
        async with running(here, redis_client, config_for(discord, model)):
            for label in ("Share", "Undo", THUMBS[0]):
                assert await here.told("ann", shown.messages[-1], label) == NO_GUEST
        assert all(each.ephemeral_for for each in discord.messages(here.place(ABROAD)))


async def test_without_its_token_an_answer_ends_there(here: DiscordRoom) -> None:
    """It does not continue as a direct message to somebody who may share no guild with the bot."""
    here.discord.faults.error(FOLLOW_UP, 401, None, code=50027, before=1)
    here.nebula.answer_next(long_answer(4))
    shown = await here.slash("ann", ABROAD, "ask", prompt="a lot")
    await here.until(lambda: any(call.code == 50027 for call in here.discord.calls))
    await here.bot.runner.idle()
    assert len(shown.messages) == 2
    assert not any(call.route == "POST /users/@me/channels" for call in here.discord.calls)
    assert not here.shown("@ann")
