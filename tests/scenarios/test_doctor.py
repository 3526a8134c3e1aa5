"""`nebula-bot doctor`, as whoever runs the bot sees it: set-ups that are broken in one way, each with its mend."""

import asyncio
import json
import re
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as BlockingRedis

from bots.sandbox.discord import limits as discord_limits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.world.values import EVERYONE_PERMISSIONS, Permission
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.methods import limits as slack_limits
from bots.sandbox.slack.server import SlackServer
from bots.slack.manifest import SCOPES
from core.finding import Finding, Verdict
from tests.ports import free_port
from tests.scenarios.program import PROGRAM, environment
from tests.scenarios.warm import run, started

KEY = "ak_secretkey"
ALMOST = EVERYONE_PERMISSIONS & ~Permission.ATTACH_FILES


@dataclass
class Clinic:
    """The three servers with a set-up in which all is well, and the folder of the bot."""

    folder: Path
    slack: SlackServer
    discord: DiscordServer
    nebula: NebulaServer

    def __post_init__(self) -> None:
        self.general = self.slack.add_channel("general", self.slack.add_user("ann"))
        self.guild = self.discord.add_guild("Guild")
        self.discord.user_install = False
        self.room = self.discord.add_channel(self.guild, "general")
        self.settings = {
            "NEBULA_API_KEY": KEY,
            "NEBULA_BASE_URL": self.nebula.base_url,
            "NEBULA_PLATFORM_URL": self.nebula.platform_url,
            "NEBULA_TIER": "engineer1",
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "ACCESS_ALLOW": f"{self.guild.id}, {self.slack.team}",
        }

    def write(self, more: str = "", mode: int = 0o600, **changes: str | None) -> None:
        """Write .env, with these changes (None: without the variable) and these lines."""
        values: Mapping[str, str | None] = {**self.settings, **changes}
        lines = [f"{name}={value}\n" for name, value in values.items() if value is not None]
        path = self.folder / ".env"
        path.write_text("".join(lines) + more)
        path.chmod(mode)

    async def examine(self, *arguments: str, **around: str) -> tuple[int, list[Finding], str]:
        """Run the doctor; returns its status, what it found, and all that it printed."""
        status, out, err = await run(self.folder, "doctor", "--json", *arguments, **around)
        assert "Traceback" not in err, err
        found = [
            Finding(each["name"], Verdict(each["verdict"]), each["text"], each["mend"]) for each in json.loads(out)
        ]
        return status, found, out + err


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            SlackServer(limits=slack_limits.NO_SLACK_LIMITS, scopes=frozenset(SCOPES))
        )
        discord = await stack.enter_async_context(DiscordServer(limits=discord_limits.NO_DISCORD_LIMITS))
        nebula = await stack.enter_async_context(NebulaServer(keys=(KEY,)))
        yield Clinic(tmp_path, slack, discord, nebula)


def wrong(found: list[Finding]) -> list[Finding]:
    """What is wrong among these."""
    return [each for each in found if each.verdict is Verdict.BAD]


async def test_a_good_set_up_is_well(clinic: Clinic) -> None:
    """Each part says so, in a line of its own; the status is 0, and nothing secret is printed."""
    clinic.write()
    status, found, said = await clinic.examine()
    assert (status, wrong(found)) == (0, [])
    names = {each.name for each in found if each.verdict is Verdict.OK}
    assert names == {".env", "configuration", "limits", "machine", "Redis", "Nebula", "Slack", "Discord"}
    for secret in (KEY, clinic.slack.bot_token, clinic.slack.app_token, clinic.discord.token):
        assert secret not in said


