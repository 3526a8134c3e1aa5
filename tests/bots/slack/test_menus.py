"""Slack's menus of a message at the wire, and private questions: their forms, what is read and kept, and who sees the
answers."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.people import InteractionResult, Submission
from bots.sandbox.slack.workspace.values import Json, SlackMessage, View
from bots.slack import app
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.components.menus import MOST_METADATA, ChosenMessage
from bots.slack.inbound.menus import NO_FORM, NO_QUESTION, NOTHING_CHOSEN, OLD_FORM
from bots.slack.manifest import ASK_ABOUT, SUMMARISE_THREAD
from core.access.admission import EMPTY, EXTERNAL
from core.domain.errors import NebulaBotError
from core.domain.question import Question
from core.domain.surroundings import CHOSEN_CHARACTERS, Role, Said
from core.inbound.dispatcher import Dispatcher
from core.inbound.menus import ALONE
from core.store.turns import Acceptance
from tests.bots.slack.harness import HEARS_MENTIONS, SlackRoom, slack_room
from tests.bots.slack.test_surroundings import quoted
from tests.bounds import HANG_SECONDS
from tests.core.turns.test_reading import stored

FAR = "#far"
ABOUT = ", the question refers to this"
NOT_ALLOWED = "I am not allowed to read all that was said here."


async def choose(room: SlackRoom, who: str, message: SlackMessage, menu: str = ASK_ABOUT) -> InteractionResult:
    """Choose from the menu of a message."""
    answer = await room.slack.shortcut(room.people[who], message, menu)
    assert answer.problem == ""
    return answer


async def fill(room: SlackRoom, view: View, text: str, who: str = "ann") -> dict[str, str]:
    """Submit the form; return what it says is wrong."""
    sent = await room.slack.submit(room.people[who], view, {"value": text})
    assert sent.problem == ""
    assert sent.closed is not bool(sent.errors)
    return dict(sent.errors)


async def ask(room: SlackRoom, message: SlackMessage, text: str = "why?", answer: str = "Fine.") -> SlackMessage:
    """Ask about a message as ann; return the private answer."""
    room.nebula.answer_next(answer)
    await choose(room, "ann", message)
    assert await fill(room, await room.form(), text) == {}
    return await told(room, answer)


async def told(room: SlackRoom, ending: str, who: str = "ann") -> SlackMessage:
    """Wait for what only this person sees."""

    def find() -> SlackMessage | None:
        return next((each for each in room.slack.ephemerals(user=room.people[who]) if ending in each.shown), None)

    found = await room.until(find)
    assert found is not None
    await room.quiet()
    return found


def beginning(view: View) -> str:
    """What the form shows of the message."""
    return str(view.blocks[0]["text"]["text"])


def raw(room: SlackRoom, chosen: SlackMessage, **changes: Any) -> Json:
    """The payload of a choice, to be delivered with changes."""
    who = room.people["ann"]
    payload = {
        "type": "message_action",
        "callback_id": ASK_ABOUT,
        "user": {"id": who, "name": "ann", "team_id": room.slack.team},
        "team": {"id": room.slack.team},
        "channel": {"id": chosen.channel, "name": "general"},
        "message": {"type": "message", "ts": chosen.ts, "user": who, "text": "hello"},
        "message_ts": chosen.ts,
        "action_ts": "1700000000.000001",
        "trigger_id": "1.2.3",
        "response_url": room.slack.api_url.replace("/api/", "/response/R1"),
    }
    return {**payload, **changes}


# --- Ask Nebula ---


@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
async def test_a_menu_works_where_the_bot_is_no_member(redis_url: str, http: bool, private: bool) -> None:
    """The form shows the message, the answer is for the person alone and says what could not be read."""
    async with slack_room(redis_url, http=http) as room:
        room.open(FAR, private=private, bot_in=False)
        message = await room.say("bob", FAR, "the deploy failed: *disk* was full, ask @ann")
        room.nebula.answer_next("Because of logs.")
        await choose(room, "ann", message)
        view = await room.form()
        assert (view.title, beginning(view)) == ("Ask Nebula", "bob: the deploy failed: *disk* was full, ask @ann")
        assert await fill(room, view, "why?") == {}
        answer = await told(room, "Because of logs.")
        read = f"Read 1 message that the question refers to. {NOT_ALLOWED}"
        assert answer.shown == f"ann: why?\n{read}\n\nBecause of logs."
        assert quoted(room) == [f"bob (person{ABOUT}): the deploy failed: *disk* was full, ask @ann"]
        assert answer.buttons == ("nebula_reply_share", "nebula_reply_undo")
        assert not room.said(FAR)
        assert not room.calls("chat.postMessage")


async def test_the_form_explains_an_empty_question(redis_url: str) -> None:
    """Blanks ask nothing; the form stays open, and takes a question afterwards."""
    async with slack_room(redis_url) as room:
        await choose(room, "ann", await room.say("bob", "#general", "hello"))
        view = await room.form()
        assert await fill(room, view, " \n ") == {"text": NO_QUESTION}
        assert not room.nebula.requests
        assert await fill(room, view, "why?") == {}


class Failing(Dispatcher):
    """Fails in a way that nobody expects."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.__dict__.update(dispatcher.__dict__)

    async def ask(self, question: Question) -> Acceptance:
        raise RuntimeError("as the test requests")


