"""The program as operators and newcomers see it: its commands, its exits and its restarts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bots.sandbox.discord import limits as discord_limits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods import limits as slack_limits
from bots.sandbox.slack.server import SlackServer
from core.domain.errors import ServerTrouble
from tests.bots.slack.harness import RETRIES
from tests.bounds import HANG_SECONDS
from tests.ports import free_port
from tests.scenarios import program as cold
from tests.scenarios.program import PROGRAM, environment
from tests.scenarios.warm import Running, run, started


@dataclass
class ProgramServers:
    """All three servers, and the settings that point the program to them."""

    slack: SlackServer
    discord: DiscordServer
    nebula: NebulaServer

    @property
    def settings(self) -> dict[str, str]:
        return {
            "NEBULA_API_KEY": "ak_secretkey",
            "NEBULA_BASE_URL": self.nebula.base_url,
            "NEBULA_PLATFORM_URL": self.nebula.platform_url,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "NEBULA_STALL_SECONDS": f"{HANG_SECONDS:g}",
            "DRAIN_SECONDS": f"{HANG_SECONDS:g}",
            "LEASE_SECONDS": "1",
            "LOG_LEVEL": "DEBUG",
        }


@pytest.fixture
async def world() -> AsyncIterator[ProgramServers]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            SlackServer(limits=slack_limits.NO_SLACK_LIMITS, retry_delays=RETRIES, ack_growth=1.3)
        )
        discord = await stack.enter_async_context(DiscordServer(limits=discord_limits.NO_DISCORD_LIMITS))
        nebula = await stack.enter_async_context(NebulaServer())
        yield ProgramServers(slack, discord, nebula)


async def logged(process: Running, *words: str) -> str:
    """Read the program's log until each of these texts has appeared."""
    assert process.stderr
    log, left = "", set(words)
    async with asyncio.timeout(HANG_SECONDS):
        while left and (line := (await process.stderr.readline()).decode()):
            log += line
            left -= {word for word in left if word in line}
    assert not left, log
    return log


CONNECTED = ("Slack: connected", "on Discord as")


def reporting_after(seconds: float) -> tuple[str, ...]:
    """The program with another limit for the report of its start, which leaves out what was not found out by then."""
    code = (
        f"import sys; from bots.doctor import start; start.REPORT_SECONDS = {seconds};"
        "from bots.cli import main; sys.exit(main())"
    )
    return (sys.executable, "-c", code)


PATIENT = reporting_after(HANG_SECONDS)


async def test_both_platforms_are_served(world: ProgramServers, tmp_path: Path) -> None:
    """One process answers in Slack and Discord, logs where its data is, and exits with status 0 on SIGTERM."""
    ann = world.slack.add_user("ann")
    general = world.slack.add_channel("general", ann)
    guild = world.discord.add_guild("Guild")
    bob = world.discord.add_member(guild, "bob")
    room = world.discord.add_channel(guild, "general")
    async with cold.started(tmp_path, "run", **world.settings) as process:
        log = await logged(process, *CONNECTED, f"data in {tmp_path / 'data'}")
        await world.slack.say(ann, general, "@nebula hello Slack")
        await world.discord.say(bob, room, "@Nebula hello Discord")
        await world.slack.until(lambda: any("hello Slack" in m.shown for m in world.slack.messages(general) if m.bot))
        await world.discord.until(
            lambda: any("hello Discord" in m.content for m in world.discord.messages(room) if m.author.id != bob.id)
        )
        process.terminate()
        _, rest = await process.communicate()
    assert process.returncode == 0
    log += rest.decode()
    assert "Traceback" not in log
    for secret in ("ak_secretkey", world.slack.bot_token, world.slack.app_token, world.discord.token, "hello"):
        assert secret not in log


async def test_an_outage_before_the_first_question_is_no_wrong_address(world: ProgramServers, tmp_path: Path) -> None:
    """Nebula took our key at the start: nobody needs to check the address."""
    ann = world.slack.add_user("ann")
    general = world.slack.add_channel("general", ann)
    async with cold.started(tmp_path, "run", program=PATIENT, **world.settings) as process:
        await logged(process, *CONNECTED, "among them")
        await world.nebula.__aexit__(None, None, None)
        await world.slack.say(ann, general, "@nebula hello")
        await world.slack.until(lambda: any(ServerTrouble.notice in m.shown for m in world.slack.messages(general)))