@pytest.mark.parametrize(
    ("changes", "name", "text", "mend"),
    [
        # .env and the environment
        ({"more": "SLACK_TOKN=x\n"}, "configuration", "SLACK_TOKN in .env is not a setting", "did you mean SLACK_"),
        ({"more": "BOT=xoxb-1\n", "SLACK_BOT_TOKEN": None}, "configuration", "BOT in .env", "SLACK_BOT_TOKEN"),
        ({"more": "NEBULA_TEMPERATURE=hot\n"}, "configuration", "NEBULA_TEMPERATURE: it must be a number", ""),
        ({"more": "nonsense here\n"}, "configuration", "Line 12 of", "write NAME=value"),
        ({"mode": 0o644}, ".env", "mode 644", "chmod 600"),
        ({"SLACK_APP_TOKEN": None}, "configuration", "SLACK_APP_TOKEN is missing", "xapp-"),
        ({"DISCORD_TOKEN": "xoxb-1-2"}, "configuration", "DISCORD_TOKEN: it looks like what", "correct it"),
        ({"SLACK_BOT_TOKEN": "ak_other"}, "configuration", "SLACK_BOT_TOKEN: it looks like what", "correct it"),
        ({"NEBULA_API_KEY": "xapp-1-A"}, "configuration", "NEBULA_API_KEY: it looks like what", "correct it"),
        ({"NEBULA_API_KEY": None}, "configuration", "NEBULA_API_KEY is missing", "create a key"),
        # Redis
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "Redis", "Can't reach Redis at 127.0.0.1:1", "REDIS_URL"),
        ({"REDIS_URL": "redis://user:se#cret@host:port"}, "Redis", "REDIS_URL is invalid", ""),
        ({"REDIS_SERVER": "/no/program"}, "Redis", "REDIS_SERVER is not a program", ""),
        # Nebula
        ({"NEBULA_API_KEY": "ak_wrong"}, "Nebula", "refuses NEBULA_API_KEY (HTTP 401", "copy it anew"),
        ({"NEBULA_MODEL": "meta-llama/Lama-3.3"}, "Nebula", "is not among the models", "did you mean meta-llama/"),
        ({"NEBULA_BASE_URL": "http://nowhere.invalid/v1"}, "Nebula", "is not known (DNS)", "correct it"),
        ({"NEBULA_BASE_URL": "http://127.0.0.1:1/v1"}, "Nebula", "connection refused", "correct it"),
        # Slack
        ({"SLACK_BOT_TOKEN": "xoxb-wrong"}, "Slack", "refuses SLACK_BOT_TOKEN (invalid_auth)", "OAuth & Permissions"),
        ({"SLACK_APP_TOKEN": "xapp-wrong"}, "Slack", "refuses SLACK_APP_TOKEN (invalid_auth)", "connections:write"),
        ({"SLACK_API_URL": "http://127.0.0.1:1/api/"}, "Slack", "can't be reached", "SLACK_API_URL"),
        # Discord
        ({"DISCORD_TOKEN": "wrong"}, "Discord", "refuses DISCORD_TOKEN", "Reset Token"),
        ({"DISCORD_API_URL": "http://127.0.0.1:1/api/v10"}, "Discord", "can't be reached", "DISCORD_API_URL"),
        ({"DISCORD_GATEWAY_URL": "ws://127.0.0.1:1/"}, "Discord", "the gateway does not answer", "DISCORD_GATEWAY_URL"),
        ({"DISCORD_USER_INSTALL": "on"}, "Discord", "DISCORD_USER_INSTALL is on, but", "User Install on"),
        ({"ACCESS_ALLOW": None}, "Discord", "anybody may add this bot", "ACCESS_ALLOW"),
    ],
)
async def test_what_is_broken_is_named_with_its_mend(
    clinic: Clinic, changes: dict[str, object], name: str, text: str, mend: str
) -> None:
    """Alone: everything else is well, and what only follows from it is not said. The status is 1."""
    clinic.write(**changes)  # type: ignore[arg-type]
    status, found, said = await clinic.examine()
    assert status == 1
    assert any(each.name == name and text in each.text and mend in each.mend for each in wrong(found)), said
    assert [each.name for each in wrong(found)] == [name], said
    for secret in (KEY, clinic.slack.bot_token, clinic.slack.app_token, clinic.discord.token, "se#cret"):
        assert secret not in said


async def test_what_hangs_is_named_and_holds_up_nothing_else(clinic: Clinic) -> None:
    """Each address leads to a server that accepts connections and never says a word."""
    held: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        clinic.write(
            NEBULA_BASE_URL=f"http://{where}/v1",
            SLACK_API_URL=f"http://{where}/api/",
            DISCORD_API_URL=f"http://{where}/api/v10",
            REDIS_URL=f"redis://{where}/0",
        )
        status, found, said = await clinic.examine()
        for writer in held:
            writer.close()
    assert status == 1
    assert {each.name for each in wrong(found)} == {"Redis", "Nebula", "Slack", "Discord"}, said
    assert all(each.mend for each in wrong(found)), said