async def test_a_question_that_fails_says_so(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A form stays open, with the words in it; a menu and a command have a sentence for the person alone."""
    async with slack_room(redis_url, dispatcher=Failing) as room:
        await choose(room, "ann", await room.say("bob", "#general", "hello"))
        assert await fill(room, await room.form(), "why?") == {"text": NebulaBotError.notice}
        await choose(room, "ann", room.slack.messages(room.where("#general"))[0], SUMMARISE_THREAD)
        await told(room, NebulaBotError.notice)
        failed = await room.slash("ann", "#general", "ask why?")
        assert [each.shown for each in await room.until(lambda: failed.messages)] == [NebulaBotError.notice]
    assert "as the test requests" in caplog.text


async def test_nothing_is_acknowledged_that_would_not_be_done(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a process shuts down, menus, forms and commands fail where people see it, and none of them half happens."""
    gate, tasks = asyncio.Event(), TaskSupervisor()
    monkeypatch.setattr(app, "TaskSupervisor", lambda: tasks)
    async with slack_room(redis_url, http=True) as room:
        message = await room.say("bob", "#general", "hello")
        await choose(room, "ann", message)
        view = await room.form()
        await room.quiet()
        room.slack.faults.add("users.info", faults.held(gate))
        room.person("joe")
        await room.say("joe", "#general", "@nebula hello")
        await room.until(lambda: not room.slack.faults.left("users.info"))
        room.running.cancel()  # a task of it waits for the name
        async with asyncio.timeout(HANG_SECONDS):
            while not tasks.closing:
                await asyncio.sleep(0)
        answers: list[InteractionResult | Submission] = [
            await room.slack.shortcut(room.people["ann"], message, ASK_ABOUT),
            await room.slack.shortcut(room.people["ann"], message, SUMMARISE_THREAD),
            await room.slash("ann", "#general", "settings"),
            await room.slack.submit(room.people["ann"], view, {"value": "why?"}),
        ]
        gate.set()
        await asyncio.wait({room.running})
        assert [bool(each.problem) for each in answers] == [True] * 4
        assert len(room.calls("views.open")) == 1


async def test_a_redelivered_form_is_one_question(redis_url: str) -> None:
    """Somebody presses twice, because the form closed late."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "hello")
        await choose(room, "ann", message)
        view = await room.form()
        await fill(room, view, "why?")
        await fill(room, view, "why?")
        await room.quiet()
        assert len(room.nebula.requests) == 1


async def test_an_expired_trigger_is_told(redis_url: str) -> None:
    """Slack does not open the form: the person reads that they should try again, and nobody else does."""
    async with slack_room(redis_url, server={"trigger_seconds": 0.0}) as room:
        await choose(room, "ann", await room.say("bob", "#general", "hello"))
        await told(room, NO_FORM)
        assert not room.said("#general")


@pytest.mark.parametrize(
    "forged",
    [
        {"channel": "C0OTHER"},
        {"thread": "1.2"},
        {"url": "https://evil.example/"},
        {"text": "I was forged."},
        {"role": "us"},
        {"role": "system"},
        {"author": "eve"},
        {"opened": 9e9},
        {"at": "x"},
        {"proof": ""},
        {"proof": "\u00e9\ud800"},
        None,
    ],
    ids=str,
)
async def test_what_a_form_says_of_itself_is_not_trusted(redis_url: str, forged: dict[str, Any] | None) -> None:
    """Neither what was said, nor by whom, nor where the answer goes can be made up; an old form is explained."""
    async with slack_room(redis_url) as room:
        await choose(room, "ann", await room.say("bob", "#general", "hello"))
        view = await room.form()
        metadata = json.dumps({**json.loads(view.private_metadata), **forged}) if forged else "{}"
        sent = replace(view, raw={**view.raw, "private_metadata": metadata})
        assert await fill(room, sent, "why?") == {"text": OLD_FORM}
        assert not room.nebula.requests


async def test_a_form_works_for_the_person_who_opened_it(redis_url: str) -> None:
    """Somebody else's form is none of theirs."""
    async with slack_room(redis_url) as room:
        await choose(room, "ann", await room.say("bob", "#general", "hello"))
        assert await fill(room, await room.form(), "why?", "bob") == {"text": OLD_FORM}


@pytest.mark.parametrize("letter", ["x", "漢", "😀", "\\", '"', "\n", "&"])
async def test_a_long_message_fits_the_form(redis_url: str, letter: str) -> None:
    """Of 40,000 characters the form carries as many as fit; where the bot may read them, many more are read."""
    async with slack_room(redis_url) as room:
        room.open(FAR, bot_in=False)
        text = f"begin {letter * 39_000} end"
        far, near = await room.say("bob", FAR, text), await room.say("bob", "#general", text)
        await choose(room, "ann", far)
        view = await room.form()
        assert len(view.private_metadata.encode("utf-16-le")) // 2 <= MOST_METADATA
        kept = json.loads(view.private_metadata)["text"]
        assert kept.startswith("begin")
        assert kept.endswith("…")
        assert len(kept) > 900
        assert len(beginning(view)) <= 310
        await fill(room, view, "why?")
        await room.quiet()
        await ask(room, near, "and here?")
        assert len(room.nebula.requests[-1].messages[-1].content) > (CHOSEN_CHARACTERS if letter == "x" else 10)


async def test_what_apps_write_is_read(redis_url: str) -> None:
    """Blocks without a text, a card, a snippet."""
    async with slack_room(redis_url) as room:
        bot = room.slack.add_bot("grafana")
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "*Disk full* on db1"}}
        alert = await room.slack.bot_says(bot, room.channels["#general"], "", blocks=[section])
        await ask(room, alert)
        assert quoted(room) == [f"grafana (bot{ABOUT}): *Disk full* on db1"]
        card = {"title": "Disk full", "fields": [{"title": "host", "value": "db1"}]}
        await ask(room, await room.slack.bot_says(bot, room.channels["#general"], "", attachments=[card]), "and this?")
        assert quoted(room) == [f"grafana (bot{ABOUT}): Disk full ⏎ host: db1"]


