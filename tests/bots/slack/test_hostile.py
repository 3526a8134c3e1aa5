"""What strangers can send in Slack, at the wire: odd payloads, forged forms, floods of names, and half characters."""

import json
import time
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS, SLACK_LIMITS, SlackLimit
from bots.slack.api import people
from bots.slack.api.client import Web
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import Identity
from bots.slack.components import forms
from bots.slack.dialect.rich_text import text_of
from bots.slack.inbound import messages
from bots.slack.inbound.commands import OLD_FORM
from bots.slack.inbound.events import RawQuestion, read
from bots.slack.inbound.text import IncomingText
from core.access.bursts import Bursts
from core.inbound.dispatcher import TOO_FAST
from core.store.ratelimits import RedisRateLimit
from tests.bots.slack.harness import SlackRoom, slack_room
from tests.growth import MOST, growth

ME = Identity("T0NEBULA", "U0NEBULA", "B0NEBULA")
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("1.2"), st.just("C1")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
FIELDS = [
    *("type", "subtype", "channel", "channel_type", "user", "ts", "text", "files", "attachments", "blocks", "bot_id"),
    *("message", "previous_message", "deleted_ts", "thread_ts", "user_profile", "team", "edited"),
]


async def send(room: SlackRoom, **event: Any) -> str:
    """Deliver a direct message from ann with these fields; return its ts."""
    ts = f"{time.time():.6f}"
    usual = {"type": "message", "channel": room.where("@ann"), "channel_type": "im", "user": room.people["ann"]}
    event = {**usual, "ts": ts, "team": room.slack.team, "text": "hello", **event}
    body = {"type": "event_callback", "team_id": room.slack.team, "event_id": f"Ev{ts}", "event": event}
    assert await room.post(json.dumps(body).encode()) == 200
    await room.quiet()
    return ts


async def interact(room: SlackRoom, **payload: Any) -> int:
    """Deliver an interaction of ann's with these fields; return the status."""
    usual = {
        "type": "block_actions",
        "user": {"id": room.people["ann"], "name": "ann", "team_id": room.slack.team},
        "channel": {"id": room.where("#general")},
        "team": {"id": room.slack.team},
        "container": {"message_ts": "1.2"},
        "message": {},
        "trigger_id": "1.2.x",
        "response_url": room.slack.api_url.replace("/api/", "/response/R1"),
        "actions": [{"action_id": "nebula_reply_stop", "value": "x", "action_ts": "1.2"}],
    }
    body = "payload=" + quote(json.dumps({**usual, **payload}))
    return await room.post(body.encode(), "application/x-www-form-urlencoded")


def asked(room: SlackRoom) -> str:
    """Return the last question that the model received."""
    return room.nebula.requests[-1].messages[-1].content


# --- what a message may hold ---


async def test_words_are_found_wherever_they_are(redis_url: str) -> None:
    """In forwarded messages, and in blocks alone; the beginning of a snippet is in a file."""
    async with slack_room(redis_url, http=True, reply_streaming="edit") as room:
        share = {"is_share": True, "author_name": "Carl <b>", "text": "It is ZEBRA-7 &amp; <@U0NEBULA>\nDon't tell."}
        await send(room, text="what is the code?", attachments=[share, {"text": "no share"}, 7])
        assert asked(room).startswith("what is the code?\n\nForwarded message from Carl <b>:\n> It is ZEBRA-7 &")
        assert "\n> Don't tell." in asked(room)
        assert "no share" not in asked(room)
        blocks = [
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [
                            {"type": "text", "text": "is 1 < 2 & "},
                            {"type": "link", "url": "https://a.example/", "text": "this"},
                            {"type": "emoji", "name": "wave"},
                        ],
                    }
                ],
            }
        ]
        inner = [{"message": {"blocks": blocks}}]
        await send(room, text="", attachments=[{"is_share": True, "message_blocks": inner}])
        assert asked(room) == "Forwarded message:\n> is 1 < 2 & [this](https://a.example/):wave:"
        await send(room, text="", blocks=blocks)
        assert asked(room) == "is 1 < 2 & [this](https://a.example/):wave:"
        snippet = {"mode": "snippet", "name": "Untitled", "title": "Untitled", "preview": "line <1>\nline 2"}
        await send(room, text="read this", subtype="file_share", files=[snippet])
        assert "line" not in asked(room)
        assert asked(room).endswith("read this\n\n[file: Untitled]")
        assert "can't read Untitled" in room.said("@ann")[-1].shown


