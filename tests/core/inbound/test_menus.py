"""Questions from menus: what they bring along is quoted and not kept, what they read, and private answers that their
owner shares."""

import time
from dataclasses import replace

from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Conversation, ResponseToken, Rights
from core.domain.errors import Forbidden
from core.domain.options import Context
from core.domain.page import Action
from core.domain.question import Question
from core.domain.surroundings import Gap, Role, Said, Surroundings
from core.domain.turn_id import TurnId
from core.inbound.buttons import NOT_KEPT, NOT_YOURS, OVER, SHARED, ButtonPress
from core.inbound.menus import ASK, catch_up, privately, summary
from core.prompt.quoting import END
from core.reply.layout import IN_FILE, STOPPED
from tests.core.core_harness import ANN, BOB, ROOM, Process
from tests.core.inbound.test_buttons import actions, press
from tests.core.turns.test_reading import stored

CHOSEN = Said("m9", "bob", Role.PERSON, 5.0, "the disk was full " + "x" * 3_000)


def chosen(bot: Process, text: str = "why?", author: Author = ANN) -> Question:
    return replace(bot.question(text, author=author), private=True, about=(CHOSEN,))


async def no_rights() -> Rights:
    return Rights.NONE


async def answered(bot: Process, question: Question) -> str:
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return bot.shown(question)


async def test_what_was_chosen_is_quoted_and_not_kept(bot: Process, server: NebulaServer, redis_client: Redis) -> None:
    """All of it goes to the model, as what the question refers to; afterwards nothing of it is in Redis."""
    bot.rooms.trouble = Forbidden("not in this channel")
    shown = await answered(bot, chosen(bot))
    assert shown.startswith("Read 1 message that the question refers to. I am not allowed to read all that was said")
    asked = server.requests[-1].messages[-1].content
    assert CHOSEN.text in asked.partition(END)[0]
    values = str([value async for value in stored(redis_client)])
    assert "why?" in values
    assert "disk" not in values


async def test_what_can_be_read_anew_is_not_quoted_twice(bot: Process, server: NebulaServer) -> None:
    """Where the bot may read the message itself, it is the newest version that counts."""
    bot.rooms.said = Surroundings((), (replace(CHOSEN, text="the disk is fine again"),))
    await answered(bot, chosen(bot))
    asked = server.requests[-1].messages[-1].content
    assert "fine again" in asked
    assert "was full" not in asked


async def test_a_summary_reads_the_thread_and_a_catch_up_the_channel(bot: Process, server: NebulaServer) -> None:
    """Whatever the channel's setting says, unless that is off: then only what was chosen is quoted."""
    await answered(bot, summary(bot.question("")))
    assert (bot.rooms.reaches[-1].context, bot.rooms.reaches[-1].messages) == (Context.THREAD, 200)
    await answered(bot, catch_up(bot.question("")))
    reach = bot.rooms.reaches[-1]
    assert (reach.context, reach.since, reach.summary) == (Context.ROOM, ANN.id, True)
    assert "since my last message" in server.requests[-1].messages[-1].content
    await bot.command("set context off")
    before = len(bot.rooms.reaches)
    shown = await answered(bot, summary(chosen(bot)))
    assert len(bot.rooms.reaches) == before
    assert "`context` is off" in shown
    assert "the disk was full" in server.requests[-1].messages[-1].content


async def test_what_could_not_be_read_is_said(bot: Process, server: NebulaServer) -> None:
    """A chosen message without a text is not quoted; and whoever asks to have something read hears each time why it was
    not."""
    shown = await answered(bot, replace(chosen(bot), about=(replace(CHOSEN, text=""),)))
    assert shown.startswith("I could not read the message that you chose.")
    assert END not in server.requests[-1].messages[-1].content
    bot.rooms.said = Surroundings(gaps=frozenset({Gap.INTENT, Gap.ALONE}))
    for question in (chosen(bot), summary(chosen(bot)), catch_up(chosen(bot))):
        shown = await answered(bot, question)
        assert f"Use Apps → {ASK} on a message." in shown
        assert "That message has no thread, and I found no replies to it." in shown


async def test_nothing_to_catch_up_on_is_said(bot: Process) -> None:
    """An empty channel has nothing to quote."""
    shown = await answered(bot, catch_up(bot.question("")))
    assert shown.startswith("Nothing was said here since your last message.")


async def test_a_question_from_a_menu_is_not_merged(bot: Process) -> None:
    """With others, what it brings along, or what it reads, would be lost."""
    assert bot.question("why?").is_plain
    assert not any(each.is_plain for each in (chosen(bot), summary(bot.question("")), catch_up(bot.question(""))))


async def test_a_token_bounds_the_messages_of_a_reply(bot: Process, server: NebulaServer) -> None:
    """What is more comes as a file."""
    server.answer_next("\n\n".join(["word " * 300] * 8))
    token = ResponseToken("token", 9e9, messages=2)
    question = replace(bot.question("a lot"), interaction=token)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    pages = list(bot.rooms.rooms[question.message].messages.values())
    assert len(pages) == 2
    assert pages[-1].foot.startswith(IN_FILE)