async def test_our_own_answer_is_quoted_as_ours(redis_url: str) -> None:
    """Somebody asks in private about what the bot said in public."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("The moon is big.")
        await room.say("bob", "#general", "@nebula the moon?")
        await room.quiet()
        (public,) = room.said("#general")
        await ask(room, public, "is that true?")
        assert room.said("#general") == (public,), "a private answer takes the place of nothing that others see"
        assert [line for line in quoted(room) if "moon is big" in line] == [f"nebula (us{ABOUT}): The moon is big."]


async def test_a_deleted_message_was_handed_over(redis_url: str) -> None:
    """The person who asks has seen it, and the answer says so."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "the disk is full")
        await choose(room, "ann", message)
        view = await room.form()
        await room.slack.delete(room.people["bob"], message.channel, message.ts)
        await fill(room, view, "why?")
        await room.quiet()
        assert quoted(room) == [f"bob (person{ABOUT}): the disk is full"]


async def test_the_newest_version_is_read_where_the_bot_may(redis_url: str) -> None:
    """Somebody mends the message while the form is open."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "the disk is fool")
        await choose(room, "ann", message)
        view = await room.form()
        await room.slack.edit(room.people["bob"], message.channel, message.ts, "the disk is full")
        await fill(room, view, "why?")
        await room.quiet()
        assert quoted(room) == [f"bob (person{ABOUT}): the disk is full"]


async def test_a_reply_is_answered_in_its_thread(redis_url: str) -> None:
    """Where the person looks; the rest of the thread is read, too."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "the deploy failed")
        reply = await room.say("bob", "#general", "disk full", root.ts)
        answer = await ask(room, reply)
        assert answer.thread_ts == root.ts
        assert quoted(room) == ["bob (person): the deploy failed", f"bob (person{ABOUT}): disk full"]