async def test_a_killed_reply_is_finished_after_restart(world: ProgramServers, tmp_path: Path) -> None:
    """After SIGKILL in the middle of a reply, the next start completes it in the same message."""
    ann = world.slack.add_user("ann")
    general = world.slack.add_channel("general", ann)
    world.nebula.pace = 30
    world.nebula.answer_next("half " * 4000)  # does not end before the kill

    def replies() -> list[str]:
        return [message.shown for message in world.slack.messages(general) if message.bot]

    async with started(tmp_path, "run", **world.settings) as process:
        await logged(process, *CONNECTED)
        question = await world.slack.say(ann, general, "@nebula tell me")
        # The first edit comes only after the message's id is safely in Redis.
        await world.slack.until(lambda: any(message.edits for message in world.slack.messages(general)))
        process.kill()
        await process.wait()
    world.nebula.pace = 0
    world.nebula.answer_next("All of it.")
    async with started(tmp_path, "run", **world.settings) as process:
        await world.slack.until(lambda: replies() == ["All of it."])
        await world.slack.say(ann, general, "@nebula and what did I ask?", question.ts)
        await world.slack.until(lambda: len(replies()) == 2)
    assert [message.content for message in world.nebula.requests[-1].messages][1:3] == ["ann: tell me", "All of it."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["stopped", "terminal closed"])
async def test_running_reply_is_finished_at_shutdown(
    world: ProgramServers, tmp_path: Path, number: signal.Signals
) -> None:
    """After SIGTERM in the middle of a reply, the reply gets time to finish; then the process exits with status 0."""
    guild = world.discord.add_guild("Guild")
    bob = world.discord.add_member(guild, "bob")
    room = world.discord.add_channel(guild, "general")
    world.nebula.answer_next("word " * 60 + "end.")
    held = world.nebula.hold(after=30)

    def reply() -> str:
        return "".join(m.content for m in world.discord.messages(room) if m.author.id != bob.id)

    before = signal.signal(number, signal.SIG_DFL)  # under nohup, processes inherit that they ignore a signal
    async with started(tmp_path, "run", **world.settings) as process:
        signal.signal(number, before)
        await logged(process, *CONNECTED)
        await world.discord.say(bob, room, "@Nebula talk")
        await world.discord.until(lambda: "word" in reply())
        process.send_signal(number)
        await logged(process, "stopping: running replies get")
        assert "end." not in reply()
        assert (await run(tmp_path, "health"))[0] == 0  # a container that is stopped need not be killed
        held.release()
        await process.communicate()
    assert process.returncode == 0
    assert reply().endswith("end.")


