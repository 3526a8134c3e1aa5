"""What Slack's refusals mean: which pass, which concern one message, and which say something about this Slack."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bots.sandbox.slack.methods import faults
from bots.slack.api.client import Web
from bots.slack.api.errors import CODES, Unclear, refusal
from bots.slack.api.workspace import RETRY_SECONDS, STRIKES, Feature
from core.domain.errors import Rejected, SlowDown, Unreachable
from tests.bots.slack.harness import SlackRoom, slack_room
from tests.ports import free_port

POST, UPDATE = "chat.postMessage", "chat.update"


def kinds(room: SlackRoom, method: str = POST) -> list[str]:
    """Return the type of the first block of each call, refused ones included."""
    return [str(call.arguments["blocks"][0]["type"]) for call in room.calls(method)]


async def hello(room: SlackRoom, times: int = 1) -> None:
    """Ask one question after the other."""
    for _ in range(times):
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()


def test_each_code_has_one_meaning() -> None:
    """The table is no riddle."""
    codes = [code for found in CODES.values() for code in found]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    "code", sorted(code for kind, codes in CODES.items() for code in codes if kind is not SlowDown)
)
def test_the_table_is_kept(code: str) -> None:
    """Each code becomes its error, whatever the status; one that nobody knows may pass."""
    (kind,) = [kind for kind, codes in CODES.items() if code in codes]
    assert type(refusal(code, 200, {}, code)) is kind
    assert type(refusal(f"{code}_new", 200, {}, code)) is Unclear


@pytest.mark.parametrize("given", ["7", "", "soon", "-1", "1.5", "\u00b2", "\u0663"])
def test_a_pause_of_any_form(given: str) -> None:
    """Retry-After is a whole number of seconds, or else a usual pause."""
    error = refusal("ratelimited", 429, {"Retry-After": given}, "")
    assert isinstance(error, SlowDown)
    assert error.retry_after in (7, 3, 5)


def test_one_reply_never_speaks_for_a_feature() -> None:
    """However often its frames are refused; only different replies in a row do, or Slack's own word."""
    now = [0.0]
    feature = Feature(lambda: now[0])
    for _ in range(10):
        assert not feature.failed("one")
    for number in range(STRIKES - 2):
        assert not feature.failed(f"more {number}")
    feature.worked()
    assert [feature.failed(number) for number in range(STRIKES)] == [False] * (STRIKES - 1) + [True]
    assert not feature.works()
    now[0] = RETRY_SECONDS
    assert feature.works()
    assert feature.failed("one", sure=True)
    assert not feature.works()


@pytest.mark.parametrize(
    "code",
    ["external_channel_migrating", "team_added_to_org", "service_unavailable", "request_timeout", "never_heard_of"],
)
async def test_what_may_pass_is_tried_again(redis_url: str, code: str) -> None:
    """A channel that moves, a workspace that joins an organization, and a code that we do not know."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(POST, faults.refused(code), times=3)
        await hello(room)
        assert len(room.said("#general")) == 1
        assert len(room.calls(POST)) == 4
        assert len(room.nebula.requests) == 1


async def test_a_code_that_nobody_knows_ends_in_a_sentence(redis_url: str) -> None:
    """It is tried a few times, not for ever, and the person who asked learns what Slack says."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(POST, faults.refused("never_heard_of"), times=None)
        await hello(room)
        (told,) = room.slack.ephemerals(room.where("#general"))
        assert "never_heard_of" in told.shown
        assert len(room.calls(POST)) == 5
        room.slack.faults.clear()
        await hello(room)
        assert len(room.said("#general")) == 1


async def test_a_refused_message_downgrades_itself_alone(redis_url: str) -> None:
    """What Slack can't parse goes out as mrkdwn; the next reply, and other frames of this one, do not."""
    async with slack_room(redis_url) as room:
        bad = "[ERROR] failed to parse markdown text [json-pointer:/blocks/0/text]"
        room.slack.faults.add(POST, faults.refused("invalid_blocks", bad))
        await hello(room, 2)
        assert kinds(room) == ["markdown", "section", "markdown"]
        assert len(room.said("#general")) == 2