async def test_an_empty_message_is_told(redis_url: str) -> None:
    """There is no form for nothing."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "hello")
        url = (await choose(room, "ann", message)).response_url
        await room.form()
        empty = {"type": "message", "ts": message.ts, "user": room.people["bob"], "text": ""}
        await room.slack.deliver("interactive", raw(room, message, message=empty, response_url=url))
        await told(room, NOTHING_CHOSEN)


@pytest.mark.parametrize("menu", [ASK_ABOUT, SUMMARISE_THREAD])
@pytest.mark.parametrize(
    "changes",
    [
        {"message": None},
        {"message": {"ts": "x"}, "message_ts": None},
        {"message": {"text": 7, "blocks": 7, "attachments": [7], "files": [{}]}},
        {"message": {"text": "x", "thread_ts": 7}},
        {"channel": None},
        {"channel": {"id": "C1/C2"}},
        {"user": None},
        {"user": {"id": 7}},
        {"action_ts": None},
        {"trigger_id": None},
        {"response_url": None},
        {"response_url": "https://evil.example/"},
    ],
    ids=str,
)
async def test_a_choice_of_any_form_leaves_no_traceback(
    redis_url: str, menu: str, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is acknowledged, answered by a sentence or dropped, and everything else goes on."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "hello")
        assert await room.slack.deliver("interactive", raw(room, message, callback_id=menu, **changes)) == ""
        await choose(room, "ann", message)
        await fill(room, await room.form(), "why?")
        await told(room, "ann: why?\n")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_somebody_of_another_organisation_is_refused(redis_url: str) -> None:
    """In private, before anything is read; what they wrote may be asked about."""
    async with slack_room(redis_url) as room:
        room.person("zoe", team="T0OTHER")
        room.slack.join(room.people["zoe"], room.channels["#general"])
        theirs = await room.say("zoe", "#general", "our disk is full")
        await choose(room, "zoe", theirs, SUMMARISE_THREAD)
        await told(room, EXTERNAL, "zoe")
        assert not room.nebula.requests
        await ask(room, theirs)
        assert quoted(room) == [f"zoe (person{ABOUT}): our disk is full"]


# --- Summarise thread ---


async def test_a_thread_is_summarised_for_one_person(redis_url: str) -> None:
    """All of it, whichever of its messages was chosen, without a form."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "the deploy failed")
        reply = await room.say("ann", "#general", "I freed 20 GB", root.ts)
        for message, thread in ((root, ""), (reply, root.ts)):
            root_now = room.slack.messages(message.channel, root.ts)[0] if message is root else message
            room.nebula.answer_next(f"It works again {thread}.")
            await choose(room, "ann", root_now, SUMMARISE_THREAD)
            answer = await told(room, f"It works again {thread}.")
            assert quoted(room) == ["bob (person): the deploy failed", "ann (person): I freed 20 GB"]
            assert "Read 2 messages of this thread." in answer.shown
            assert answer.thread_ts == thread, "a first message is chosen in the channel"
        assert not room.said("#general")


