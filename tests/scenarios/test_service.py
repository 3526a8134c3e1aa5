"""The bot as a service: the unit that it prints for systemd, and its data in a backup."""

import configparser
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS
from bots.sandbox.slack.server import SlackServer
from bots.setup.service import CLOSING_SECONDS
from tests.scenarios.test_documents import fenced
from tests.scenarios.test_program import logged
from tests.scenarios.warm import run, started


def parsed(unit: str) -> configparser.ConfigParser:
    """A unit, as systemd reads it; no line is repeated."""
    found = configparser.ConfigParser(interpolation=None, delimiters="=")
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(unit)
    return found


async def test_the_unit_is_for_this_folder(tmp_path: Path) -> None:
    """It reads the .env there, writes to DATA_DIR alone, and gives replies DRAIN_SECONDS and some to spare."""
    folder = tmp_path / "my bot"
    folder.mkdir()
    (folder / ".env").write_text("DRAIN_SECONDS=40\n")
    status, out, err = await run(folder, "service", "--user", "botty", DATA_DIR="data")
    assert (status, err) == (0, "")
    service = parsed(out)["Service"]
    assert service["User"] == "botty"
    assert service["WorkingDirectory"] == str(folder)
    assert shlex.split(service["ExecStart"])[1:] == ["run"]
    assert os.access(shlex.split(service["ExecStart"])[0], os.X_OK)
    assert shlex.split(service["ReadWritePaths"]) == [str(folder / "data")]
    assert float(service["TimeoutStopSec"]) == 40 + CLOSING_SECONDS
    assert service["RestartPreventExitStatus"] == "2"


async def test_a_path_is_what_it_is_in_the_unit(tmp_path: Path) -> None:
    """systemd has a meaning of its own for `$` in commands, and for `%` everywhere."""
    folder = tmp_path / "100% $HOME"
    folder.mkdir()
    _, out, _ = await run(folder, "service", DATA_DIR="data")
    service = parsed(out)["Service"]
    for name in ("WorkingDirectory", "ReadWritePaths"):
        assert "/100%% $HOME" in service[name]
    assert "/100%% $$HOME/data" in service["ExecStartPre"]


async def test_a_user_who_is_not_there_yet_is_said(tmp_path: Path) -> None:
    """With what makes one; a name that nobody can have is refused."""
    _, out, _ = await run(tmp_path, "service", "--user", "botty")
    assert "no user botty yet" in out
    assert "useradd --system --no-create-home botty" in out
    _, out, _ = await run(tmp_path, "service", "--user", "root")
    assert "useradd" not in out
    status, out, err = await run(tmp_path, "service", "--user", "a b\nExecStart=x")
    assert (status, out) == (2, "")
    assert "--user" in err


async def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Where systemd is installed; it also finds little to harden."""
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("systemd is not installed")
    _, out, _ = await run(tmp_path, "service", "--user", "root")
    unit = tmp_path / "nebula-bot.service"
    unit.write_text(out)
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    assert "nebula-bot.service" not in verified.stderr
    judged = subprocess.run(  # noqa: ASYNC221
        [analyze, "security", "--offline=true", "--threshold=25", str(unit)], capture_output=True, check=False
    )
    assert judged.returncode == 0


async def test_a_backup_brings_everything_back(tmp_path: Path) -> None:
    """With the commands of docs/operations.md, while the bot is stopped; on another machine, say."""
    save, restore = (line for line in fenced("docs/operations.md") if line.startswith("tar "))
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    async with SlackServer(limits=NO_SLACK_LIMITS) as slack, NebulaServer() as nebula:
        ann = slack.add_user("ann")
        general = slack.add_channel("general", ann)
        settings = {
            "NEBULA_API_KEY": "ak_1",
            "NEBULA_BASE_URL": nebula.base_url,
            "NEBULA_PLATFORM_URL": nebula.platform_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
        }
        (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

        async def say(text: str, number: int) -> None:
            await slack.say(ann, general, text)
            await slack.until(lambda: sum(bool(message.bot) for message in slack.messages(general)) == number)

        async with started(home, "run") as process:
            await logged(process, "Slack: connected")
            await say("@nebula my name is Ann", 1)
            process.terminate()
            await process.communicate()
        subprocess.run(shlex.split(save), cwd=home, check=True)  # noqa: ASYNC221
        shutil.rmtree(home / "data")
        (home / "nebula-bot.tar.gz").rename(other / "nebula-bot.tar.gz")
        subprocess.run(shlex.split(restore), cwd=other, check=True)  # noqa: ASYNC221
        async with started(other, "run") as process:
            await logged(process, "Slack: connected")
            await say("@nebula who am I?", 2)
        assert "my name is Ann" in "\n".join(each.content for each in nebula.requests[-1].messages)
