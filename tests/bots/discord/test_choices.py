"""Versions of an answer, its menu, and undo in Discord, at the wire: what people press and what they see then."""

import asyncio

import pytest
from redis.asyncio import Redis

from bots.discord.components.buttons import pressed
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.text import walk
from bots.sandbox.discord.world.values import DiscordMessage, DiscordUpload, Json
from bots.sandbox.nebula.pictures import png
from core.inbound.buttons import FORGOTTEN, NOT_YOURS
from core.inbound.undoing import FROM_MEMORY, TAKEN_BACK, UNDONE
from core.reply.layout import IN_FILE
from tests.bots.discord.harness import GENERAL, THUMBS, DiscordRoom, config_for, room, running
from tests.bots.discord.test_buttons import AGAIN, ended, settled, texts

BEFORE, AFTER, UNDO = "‹", "›", "Undo"
PLACES = pytest.mark.parametrize("command", [False, True], ids=["said", "command"])


def menu(here: DiscordRoom, message: DiscordMessage) -> Json:
    """The menu that a message has now."""
    current = here.discord.message(message)
    assert current
    [found] = [part for part in walk(current.components) if part.get("type") == 3]
    return found


async def choose(here: DiscordRoom, who: str, message: DiscordMessage, label: str) -> Interaction:
    """Choose from the menu of an answer."""
    found = menu(here, message)
    value = next(each["value"] for each in found["options"] if each["label"] == label)
    return await here.discord.press(here.people[who], message, found["custom_id"], [value])


async def turn(here: DiscordRoom, message: DiscordMessage, label: str, shown: str) -> None:
    """Press a button, and wait until a version is shown and stored."""
    await here.press("ann", message, label)
    await here.until(lambda: any(text.endswith(shown) for text in here.said(GENERAL)))
    await here.bot.runner.idle()


async def versions(here: DiscordRoom, *answers: str, command: bool = False) -> DiscordMessage:
    """The first message of a reply to a question that was answered again and again."""
    await ended(here, answers[0], command=command)
    for each in answers[1:]:
        here.nebula.answer_next(each)
        await turn(here, here.shown(GENERAL)[-1], AGAIN, each)
    return here.shown(GENERAL)[0]


def number(here: DiscordRoom, message: DiscordMessage) -> str:
    return next(each for each in here.buttons(message) if "/" in each)


@PLACES
async def test_people_turn_to_the_other_versions(here: DiscordRoom, command: bool) -> None:
    """In the same message; a label says which one it is, and the model is not asked."""
    message = await versions(here, "One.", "Two.", "Three.", command=command)
    assert list(here.buttons(message)) == [AGAIN, *THUMBS, BEFORE, "3/3", AFTER]
    asked = len(here.nebula.requests)
    for label, shown, which in ((BEFORE, "Two.", "2/3"), (BEFORE, "One.", "1/3"), (BEFORE, "Three.", "3/3")):
        await turn(here, message, label, shown)
        assert [each.id for each in here.shown(GENERAL)] == [message.id]
        assert number(here, message) == which
    assert len(here.nebula.requests) == asked


async def test_an_answer_without_versions_has_its_menu(here: DiscordRoom) -> None:
    """With the model of the channel first, and undo last; in a row of its own."""
    message = await ended(here, "One.")
    first, *_, last = (each["label"] for each in menu(here, message)["options"])
    assert (first, last) == ("Regenerate with Llama3.3-70B", UNDO)
    current = here.discord.message(message)
    assert current
    assert [[part["type"] for part in row["components"]] for row in current.components] == [[2, 2, 2], [3]]


async def test_only_the_author_or_a_manager_may_turn(here: DiscordRoom) -> None:
    """Another person's press is refused, visibly to them alone."""
    message = await versions(here, "One.", "Two.")
    assert await here.told("bob", message, BEFORE) == NOT_YOURS
    assert here.said(GENERAL) == ["Two."]


async def test_the_version_on_screen_is_in_the_history(here: DiscordRoom) -> None:
    """The model is told of what people see."""
    message = await versions(here, "One.", "Two.")
    await turn(here, message, BEFORE, "One.")
    await here.answered("bob", GENERAL, "@nebula and then?", "Then.")
    assert texts(here) == ["ann: question", "One.", "bob: and then?"]


async def test_another_model_answers_again(here: DiscordRoom) -> None:
    """The one that was chosen from the menu; small print says so."""
    message = await ended(here, "One.")
    here.nebula.answer_next("Two.")
    await choose(here, "ann", message, "Regenerate with Llama3.1-8B")
    await here.until(lambda: here.said(GENERAL)[0].startswith("Two.\n"))
    await here.bot.runner.idle()
    assert "Answered by `meta-llama/Llama-3.1-8B-Instruct`." in here.said(GENERAL)[0]
    assert here.nebula.requests[-1].model == "meta-llama/Llama-3.1-8B-Instruct"


async def test_a_button_asks_a_model_that_sees(here: DiscordRoom) -> None:
    """Under the answer of one that does not; it names the other one."""
    here.nebula.answer_next("I can't see it.")
    await here.say("ann", GENERAL, "@nebula what is it?", attachments=[DiscordUpload("a.png", png("a"), "image/png")])
    await here.until(lambda: any("I can't see it." in text for text in here.said(GENERAL)))
    await here.bot.runner.idle()
    [message] = here.shown(GENERAL)
    here.nebula.answer_next("A square.")
    await here.press("ann", message, "Ask Qwen2.5-VL-7B-Instruct")
    await here.until(lambda: "A square." in here.said(GENERAL)[0])
    await here.bot.runner.idle()
    assert here.nebula.requests[-1].model == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert here.nebula.requests[-1].messages[-1].pictures
    assert not any(label.startswith("Ask ") for label in here.buttons(message))