async def test_of_a_thread_that_can_not_be_read_the_message_is_summarised(redis_url: str) -> None:
    """Each time the answer says what it could not read."""
    async with slack_room(redis_url) as room:
        room.open(FAR, bot_in=False)
        root = await room.say("bob", FAR, "the deploy failed")
        reply = await room.say("bob", FAR, "it works again", root.ts)
        for number in range(2):
            room.nebula.answer_next(f"Solved {number}.")
            await choose(room, "ann", reply, SUMMARISE_THREAD)
            answer = await told(room, f"Solved {number}.")
            assert f"Read 1 message that the question refers to. {NOT_ALLOWED}" in answer.shown
            assert quoted(room) == [f"bob (person{ABOUT}): it works again"]
        assert len(room.calls("conversations.replies")) == 2, "nothing is tried again"


async def test_of_a_long_thread_the_newest_are_summarised(redis_url: str) -> None:
    """With few calls, and a sentence that says so."""
    async with slack_room(redis_url, reply_listen="mention", server=HEARS_MENTIONS) as room:
        room.slack.backdate(5_000)
        root = await room.say("bob", "#general", "the deploy failed")
        for number in range(5_000):
            room.slack.backdate(5_000 - number)
            await room.say("bob", "#general", f"reply {number}", root.ts)
        room.slack.backdate(0.0)
        await room.quiet()
        room.nebula.answer_next("A lot.")
        await choose(room, "ann", room.slack.messages(root.channel, root.ts)[0], SUMMARISE_THREAD)
        answer = await told(room, "A lot.")
        assert "Read the newest 200 messages of this thread." in answer.shown
        assert quoted(room)[-1] == "bob (person): reply 4999"


# --- /nebula ask --private, /nebula catchup ---


@pytest.mark.parametrize("flag", ["--private", "—private", "--PRIVATE"])
async def test_a_private_question_works_where_the_bot_is_no_member(redis_url: str, flag: str) -> None:
    """Only the person sees question and answer."""
    async with slack_room(redis_url) as room:
        room.open(FAR, bot_in=False)
        room.nebula.answer_next("Blue.")
        await room.slash("ann", FAR, f"ask {flag} the sky?")
        answer = await told(room, "Blue.")
        assert answer.shown == "ann: the sky?\n\nBlue."
        assert not room.said(FAR)
        room.nebula.answer_next("Because.")
        await room.slash("ann", FAR, f"ask {flag} why?")
        await told(room, "Because.")
        assert [each.content for each in room.nebula.requests[-1].messages if each.role == "assistant"] == ["Blue."]


async def test_a_private_question_asks_something(redis_url: str) -> None:
    """The flag alone is no question."""
    async with slack_room(redis_url) as room:
        answer = await room.slash("ann", "#general", "ask --private")
        assert (await room.until(lambda: answer.messages))[0].shown.startswith(EMPTY[:20])