async def test_wrong_configuration_is_reported_at_once(tmp_path: Path) -> None:
    """Every problem is listed with what to do, nothing is connected, and the exit status is 2."""
    (tmp_path / ".env").write_text("NEBULA_TEMPERATURE=hot\nSLACK_BOT_TOKEN=xoxb-1\nNEBULA_MODLE=x\n")
    status, out, err = await cold.run(tmp_path, "run")
    assert (status, out) == (2, "")
    for name in ("NEBULA_TEMPERATURE", "SLACK_APP_TOKEN", "NEBULA_API_KEY", "NEBULA_MODLE"):
        assert name in err
    assert "Traceback" not in err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("which", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DISCORD_TOKEN", "NEBULA_API_KEY"])
async def test_refused_token_is_named(world: ProgramServers, tmp_path: Path, which: str) -> None:
    """If a platform refuses a token, or Nebula the key, the program ends with status 2 and a sentence that names it."""
    async with NebulaServer(keys=("ak_secretkey",)) as server:
        own = {"NEBULA_BASE_URL": server.base_url, "NEBULA_PLATFORM_URL": server.platform_url}
        settings = {**world.settings, **own, which: world.settings[which] + "x"}
        status, _, err = await run(tmp_path, "run", **settings)
    assert status == 2
    assert f"refuses {which}" in err
    assert settings[which] not in err
    assert "Traceback" not in err
    assert "Unclosed" not in err


@pytest.mark.parametrize(
    ("variable", "cut", "said"),
    [
        ("SLACK_API_URL", "api/", "there is no API of Slack's at SLACK_API_URL"),
        ("DISCORD_API_URL", "/v10", "at DISCORD_API_URL"),
    ],
)
async def test_a_wrong_address_of_a_platform_is_named(
    world: ProgramServers, tmp_path: Path, variable: str, cut: str, said: str
) -> None:
    """The token is not to blame where what answers has never heard of it."""
    settings = {**world.settings, variable: world.settings[variable].removesuffix(cut)}
    status, _, err = await run(tmp_path, "run", **settings)
    assert status == 2
    assert said in err
    assert "TOKEN" not in err
    _, out, _ = await run(tmp_path, "doctor", **settings)
    assert said in out
    assert out.count(variable) <= 2
    assert "refuses" not in out


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("NEBULA_BASE_URL", "/elsewhere", "no such endpoint: NEBULA_BASE_URL lacks the /v1"),
        ("NEBULA_BASE_URL", "/v1/v1", "NEBULA_BASE_URL has /v1 twice"),
        ("NEBULA_BASE_URL", "http://127.0.0.1:1/v1", "nobody listens at the host and port in NEBULA_BASE_URL"),
        ("NEBULA_BASE_URL", "http://nowhere.invalid/v1", "the host in NEBULA_BASE_URL is not known (DNS)"),
        ("NEBULA_MODEL", "gpt-x", "NEBULA_MODEL: gpt-x is not among the models"),
        ("NEBULA_MODEL", "Llama3.1-8B", "models, Llama3.1-8B among them"),
    ],
)
async def test_what_is_wrong_with_nebula_is_logged_at_the_start(
    world: ProgramServers, tmp_path: Path, name: str, value: str, said: str
) -> None:
    """Nobody has to ask a question to find out. The bot serves all the same: Nebula may only be away for a while."""
    async with NebulaServer(keys=("ak_secretkey",)) as server:
        value = server.base_url.removesuffix("/v1") + value if value.startswith("/") else value
        own = {"NEBULA_BASE_URL": server.base_url, "NEBULA_PLATFORM_URL": server.platform_url}
        settings = {**world.settings, **own, name: value}
        async with cold.started(tmp_path, "run", program=PATIENT, **settings) as process:
            await logged(process, said, *CONNECTED)


async def test_a_start_says_in_one_block_what_it_found(world: ProgramServers, tmp_path: Path) -> None:
    """Where the settings are from, Redis, Nebula, both platforms, the limits and the address of health."""
    world.discord.add_guild("Guild")
    lines = "".join(f"{name}={value}\n" for name, value in world.settings.items())
    (tmp_path / ".env").write_text(lines)
    (tmp_path / ".env").chmod(0o600)
    port = free_port()
    async with cold.started(tmp_path, "run", program=PATIENT, HEALTH_PORT=str(port)) as process:
        log = await logged(process, "what this start found", "/readyz")
    block = [line.split(": ", 1)[1] for line in log.partition("what this start found")[2].splitlines()[1:]]
    words = [line for line in block if line[0] in "✓!✗"]
    found = "\n".join(words)
    assert f"✓ .env: {tmp_path / '.env'}, {len(world.settings)} settings" in found
    assert "✓ limits: each person 500,000 tokens a day, each channel 2,000,000 tokens a day" in found
    assert f"data in {tmp_path / 'data'}, append-only file" in found
    nebula = next(line for line in words if line.startswith("✓ Nebula: key accepted, "))
    assert nebula.endswith(" models, meta-llama/Llama-3.3-70B-Instruct among them")
    assert "✓ Slack: @nebula in the workspace Sandbox" in found
    assert "✓ Discord: Nebula#0000, in 1 server" in found
    assert "✗ Discord: anybody may add this bot" in found
    assert f"✓ health: http://127.0.0.1:{port}/readyz" in found