async def test_a_data_dir_that_can_not_be_used_is_named(clinic: Clinic, redis_url: str) -> None:
    """The bot writes its sign of life there, also with a Redis of its own elsewhere."""
    (clinic.folder / "file").touch()
    clinic.write(REDIS_URL=redis_url)
    status, found, said = await clinic.examine(DATA_DIR=str(clinic.folder / "file" / "data"))
    assert status == 1
    assert any("DATA_DIR" in each.text and "directory" in each.mend for each in wrong(found)), said


async def test_what_keeps_a_message_back_is_blamed_alone(clinic: Clinic) -> None:
    """Neither the token nor the scopes, where a platform asks for a pause or fails."""
    clinic.write()
    clinic.slack.faults.add("chat.postMessage", faults.rate_limited(30))
    clinic.discord.faults.rate_limit("POST /channels/*/messages", 30.0)
    status, found, said = await clinic.examine("--channel", clinic.general, "--channel", clinic.room.id)
    assert status == 0, said
    assert sum("asks for a pause" in each.text for each in found) == 2, said
    clinic.slack.faults.add("chat.postMessage", faults.server_error(), times=None)
    _, found, said = await clinic.examine("--channel", clinic.general)
    [named] = wrong(found)
    assert "could not post a message" in named.text
    assert named.mend.startswith("check the network"), said


async def test_a_pause_that_slack_asks_for_is_told_once(clinic: Clinic) -> None:
    """It would ask for it in answer to whatever follows."""
    clinic.write()
    for method in ("auth.test", "apps.connections.open"):
        clinic.slack.faults.add(method, faults.rate_limited(30), times=None)
    _, found, said = await clinic.examine()
    assert sum("asks for a pause" in each.text for each in found) == 1, said


async def test_a_data_dir_of_the_private_redis_is_named_once(clinic: Clinic) -> None:
    """Two parts of the doctor look at it."""
    (clinic.folder / "file").touch()
    clinic.write()
    status, found, said = await clinic.examine(DATA_DIR=str(clinic.folder / "file" / "data"))
    assert status == 1
    [named] = wrong(found)
    assert "DATA_DIR" in named.text, said
    assert "writable directory" in named.mend


async def test_a_private_redis_that_does_not_start_is_shown_with_its_log(clinic: Clinic) -> None:
    """The mend is not a piece of the server's own words."""
    server = clinic.folder / "server"
    server.write_text("#!/bin/sh\necho 'Fatal: no such: thing'\nexit 1\n")
    server.chmod(0o700)
    clinic.write(REDIS_SERVER=str(server))
    _, found, said = await clinic.examine()
    [named] = wrong(found)
    assert "does not start (Fatal: no such: thing)" in named.text, said
    assert named.mend == f"read its log, {clinic.folder / 'data' / 'server.log'}"


@pytest.mark.parametrize("content", ["NEBULA_API_KEY=ak_1\n".encode("utf-16"), "A=ü\n".encode("latin-1"), None])
async def test_an_env_file_that_can_not_be_read_is_named(clinic: Clinic, content: bytes | None) -> None:
    """As some editors and shells write it, or as Docker makes a directory of a missing file; a start says the same."""
    path = clinic.folder / ".env"
    path.mkdir() if content is None else path.write_bytes(content)
    status, found, said = await clinic.examine()
    assert status == 1
    assert any(str(path) in each.text for each in wrong(found)), said
    assert not any(each.name == ".env" and each.verdict is Verdict.OK for each in found)
    assert len(wrong(found)) == 1, said
    status, _, err = await run(clinic.folder, "run")
    assert status == 2
    assert str(path) in err
    assert "Traceback" not in err