async def test_a_message_that_fails_in_both_forms_says_nothing(redis_url: str) -> None:
    """Only when the plain form passes, the refusal was about the richer one."""
    async with slack_room(redis_url, reply_streaming="off", reply_buttons="off") as room:
        room.slack.faults.add(POST, faults.refused("invalid_blocks", "unsupported type: markdown"), times=2)
        room.nebula.answer_next("word " * 5)
        await hello(room, 2)
        assert kinds(room)[:2] == ["markdown", "section"]
        assert kinds(room)[-1] == "markdown"


async def test_several_refusals_in_a_row_are_believed(redis_url: str) -> None:
    """Of different replies; then the richer form is left out, and no call is wasted."""
    async with slack_room(redis_url, reply_streaming="off") as room:
        for _ in range(STRIKES):
            room.slack.faults.add(POST, faults.refused("invalid_blocks", "something else"))
            await hello(room)
        await hello(room)
        assert kinds(room) == ["markdown", "section"] * STRIKES + ["section"]


async def test_refused_responses_are_believed_too(redis_url: str) -> None:
    """What commands have shown counts as much, also for replies; a success begins the count anew."""
    async with slack_room(redis_url) as room:

        async def shown(*, refused: bool = False) -> set[str]:
            if refused:
                room.slack.faults.add("response_url", faults.refused("invalid_blocks"))
            answer = await room.slash("ann", "#general", "help")
            (message,) = await room.until(lambda: answer.messages)
            return {block["type"] for block in message.blocks}

        for _ in range(STRIKES - 1):
            assert await shown(refused=True) == {"section"}
        assert await shown() == {"markdown"}
        for _ in range(STRIKES):
            assert await shown(refused=True) == {"section"}
        assert await shown() == {"section"}
        await hello(room)
        assert kinds(room) == ["section"]


async def test_nothing_that_is_posted_unfurls(redis_url: str) -> None:
    """An address in a prompt, in a reply or in a response to a command is never fetched without a click."""
    async with slack_room(redis_url) as room:
        answer = await room.slash("ann", "#general", "prompt set See https://target.example/")
        await room.until(lambda: answer.messages)
        await hello(room)
        assert len(room.said("#general")) == 2
        assert not [message for message in room.said("#general") if message.unfurls]


async def test_slacks_own_streaming_can_be_switched_off(redis_url: str) -> None:
    """By whoever runs the bot, whatever a channel sets: streams have no switch for previews."""
    async with slack_room(redis_url, slack_streams="off") as room:
        await room.say("ann", "@ann", "!set streaming native")
        await room.quiet()
        await room.say("ann", "@ann", "hello")
        await room.quiet()
        assert room.calls(POST)
        assert not room.calls("chat.startStream")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/commands/1",
        "https://evil.example/hooks.slack.com",
        "https://slack.com.evil.example/",
        "https://hooks.slack.com@evil.example/",
        "https://evil.example\\@hooks.slack.com/",
        "https://hooks.slack.com\n.evil.example/",
        "https://evilslack.com/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "//hooks.slack.com/",
        "https://[::1]/",
        "https://hooks.slack.com:8443/commands/1",
        "https://hooks.slack.com:/commands/1",
        "https://HOOKS.slack.com%2eevil.example/",
        "https://[/",
        "",
    ],
)
async def test_a_response_goes_to_slack_alone(url: str) -> None:
    """An address that a payload names is not trusted: no request leaves for any other host."""
    web = Web("https://slack.com/api/", "xoxb-1")
    body: dict[str, Any] = {"text": "secret"}
    with pytest.raises(Rejected, match="not one of Slack's"):
        await web.respond(url, body)
    await web.close()


async def test_a_response_stays_where_it_was_sent() -> None:
    """It follows no redirection, and no other port of the server that plays Slack gets one."""
    seen: list[str] = []

    async def moved(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/internal")

    async def internal(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.post("/api/moved", moved), web.post("/internal", internal)])
    async with TestServer(app) as server:
        client = Web(str(server.make_url("/api/")), "xoxb-1")
        with pytest.raises(Unreachable, match="HTTP 307"):
            await client.respond(str(server.make_url("/api/moved")), {"text": "secret"})
        assert seen == ["/api/moved"]
        other = str(server.make_url("/internal")).replace(f":{server.port}", f":{free_port()}")
        with pytest.raises(Rejected, match="not one of Slack's"):
            await client.respond(other, {"text": "secret"})
        await client.respond(str(server.make_url("/internal")), {"text": "well"})
        assert seen == ["/api/moved", "/internal"]
        await client.close()