@pytest.mark.parametrize(("variable", "path"), [("SLACK_API_URL", "/api/"), ("DISCORD_API_URL", "/api/v10")])
async def test_a_platform_that_can_not_be_reached_is_told_once(
    world: ProgramServers, tmp_path: Path, variable: str, path: str
) -> None:
    """With where to look, and again in the block of what the start found."""
    settings = {**world.settings, variable: f"http://127.0.0.1:1{path}"}
    # The report waits its limit out; by then the other platform must be connected, and this one's failure known.
    async with cold.started(tmp_path, "run", program=reporting_after(20), **settings) as process:
        log = await logged(process, "what this start found", f"✗ {variable.split('_')[0].title()}")
    before, _, block = log.partition("what this start found")
    assert before.count(variable) == 1
    assert variable in block
    assert "HTTPS_PROXY" in block
    assert "is not connected yet" not in block


COMMANDS = [("doctor",), ("doctor", "--json"), ("manifest", "slack"), ("service",), ("health",), ("setup",)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", ["left", "full"])
def test_an_output_that_takes_nothing_ends_the_command(tmp_path: Path, command: tuple[str, ...], kind: str) -> None:
    """Whoever reads it may leave, without a word; of a full disk there is one line. The status is 1."""
    ours, theirs = os.pipe()
    os.close(ours)
    full = os.open("/dev/full", os.O_WRONLY)
    process = subprocess.run(
        [*PROGRAM, *command],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdin=subprocess.DEVNULL,
        stdout=theirs if kind == "left" else full,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.close(full)
    assert process.returncode == 1
    assert process.stderr == (
        "" if kind == "left" else "nebula-bot: the output can't be written (No space left on device).\n"
    )


async def test_people_learn_of_a_wrong_address_from_a_sentence_that_helps(
    world: ProgramServers, tmp_path: Path
) -> None:
    """Nobody is asked to try again in a moment, for that would not help."""
    ann = world.slack.add_user("ann")
    general = world.slack.add_channel("general", ann)
    settings = {**world.settings, "NEBULA_BASE_URL": "http://nowhere.invalid/v1"}
    async with started(tmp_path, "run", **settings) as process:
        await logged(process, *CONNECTED)
        question = await world.slack.say(ann, general, "@nebula hello")
        await world.slack.until(
            lambda: any("NEBULA_BASE_URL" in each for each in _replies(world, general, question.ts))
        )
    assert "in a moment" not in "".join(_replies(world, general, question.ts))


async def test_an_unreachable_redis_is_named(world: ProgramServers, tmp_path: Path) -> None:
    """Without its Redis the program exits with status 1 and says what to check."""
    status, _, err = await run(tmp_path, "run", **world.settings, REDIS_URL="redis://127.0.0.1:1/0")
    assert status == 1
    assert "127.0.0.1:1" in err
    assert "REDIS_URL" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_SERVER", "no-such-program"),
        ("REDIS_URL", "redis://host:port"),
        ("REDIS_URL", "redis://host?no_such_option=1"),
        ("DATA_DIR", "file/data"),
        ("HEALTH_HOST", "192.0.2.1"),  # of no machine (RFC 5737)
    ],
)
async def test_a_setting_that_can_t_be_used_ends_a_service(
    world: ProgramServers, tmp_path: Path, variable: str, value: str
) -> None:
    """With status 2, after which systemd does not start it again and again."""
    (tmp_path / "file").touch()
    settings = {**world.settings, "HEALTH_PORT": str(free_port()), variable: value}
    status, _, err = await run(tmp_path, "run", **settings)
    assert status == 2, err
    assert variable.partition("_")[0] in err
    assert "Traceback" not in err


async def test_a_disagreement_with_what_is_stored_ends_a_service(
    world: ProgramServers, tmp_path: Path, redis_url: str
) -> None:
    """With status 2 too: only the settings can end it."""
    settings = {**world.settings, "REDIS_URL": redis_url}
    async with started(tmp_path, "run", **settings) as process:
        await logged(process, *CONNECTED)
        status, _, err = await run(tmp_path, "run", **settings, REDIS_PARTITIONS="7")
    assert status == 2
    assert "REDIS_PARTITIONS" in err