async def test_a_path_that_is_wrong_is_named(clinic: Clinic) -> None:
    """Both kinds of which people write: the end is missing, or doubled."""
    clinic.write(NEBULA_BASE_URL=clinic.nebula.base_url.removesuffix("/v1"))
    _, found, _ = await clinic.examine()
    assert "NEBULA_BASE_URL lacks the /v1" in wrong(found)[0].text
    assert len(wrong(found)) == 1
    clinic.write(NEBULA_BASE_URL=f"{clinic.nebula.base_url}/v1")
    _, found, _ = await clinic.examine()
    assert "NEBULA_BASE_URL has /v1 twice" in wrong(found)[0].text
    assert len(wrong(found)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("DISCORD_TOKEN", "xoxb-1-2"), ("SLACK_BOT_TOKEN", "ak_other"), ("SLACK_APP_TOKEN", "xoxb-1-2")],
)
async def test_a_token_of_another_kind_is_sent_to_nobody(clinic: Clinic, name: str, value: str) -> None:
    """Neither by the doctor nor by a start: it is a secret of another place."""
    changes: dict[str, Any] = {name: value}
    clinic.write(**changes)
    await clinic.examine()
    status, _, err = await run(clinic.folder, "run")
    assert status == 2
    assert f"{name}: it " in err
    asked = {
        "DISCORD_TOKEN": clinic.discord.calls,
        "SLACK_BOT_TOKEN": clinic.slack.calls,
        "SLACK_APP_TOKEN": [each for each in clinic.slack.calls if each.method == "apps.connections.open"],
    }
    assert not asked[name]


@pytest.mark.parametrize(
    ("breaks", "name", "text", "mend"),
    [
        (
            lambda here: setattr(here.discord.portal, "code_grant", True),
            *("Discord", "requires a code grant", "Requires OAuth2 Code Grant off"),
        ),
        (
            lambda here: setattr(here.discord.portal, "interactions_url", "https://elsewhere.example"),
            *("Discord", "sends commands and buttons to another address", "Interactions Endpoint URL"),
        ),
        (
            lambda here: here.discord.add_guild("Small", bot_permissions=ALMOST, everyone=ALMOST),
            *("Discord", "lacks permissions in the server Small: attach files", "https://discord.com/oauth2/authorize"),
        ),
        (
            lambda here: setattr(here.discord.gateway, "identifies", 1000),
            *("Discord", "0 sign-ins are left", "do not start the bot again and again"),
        ),
        (
            lambda here: here.slack.faults.add("apps.connections.open", faults.refused("missing_scope"), times=None),
            *("Slack", "refuses SLACK_APP_TOKEN (missing_scope", "connections:write"),
        ),
        (
            lambda here: here.nebula.fault(NebulaFault(status=402, body="{}"), times=None),
            *("Nebula", "the account of NEBULA_API_KEY is empty", "top it up"),
        ),
        (
            lambda here: here.nebula.fault(NebulaFault(status=404, body='{"error":"model not found"}'), times=None),
            *("Nebula", "does not offer NEBULA_MODEL", "its list"),
        ),
    ],
)
async def test_what_is_broken_on_a_platform_is_named_with_its_mend(
    clinic: Clinic, breaks: Callable[[Clinic], object], name: str, text: str, mend: str
) -> None:
    """What is not in the configuration, but in the consoles of the platforms, and in the account."""
    breaks(clinic)
    clinic.write()
    status, found, said = await clinic.examine()
    assert status == 1
    assert [each.name for each in wrong(found)] == [name], said
    assert text in wrong(found)[0].text
    assert mend in wrong(found)[0].mend


@pytest.mark.parametrize("lost", ["chat:write", "im:write", "channels:history", "assistant:write"])
async def test_scopes_are_held_against_those_of_the_manifest(tmp_path: Path, clinic: Clinic, lost: str) -> None:
    """One that the bot needs is wrong; one that it can do without is said, with what is lost."""
    async with SlackServer(limits=slack_limits.NO_SLACK_LIMITS, scopes=frozenset(SCOPES) - {lost}) as slack:
        clinic.write(SLACK_API_URL=slack.api_url, SLACK_BOT_TOKEN=slack.bot_token, SLACK_APP_TOKEN=slack.app_token)
        status, found, _ = await clinic.examine()
    said = [
        each for each in found if each.name == "Slack" and each.verdict is not Verdict.OK and "posted" not in each.text
    ]
    assert [each.verdict for each in said] == [Verdict.BAD if lost == "chat:write" else Verdict.NOTE]
    assert status == (1 if lost == "chat:write" else 0)
    assert "reinstall the app" in said[0].mend