def test_a_visited_place_has_scopes_of_its_own() -> None:
    """Nobody can set anything under them."""
    place = replace(ROOM, thread="t", visiting=True)
    assert not set(place.scopes) & set(replace(place, visiting=False).scopes)
    assert place.workspace == ROOM.workspace


async def test_a_summary_says_what_is_missing(bot: Process) -> None:
    """More was said than is read."""
    bot.rooms.said = Surroundings((CHOSEN,), gaps=frozenset({Gap.MORE}))
    assert (await answered(bot, summary(bot.question("")))).startswith("Read the newest 1 message of this")


async def test_a_private_answer_is_shared_by_its_owner_once(bot: Process, server: NebulaServer) -> None:
    """Everybody reads who shares it, the question and the answer; a second press has no effect."""
    server.answer_next("Because of **logs**.")
    question = chosen(bot, "why [that](http://x)?")
    await answered(bot, question)
    assert actions(bot, question) == (Action.SHARE,)
    assert await press(bot, Action.SHARE, question, BOB) == NOT_YOURS
    assert await press(bot, Action.SHARE, question) == (
        "**Ann** shares an answer to: why thathttp://x?\n\nBecause of **logs**."
    )
    assert await press(bot, Action.SHARE, question) == SHARED


async def test_what_the_platform_refused_may_be_shared_again(bot: Process) -> None:
    """Nobody has seen it yet."""
    question = chosen(bot)
    await answered(bot, question)
    assert await press(bot, Action.SHARE, question) is not None
    conversation = Conversation(ROOM.name, ANN.id)
    message = next(iter(bot.rooms.rooms[question.message].messages))
    await bot.dispatcher.not_shared(ButtonPress(conversation, message, ROOM, ANN))
    assert (await press(bot, Action.SHARE, question)).startswith("**Ann** shares")


async def test_a_button_that_names_its_turn_stops_no_other(bot: Process, server: NebulaServer) -> None:
    """Where messages have no ids of the platform's, an old button must not end a newer answer."""
    server.fault(NebulaFault(stall_after=2))
    server.answer_next("one two three four")
    question = replace(bot.question("talk"), private=True, interaction=ResponseToken("t", time.time() + 900, 5))
    await bot.inbox.accept(question)
    await server.until(lambda: bool(server.requests))
    conversation = Conversation(ROOM.name, ANN.id)

    async def stop(turn: str) -> str:
        pressed = ButtonPress(conversation, f"{turn}/0", ROOM, ANN, turn=TurnId(turn))
        response = await bot.dispatcher.pressed(Action.STOP, pressed, no_rights)
        return response.text if response else ""

    assert await stop("slack/another") == OVER
    assert await stop(question.id) == ""
    await bot.runner.idle()
    assert STOPPED in bot.shown(question)


async def test_where_nothing_can_change_an_answer_is_shown_whole(bot: Process, server: NebulaServer) -> None:
    """It does not grow, and says so to nobody but by its status."""
    server.answer_next("word " * 900)
    token = ResponseToken("t", time.time() + 900, 3, grows=False)
    question = replace(bot.question("talk"), private=True, interaction=token)
    await answered(bot, question)
    frames = bot.rooms.rooms[question.message].frames
    assert len({message for message, _ in frames}) == len(frames) == 3
    assert not any(page.growing for _, page in frames)


async def test_a_forgotten_answer_is_not_shared(bot: Process) -> None:
    """The person reads why."""
    question = chosen(bot)
    await answered(bot, question)
    await bot.command("forget all")
    assert await press(bot, Action.SHARE, question) == NOT_KEPT


async def test_a_direct_message_has_nothing_to_share(bot: Process) -> None:
    """Nobody else is there."""
    question = replace(chosen(bot), place=replace(ROOM, direct=True))
    await answered(bot, question)
    assert actions(bot, question) == ()


async def test_a_catch_up_may_come_as_a_message(bot: Process, server: NebulaServer) -> None:
    """In threads of Slack there are no slash commands."""
    assert await bot.say("!catchup") is None
    await bot.runner.idle()
    assert "Catch me up" in server.requests[-1].messages[-1].content


def test_a_flag_makes_a_question_private() -> None:
    """Phones write a dash for two hyphens; anything else is the question."""
    assert privately("--private why?") == ("why?", True)
    assert privately("—private") == ("", True)
    assert privately("--wide --private a cat") == ("--wide a cat", True)
    assert privately("--privately?") == ("--privately?", False)
    assert privately("why --private?") == ("why --private?", False)


async def test_a_catch_up_is_a_question_however_it_comes(bot: Process, server: NebulaServer) -> None:
    """Written while nobody listened, or when a message is corrected."""
    missed = replace(bot.question("!catchup"), at=time.time())
    assert await bot.dispatcher.is_new(missed)
    await bot.dispatcher.missed(missed)
    await bot.runner.idle()
    assert not await bot.dispatcher.is_new(missed)
    await bot.dispatcher.edited(replace(bot.question("!catchup"), at=time.time()), asks=True)
    await bot.runner.idle()
    assert [each.since for each in bot.rooms.reaches] == [ANN.id, ANN.id]
    assert len(server.requests) == 2