async def test_a_port_that_is_taken_lets_a_service_start_again(
    world: ProgramServers, tmp_path: Path, redis_url: str
) -> None:
    """With status 1: what has it may end, such as an older process of the same bot."""
    taken = int(world.slack.api_url.split(":")[2].partition("/")[0])
    settings = {**world.settings, "REDIS_URL": redis_url, "HEALTH_PORT": str(taken)}
    status, _, err = await run(tmp_path, "run", **settings)
    assert status == 1
    assert f"HEALTH_PORT {taken} can't be opened" in err


async def test_an_unwritable_data_dir_is_named(world: ProgramServers, tmp_path: Path, redis_url: str) -> None:
    """If DATA_DIR is no directory, the program exits with status 2 and names the setting."""
    (tmp_path / "file").touch()
    status, _, err = await run(
        tmp_path, "run", **{**world.settings, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path / "file" / "data")}
    )
    assert status == 2
    assert "DATA_DIR" in err
    assert "Traceback" not in err
    assert not world.slack.calls  # nobody's question was taken before


async def test_data_dir_may_be_in_the_home_directory(world: ProgramServers, tmp_path: Path) -> None:
    """For the data and for the sign of life, which `health` finds."""
    settings = {**world.settings, "DATA_DIR": "~/bot"}
    async with started(tmp_path, "run", **settings) as process:
        await logged(process, *CONNECTED)
        status, out, _ = await run(tmp_path, "health", DATA_DIR="~/bot")
    assert (status, str(tmp_path / "bot") in out) == (0, True)
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["stopped", "terminal closed"])
async def test_a_sandbox_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Its folder goes with it, also while it waits for a line."""
    before = signal.signal(number, signal.SIG_DFL)  # under nohup, processes inherit that they ignore a signal
    async with started(tmp_path, "sandbox") as process:
        signal.signal(number, before)
        assert process.stdout
        async with asyncio.timeout(HANG_SECONDS):
            while b"embedded Redis" not in (line := await process.stdout.readline()):
                assert line
        process.send_signal(number)
        async with asyncio.timeout(HANG_SECONDS):
            assert await process.wait() == -number
    assert not [each.name for each in (tmp_path / "data").iterdir()]


async def test_first_conversation_can_be_scripted(tmp_path: Path) -> None:
    """Without any token the sandbox opens, and piped lines become messages on both platforms."""
    script = (
        "@nebula hello\n/nebula prompt set Pirate.\n/nebula settings\n:discord\n@nebula ahoy\n/ask what?\n:fault off\n"
    )
    status, out, err = await cold.run(tmp_path, "run", said=script)
    assert status == 0
    assert "To go live, put into .env" in out
    assert out.count("stand-in model") == 3
    assert "> ann: ahoy" in out
    assert "`Pirate.` (set for this channel by ann" in out
    assert "Limits of whoever runs the bot: each person 500,000 tokens a day, each channel 2,000,000" in out
    assert (err, "(no answer)" in out) == ("", False)


@pytest.mark.parametrize("closed", [False, True])
async def test_without_tokens_and_anybody_to_use_it_no_sandbox_opens(tmp_path: Path, closed: bool) -> None:
    """A service whose .env is elsewhere fails, and says where it looked. Closed files are no matter."""
    close = "os.close(0);" if closed else "os.dup2(os.open(os.devnull, os.O_RDWR), 0);"
    program = f"import os, sys; {close} os.execv(sys.executable, [sys.executable, '-m', 'bots', *sys.argv[1:]])"
    status, out, err = await cold.run(tmp_path, "run", program=(sys.executable, "-c", program))
    assert (status, out) == (2, "")
    assert str(tmp_path / ".env") in err
    assert "Traceback" not in err
    status, out, _ = await cold.run(tmp_path, "sandbox", program=(sys.executable, "-c", program))
    assert status == 0
    assert "stand-in" in out


async def test_a_token_under_a_wrong_name_is_told_before_the_sandbox_opens(tmp_path: Path) -> None:
    """Docker passes .env as the environment, where other programs have names too: it is no error there."""
    status, _, err = await run(tmp_path, "run", SLACK_TOKEN="xoxb-verysecret")
    assert status == 0
    assert "SLACK_TOKEN in the environment is not a setting; did you mean SLACK_BOT_TOKEN?" in err
    assert "verysecret" not in err


async def test_two_sandboxes_do_not_answer_for_each_other(tmp_path: Path) -> None:
    """Each has its own rooms, though they are called alike."""
    async with started(tmp_path, "sandbox") as first:
        assert first.stdout
        async with asyncio.timeout(HANG_SECONDS):
            while b"Ctrl-D quits" not in (line := await first.stdout.readline()):
                assert line
        _, second, _ = await run(tmp_path, "sandbox", said="@nebula hello\n")
        out, _ = await first.communicate(b"@nebula hello\n")
    for said in (second, out.decode()):
        assert "stand-in model" in said
        assert "(no answer)" not in said


async def test_a_sandbox_begins_with_a_clean_room(tmp_path: Path) -> None:
    """It remembers nothing of the one before, and leaves nothing behind."""
    await run(tmp_path, "sandbox", said="@nebula hello\n/nebula prompt set Pirate.\n")
    _, out, _ = await run(tmp_path, "sandbox", said="/nebula settings\n@nebula again\n")
    assert "Pirate" not in out
    assert "no earlier messages" in out
    assert not os.listdir(tmp_path / "data")


async def test_a_list_of_who_may_ask_locks_nobody_out_of_the_sandbox(tmp_path: Path) -> None:
    """Its ids are those of real servers; here is only whoever runs the bot."""
    said = "@nebula hello\n:discord\n/ask hello\n"
    _, out, _ = await run(tmp_path, "sandbox", said=said, ACCESS_ALLOW="T0ACME,1234567890123")
    assert out.count("stand-in model") == 2


async def test_a_terminal_without_our_characters_shows_the_others(tmp_path: Path) -> None:
    """Such as one in Latin 1: nothing fails for an arrow in a prompt."""
    status, out, err = await run(tmp_path, "sandbox", said="@nebula hello\n", PYTHONIOENCODING="ascii")
    assert (status, err) == (0, "")
    assert "stand-in model" in out


async def test_console_answers_a_pipe(world: ProgramServers, tmp_path: Path) -> None:
    """The console takes questions and commands from a pipe, and remembers them in the next run."""
    settings = {name: value for name, value in world.settings.items() if name.startswith("NEBULA_")}
    settings["ACCESS_ALLOW"] = "T0ACME"  # whoever sits here may ask all the same
    world.nebula.answer_next("Hello, Ann.")
    status, out, _ = await run(tmp_path, "console", said="I am Ann\n/set temperature 7\n/nonsense\n", **settings)
    assert status == 0
    assert "Hello, Ann." in out
    assert "`temperature` must be a number from 0 to 2" in out
    assert "There is no command `nonsense`" in out
    await run(tmp_path, "console", said="Who am I?\n", **settings)
    assert [message.content for message in world.nebula.requests[-1].messages[1:]] == [
        "I am Ann",
        "Hello, Ann.",
        "Who am I?",
    ]


async def test_console_commands_ask_what_they_say(world: ProgramServers, tmp_path: Path) -> None:
    """A picture is drawn and kept, an export too, and all that is asked here is private."""
    settings = {name: value for name, value in world.settings.items() if name.startswith("NEBULA_")}
    world.nebula.answer_next("Blue.")
    said = "/ask --private the sky?\n/imagine a red cat\n/imagine a red cat\n/export\n"
    status, out, err = await run(tmp_path, "console", said=said, **settings)
    assert (status, "Traceback" in err) == (0, False)
    assert [request.messages[-1].content for request in world.nebula.requests] == ["the sky?"]
    assert [asked.prompt for asked in world.nebula.painter.requests] == ["a red cat"] * 2
    kept = {path.name: path for path in (tmp_path / "data" / "files").iterdir()}
    assert {"a-red-cat.png", "a-red-cat-1.png"} < kept.keys()
    assert len(kept) == 3
    assert all(str(path) in out and path.stat().st_mode & 0o777 == 0o600 for path in kept.values())


async def test_console_needs_a_key(tmp_path: Path) -> None:
    """Without a key the console says which variable to set."""
    status, _, err = await run(tmp_path, "console")
    assert status == 2
    assert "NEBULA_API_KEY" in err


async def test_manifest_is_printed(tmp_path: Path) -> None:
    """The manifest is JSON on standard output, for both ways to receive events."""
    status, out, _ = await run(tmp_path, "manifest", "slack")
    assert status == 0
    assert json.loads(out)["settings"]["socket_mode_enabled"] is True
    _, out, _ = await run(tmp_path, "manifest", "slack", "--http")
    assert json.loads(out)["settings"]["socket_mode_enabled"] is False


async def test_health_follows_the_bot(world: ProgramServers, tmp_path: Path) -> None:
    """A container's health check passes while the bot runs, and only then."""
    status, out, _ = await run(tmp_path, "health")
    assert (status, str(tmp_path / "data") in out) == (1, True)
    async with started(tmp_path, "run", **world.settings) as process:
        await logged(process, *CONNECTED)
        status, out, _ = await run(tmp_path, "health")
        assert (status, "alive" in out) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_health_knows_at_once_that_the_bot_is_gone(
    world: ProgramServers, tmp_path: Path, number: signal.Signals
) -> None:
    """However it ended; while another process uses the same DATA_DIR, that one counts."""
    async with (
        started(tmp_path, "run", **world.settings) as process,
        started(tmp_path, "worker", **world.settings) as worker,
    ):
        await logged(process, *CONNECTED)
        await logged(worker, "starting a worker")  # it holds the file before it says so
        process.send_signal(number)
        await process.wait()
        assert (await run(tmp_path, "health"))[0] == 0
    async with started(tmp_path, "run", **world.settings) as process:
        await logged(process, *CONNECTED)
        process.send_signal(number)
        await process.wait()
        status, out, _ = await run(tmp_path, "health")
        assert (status, "stopped" in out) == (1, True)


