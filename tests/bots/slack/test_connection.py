"""How the Slack adapter connects: tokens, unreachable servers, lost sockets, and HTTP with signatures."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis
from slack_sdk.signature import SignatureVerifier

from bots.adapter import Examination
from bots.proxy import proxy_for
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.server import SlackServer
from bots.slack.api import transport
from bots.slack.app import Slack
from bots.slack.config import SlackConfig
from bots.slack.manifest import OPTIONAL, SCOPES
from core.commands.responses import Response, RightsOf
from core.domain.errors import NebulaBotError
from core.domain.question import Question
from core.finding import Verdict
from core.inbound.dispatcher import Dispatcher
from core.settings.environment import WrongConfig
from core.store.ratelimits import RedisRateLimit
from tests.bots.slack.harness import HASTY, RETRIES, SlackRoom, settings, slack_room
from tests.bots.slack.witness import Witness
from tests.bounds import HANG_SECONDS
from tests.ports import free_port


class _Nobody(Dispatcher):
    """A dispatcher for tests in which nobody writes."""

    def __init__(self) -> None:
        """It needs no model, and Redis only for those who write."""
        self.rate_limits = RedisRateLimit(Redis())

    async def away(self, name: str, margin: float = 0.0) -> float:
        return 0.0

    async def present(self, name: str) -> None:
        pass


@asynccontextmanager
async def running(config: SlackConfig) -> AsyncIterator[Slack]:
    """Run the platform alone, and stop it at the end."""
    platform = Slack(config)
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(platform.run(_Nobody()))
        yield platform
        task.cancel()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"slack_bot_token": "xoxb-wrong"}, "Slack refuses SLACK_BOT_TOKEN (invalid_auth)"),
        ({"slack_app_token": "xapp-wrong"}, "Slack refuses SLACK_APP_TOKEN (invalid_auth)"),
    ],
)
async def test_a_refused_token_is_reported(wrong: dict[str, Any], sentence: str) -> None:
    """The bot does not retry forever what can't succeed; the sentence names the variable and where to look."""
    async with SlackServer() as slack:
        with pytest.raises(WrongConfig) as caught:
            await Slack(settings(slack, **wrong).slack).run(_Nobody())
    (problem,) = caught.value.problems
    assert problem.startswith(sentence)
    assert "wrong" not in problem


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_the_bot_waits_for_an_unreachable_slack(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """The bot does not give up after a 503 at the start, and logs one line about it."""
    async with SlackServer() as slack:
        slack.faults.add(method, faults.server_error())
        async with running(settings(slack).slack) as platform:
            await platform.ready.wait()
        away = [line for line in caplog.messages if "can't be reached" in line]
        assert len(away) == 1
        assert "SLACK_API_URL" in away[0]
        assert caplog.messages.count("Slack answers now") == 1
        assert len([call for call in slack.calls if call.method == method]) == 2


async def test_stopping_while_slack_is_unreachable(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens at the address; the bot still stops when asked to."""
    async with SlackServer() as slack:
        config = settings(slack, slack_api_url=f"http://127.0.0.1:{free_port()}/api/").slack
    async with running(config) as platform, asyncio.timeout(HANG_SECONDS):
        while not caplog.messages:
            await asyncio.sleep(0)
        assert not platform.ready.is_set()


async def test_a_missing_scope_is_named_before_another_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """Every response from Slack lists the app's scopes; the report has the missing ones, the log no second line."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("auth.test"):
            who = {"ok": True, "team_id": "T1", "user_id": "U1", "bot_id": "B1"}
            granted = ",".join(set(SCOPES) - {"reactions:write"})
            return web.json_response(who, headers={"x-oauth-scopes": granted})
        return web.json_response({"ok": False, "error": "missing_scope", "needed": "connections:write"})

    app = web.Application()
    app.router.add_route("*", "/api/{method}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/api/"))
        values: dict[str, Any] = {"slack_bot_token": "xoxb-1", "slack_app_token": "xapp-1", "slack_api_url": url}
        platform = Slack(SlackConfig(**values))
        with pytest.raises(WrongConfig, match=r"Slack refuses SLACK_APP_TOKEN \(missing_scope: connections:write\)"):
            await platform.run(_Nobody())
    assert [each.text for each in platform.report(Examination())[1:]] == [
        f"the app lacks scopes: reactions:write ({SCOPES['reactions:write'].why})"
    ]
    assert "lacks" not in caplog.text


@pytest.mark.parametrize("late", [False, True])
async def test_missing_scopes_are_told_once(late: bool, caplog: pytest.LogCaptureFixture) -> None:
    """By the report of the start; only where that came before Slack had answered, by a line of their own."""
    async with SlackServer(scopes=frozenset(SCOPES) - {"reactions:write"}) as slack:
        platform = Slack(settings(slack).slack)
        told = platform.report(Examination()) if late else ()
        await platform.sign_in()
        told = told if late else platform.report(Examination())
    lines = [line for line in caplog.messages if "lacks scopes: reactions:write" in line]
    found = [each for each in told if "lacks scopes: reactions:write" in each.text]
    assert len(lines) + len(found) == 1
    assert bool(lines) is late


async def test_what_connecting_has_shown_is_reported() -> None:
    """Without a further call: who the bot is, and which scopes are missing, with what they are for."""
    async with (
        SlackServer(scopes=frozenset(SCOPES) - {"reactions:write"}) as slack,
        running(settings(slack).slack) as platform,
    ):
        await platform.ready.wait()
        calls = len(slack.calls)
        who, missing = platform.report(Examination())
        assert len(slack.calls) == calls
    assert who.text == "@nebula in the workspace Sandbox"
    assert missing.verdict is Verdict.BAD
    assert f"reactions:write ({SCOPES['reactions:write'].why})" in missing.text
    assert "reinstall the app" in missing.mend


async def test_scopes_that_were_added_later_are_optional(caplog: pytest.LogCaptureFixture) -> None:
    """An app with an older manifest starts without a warning; one line says what it misses."""
    caplog.set_level(logging.INFO)
    async with SlackServer(scopes=frozenset(SCOPES) - OPTIONAL) as slack, running(settings(slack).slack) as platform:
        await platform.ready.wait()
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert len([line for line in caplog.messages if "can't read channel messages" in line]) == 1


async def test_unknown_scopes_cause_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """If a server does not report the app's scopes, there is nothing to warn about."""
    async with SlackServer() as slack, running(settings(slack).slack) as platform:
        await platform.ready.wait()
    assert not [record for record in caplog.messages if "lacks" in record]


async def test_the_environment_can_not_turn_on_oauth(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bolt reads these variables by itself and would then look for installations on disk."""
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "secret")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-another")
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert len(room.said("#general")) == 1


async def test_no_proxy_is_respected(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls, the socket and response_urls respect NO_PROXY, which the SDK itself ignores."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with slack_room(redis_url) as room:
        await _answers(room)
        answer = await room.slash("ann", "#general", "help")
        await room.until(lambda: answer.messages)


async def test_a_proxy_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for the WebSocket, which is treated like HTTPS."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert proxy_for("https://slack.com/api/") == "http://proxy.test:3128"
    assert proxy_for("wss://wss-primary.slack.com/link/") == "http://proxy.test:3128"


async def test_auth_test_is_called_once(redis_url: str) -> None:
    """Bolt would call auth.test for every first event, and lose the event if that fails."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("auth.test", faults.server_error(), times=None)
        for text in ("@nebula one", "@nebula two"):
            await room.say("ann", "#general", text)
        await room.quiet()
        assert len(room.calls("auth.test")) == 1
        assert len(room.said("#general")) == 2


async def test_a_socket_that_slack_refreshes_is_replaced(redis_url: str) -> None:
    """Slack asks for a new connection every few hours; the bot continues to answer questions."""
    async with slack_room(redis_url, server={"retry_delays": RETRIES}) as room:
        await room.slack.disconnect_sockets()
        await room.until(lambda: len(room.calls("apps.connections.open")) == 2 and room.slack.sockets == 1)
        await _answers(room)


async def test_a_cut_socket_is_replaced(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ends silently is opened again when the next ping is due."""
    monkeypatch.setattr(transport, "PING_SECONDS", 1.0)  # a pong may take half of it
    async with slack_room(redis_url, server={"retry_delays": RETRIES}) as room:
        room.slack.drop_sockets()
        await room.until(lambda: room.slack.sockets == 1)
        await _answers(room)


async def test_a_socket_that_falls_silent_is_replaced(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that lost its network sends nothing, not even a close; its pongs are missing."""
    monkeypatch.setattr(transport, "PING_SECONDS", 1.0)  # a pong may take half of it
    # Slack resends events it sent to the old socket; a slow bot may also consider the new one silent.
    async with slack_room(redis_url, server=HASTY) as room:
        room.slack.mute_sockets()
        await room.until(lambda: len(room.calls("apps.connections.open")) > 1 and room.slack.sockets)
        await _answers(room)


@pytest.mark.parametrize("reason", ["warning", "link_disabled"])
async def test_every_kind_of_disconnect_is_followed_by_a_new_socket(redis_url: str, reason: str) -> None:
    """Slack warns some seconds ahead; it also reports that Socket Mode is off, perhaps only for a moment."""
    async with slack_room(redis_url, server={"retry_delays": RETRIES}) as room:
        await room.slack.disconnect_sockets(reason)
        await room.until(lambda: len(room.calls("apps.connections.open")) == 2 and room.slack.sockets == 1)
        await _answers(room)


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error(),
        faults.refused("internal_error"),
        faults.refused("not_allowed_token_type"),
        faults.page("<html>busy</html>"),
        faults.rate_limited(0),
    ],
    ids=["503", "internal_error", "refused", "html", "429"],
)
async def test_a_reconnection_that_fails_is_tried_until_it_works(
    redis_url: str, fault: faults.SlackFault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever Slack replies meanwhile; one line says that there is no connection, one that there is again."""
    monkeypatch.setattr(transport, "PING_SECONDS", 0.2)
    monkeypatch.setattr(transport, "CHECKS_UNTIL_ERROR", 2)
    async with slack_room(redis_url, server={"retry_delays": RETRIES}) as room:
        room.slack.faults.add("apps.connections.open", fault, times=None)
        room.slack.drop_sockets()
        await logged(caplog, "Slack: no connection")
        room.slack.faults.clear()
        await logged(caplog, "Slack: connected again")
        await _answers(room)
    # they alternate: a machine that freezes may lose the new socket as well
    lines = [line for line in caplog.messages if "no connection" in line or "connected again" in line]
    lost = ["no connection" in line for line in lines]
    assert lost == [number % 2 == 0 for number in range(len(lost))]
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_acknowledgement_on_a_lost_socket_is_one_line(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The socket is gone when the question is stored: Slack delivers it again, it is answered once, and the log has one
    plain line about it, without the question's text."""
    monkeypatch.setattr(transport, "PING_SECONDS", 2.0)  # a pong may take half of it
    stored = asyncio.Event()

    class Slow(Witness):
        """It is slow to store a question."""

        async def heard(self, question: Question, rights: RightsOf) -> Response | None:
            response = await super().heard(question, rights)
            await stored.wait()
            return response

    async with slack_room(redis_url, dispatcher=Slow, server={"retry_delays": RETRIES}) as room:
        await room.say("ann", "#general", "@nebula swordfish", as_both=False)
        await room.until(lambda: room.nebula.requests or room.said("#general"))
        room.slack.faults.add("apps.connections.open", faults.server_error(), times=None)
        room.slack.drop_sockets()
        async with asyncio.timeout(HANG_SECONDS):
            while room.platform.connection().up:
                await asyncio.sleep(0.01)
        stored.set()
        await logged(caplog, "before a request was acknowledged")
        lines = [line for line in caplog.messages if "acknowledged" in line or "session" in line]
        room.slack.faults.clear()
        await room.quiet()
        assert (room.slack.deliveries[0].problem, room.slack.deliveries[-1].problem) == ("connection_failed", "")
        assert len(room.said("#general")) == len(room.nebula.requests) == 1
    assert lines == ["Slack: the socket closed before a request was acknowledged (ClientConnectionResetError)"]
    assert not [record for record in caplog.records if record.exc_info]
    assert "swordfish" not in caplog.text


async def test_a_socket_that_can_not_be_refreshed_is_one_line(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Slack wants a new connection but has no address for it: the old one keeps working until there is a new one."""
    caplog.set_level(logging.WARNING)
    async with slack_room(redis_url) as room:
        room.slack.faults.add("apps.connections.open", faults.refused("internal_error"))
        await room.slack.disconnect_sockets()
        await logged(caplog, "could not be replaced yet")
        await _answers(room)
        await room.slack.disconnect_sockets()
        await room.until(lambda: len(room.calls("apps.connections.open")) == 3 and room.slack.sockets == 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert not [record for record in caplog.records if record.exc_info]
    assert "\n" not in caplog.messages[0]


async def logged(caplog: pytest.LogCaptureFixture, line: str) -> None:
    """Wait until the log has this line. Raises TimeoutError."""
    async with asyncio.timeout(HANG_SECONDS):
        while line not in caplog.text:
            await asyncio.sleep(0.01)


async def test_a_first_socket_that_does_not_open_gets_a_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address works once and for a short time: the bot does not retry the same one forever."""
    monkeypatch.setattr(transport, "PING_SECONDS", 0.05)
    async with SlackServer() as slack:
        slack.faults.add("socket", faults.server_error(), times=3)
        async with running(settings(slack).slack) as platform:
            await platform.ready.wait()
        assert len([call for call in slack.calls if call.method == "apps.connections.open"]) > 1


async def test_several_sockets_survive_the_loss_of_one(redis_url: str) -> None:
    """Slack sends each event to any of them; while one is being replaced the others answer."""
    replaced = asyncio.Event()
    async with slack_room(redis_url, slack_sockets=3, server={"retry_delays": RETRIES}) as room:
        await room.until(lambda: room.slack.sockets == 3)
        room.slack.faults.add("apps.connections.open", faults.held(replaced))
        await room.slack.disconnect_sockets(most=1)
        for number in range(6):
            await room.say("ann", "#general", f"@nebula question {number}")
        await room.quiet()
        assert len(room.said("#general")) == 6
        replaced.set()
        await room.until(lambda: len(room.calls("apps.connections.open")) == 4 and room.slack.sockets == 3)


async def test_an_unavailable_socket_does_not_delay_the_others() -> None:
    """The bot answers over the sockets it has, and stops when asked to.

    With the usual time between pings, though that is also the time between tries: a socket whose pong is late is
    replaced, which is impossible here.
    """
    async with SlackServer() as slack:
        slack.faults.add("apps.connections.open", faults.slow(0))
        slack.faults.add("apps.connections.open", faults.server_error(), times=None)
        async with running(settings(slack, slack_sockets=3).slack) as platform:
            await platform.ready.wait()
            await slack.until(lambda: len([c for c in slack.calls if c.method == "apps.connections.open"]) > 5)
            assert slack.sockets == 1


async def test_http_mode(redis_url: str) -> None:
    """With a signing secret and a port Slack posts to the bot; mentions, commands and modals work as over a socket."""
    async with slack_room(redis_url, http=True) as room:
        assert await room.slack.verify_url()
        assert room.slack.sockets == 0
        await _answers(room)
        answer = await room.slash("ann", "#general", "prompt set")
        assert answer.problem == ""
        outcome = await room.fill("ann", await room.form(), "Be bold.")
        assert outcome.closed
        assert "Be bold." in (await room.until(lambda: answer.messages))[0].shown


async def test_http_mode_answers_a_redelivered_event_once(redis_url: str) -> None:
    """Slack may also deliver an event several times over HTTP."""
    async with slack_room(redis_url, http=True) as room:
        room.slack.redeliver(2)
        await _answers(room)
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize(("secret", "age", "status"), [("", 0, 200), ("another", 0, 401), ("", 600, 401)])
async def test_a_bad_signature_is_refused(redis_url: str, secret: str, age: int, status: int) -> None:
    """A sender that does not know the secret, or repeats an old request, is rejected."""
    async with slack_room(redis_url, http=True) as room, aiohttp.ClientSession() as session:
        config = room.config
        body = '{"type": "event_callback", "event": {"type": "app_home_opened"}}'
        moment = str(int(time.time()) - age)
        signature = SignatureVerifier(secret or room.slack.signing_secret).generate_signature(
            timestamp=moment, body=body
        )
        headers = {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": str(signature)}
        headers["Content-Type"] = "application/json"
        url = f"http://127.0.0.1:{config.slack_port}/slack/events"
        async with session.post(url, data=body, headers=headers) as response:
            assert response.status == status


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"garbage"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[]"),
        ("application/x-www-form-urlencoded", b"payload=xx"),
        ("application/x-www-form-urlencoded", b"payload=[]"),
    ],
)
async def test_garbage_is_refused_quietly(
    redis_url: str, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests that the internet sends to an open port are rejected without filling the log."""
    async with slack_room(redis_url, http=True) as room, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{room.config.slack_port}/slack/events"
        async with session.post(url, data=body, headers={"Content-Type": kind}) as response:
            assert response.status in (400, 401)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"X_Slack_Request_Timestamp": "abc"}, b"{}"),
        ({"X_Slack_Request_Timestamp": ""}, b"{}"),
        ({"X_Slack_Request_Timestamp": "9" * 5000}, b"{}"),
        ({"X_Slack_Request_Timestamp": "\u0661\u0662"}, b"{}"),
        ({"X_Slack_Signature": ""}, b"{}"),
        ({"X_Slack_Signature": "v0=\u00e9\u4e00"}, b"{}"),
        ({"X_Slack_Signature": "v0=0", "Content_Encoding": "deflate"}, b"garbage"),
        ({"X_Slack_Signature": "v0=0", "Content_Encoding": "gzip"}, b"\x1f\x8b garbage"),
        ({"X_Slack_Signature": "v0=0", "Content_Encoding": "what"}, b"garbage"),
        ({"X_Slack_Signature": "v0=0"}, b"[" * 500_000),
        ({"X_Slack_Signature": "v0=0"}, b"\xff\xfe"),
        ({"X_Slack_Signature": "v0=0", "Content_Type": "text/plain; charset=what"}, b"{}"),
        ({"X_Slack_Signature": "v0=0", "Content_Type": "application/x-www-form-urlencoded"}, b"payload=[[[["),
        ({"X_Slack_Signature": "v0=0", "Content_Type": "application/x-www-form-urlencoded"}, b"ssl_check=1"),
    ],
)
async def test_what_slack_did_not_sign_is_not_even_read(
    redis_url: str, headers: dict[str, str], body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever strangers send, it is refused before anything parses it, and the log says nothing."""
    async with slack_room(redis_url, http=True) as room:
        before = len(caplog.records)
        assert await room.post(body, **headers) == 401
        assert caplog.records[before:] == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"garbage"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[]"),
        ("application/json", b"[" * 500_000),
        ("application/json", b'{"authorizations": [1], "type": "event_callback", "event": {}}'),
        ("application/x-www-form-urlencoded", b"payload=xx"),
        ("application/x-www-form-urlencoded", b"payload=[]"),
    ],
)
async def test_a_signed_request_that_can_not_be_read_is_one_line(
    redis_url: str, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Slack's forms may change: the others go on, and the log has no traceback."""
    async with slack_room(redis_url, http=True) as room:
        before = len(caplog.records)
        assert await room.post(body, kind) == 400
        (line,) = caplog.records[before:]
        assert "can't be read" in line.getMessage()
        assert not line.exc_info
        await _answers(room)


async def test_half_open_connections_keep_no_event_out(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A stranger holds 300 of them, with half a head or half a body: a question is answered, and the log is quiet."""
    async with slack_room(redis_url, http=True) as room:
        before = len(caplog.records)
        halves = (b"", b"POST /slack/ev", b"POST /slack/events HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        held = []
        for half in halves * 100:
            _, writer = await asyncio.open_connection("127.0.0.1", room.config.slack_port)
            writer.write(half)
            held.append(writer)
        await _answers(room)
        for writer in held:
            writer.close()
        assert not [record for record in caplog.records[before:] if record.levelno >= logging.WARNING]


async def test_questions_that_slack_withheld_are_found(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Slack says that it withholds events: the bot confirms that, logs one line, and looks for the questions itself."""
    async with slack_room(redis_url, http=True, server={"retry_delays": ()}) as room:
        room.slack.deliver_to("http://127.0.0.1:9/")  # nobody is there
        await room.say("ann", "#general", "@nebula hello")
        await room.until(lambda: not room.slack.pending)
        limited = {"type": "app_rate_limited", "minute_rate_limited": int(time.time()) - 60, "team_id": room.slack.team}
        assert await room.post(json.dumps(limited).encode()) == 200
        await room.until(lambda: room.said("#general"))
        await room.quiet()
        assert len(room.said("#general")) == 1
        assert len([line for line in caplog.messages if "withholds" in line]) == 1
        for odd in ("x", None, -1, 1e400, 10**12):
            assert await room.post(json.dumps({**limited, "minute_rate_limited": odd}).encode()) == 200


async def test_a_port_in_use_is_reported(redis_url: str) -> None:
    """The sentence names the variable."""
    async with slack_room(redis_url, http=True) as room:
        with pytest.raises(NebulaBotError, match="SLACK_PORT"):
            await Slack(room.config).run(_Nobody())


async def _answers(room: SlackRoom) -> None:
    await room.say("ann", "#general", "@nebula hello")
    await room.quiet()
    assert len(room.said("#general")) == 1