async def test_in_a_direct_message_an_answer_is_an_ordinary_one(redis_url: str) -> None:
    """Everything is private there, and nothing can be shared."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("Blue.")
        await room.slash("ann", "@ann", "ask --private the sky?")
        answer = await room.answered("@ann", "Blue.")
        await room.quiet()
        room.nebula.answer_next("Really.")
        await choose(room, "ann", room.said("@ann")[0])
        await fill(room, await room.form(), "really?")
        await room.answered("@ann", "Really.")
        await room.quiet()
        assert not room.slack.ephemerals(answer.channel)
        assert not [button for each in room.said("@ann") for button in each.buttons if "share" in button]
        nothing = await room.slash("ann", "@ann", "catchup")
        assert [each.shown for each in await room.until(lambda: nothing.messages)] == [ALONE]


async def test_a_direct_message_of_two_people_is_a_channel_without_the_bot(redis_url: str) -> None:
    """The bot can write nothing there, but for the person alone."""
    async with slack_room(redis_url) as room:
        there = room.slack.open_dm(room.people["ann"], room.people["bob"])
        message = await room.slack.say(room.people["bob"], there, "lunch?")
        answer = await ask(room, message)
        assert answer.channel == there
        assert answer.buttons == ("nebula_reply_share", "nebula_reply_undo")
        await room.slack.press(room.people["ann"], answer, "nebula_reply_share")
        await room.until(lambda: len(room.slack.messages(there)) == 2)


async def test_where_slack_does_not_say_who_is_there_an_answer_is_private(redis_url: str) -> None:
    """A direct message may be one of two other people: unknown is not yes."""
    async with slack_room(redis_url) as room:
        there = room.slack.open_dm(room.people["ann"], room.people["bob"])
        message = await room.slack.say(room.people["bob"], there, "lunch?")
        room.slack.faults.add("conversations.info", faults.server_error(), times=None)
        assert (await ask(room, message)).channel == there


async def test_catching_up_reads_since_the_askers_last_message(redis_url: str) -> None:
    """And only then; the answer is private."""
    async with slack_room(redis_url) as room:
        await room.say("bob", "#general", "long ago")
        await room.say("ann", "#general", "bye")
        await room.say("bob", "#general", "the deploy failed")
        await room.say("eve", "#general", "it works again")
        room.nebula.answer_next("All is well.")
        await room.slash("ann", "#general", "catchup")
        answer = await told(room, "All is well.")
        assert quoted(room) == ["bob (person): the deploy failed", "eve (person): it works again"]
        assert "Read 2 messages of this channel." in answer.shown
        assert not room.said("#general")


async def test_catching_up_after_too_much_says_so(redis_url: str) -> None:
    """The asker's last message is too long ago."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "bye")
        for number in range(250):
            await room.say("bob", "#general", f"message {number}")
        await room.quiet()
        room.nebula.answer_next("A lot.")
        await room.slash("ann", "#general", "catchup")
        answer = await told(room, "A lot.")
        assert "Read the newest 200 messages of this channel." in answer.shown
        assert quoted(room)[-1] == "bob (person): message 249"
        assert len(room.calls("conversations.history")) == 1


async def test_catching_up_where_nothing_can_be_read_says_so(redis_url: str) -> None:
    """Quickly: Slack is asked once."""
    async with slack_room(redis_url) as room:
        for name, private in ((FAR, False), ("#secret", True)):
            room.open(name, private=private, bot_in=False)
            room.nebula.answer_next(f"I know nothing of {name}.")
            await room.slash("ann", name, "catchup")
            answer = await told(room, f"I know nothing of {name}.")
            assert "I am not allowed to read what others said here." in answer.shown
        assert len(room.calls("conversations.history")) == 2


# --- what stays ---


async def test_nothing_of_what_was_read_stays(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in Redis, nor in a log, nor in an export."""
    caplog.set_level(logging.DEBUG)
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "the deploy failed: sesame")
        await room.say("bob", "#general", "again: sesame", root.ts)
        await ask(room, root, "why about the root?")
        room.nebula.answer_next("Summed up.")
        await choose(room, "ann", root, SUMMARISE_THREAD)
        await told(room, "Summed up.")
        room.nebula.answer_next("Caught up.")
        await room.slash("ann", "#general", "catchup")
        await told(room, "Caught up.")
        assert "sesame" in quoted(room)[0]
        values = str([value async for value in stored(redis_client)])
        assert "why about the root?" in values
        assert "sesame" not in values
        assert "/response/" not in values
        await room.slash("ann", "#general", "export")
        (export,) = (await room.until(lambda: room.said("@ann")))[0].files
        assert b"why about the root?" in export.data
        assert b"sesame" not in export.data
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(("slack_", "aiohttp"))]
    assert not [line for line in lines if "sesame" in line or "/response/" in line]


def test_the_form_carries_nothing_that_is_not_in_its_proof() -> None:
    """Another key, person or workspace makes another proof."""
    said = Said("1.2", "bob", Role.PERSON, 1.2, "hello")
    message = ChosenMessage("C1", "", "https://hooks.slack.com/x", 5.0, said)
    written = message.write("T1", "U1", b"key")
    assert ChosenMessage.read(written, "T1", "U1", b"key") == message
    for workspace, person, key in (("T2", "U1", b"key"), ("T1", "U2", b"key"), ("T1", "U1", b"other")):
        with pytest.raises(ValueError, match="not our form"):
            ChosenMessage.read(written, workspace, person, key)
    for text in ("", "[]", "{}", "null", "[" * 100_000):
        with pytest.raises(ValueError, match=r"not our form|Expecting|JSON"):
            ChosenMessage.read(text, "T1", "U1", b"key")