async def test_worker_finishes_what_others_leave_behind(world: ProgramServers, tmp_path: Path) -> None:
    """A process that receives no events finishes the reply of a killed process, in the same message."""
    ann = world.slack.add_user("ann")
    general = world.slack.add_channel("general", ann)
    world.nebula.pace = 20
    world.nebula.answer_next("word " * 4000)  # does not end before the kill
    # Nobody takes the reply over before the kill, however long the process stands still.
    settings = {**world.settings, "LEASE_SECONDS": "7"}
    async with started(tmp_path, "run", **settings) as bot:
        await logged(bot, *CONNECTED)
        question = await world.slack.say(ann, general, "@nebula hello")
        # The first edit comes only after the message's id is safely in Redis.
        await world.slack.until(lambda: any(message.edits for message in world.slack.messages(general)))
        world.nebula.pace = 0.0
        world.nebula.answer_next("whole")
        async with started(tmp_path, "worker", **settings) as worker:
            await logged(worker, "starting a worker for Slack and Discord")
            bot.kill()
            await world.slack.until(lambda: _replies(world, general, question.ts) == ["whole"])
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0


def _replies(world: ProgramServers, channel: str, thread: str) -> list[str]:
    return [each.shown for each in world.slack.messages(channel, thread) if each.user == world.slack.bot_user]


async def test_worker_needs_tokens(tmp_path: Path) -> None:
    """Without a platform it could not show a reply."""
    status, _, err = await run(tmp_path, "worker", NEBULA_API_KEY="ak")
    assert status == 2
    assert "tokens" in err


def test_the_program_may_open_as_many_files_as_the_machine_allows(tmp_path: Path) -> None:
    """Each connection is a file, and the usual limit is low: a command raises it before it begins."""
    code = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (64, hard));"
        "from bots.cli import main; main(['health']); print(r.getrlimit(r.RLIMIT_NOFILE)[0] == hard)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("True\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no prctl")
def test_no_other_process_looks_into_the_memory_of_one_that_serves(tmp_path: Path) -> None:
    """It holds the tokens, and what reads a stranger's file runs as the same user."""
    served = "import ctypes; from bots.cli import main; print(main(['run']), ctypes.CDLL(None).prctl(3))"
    command, nothing = [sys.executable, "-c", served], subprocess.DEVNULL
    ended = subprocess.run(command, stdin=nothing, cwd=tmp_path, env=environment(tmp_path, {}), capture_output=True)
    assert ended.stdout.split() == [b"2", b"0"]  # PR_GET_DUMPABLE, behind the status of a run without tokens