async def test_a_message_is_posted_edited_and_deleted_where_that_is_wanted(clinic: Clinic) -> None:
    """In both channels that are named, and nothing stays there."""
    clinic.write()
    status, found, _ = await clinic.examine("--channel", clinic.general, "--channel", clinic.room.id)
    assert status == 0
    for channel in (clinic.general, clinic.room.id):
        assert any(each.text == f"posted, edited and deleted a message in {channel}" for each in found)
    assert [each.shown for each in clinic.slack.messages(clinic.general) if not each.subtype] == []
    assert clinic.discord.messages(clinic.room) == ()


async def test_a_channel_without_the_bot_is_named(clinic: Clinic) -> None:
    """With what to do there."""
    other = clinic.slack.add_channel("other", clinic.slack.add_user("bob"), bot_in=False)
    clinic.write()
    status, found, _ = await clinic.examine("--channel", other, "--channel", "123")
    assert status == 1
    assert [each.mend for each in wrong(found)] == [
        "write /invite @nebula in this channel",
        "check the id (with developer mode on: right click → Copy Channel ID)",
    ]


async def test_wrong_usage_has_another_status(clinic: Clinic) -> None:
    """A name instead of an id, or an option that does not exist."""
    clinic.write()
    for arguments in (("--channel", "#general"), ("--nonsense",)):
        status, out, err = await run(clinic.folder, "doctor", *arguments)
        assert (status, out) == (2, "")
        assert arguments[-1] in err


async def test_people_read_marks_and_mends(clinic: Clinic) -> None:
    """A line for each thing, one below it for what to do, and a last one that counts; no colours in a pipe."""
    clinic.write(NEBULA_API_KEY="ak_wrong")
    status, out, _ = await run(clinic.folder, "doctor")
    assert status == 1
    assert re.search(r"^✓ Redis +\w+ [\d.]+, private, data in ", out, re.MULTILINE)
    assert re.search(r"^✗ Nebula +refuses NEBULA_API_KEY .*\n +→ copy it anew", out, re.MULTILINE)
    assert out.endswith("\n1 thing is wrong.\n")
    assert "\x1b" not in out


async def test_where_there_is_no_env_file_it_is_looked_for(clinic: Clinic) -> None:
    """In the folders above, where it is when the bot starts in the wrong one."""
    clinic.write()
    inner = clinic.folder / "inner"
    inner.mkdir()
    status, out, _ = await run(inner, "doctor")
    assert status == 1
    assert f"there is no {inner / '.env'}" in out
    assert f"there is a {clinic.folder / '.env'}: start the bot in its folder" in out
    assert "no platform has tokens" in out
    assert out.endswith("\n1 thing is wrong.\n")


async def test_a_doubtful_name_in_the_environment_is_named(clinic: Clinic) -> None:
    """There Docker puts the lines of .env."""
    clinic.write(SLACK_BOT_TOKEN=None, SLACK_APP_TOKEN=None)
    status, found, said = await clinic.examine(SLACK_TOKEN="xoxb-verysecret")
    assert status == 1
    assert [(each.name, each.mend) for each in wrong(found)] == [("environment", "did you mean SLACK_BOT_TOKEN?")]
    assert "verysecret" not in said


async def test_a_live_bot_is_not_disturbed(clinic: Clinic) -> None:
    """It keeps its socket and its place at the gateway, answers on, and its ports and its version are known."""
    port = free_port()
    clinic.write(HEALTH_PORT=str(port))
    begun = time.monotonic()
    async with started(clinic.folder, "run") as bot:
        await clinic.slack.until(lambda: clinic.slack.sockets == 1)
        await clinic.discord.until(lambda: clinic.discord.commands.registered)
        identified = clinic.discord.gateway.identifies
        assert bot.stderr
        while b"/readyz" not in (line := await bot.stderr.readline()):
            assert line, "the program ended"
        status, found, said = await clinic.examine("--channel", clinic.general)
        assert (status, wrong(found)) == (0, []), said
        # A socket whose pong came late is replaced, and may be away or there twice for a moment.
        await clinic.slack.until(lambda: clinic.slack.sockets == 1)
        assert clinic.discord.gateway.identifies == identified
        assert f"a bot serves port {port} on 127.0.0.1" in said
        assert "commands are those of this version" in said
        runs = [re.fullmatch(r"run \S+ for (\d+) min", each.text) for each in found if each.name == "processes"]
        assert any(one and int(one[1]) <= round((time.monotonic() - begun) / 60) for one in runs), said
        ann = clinic.slack.add_user("ann2")
        await clinic.slack.say(ann, clinic.general, "@nebula hello")
        await clinic.slack.until(
            lambda: any("stand-in" in each.shown for each in clinic.slack.messages(clinic.general))
        )


