"""Health and metrics over HTTP: what a probe and Prometheus see, and where they can ask."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis.asyncio import Redis

from bots import health
from bots.discord.app import Discord
from bots.doctor import look
from bots.doctor.look import FirstLook
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods import faults
from bots.slack.api import transport
from bots.slack.app import Slack
from core.domain.chat import ModelInfo
from core.domain.errors import BadKey, ModelError, NebulaBotError, ServerTrouble
from core.nebula.catalog import BUILT_IN
from core.nebula.client import Nebula
from core.nebula.failures import from_response
from core.settings.environment import WrongConfig
from core.store.redis.embedded import bound, find_server
from tests.bots.health_harness import HealthServers, place
from tests.bounds import HANG_SECONDS
from tests.ports import free_port
from tests.scenarios.program import started

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
async def here() -> AsyncIterator[HealthServers]:
    async with place() as found:
        yield found


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK looks after a lost socket when the next ping is due."""
    monkeypatch.setattr(transport, "PING_SECONDS", 0.2)


# The program, which says on request which files it has open: nobody else may look.
OPEN = """
import os, sys, threading
def tell():
    for _ in sys.stdin:
        links = []
        for each in os.listdir("/proc/self/fd"):
            try:
                links.append(os.readlink(f"/proc/self/fd/{each}"))
            except FileNotFoundError:  # closed meanwhile: the process keeps running
                pass
        print(*links, flush=True)
threading.Thread(target=tell, daemon=True).start()
from bots.cli import main
sys.exit(main())
"""


async def opened(process: asyncio.subprocess.Process) -> set[str]:
    """The inodes of the sockets that OPEN has."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"?\n")
    return {each.removeprefix("socket:[").rstrip("]") for each in (await process.stdout.readline()).decode().split()}


def listening(pid: int, own: set[str]) -> set[tuple[str, int]]:
    """The TCP addresses at which a process listens, from Linux's /proc; IPv6 addresses come out unreadable."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in own:
                address, port = fields[1].split(":")
                found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return found


async def connected(process: asyncio.subprocess.Process) -> None:
    """Read the program's log until it is on both platforms."""
    assert process.stderr
    left, log = {"Slack: connected", "on Discord as"}, ""
    async with asyncio.timeout(HANG_SECONDS):
        while left and (line := (await process.stderr.readline()).decode()):
            left -= {word for word in left if word in line}
            log += line
    assert not left, f"the program ended: {log}"


@on_linux
@pytest.mark.parametrize("on", [False, True])
async def test_the_port_is_off_by_default_and_bound_to_loopback(
    here: HealthServers, redis_url: str, tmp_path: Path, on: bool
) -> None:
    """Without HEALTH_PORT the program does not listen; with it, only at that port of 127.0.0.1."""
    settings = here.settings | {"REDIS_URL": redis_url} | ({"HEALTH_PORT": str(here.port)} if on else {})
    async with started(tmp_path, "run", program=(sys.executable, "-c", OPEN), **settings) as process:
        await connected(process)
        assert listening(process.pid, await opened(process)) == ({("127.0.0.1", here.port)} if on else set())
        if on:
            await here.until_ready(200, "process: running")


async def test_a_port_in_use_is_reported() -> None:
    """The sentence names the variable and the port. The settings are not to blame: another start may help."""
    port = free_port()
    async with health.health(port, "127.0.0.1", []):
        with pytest.raises(NebulaBotError, match=f"HEALTH_PORT {port} can't be opened on 127.0.0.1") as failed:
            async with health.health(port, "127.0.0.1", []):
                raise AssertionError("it was opened twice")
    assert not isinstance(failed.value, WrongConfig)


async def test_an_address_that_no_port_can_have_is_a_wrong_setting() -> None:
    """Another start would not help."""
    with pytest.raises(WrongConfig, match="HEALTH_PORT"):
        async with health.health(free_port(), "192.0.2.1", []):  # of no machine (RFC 5737)
            raise AssertionError("it was opened")


