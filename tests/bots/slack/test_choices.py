"""Versions of an answer, its menu, and undo in Slack, at the wire: what people press and what they see then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackMessage
from core.inbound.buttons import FORGOTTEN, NOT_YOURS
from core.inbound.undoing import FROM_MEMORY, GONE, TAKEN_BACK, UNDONE
from core.reply.layout import IN_FILE
from tests.bots.slack.harness import SlackRoom, empty_room, process, slack_room
from tests.bots.slack.test_buttons import AFTER, BEFORE, REGENERATE_ACTION, THUMB, ask, press, reply_to
from tests.bots.slack.test_private import PARAGRAPHS, seen
from tests.bots.slack.test_streaming import program
from tests.scenarios.warm import started

UNDO = "nebula_reply_undo"
PLACES = pytest.mark.parametrize("channel", ["#general", "@ann"], ids=["edited", "streamed"])


def labels(message: SlackMessage) -> list[str]:
    """What stands on the buttons."""
    elements = [each for block in message.blocks for each in block.get("elements", ()) if each["type"] == "button"]
    return [each["text"]["text"] for each in elements]


async def use(room: SlackRoom, message: SlackMessage, button: str, who: str = "ann") -> None:
    """Press a button, and wait until its effect is there."""
    shown = room.drawn()
    await room.slack.press(room.people[who], message, button)
    await room.until(lambda: room.drawn() > shown)
    await room.quiet()


async def insist(room: SlackRoom, message: SlackMessage, button: str, value: str = "", *, meets: str = "") -> None:
    """Press a button again and again, until nothing is under way any more: another process commits the answer. The
    press has an effect once something is drawn, or once a call `meets` its fault."""

    async def refused() -> bool:
        shown = room.drawn()
        answer = await room.slack.press(room.people["ann"], message, button, value)
        await room.until(
            lambda: answer.messages or room.drawn() > shown or (meets and not room.slack.faults.left(meets))
        )
        return bool(answer.messages)

    while await refused():
        pass


async def choose(room: SlackRoom, message: SlackMessage, label: str, who: str = "ann") -> None:
    """Choose from the menu of an answer, and wait until the effect is there."""
    menu, value = message.choices[label]
    shown = room.drawn()
    answer = await room.slack.press(room.people[who], message, menu, value)
    assert answer.problem == ""
    await room.until(lambda: room.drawn() > shown or room.calls("chat.delete"))
    await room.quiet()


async def versions(room: SlackRoom, *answers: str, channel: str = "#general") -> SlackMessage:
    """Return the reply to a question that was answered again and again."""
    reply = await reply_to(room, answers[0], channel)
    for each in answers[1:]:
        room.nebula.answer_next(each)
        await use(room, [each for each in room.said(channel) if each.buttons][-1], REGENERATE_ACTION)
        [reply, *_] = room.said(channel)
    return reply


@PLACES
async def test_people_turn_to_the_other_versions(redis_url: str, channel: str) -> None:
    """In the same message; the number says which one it is, and the model is not asked."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "One.", "Two.", "Three.", channel=channel)
        assert reply.buttons == (REGENERATE_ACTION, BEFORE, AFTER, THUMB)
        assert labels(reply) == ["Regenerate", "‹", "3/3 ›"]
        asked, found = len(room.nebula.requests), []
        for button in (BEFORE, BEFORE, BEFORE, AFTER):
            await use(room, reply, button)
            [shown] = room.said(channel)
            found.append((shown.ts == reply.ts, shown.shown, labels(shown)[-1]))
        texts = [("Two.", "2/3 ›"), ("One.", "1/3 ›"), ("Three.", "3/3 ›"), ("One.", "1/3 ›")]
        assert found == [(True, *each) for each in texts]
        assert len(room.nebula.requests) == asked


async def test_an_answer_without_versions_has_no_buttons_for_them(redis_url: str) -> None:
    """It has those that it always had, and the menu."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "One.")
        assert reply.buttons == (REGENERATE_ACTION, THUMB)
        first, *others, last = reply.choices
        assert (first, last) == ("Regenerate with Llama3.3-70B", "Undo")
        assert others[0] == "Regenerate with DeepSeek-R1-Distill-Llama-70B"
        assert all(each.startswith("Regenerate with ") for each in others)


async def test_only_the_person_who_asked_and_managers_may_turn(redis_url: str) -> None:
    """Other people read that privately in the thread."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "One.", "Two.")
        assert await press(room, "bob", reply, BEFORE) == NOT_YOURS
        await use(room, reply, BEFORE, "eve")
        assert room.shown("#general") == ["One."]