def test_a_mention_in_blocks_alone_is_a_question() -> None:
    """In a channel too; a mention in a forwarded message is none."""
    event = {"type": "message", "channel": "C1", "user": "U1", "ts": "1.2", "text": ""}
    section = {"type": "rich_text_section", "elements": [{"type": "user", "user_id": ME.user}]}
    named = read({**event, "blocks": [{"type": "rich_text", "elements": [section]}]}, ME)
    assert isinstance(named, RawQuestion)
    assert named.said is None
    forwarded = read({**event, "attachments": [{"is_share": True, "text": f"<@{ME.user}> hi"}]}, ME)
    assert isinstance(forwarded, RawQuestion)
    assert forwarded.said


def test_a_message_may_name_its_author() -> None:
    """That name is shown until Slack has returned the profile."""
    event = {"type": "app_mention", "channel": "C1", "user": "U1", "ts": "1.2", "text": "hi"}
    named = read({**event, "user_profile": {"name": "ann", "real_name": "Ann Lee", "display_name": ""}}, ME)
    unnamed = read(event, ME)
    assert isinstance(named, RawQuestion)
    assert isinstance(unnamed, RawQuestion)
    assert (named.name, unnamed.name) == ("Ann Lee", "")


@pytest.mark.parametrize("size", ["abc", float("inf"), float("nan"), -1, None, [], 10**400, True])
async def test_odd_strings_and_sizes_lose_no_question(
    redis_url: str, size: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Half characters, escape sequences and line breaks in names, names of files and text; sizes of any form."""
    async with slack_room(redis_url, http=True, reply_streaming="edit") as room:
        room.person("\ud800e\x1b[2Jve\u202e\n")
        nasty = "a\ud83d\x00\x1b]0;x\x07\u202e\nb"
        files = [{"name": nasty, "size": size, "mimetype": nasty, "url_private": nasty}, "x", {"name": 7}]
        author = next(key for name, key in room.people.items() if name.startswith("\ud800"))
        await send(room, user=author, text=f"hi {nasty}", subtype="file_share", files=files)
        assert "\n\nhi a\ufffd\ufffd]0;x\nb\n\n[file: " in asked(room)
        assert len(room.said("@ann")) == 1
        form = nasty.replace("\ud83d", "")  # a form can't carry half characters
        await room.slash("ann", "#general", f"prompt set {form}")
        await room.slash("ann", "#general", f"model set {form}")
    assert not [record for record in caplog.records if record.exc_info]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["message", "app_mention", "other"]))
def test_an_event_of_any_form_can_be_read(event: dict[str, Any], kind: str) -> None:
    """Or it is none of ours; nothing is raised."""
    read({"channel": "C1", "user": "U1", "ts": "1.2", **event, "type": kind}, ME)
    read({"channel": "D1", "user": "U1", "ts": "1.2", "subtype": "message_changed", **event, "type": "message"}, ME)
    text_of(event.get("blocks"))


@pytest.mark.parametrize(
    "part", [" ", "\t", "<", "<@U1|", "<@U0NEBULA|x", "`", "```", "[", "<#C1|", "&amp;", "<!", "\n>"]
)
async def test_reading_costs_in_proportion(redis_client: Redis, part: str) -> None:
    """Twice as much text takes about twice as long to read, whatever it repeats."""
    web, tasks = Web("http://127.0.0.1:9/api/", "xoxb-1"), TaskSupervisor()
    words = IncomingText(people.People(web, ME, RedisRateLimit(redis_client), tasks.start), ME.user)

    async def heard(text: str) -> None:
        raw = read({"type": "app_mention", "channel": "C1", "user": "U1", "ts": "1.2", "text": text}, ME)
        assert isinstance(raw, RawQuestion)
        await words.read(raw.text)

    async with tasks.open():
        assert await growth(heard, lambda count: part * count) <= MOST
    await web.close()


# --- who asks ---


async def test_a_post_with_a_persons_token_is_a_question(redis_url: str) -> None:
    """If Slack says that the person is none of the bots; an app in a person's name may not talk for ever."""
    async with slack_room(redis_url, http=True, reply_streaming="edit") as room:
        await send(room, bot_id="B1", text="from my dashboard")
        assert asked(room) == "from my dashboard"
        await send(room, bot_id="B1", user=room.slack.bot_user, text="I am the bot itself")
        await send(room, bot_id=room.slack.bot_id, text="my own app")
        await send(room, bot_id="B1", subtype="bot_message", text="a bot")
        assert len(room.nebula.requests) == 1
        for _ in range(messages.APP_QUESTIONS + 5):
            await send(room, bot_id="B1", text="again")
        assert len(room.nebula.requests) == messages.APP_QUESTIONS
        await send(room, text="a person")
        assert asked(room) == "a person"
        room.slack.faults.add("users.info", faults.server_error(), times=None)
        await send(room, bot_id="B1", user=room.people["bob"], text="who knows")
        assert asked(room) == "a person"


async def test_admins_of_others_rule_nothing(redis_url: str) -> None:
    """An external person whose profile says admin, even where the operator lets external people in."""
    async with slack_room(redis_url, access_external="on") as room:
        room.person("zoe", admin=True, owner=True, team="T0OTHER")
        room.open("#shared", creator="zoe")
        for channel in ("#general", "#shared"):
            for text in ("set --workspace temperature 1", "set temperature 1"):
                answer = await room.slash("zoe", channel, text)
                assert "may not" in (said := (await room.until(lambda: answer.messages))[0].shown) or "Only" in said  # noqa: B023


async def test_rights_that_nobody_knows_are_not_granted(redis_url: str) -> None:
    """While Slack does not say who somebody is, the person reads that they should try again; then it works."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("users.info", faults.server_error(), times=None)
        answer = await room.slash("eve", "#general", "set temperature 1")
        assert people.UNKNOWN in (await room.until(lambda: answer.messages))[0].shown


async def test_a_flood_of_names_leaves_rights_alone(redis_url: str) -> None:
    """2,500 mentions cost a few lookups, none is refused, and an admin is still recognized at once."""
    async with slack_room(redis_url, http=True, reply_streaming="edit", server={"limits": SLACK_LIMITS}) as room:
        crowd = [room.slack.add_user(f"p{number}") for number in range(2_500)]
        for part in range(3):
            names = " ".join(f"<@{user}>" for user in crowd[part * 800 :])
            await send(room, text=names)
        looked_up = room.calls("users.info")
        assert len(looked_up) <= 3 * people.MAX_LOOKUPS
        assert not [call for call in looked_up if call.error]
        answer = await room.slash("eve", "#general", "set --workspace temperature 1")
        assert "is now" in (await room.until(lambda: answer.messages))[0].shown


def answered(room: SlackRoom, many: int) -> bool:
    return len(room.said("#general")) >= many


async def test_lookups_stay_below_slacks_limit(redis_url: str) -> None:
    """However many people write within a minute: Slack refuses no lookup, and everybody is answered."""
    limits = {**NO_SLACK_LIMITS, "users.info": SlackLimit(100)}
    async with slack_room(redis_url, server={"limits": limits}, reply_streaming="off", inbox=200) as room:
        for number in range(110):
            room.person(f"p{number}")
            await room.say(f"p{number}", "#general", "@nebula hello", as_both=False)
        for answers in range(1, 111):  # together they may take a busy machine longer than what hangs
            await room.until(partial(answered, room, answers))
        await room.quiet()
        assert not [call for call in room.calls("users.info") if call.error]


# --- forms and buttons ---


@pytest.mark.parametrize(
    "forged",
    [
        {"direct": True, "channel": "#general"},
        {"workspace": "T0OTHER", "channel": "#general"},
        {"scope": "workspace"},
        {"channel": "@bob"},
        {"thread": "1.2"},
        {"response_url": "https://evil.example/"},
        {"command": "reset"},
        {"proof": ""},
        {"proof": "\u00e9\ud800"},
        {"channel": 7},
    ],
    ids=str,
)
async def test_what_a_form_says_of_itself_is_not_trusted(redis_url: str, forged: dict[str, Any]) -> None:
    """Neither whose settings it changes nor where the outcome goes can be made up."""
    async with slack_room(redis_url, http=True) as room:
        await room.slash("bob", "@bob", "prompt set")
        view = await room.form()
        names = {each: room.where(each) for each in ("#general", "@bob")}
        changes = {key: names.get(value, value) if isinstance(value, str) else value for key, value in forged.items()}
        if "channel" in forged and forged["channel"] == "@bob":
            changes["channel"] = room.where("@ann")
        metadata = json.dumps({**json.loads(view.private_metadata), **changes})
        values = {"text": {"value": {"value": "I was forged."}}}
        sent = {**view.raw, "private_metadata": metadata, "state": {"values": values}}
        assert await interact(room, type="view_submission", view=sent) == 200
        for who, channel in (("ann", "#general"), ("ann", "@ann"), ("bob", "@bob")):
            answer = await room.slash(who, channel, "prompt show")
            assert "forged" not in (await room.until(lambda: answer.messages))[0].shown  # noqa: B023


def test_a_form_of_another_team_is_none_of_ours() -> None:
    """Its proof is for one workspace, and for one app."""
    written = '{"command": "prompt set", "channel": "C1", "thread": "", "scope": "", "response_url": "", "answer": ""}'
    for text in (written, "", "[]", "{}", "[" * 100_000, "null", None):
        with pytest.raises(ValueError, match=r"not our form|Expecting|JSON"):
            forms.FormContext.read(text, "T1", b"key")


async def test_an_old_form_is_explained(redis_url: str) -> None:
    """In the form itself, or to the person who pressed the button that opens one."""
    async with slack_room(redis_url) as room:
        answer = await room.slash("ann", "#general", "prompt set")
        view = await room.form()
        outcome = await room.fill("ann", replace(view, raw={**view.raw, "private_metadata": "{}"}), "Be bold.")
        assert list(outcome.errors.values()) == [OLD_FORM]
        assert answer.problem == ""


@pytest.mark.parametrize(
    "payload",
    [
        {"actions": []},
        {"actions": None},
        {"actions": [7]},
        {"actions": [{}]},
        {"actions": [{"action_id": "nebula_open_form", "value": "{"}]},
        {"actions": [{"action_id": "nebula_open_form", "value": None}]},
        {"actions": [{"action_id": "nebula_rating", "value": "good slack/T0NEBULA/C0OTHER"}]},
        {"actions": [{"action_id": "nebula_reply_unknown", "value": "slack/T0NEBULA/C1"}]},
        {"channel": None},
        {"channel": {"id": "C1/C2"}},
        {"container": {}},
        {"user": None},
        {"user": {"id": 7}},
        {"team": 7},
        {"response_url": None},
        {"response_url": "https://evil.example/"},
        {"message": None},
        {"message": {"thread_ts": "x"}},
        {"type": "view_submission"},
        {"type": "view_submission", "view": {"callback_id": forms.CALLBACK}},
        {"type": "view_submission", "view": {"callback_id": forms.CALLBACK, "private_metadata": 7, "state": []}},
        {"type": "view_submission", "view": {"callback_id": None}},
        {"type": "shortcut", "callback_id": None},
        {"type": "message_action", "callback_id": "x"},
        {"type": "block_suggestion", "action_id": 7},
        {"type": None},
    ],
    ids=str,
)
async def test_an_interaction_of_any_form_leaves_no_traceback(
    redis_url: str, payload: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered by a sentence or dropped, and everything else goes on."""
    async with slack_room(redis_url, http=True, reply_streaming="edit") as room:
        assert await interact(room, **payload) in (200, 400, 404, 500)
        await send(room)
        assert len(room.said("@ann")) == 1
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "body", ["command=/nebula", "command=/nebula&channel_id=C/1&user_id=U1", "command=/nebula&text=%ff"]
)
async def test_a_command_of_any_form_leaves_no_traceback(
    redis_url: str, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for commands."""
    async with slack_room(redis_url, http=True) as room:
        assert await room.post(body.encode(), "application/x-www-form-urlencoded") == 200
        await room.quiet()
    assert not [record for record in caplog.records if record.exc_info]


# --- how fast somebody may be ---


async def test_commands_beyond_a_burst_are_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By slash command and behind a mention together; the person reads why, at each slash command and once for the
    messages, and others are served."""
    seconds = 0.0  # not of the clock, which lets her in again while a machine is slow
    async with slack_room(redis_url) as room:
        monkeypatch.setattr(room.dispatcher, "_bursts", Bursts(clock=lambda: seconds))
        used = [await room.slash("ann", "#general", "settings") for _ in range(20)]
        await room.until(lambda: all(one.messages for one in used))
        assert [len(one.messages) for one in used] == [1] * 20
        assert sum(one.messages[0].shown == TOO_FAST for one in used) == 10
        seconds = 3.0  # for one more
        for _ in range(20):
            await room.say("ann", "#general", "@nebula !settings")
        await room.until(lambda: len(room.said("#general")) == 2)
        await room.quiet()
        assert sorted(text == TOO_FAST for text in room.shown("#general")) == [False, True]
        answer = await room.slash("bob", "#general", "settings")
        (shown, *_) = await room.until(lambda: answer.messages)
        assert "temperature" in shown.shown