@pytest.mark.parametrize(
    ("setting", "value", "verdict", "text", "mend"),
    [
        ("maxmemory-policy", "allkeys-lru", Verdict.BAD, "(maxmemory-policy allkeys-lru)", "noeviction"),
        ("appendonly", "no", Verdict.BAD, "keeps nothing on its disk", "appendonly yes"),
        ("save", "900 1", Verdict.NOTE, "keeps snapshots only", "appendonly yes"),
        ("maxmemory", "1mb", Verdict.BAD, "of its memory is used", "raise maxmemory"),
    ],
)
async def test_what_a_redis_does_with_its_data_is_told(
    clinic: Clinic, redis_url: str, setting: str, value: str, verdict: Verdict, text: str, mend: str
) -> None:
    """What it throws away, and what a crash of it would lose."""
    clinic.write(REDIS_URL=redis_url)
    with BlockingRedis.from_url(redis_url) as server:
        before = {
            name: server.config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "save", "maxmemory")
        }
        try:
            server.config_set(setting, value)
            _, found, said = await clinic.examine()
        finally:
            for name, old in before.items():
                server.config_set(name, old)
    assert any(each.verdict is verdict and text in each.text and mend in each.mend for each in found), said


async def test_processes_of_several_versions_are_told(clinic: Clinic, redis_url: str) -> None:
    """Such as those that a deploy forgot."""
    clinic.write(REDIS_URL=redis_url)
    with BlockingRedis.from_url(redis_url) as server:
        soon = server.time()[0] * 1000 + 60_000
        server.zadd("nb:replicas", {"a|0.0.1+old|run|1700000000": soon, "b|0.0.2+new|worker|1700000000": soon})
        server.zadd("nb:replicas", {"c|0.0.3+gone|run|1700000000": 1})
    status, found, _ = await clinic.examine()
    assert status == 1
    several = next(each for each in wrong(found) if each.name == "processes")
    assert "2 versions: run 0.0.1+old" in several.text
    assert "gone" not in several.text


async def test_a_setup_on_which_processes_do_not_agree_is_named(clinic: Clinic, redis_url: str) -> None:
    """The doctor compares, and notes nothing itself."""
    clinic.write(REDIS_URL=redis_url)
    await clinic.examine()
    with BlockingRedis.from_url(redis_url) as server:
        assert not server.exists("nb:setup")
        server.hset("nb:setup", mapping={"partitions": "4", "texts": "plain"})
    status, found, _ = await clinic.examine()
    assert status == 1
    assert any("in 4 partitions" in each.text and "set it to 4" in each.mend for each in wrong(found))


async def test_a_port_that_others_use_is_named(clinic: Clinic) -> None:
    """That of health, and that for Slack over HTTP."""
    taken = int(re.findall(r":(\d+)/", clinic.nebula.base_url)[0])
    clinic.write(
        HEALTH_PORT=str(taken),
        SLACK_APP_TOKEN=None,
        SLACK_SIGNING_SECRET="s",
        SLACK_PORT=str(taken),
        SLACK_HOST="127.0.0.1",
    )
    status, found, _ = await clinic.examine()
    assert status == 1
    assert {each.text.split()[0] for each in wrong(found)} == {"HEALTH_PORT", "SLACK_PORT"}


async def test_without_any_settings_the_set_up_is_named(tmp_path: Path) -> None:
    """By the doctor, with a mend for each line that needs one, and by a start that nobody is there to talk to."""
    _, out, _ = await run(tmp_path, "doctor", "--json")
    found = {each["name"]: each for each in json.loads(out) if each["name"] in (".env", "configuration")}
    assert "nebula-bot setup" in found[".env"]["mend"]
    assert "nebula-bot setup" in found["configuration"]["mend"]
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "run"), cwd=tmp_path, env=environment(tmp_path, {}), stdin=DEVNULL, stderr=PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"nebula-bot setup" in err