async def test_another_model_answers_again(redis_url: str) -> None:
    """The one that was chosen from the menu; small print says so."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "One.")
        room.nebula.answer_next("Two.")
        await choose(room, reply, "Regenerate with Llama3.1-8B")
        assert room.nebula.requests[-1].model == "meta-llama/Llama-3.1-8B-Instruct"
        [shown] = room.said("#general")
        assert shown.shown == "Two.\n\nAnswered by `meta-llama/Llama-3.1-8B-Instruct`."
        await use(room, shown, BEFORE)
        assert room.shown("#general") == ["One."]


async def test_a_version_of_many_messages(redis_url: str) -> None:
    """Messages that a version needs are posted, and those that it does not need go."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "\n\n".join(PARAGRAPHS[:40]), "Short.")
        assert room.shown("#general") == ["Short."]
        await use(room, reply, BEFORE)
        assert len(room.said("#general")) > 1
        shown = "\n\n".join(room.shown("#general")).split("\n\n")
        assert [each.strip() for each in shown] == [each.strip() for each in PARAGRAPHS[:40]]
        last = room.said("#general")[-1]
        await use(room, last, AFTER)
        assert room.shown("#general") == ["Short."]


async def test_a_version_that_is_a_file(redis_url: str) -> None:
    """The file comes back with its version, and goes with it."""
    async with slack_room(redis_url, reply_pages=2) as room:
        whole = "\n\n".join(PARAGRAPHS[:60])
        reply = await versions(room, whole, "Short.")
        assert [each.shown for each in room.said("#general") if each.shown] == ["Short."]
        await use(room, reply, BEFORE)
        shown = room.said("#general")
        assert any(IN_FILE in each.shown for each in shown)
        assert [file.data.decode() for each in shown for file in each.files] == [whole]


@asynccontextmanager
async def doomed(room: SlackRoom, redis_url: str, folder: Path) -> AsyncIterator[tuple[SlackMessage, SlackMessage]]:
    """Run the program until an answer is shown with its menu; yields the question and the reply. Then it is killed."""
    async with started(folder, "run", **program(room, redis_url)) as running:
        await room.until(lambda: room.slack.sockets)
        room.nebula.answer_next("One.")
        question = await ask(room)
        await room.until(lambda: any("Undo" in each.choices for each in room.said("#general")))
        yield question, room.said("#general")[0]
        running.kill()
        await running.wait()


async def test_a_killed_process_leaves_the_version_that_was_chosen(redis_url: str, tmp_path: Path) -> None:
    """SIGKILL between the edit and the commit: the next process shows it once more, and it is in the history."""
    async with empty_room() as room:
        confirmed = asyncio.Event()
        async with doomed(room, redis_url, tmp_path) as (question, reply):
            room.nebula.answer_next("Two.")
            await insist(room, reply, REGENERATE_ACTION)
            await room.until(lambda: BEFORE in room.said("#general")[0].buttons)
            await room.until(lambda: not room.slack.pending)
            reply = room.said("#general")[0]
            room.slack.faults.add("chat.update", faults.applied_then_held(confirmed))
            await insist(room, reply, BEFORE)
            await room.until(lambda: room.shown("#general") == ["One."])
        confirmed.set()
        room.at_once()
        async with process(room, redis_url, lease=1) as (_, _, runner, _):
            room.runner = runner
            room.nebula.answer_next("Next.")
            await room.say("ann", "#general", "@nebula and now?", question.ts)
            await room.answered("#general", "Next.")
            told = [each.content for each in room.nebula.requests[-1].messages[1:]]
            assert told == ["ann: talk", "One.", "ann: and now?"]
            assert len(room.nebula.requests) == 3
            [reply, _] = room.said("#general")
            await room.slack.press(room.people["ann"], reply, AFTER)
            await room.answered("#general", "Two.")