async def test_ready_requires_redis_and_both_platforms(here: HealthServers, redis_url: str) -> None:
    """It is alive at once, and ready once everything is connected, with one line each."""
    async with here.bot(redis_url):
        assert await here.get("/healthz") == (200, "ok\n")
        redis, nebula, slack, discord = (await here.until_ready(200))[-4:]
        assert nebula == "nebula: ok"
        assert re.fullmatch(r"redis: ok, [\d.]+ ms", redis)
        assert re.fullmatch(r"slack: last heard \d+ s ago", slack)
        assert re.fullmatch(r"discord: last heard \d+ s ago", discord)


async def test_alive_but_not_ready_before_the_platforms_are_connected(here: HealthServers, redis_url: str) -> None:
    """While Slack is still unreachable, the process should get no questions, but must not be restarted."""
    here.slack.faults.add("auth.test", faults.server_error(), times=None)
    async with here.bot(redis_url, ready=False):
        await here.until_ready(503, "slack: not connected")
        assert await here.get("/healthz") == (200, "ok\n")
        here.slack.faults.clear()
        await here.until_ready(200)


@contextmanager
def redis_at(folder: str) -> Iterator[str]:
    """Run a Redis in this folder and kill it at the end; it can be started again at the same address."""
    command = [str(find_server(os.environ.get("REDIS_SERVER"))), "--port", "0", "--unixsocket", "s", "--dir", folder]
    with (
        Path(folder, "log").open("wb") as log,
        subprocess.Popen(bound([*command, "--save", ""]), stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            yield f"unix://{folder}/s"
        finally:
            server.kill()


async def test_not_ready_while_redis_is_away(here: HealthServers) -> None:
    """A killed Redis makes it unready, but still alive; a new Redis makes it ready again."""
    with TemporaryDirectory(prefix="nb-") as folder:  # tmp_path would be too long for a socket
        with redis_at(folder) as url:
            bot = here.bot(url)
            await bot.__aenter__()
        try:
            await here.until_ready(503, "redis: ")
            assert await here.get("/healthz") == (200, "ok\n")
            assert any(name == "nebula_bot_redis_errors_total" for name, _ in await here.series())
            with redis_at(folder):
                await here.until_ready(200, "redis: ok")
        finally:
            await bot.__aexit__(None, None, None)


@pytest.mark.usefixtures("quick_pings")
async def test_not_ready_while_slack_is_away(here: HealthServers, redis_url: str) -> None:
    """Lost sockets make it unready until Slack accepts new ones."""
    async with here.bot(redis_url):
        here.slack.faults.add("apps.connections.open", faults.server_error(), times=None)
        here.slack.drop_sockets()
        await here.until_ready(503, "slack: not connected")
        here.slack.faults.clear()
        await here.until_ready(200, "slack: last heard")


async def test_a_lost_socket_is_noticed_before_the_next_ping(
    here: HealthServers, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings are rare, so the loss of the only socket is noticed without one."""
    monkeypatch.setattr(transport, "PING_SECONDS", 10 * HANG_SECONDS)  # the SDK reconnects when one is due
    async with here.bot(redis_url, platforms=(Slack,)):
        here.slack.drop_sockets()
        await here.until_ready(503, "slack: not connected")


async def test_not_ready_while_discord_is_away(here: HealthServers, redis_url: str) -> None:
    """A gateway that closes and refuses handshakes makes it unready until it accepts the bot again."""
    async with here.bot(redis_url):
        here.discord.gateway.refuse = 1_000_000
        here.discord.gateway.drop()
        await here.until_ready(503, "discord: not connected")
        here.discord.gateway.refuse = 0
        await here.until_ready(200, "discord: last heard")


@pytest.mark.parametrize("platform", [Slack, Discord])
async def test_a_silent_connection_is_not_ready(
    here: HealthServers, redis_url: str, platform: type[Slack | Discord]
) -> None:
    """An open socket is not enough: its last sign of life must be at most HEALTH_SILENCE_SECONDS old."""
    async with here.bot(redis_url, platforms=(platform,), ready=False, health_silence_seconds=0.001):
        async with asyncio.timeout(HANG_SECONDS):
            others = [""]
            while not all(": ok" in line for line in others):  # Redis may answer too late at a probe
                *others, last = await here.until_ready(503, f"{platform.name}: last heard")
                assert last.startswith(platform.name)


async def test_a_quiet_workspace_is_not_silent(
    here: HealthServers, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nobody writes, an answered ping is a sign of life too, and makes an unready bot ready again."""
    monkeypatch.setattr(transport, "PING_SECONDS", 2.0)  # not less: a pong that is late by half would close the socket
    async with here.bot(redis_url, platforms=(Slack,), ready=False, health_silence_seconds=1.0):
        for status in (200, 503, 200, 503, 200):
            await here.until_ready(status, "slack: last heard")


async def test_slack_over_http_is_ready_when_it_listens(here: HealthServers, redis_url: str) -> None:
    """In that mode Slack calls the bot and sends no heartbeats."""
    http: dict[str, Any] = {
        "slack_signing_secret": here.slack.signing_secret,
        "slack_port": free_port(),
        "slack_host": "127.0.0.1",
    }
    async with here.bot(redis_url, **http):
        assert "slack: listening" in await here.until_ready(200)


async def test_not_ready_while_stopping(here: HealthServers, redis_url: str) -> None:
    """A stopping process still answers probes, and reports that it is stopping."""
    stop = asyncio.Event()
    async with here.bot(redis_url, more=(health.running(stop),)):
        stop.set()
        assert (await here.until_ready(503))[0] == "process: stopping"


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nebula is looked at again at once."""
    monkeypatch.setattr(look, "FIRST_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("quick_looks")
async def test_an_outage_at_the_start_is_waited_for_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """And again when Nebula answers; then its list of models counts."""
    failures: list[ModelError] = [ServerTrouble("HTTP 503")] * 3

    async def check() -> Sequence[ModelInfo]:
        if failures:
            raise failures.pop()
        return BUILT_IN.models

    await FirstLook().run(check, "no/such-model")
    assert caplog.text.count("Nebula does not answer at NEBULA_BASE_URL (HTTP 503)") == 1
    assert caplog.text.count("Nebula answers now") == 1
    assert "NEBULA_MODEL: no/such-model is not among the models" in caplog.text


@pytest.mark.usefixtures("quick_looks")
async def test_not_ready_before_nebula_once_was(here: HealthServers, redis_url: str) -> None:
    """No answer is to be expected, although nobody has asked a question yet."""
    first = FirstLook()
    async with (
        NebulaServer() as server,
        Nebula(api_key="key", base_url=server.base_url, platform_url=server.platform_url) as client,
        here.bot(redis_url, more=(health.nebula(lambda: False, lambda: first.refusal),), ready=False),
    ):
        await here.until_ready(503, "nebula: Nebula has not answered yet")
        server.catalog_status = 404
        looking = asyncio.create_task(first.run(client.check, "m"))
        await here.until_ready(503, "nebula: Nebula does not answer at NEBULA_BASE_URL (HTTP 404")
        server.catalog_status = 0
        await looking
        await here.until_ready(200, "nebula: ok")


async def test_a_refused_key_ends_the_start() -> None:
    """Like a refused token: a supervisor shows it, and nobody waits for an answer."""
    async with (
        NebulaServer(keys=("right",)) as server,
        Nebula(api_key="wrong", base_url=server.base_url, platform_url=server.platform_url) as client,
    ):
        with pytest.raises(WrongConfig, match=r"Nebula refuses NEBULA_API_KEY \(HTTP 401"):
            await FirstLook().run(client.check, "m")


@pytest.mark.usefixtures("quick_looks")
async def test_a_key_that_is_refused_later_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nebula was away at the start, and the bot serves since then: it says so, and waits for the key."""
    answers: list[ModelError] = [BadKey("HTTP 401")] * 2 + [ServerTrouble("HTTP 503")]
    first, refusals = FirstLook(), []

    async def check() -> Sequence[ModelInfo]:
        refusals.append(first.refusal)
        if answers:
            raise answers.pop()
        return BUILT_IN.models

    await first.run(check, "m")
    assert "refuses NEBULA_API_KEY" in refusals[-1]
    assert caplog.text.count("Nebula refuses NEBULA_API_KEY (HTTP 401)") == 1
    assert first.refusal == ""


async def test_ready_where_only_the_list_of_models_is_refused() -> None:
    """A key may have the right to ask models, and no other: the report says so, but questions are answered."""
    first = FirstLook()

    async def check() -> Sequence[ModelInfo]:
        raise from_response(403, b'{"error":{"message":"Missing scopes: model.read"}}', {}, "", 0).error

    await first.run(check, "m")
    assert (await health.nebula(lambda: False, lambda: first.refusal)()).ok
    assert "refuses the list of models" in first.finding.text


async def test_not_ready_while_the_breaker_is_open(here: HealthServers, redis_url: str) -> None:
    """The state of Nebula's breaker counts like the other checks."""
    broken = False
    async with here.bot(redis_url, more=(health.nebula(lambda: broken),)):
        broken = True
        await here.until_ready(503, "nebula: circuit breaker open")
        broken = False
        await here.until_ready(200, "nebula: ok")


async def test_a_finished_turn_is_counted(here: HealthServers, redis_url: str) -> None:
    """Its end, tokens, wait, time to first token, age of frames and steps in Redis are measured."""
    names = {
        "turns_total": {"platform": "slack", "end": "done"},
        "turn_wait_seconds_count": {"platform": "slack"},
        "first_token_seconds_count": {},
        "frame_age_seconds_count": {"platform": "slack"},
        "redis_seconds_count": {},
    }
    tokens = {kind: {"platform": "slack", "kind": kind} for kind in ("prompt", "completion")}
    async with here.bot(redis_url) as bot:
        before = {name: await here.value(name, **labels) for name, labels in names.items()}
        spent = {kind: await here.value("tokens_total", **labels) for kind, labels in tokens.items()}
        here.nebula.answer_next("one two three")
        await here.ask_slack()
        await here.answered("one two three")
        await bot.runner.idle()
        for name, labels in names.items():
            assert await here.value(name, **labels) > before[name], name
        assert await here.value("turns_total", platform="slack", end="done") == before["turns_total"] + 1
        for kind, labels in tokens.items():
            assert await here.value("tokens_total", **labels) > spent[kind]


@pytest.mark.parametrize("end", ["failed", "refused", "interrupted"])
async def test_turns_are_counted_by_their_end(here: HealthServers, redis_url: str, end: str) -> None:
    """The model failed, or there was nothing to ask, or the process stopped before the answer was complete."""
    async with here.bot(redis_url):
        before = await here.value("turns_total", platform="slack", end=end)
        if end == "failed":
            here.nebula.fault(NebulaFault(status=400))
        here.nebula.pace = 5
        await here.ask_slack("" if end == "refused" else "hello")
        if end == "interrupted":
            await here.until_value(lambda running: running == 1, "turns_running", platform="slack")
        else:
            await here.until_value(lambda ended: ended == before + 1, "turns_total", platform="slack", end=end)
    if end == "interrupted":
        async with here.bot(redis_url):
            assert await here.value("turns_total", platform="slack", end=end) == before + 1


async def test_a_takeover_is_counted(here: HealthServers, redis_url: str) -> None:
    """The next process takes over a turn that a stopped process handed back, and counts that."""
    here.nebula.pace = 5
    async with here.bot(redis_url):
        before = await here.value("takeovers_total")
        await here.ask_slack()
        await here.nebula.until(lambda: len(here.nebula.requests) == 1)
    here.nebula.pace = 0
    here.nebula.answer_next("Here it is.")
    async with here.bot(redis_url):
        await here.answered("Here it is.")
        assert await here.value("takeovers_total") == before + 1


async def test_the_queue_is_shown(here: HealthServers, redis_url: str) -> None:
    """One question runs and another waits; after the first is stopped and the second answered, both counts are 0."""
    here.nebula.fault(NebulaFault(stall_after=5))
    here.nebula.answer_next("one two three four five six")
    async with here.bot(redis_url, reply_parallel=1):
        stopped = await here.value("turns_total", platform="slack", end="stopped")
        await here.ask_slack("first")
        await here.answered("two")
        await here.ask_slack("second")
        await here.until_value(lambda waiting: waiting == 1, "turns_waiting", platform="slack")
        assert await here.value("turns_running", platform="slack") == 1
        (reply,) = (message for message in here.slack.messages(here.channel) if "two" in message.shown)
        await here.slack.press(here.ann, reply, "nebula_reply_stop")
        await here.until_value(lambda ended: ended == stopped + 1, "turns_total", platform="slack", end="stopped")
        await here.until_value(lambda running: running == 0, "turns_running", platform="slack")
        await here.until_value(lambda waiting: waiting == 0, "turns_waiting", platform="slack")


async def test_refused_calls_are_counted(here: HealthServers, redis_url: str) -> None:
    """A 429 of each platform is counted, and a failure of the model's API, under the error's class."""
    async with here.bot(redis_url) as bot:
        slack = await here.value("platform_rate_limited_total", platform="slack")
        discord = await here.value("platform_rate_limited_total", platform="discord")
        model = await here.value("model_failures_total", error="RateLimited")
        here.slack.faults.add("chat.postMessage", faults.rate_limited(1))
        here.discord.faults.rate_limit("POST /channels/{channel}/messages", 0.05)
        here.nebula.fault(NebulaFault(status=429, headers={"Retry-After": "0"}))
        await here.ask_slack()
        await here.discord.say(here.ada, here.room, "@Nebula hello")
        await here.until_value(lambda now: now > discord, "platform_rate_limited_total", platform="discord")
        await here.until_value(lambda now: now == slack + 1, "platform_rate_limited_total", platform="slack")
        assert await here.value("model_failures_total", error="RateLimited") == model + 1
        await bot.runner.idle()


async def test_no_label_identifies_anybody(here: HealthServers, redis_url: str) -> None:
    """After turns on both platforms every label is one of a few plain words; no person or channel is identified."""
    async with here.bot(redis_url) as bot:
        await here.ask_slack()
        await here.discord.say(here.ada, here.room, "@Nebula hello")
        for platform in ("slack", "discord"):
            await here.until_value(lambda done: done > 0, "turns_total", platform=platform, end="done")
        await bot.runner.idle()
        series = await here.series()
        for name, labels in series:
            assert name.startswith("nebula_bot_")
            for label, value in labels:
                assert label in {"platform", "end", "kind", "error", "le"}
                assert label == "le" or re.fullmatch(r"[A-Za-z]+", value)
        assert len(series) < 300
        _, text = await here.get("/metrics")
        for secret in (here.ann, here.channel, here.ada.id, here.room.id, "Llama", "hello"):
            assert secret not in text


async def test_a_nebula_that_keeps_failing_is_reported(here: HealthServers, redis_url: str) -> None:
    """While the breaker is open, the bot is not ready and says why."""
    here.nebula.fault(NebulaFault(status=503, body="{}"), times=None)
    async with here.bot(redis_url) as bot:
        for _ in range(5):
            await here.ask_slack()
            await here.slack.until(lambda: not here.slack.pending)
            await bot.runner.idle()
        assert "nebula: circuit breaker open after repeated failures" in await here.until_ready(503)


@pytest.mark.parametrize(("owner", "prefix"), [("", b"nb:"), ("another bot", b"nb~")])
async def test_a_bot_that_was_not_first_has_its_own_keys(
    here: HealthServers, redis_url: str, redis_client: Redis, owner: str, prefix: bytes
) -> None:
    """On both platforms, by the ids that these give; what it stores begins with its own name."""
    if owner:
        await redis_client.set("nb:owner:{slack/T0NEBULA}", owner)
        await redis_client.set("nb:owner:{discord}", owner)
    async with here.bot(redis_url) as bot:
        await here.ask_slack()
        await here.discord.say(here.ada, here.room, "@Nebula hello")
        async with asyncio.timeout(HANG_SECONDS):
            while len(kept := [key async for key in redis_client.scan_iter("nb*:h:*")]) < 2:
                await asyncio.sleep(0.02)
        await bot.runner.idle()
    assert all(key.startswith(prefix) for key in kept)
    assert len({key.split(b":h:")[1].split(b"/")[0] for key in kept}) == 2