async def test_a_version_of_many_messages(here: DiscordRoom) -> None:
    """Messages that a version needs are posted, and those that it does not need go."""
    message = await versions(here, "word " * 700 + "end", "Short.")
    await here.until(lambda: here.said(GENERAL) == ["Short."])
    await turn(here, message, BEFORE, "end")
    assert len(here.said(GENERAL)) == 2
    await turn(here, here.shown(GENERAL)[-1], AFTER, "Short.")
    await here.until(lambda: here.said(GENERAL) == ["Short."])


async def test_a_version_that_is_a_file(redis_client: Redis) -> None:
    """The file comes back with its version, and goes with it."""
    async with room(redis_client, changes={"reply_pages": 1}) as here:
        whole = "word " * 700 + "end"
        here.nebula.answer_next(whole)
        await here.say("ann", GENERAL, "@nebula question")
        await here.until(lambda: len(here.shown(GENERAL)) == 2 and IN_FILE in here.said(GENERAL)[0])
        await here.bot.runner.idle()
        here.nebula.answer_next("Short.")
        await turn(here, here.shown(GENERAL)[0], AGAIN, "Short.")
        await here.until(lambda: here.said(GENERAL) == ["Short."])
        await here.press("ann", here.shown(GENERAL)[0], BEFORE)
        await here.until(lambda: len(here.shown(GENERAL)) == 2 and here.shown(GENERAL)[1].attachments)
        await here.bot.runner.idle()
        assert IN_FILE in here.said(GENERAL)[0]


@pytest.mark.parametrize("command", [False, True])
async def test_undo_takes_the_answer_away(here: DiscordRoom, command: bool) -> None:
    """From the menu: the answer goes, with all its versions, and is in no later request."""
    message = await versions(here, "One.", "Two.", command=command)
    await choose(here, "ann", message, UNDO)
    await here.until(lambda: not here.shown(GENERAL))
    await here.answered("bob", GENERAL, "@nebula and then?", "Then.")
    assert texts(here) == ["bob: and then?"]


async def test_undo_by_command(here: DiscordRoom) -> None:
    """Only the person reads what was done."""
    await ended(here, "One.")
    done = await here.slash("ann", GENERAL, "undo")
    await here.until(lambda: done.original is not None and done.original.content == UNDONE)
    assert done.ephemeral
    await here.until(lambda: not here.shown(GENERAL))


async def test_a_private_answer_is_undone_in_memory(here: DiscordRoom) -> None:
    """The person can dismiss it themselves."""
    here.nebula.answer_next("Secret.")
    shown = await here.slash("ann", GENERAL, "ask", prompt="why?", private=True)
    await here.until(lambda: shown.original and shown.original.content.endswith("Secret."))
    await here.bot.runner.idle()
    assert shown.original
    assert await here.told("ann", shown.original, UNDO) == FROM_MEMORY


async def test_what_discord_does_not_delete_says_so(here: DiscordRoom) -> None:
    """A sentence takes the place of the text."""
    message = await ended(here, "One.")
    here.discord.faults.error("DELETE /channels/{channel}/messages/{message}", 403, None, code=50013)
    await choose(here, "ann", message, UNDO)
    await here.until(lambda: TAKEN_BACK in here.said(GENERAL)[0])
    assert here.buttons(message) == {}


async def test_versions_and_undo_after_a_restart(redis_client: Redis) -> None:
    """The next process turns and undoes what the one before it wrote."""
    async with room(redis_client) as here:
        message = await versions(here, "One.", "Two.")
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            await turn(here, message, BEFORE, "One.")
            await settled(here)
            await choose(here, "ann", message, UNDO)
            await here.until(lambda: not here.shown(GENERAL))


async def test_after_forget_a_press_gets_a_sentence(here: DiscordRoom) -> None:
    """The buttons still stand there, but nothing is left to show."""
    message = await versions(here, "One.", "Two.")
    await here.used("ann", GENERAL, "forget")
    assert await here.told("ann", message, BEFORE) == FORGOTTEN
    assert here.said(GENERAL) == ["Two."]


async def test_two_presses_in_a_row_are_two_steps_at_most(here: DiscordRoom) -> None:
    """Pressed twice at once, one takes effect, or one after the other; the screen and the number agree."""
    message = await versions(here, "One.", "Two.", "Three.")
    await asyncio.gather(*(here.press("ann", message, BEFORE) for _ in range(2)))
    await here.until(lambda: here.said(GENERAL) != ["Three."])
    await settled(here)
    texts_of = {"1/3": "One.", "2/3": "Two."}
    await here.until(lambda: here.said(GENERAL) == [texts_of.get(number(here, message))])


@pytest.mark.parametrize(
    ("values", "action"),
    [*((each, None) for each in (None, [], ["no such"], [7], "undo")), (["with:"], "again"), (["undo"], "undo")],
)
def test_a_forged_choice_is_nothing(values: object, action: str | None) -> None:
    """Whatever comes back with the name of our menu, it asks for no action that we do not know."""
    found = pressed({"custom_id": "menu:1/2", "values": values})
    assert (found.action if found else None) == action
    assert found is None or found.model == ""