async def test_a_killed_process_has_forgotten_what_was_undone(redis_url: str, tmp_path: Path) -> None:
    """SIGKILL before it could take the answer away: it is in no later request, and one more press says so."""
    async with empty_room() as room:
        later = asyncio.Event()
        async with doomed(room, redis_url, tmp_path) as (question, reply):
            room.slack.faults.add("chat.delete", faults.held(later))
            await insist(room, reply, *reply.choices["Undo"], meets="chat.delete")
        room.at_once()
        async with process(room, redis_url, lease=1) as (_, _, runner, _):
            room.runner = runner
            assert room.shown("#general") == ["One."]
            again = await room.slack.press(room.people["ann"], reply, *reply.choices["Undo"])
            await room.until(lambda: again.messages)
            assert [each.shown for each in again.messages] == [GONE]
            room.nebula.answer_next("Next.")
            await room.say("ann", "#general", "@nebula and now?", question.ts)
            await room.answered("#general", "Next.")
            assert [each.content for each in room.nebula.requests[-1].messages[1:]] == ["ann: and now?"]
        later.set()


@PLACES
async def test_undo_takes_the_answer_away(redis_url: str, channel: str) -> None:
    """From the menu: the answer goes, with all its versions, and is in no later request."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "One.", "Two.", channel=channel)
        await choose(room, reply, "Undo")
        await room.until(lambda: not room.said(channel))
        room.nebula.answer_next("Next.")
        await ask(room, channel, "and now?")
        await room.answered(channel, "Next.")
        assert len(room.nebula.requests[-1].messages) == 2  # the rules and the question


async def test_undo_by_command(redis_url: str) -> None:
    """In a direct message; only the person reads what was done."""
    async with slack_room(redis_url) as room:
        await reply_to(room, "One.", "@ann")
        answer = await room.slash("ann", "@ann", "undo")
        await room.until(lambda: answer.messages)
        assert [each.shown for each in answer.messages] == [UNDONE]
        await room.until(lambda: not room.said("@ann"))


async def test_where_slack_does_not_delete_a_sentence_stays(redis_url: str) -> None:
    """As where the workspace keeps all messages."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "One.")
        room.slack.faults.add("chat.delete", faults.refused("compliance_exports_prevent_deletion"), None)
        await choose(room, reply, "Undo")
        await room.until(lambda: room.shown("#general") == [TAKEN_BACK])
        assert room.said("#general")[0].buttons == ()


async def test_a_private_answer_is_undone_in_memory(redis_url: str) -> None:
    """Slack can't take away what only one person sees."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("Secret.")
        await room.slash("ann", "#general", "ask --private why?")
        await room.until(lambda: bool(seen(room)) and "Secret." in seen(room)[-1].shown)
        await room.quiet()
        answer = await room.slack.press(room.people["ann"], seen(room)[-1], UNDO)
        await room.until(lambda: answer.messages)
        assert [each.shown for each in answer.messages] == [FROM_MEMORY]


async def test_versions_and_undo_after_a_restart(redis_url: str) -> None:
    """The next process turns and undoes what the one before it wrote."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "One.", "Two.")
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        async with process(room, redis_url):
            await room.slack.press(room.people["ann"], reply, BEFORE)
            await room.answered("#general", "One.")
            await room.until(lambda: "1/2 ›" in labels(room.said("#general")[0]))
            menu, value = room.said("#general")[0].choices["Undo"]
            await room.until(lambda: not room.slack.pending)
            answer = await room.slack.press(room.people["ann"], room.said("#general")[0], menu, value)
            assert answer.problem == ""
            await room.until(lambda: not room.said("#general") or answer.messages)


async def test_after_forget_a_press_gets_a_sentence(redis_url: str) -> None:
    """The buttons still stand there, but nothing is left to show."""
    async with slack_room(redis_url) as room:
        reply = await versions(room, "One.", "Two.")
        done = await room.slash("ann", "#general", "forget me")
        await room.until(lambda: done.messages)
        assert await press(room, "ann", reply, BEFORE) == FORGOTTEN
        assert room.shown("#general") == ["Two."]


async def test_a_forged_choice_has_no_effect(redis_url: str) -> None:
    """What comes from elsewhere than our menus gets a sentence at most."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "One.")
        menu, _ = reply.choices["Undo"]
        for block in reply.blocks:
            for element in block.get("elements", ()):
                if element.get("action_id") == menu:
                    element["options"][0]["value"] = "no such thing"
        answer = await room.slack.press(room.people["ann"], reply, menu, "no such thing")
        await room.until(lambda: answer.messages)
        assert room.shown("#general") == ["One."]
