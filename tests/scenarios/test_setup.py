"""`nebula-bot setup` as operators see it: its questions, what it makes of their answers, and the .env it writes."""

import asyncio
import json
import os
import pty
import re
import stat
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bots.discord.permissions import PERMISSIONS, invite_url
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.server import SlackServer
from bots.slack.manifest import SCOPES
from tests.bounds import HANG_SECONDS
from tests.scenarios.program import environment
from tests.scenarios.warm import run, started

KEY = "ak_good"
# Runs the program at its own terminal.
AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "bots", *sys.argv[1:]])
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """Servers where somebody has an account, a workspace and an application."""

    slack: SlackServer
    discord: DiscordServer
    nebula: NebulaServer

    @property
    def addresses(self) -> dict[str, str]:
        return {
            "NEBULA_BASE_URL": self.nebula.base_url,
            "NEBULA_PLATFORM_URL": self.nebula.platform_url,
            "SLACK_API_URL": self.slack.api_url,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        return KEY, self.slack.bot_token, self.slack.app_token, self.discord.token

    def answers(self, *last: str) -> str:
        """The answers to all questions, as far as the bounds."""
        tokens = self.slack.bot_token, self.slack.app_token, "y", self.discord.token
        return lines(KEY, "", "y", *tokens, *(last or ("", "", "", "y")))


def lines(*answers: str) -> str:
    return "".join(f"{answer}\n" for answer in answers)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(SlackServer(scopes=frozenset(SCOPES)))
        discord = await stack.enter_async_context(DiscordServer())
        nebula = await stack.enter_async_context(NebulaServer(keys=(KEY,)))
        yield Lab(slack, discord, nebula)


def variables(folder: Path) -> dict[str, str]:
    """What .env sets, line by line."""
    found = (line.partition("=") for line in (folder / ".env").read_text().splitlines() if line[:1] not in ("", "#"))
    return {name: value for name, _, value in found}


def left_behind(folder: Path) -> list[str]:
    """The names of .env, and of what was begun of it."""
    return [each.name for each in folder.glob(".env*")]


async def test_piped_answers_lead_to_a_live_bot(lab: Lab, tmp_path: Path) -> None:
    """From nothing to a first answer on both platforms; the file is private, and no secret was on the screen."""
    guild = lab.discord.add_guild("Lab")
    bob, room = lab.discord.add_member(guild, "bob"), lab.discord.add_channel(guild, "general")
    ann = lab.slack.add_user("ann")
    general = lab.slack.add_channel("general", ann)
    status, out, err = await run(tmp_path, "setup", said=lab.answers(), **lab.addresses)
    assert (status, err) == (0, "")
    assert not [each for each in lab.secrets if each in out]
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert variables(tmp_path) == {
        "NEBULA_API_KEY": KEY,
        "SLACK_BOT_TOKEN": lab.slack.bot_token,
        "SLACK_APP_TOKEN": lab.slack.app_token,
        "DISCORD_TOKEN": lab.discord.token,
    }
    async with started(tmp_path, "run", **lab.addresses) as process:
        assert process.stderr
        left = {"Slack: connected", "on Discord as"}
        async with asyncio.timeout(HANG_SECONDS):
            while left:
                line = (await process.stderr.readline()).decode()
                assert line, f"the program ended before it said {left}"
                left -= {each for each in left if each in line}
        await lab.slack.say(ann, general, "@nebula hello Slack")
        await lab.discord.say(bob, room, "@Nebula hello Discord")
        await lab.slack.until(lambda: any("hello Slack" in m.shown for m in lab.slack.messages(general) if m.bot))
        await lab.discord.until(
            lambda: any("hello Discord" in m.content for m in lab.discord.messages(room) if m.author.id != bob.id)
        )


async def test_slacks_page_opens_with_the_manifest(lab: Lab, tmp_path: Path) -> None:
    """The link holds the manifest that is printed beside it, of the app that the flags describe."""
    _, out, _ = await run(tmp_path, "setup", "--name", "Tutor", "--minimal", said=lines(KEY, "", "y"), **lab.addresses)
    (link,) = re.findall(r"https://api\.slack\.com/apps\?\S+", out)
    filled_in = json.loads(parse_qs(urlsplit(link).query)["manifest_json"][0])
    assert filled_in["features"]["slash_commands"][0]["command"] == "/tutor"
    assert "channels:history" not in link
    assert json.dumps(filled_in, indent=2, ensure_ascii=False) in out


async def test_discords_steps_have_their_reasons(lab: Lab, tmp_path: Path) -> None:
    """The invite link of this application, and why it asks for each permission; a public bot is warned of."""
    said = lines(KEY, "", "n", "y", lab.discord.token)
    _, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    assert invite_url(lab.discord.application_id) in out
    for each in PERMISSIONS.values():
        assert each.name in out
        assert each.why in out
    assert "anybody may add this bot" in out


@pytest.mark.parametrize(
    ("before", "wrong", "said"),
    [
        ((), "ak_bad", "Nebula: refuses NEBULA_API_KEY"),
        ((KEY, "", "y"), "xoxb-wrong", "Slack refuses SLACK_BOT_TOKEN (invalid_auth)"),
        ((KEY, "", "y"), "xapp-wrong", "it must be the token that begins with xoxb-"),
        ((KEY, "", "y", "xoxb-sandbox-bot"), "xapp-wrong", "Slack refuses SLACK_APP_TOKEN (invalid_auth)"),
        ((KEY, "", "n", "y"), "no.such.token", "Discord refuses DISCORD_TOKEN"),
        ((KEY, "", "n", "y"), "tökén", "copy it anew"),
        ((), "xapp-1-A", "it looks like what belongs in SLACK_APP_TOKEN"),
        ((KEY, "", "y"), "ak_other", "it looks like what belongs in NEBULA_API_KEY"),
        ((KEY, "", "n", "y"), "xoxb-1-2", "it looks like what belongs in SLACK_BOT_TOKEN"),
        ((KEY, "", "n", "y"), "two words", "it contains quotation marks, a space"),
        ((KEY, "", "n", "n", ""), "many", "it must be a whole number"),
    ],
)
async def test_a_refused_answer_is_explained_and_asked_again(
    lab: Lab, tmp_path: Path, before: tuple[str, ...], wrong: str, said: str
) -> None:
    """It is not repeated. When the answers end there, nothing is written, and the exit status is 2."""
    status, out, err = await run(tmp_path, "setup", said=lines(*before, wrong), **lab.addresses)
    assert said in out
    prompts = re.findall(r"^([A-Z_]+)(?: \[.*\])?: $", out, re.MULTILINE)
    assert prompts[-1] == prompts[-2]
    assert "secret" not in out
    assert wrong not in out
    assert status == 2
    assert "nothing was written" in err
    assert not left_behind(tmp_path)


async def test_what_is_no_id_is_named(lab: Lab, tmp_path: Path) -> None:
    """It is no secret, and the question is asked again."""
    status, out, _ = await run(tmp_path, "setup", said=lines(KEY, "", "n", "n", "general"), **lab.addresses)
    assert status == 2
    assert "word 1 is not an id" in out
    assert out.count("ACCESS_ALLOW: ") > 1


async def test_an_answer_that_can_not_be_tried_needs_a_word(lab: Lab, tmp_path: Path) -> None:
    """Such as on a machine whose way to the internet is not open yet."""
    away = {**lab.addresses, "NEBULA_BASE_URL": "http://127.0.0.1:1/v1"}
    said = lines(KEY, "y", "", "y", "n", "n", "", "off", "off", "y")
    status, out, _ = await run(tmp_path, "setup", said=said, **away)
    assert status == 0
    assert out.count("Nebula: does not answer at NEBULA_BASE_URL") == 2
    assert variables(tmp_path) == {"NEBULA_API_KEY": KEY, "PERSON_TOKENS": "off", "CHANNEL_TOKENS": "off"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.server_error(503), "Slack can't be reached (HTTP 503)"),
        (faults.rate_limited(30), "Slack asks for a pause of 30 s"),
        (
            faults.page("<html>Sign in to the guest network</html>"),
            "check the network, a proxy in HTTPS_PROXY, and SLACK_API_URL",
        ),
    ],
)
async def test_trouble_on_the_way_is_no_refusal(lab: Lab, tmp_path: Path, fault: faults.SlackFault, said: str) -> None:
    """The token may be right: it is asked again, or taken all the same."""
    lab.slack.faults.add("auth.test", fault)
    said_to_it = lines(KEY, "", "y", lab.slack.bot_token, "n", lab.slack.bot_token)
    _, out, _ = await run(tmp_path, "setup", said=said_to_it, **lab.addresses)
    assert said in out
    assert "Slack: @nebula in the workspace Sandbox" in out


async def test_names_of_others_drive_no_terminal(lab: Lab, tmp_path: Path) -> None:
    """Anybody may call a server what they like, and add a public bot to it."""
    lab.discord.add_guild("Lab\x1b[2J\nDISCORD_TOKEN:")
    said = lines(KEY, "", "n", "y", lab.discord.token)
    _, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    assert "the Discord server Lab" in out
    assert "\x1b" not in out
    assert len(re.findall("^DISCORD_TOKEN: $", out, re.MULTILINE)) == 1


async def test_a_model_that_nebula_does_not_offer_needs_a_word(lab: Lab, tmp_path: Path) -> None:
    """The list may lack what is served all the same."""
    said = lines(KEY, "gpt-x", "n", "Llama3.1-8B", "n", "n", "", "", "", "y")
    status, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    assert status == 0
    assert "not among the models" in out
    assert variables(tmp_path)["NEBULA_MODEL"] == "Llama3.1-8B"


async def test_what_is_there_is_kept(lab: Lab, tmp_path: Path) -> None:
    """Enter keeps a value; comments, order, unknown lines and the text around survive; a commented line is used."""
    before = (
        f"# ours\r\nexport MINE='a b' # why\r\nNEBULA_API_KEY={KEY}\r\n\r\n"
        f"# who\r\n# ACCESS_ALLOW=\r\nSLACK_BOT_TOKEN=xoxb-old\r\nSLACK_APP_TOKEN={lab.slack.app_token}\r\n# end"
    )
    (tmp_path / ".env").write_bytes(before.encode())
    said = lines("", "", "", "", lab.slack.bot_token, "", "n", "T0NEBULA, U1", "", "7", "y")
    status, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    assert status == 0
    assert "Slack refuses SLACK_BOT_TOKEN (invalid_auth)" in out  # what was there is tried too
    assert (tmp_path / ".env").read_bytes().decode() == (
        before.replace("# ACCESS_ALLOW=", "ACCESS_ALLOW='T0NEBULA, U1'").replace("xoxb-old", lab.slack.bot_token)
        + "\r\nCHANNEL_TOKENS=7\r\n"
    )
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


async def test_the_example_is_filled_in(lab: Lab, tmp_path: Path) -> None:
    """A copy of .env.example gets the answers where their variables are, and stays as it was otherwise."""
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    (tmp_path / ".env").write_text(example)
    said = lines(KEY, "", "n", "y", lab.discord.token, "", "5", "", "y")
    assert (await run(tmp_path, "setup", said=said, **lab.addresses))[0] == 0
    changed = {
        "NEBULA_API_KEY=\n": f"NEBULA_API_KEY={KEY}\n",
        "# DISCORD_TOKEN=\n": f"DISCORD_TOKEN={lab.discord.token}\n",
        "# PERSON_TOKENS=500000": "PERSON_TOKENS=5",
    }
    for before, after in changed.items():
        example = example.replace(before, after)
    assert (tmp_path / ".env").read_text() == example


@pytest.mark.parametrize("platform", ["", "DISCORD_TOKEN", "SLACK_BOT_TOKEN"])
async def test_enter_keeps_what_is_there(lab: Lab, tmp_path: Path, platform: str) -> None:
    """All of it: a platform that is not served is not suggested to whoever has been through the set-up before."""
    tokens = {
        "": "",
        "DISCORD_TOKEN": f"DISCORD_TOKEN={lab.discord.token}\n",
        "SLACK_BOT_TOKEN": f"SLACK_BOT_TOKEN={lab.slack.bot_token}\nSLACK_APP_TOKEN={lab.slack.app_token}\n",
    }
    (tmp_path / ".env").write_text(f"NEBULA_API_KEY={KEY}\n{tokens[platform]}")
    status, out, err = await run(tmp_path, "setup", said=lines(*[""] * 9), **lab.addresses)
    assert (status, err) == (0, "")
    assert ("Serve Slack? [Y/n]" in out) is (platform == "SLACK_BOT_TOKEN")
    assert ("Serve Discord? [Y/n]" in out) is (platform == "DISCORD_TOKEN")
    assert "Nothing has changed" in out


async def test_a_second_platform_is_not_suggested(lab: Lab, tmp_path: Path) -> None:
    """From nothing, the first one is; Enter then leaves the other one out."""
    said = lines(KEY, "", "", lab.slack.bot_token, lab.slack.app_token, "", "", "", "", "y")
    status, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    assert status == 0
    assert "Serve Slack? [Y/n]" in out
    assert "Serve Discord? [y/N]" in out
    assert "DISCORD_TOKEN" not in variables(tmp_path)


@pytest.mark.parametrize("served", [(), ("Slack",), ("Discord",)])
async def test_the_last_words_follow_the_answers(lab: Lab, tmp_path: Path, served: tuple[str, ...]) -> None:
    """They name the platforms that are served; without any, what a start does then. There is no Makefile here."""
    slack = ("y", lab.slack.bot_token, lab.slack.app_token) if "Slack" in served else ("n",)
    discord = ("y", lab.discord.token) if "Discord" in served else ("n",)
    said = lines(KEY, "", *slack, *discord, "", "", "", "y")
    status, out, _ = await run(tmp_path, "setup", said=said, **lab.addresses)
    last = out.partition("is written, and only you can read it.")[2]
    assert status == 0
    assert "nebula-bot run" in last
    assert "make run" not in last
    assert ("in Slack, `/invite @nebula`" in last) is ("Slack" in served)
    assert ("in Discord, a mention" in last) is ("Discord" in served)
    assert ("opens the sandbox" in last and "as a service it ends" in last) is (not served)


@pytest.mark.parametrize(("last", "status"), [(("n",), 1), ((), 2)], ids=["refused", "ended"])
async def test_nothing_is_overwritten_without_a_yes(
    lab: Lab, tmp_path: Path, last: tuple[str, ...], status: int
) -> None:
    """Whether the last question gets a no or no answer."""
    (tmp_path / ".env").write_text("NEBULA_API_KEY=old\n")
    ended, out, _ = await run(tmp_path, "setup", said=lines(KEY, "", "n", "n", "", "", "", *last), **lab.addresses)
    assert ended == status
    assert f"Change {tmp_path / '.env'}" in out
    assert (tmp_path / ".env").read_text() == "NEBULA_API_KEY=old\n"
    assert left_behind(tmp_path) == [".env"]


async def test_a_link_stays_a_link(lab: Lab, tmp_path: Path) -> None:
    """A .env that is kept elsewhere is changed there."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/bot.env").write_text("# kept\n")
    (tmp_path / ".env").symlink_to("secrets/bot.env")
    status, _, _ = await run(tmp_path, "setup", said=lines(KEY, "", "n", "n", "", "off", "off", "y"), **lab.addresses)
    assert status == 0
    assert (tmp_path / ".env").is_symlink()
    assert (
        tmp_path / "secrets/bot.env"
    ).read_text() == f"# kept\nNEBULA_API_KEY={KEY}\nPERSON_TOKENS=off\nCHANNEL_TOKENS=off\n"


async def test_ids_that_shut_a_platform_out_are_noticed(lab: Lab, tmp_path: Path) -> None:
    """Whoever allows a server of Discord alone shuts the workspace out; both ids are listed."""
    guild = lab.discord.add_guild("Lab").id
    both = f"{lab.slack.team} {guild}"
    status, out, _ = await run(tmp_path, "setup", said=lab.answers(guild, "n", both, "", "", "y"), **lab.addresses)
    assert status == 0
    assert "None of these ids is of Slack" in out
    assert f"{guild}: the Discord server Lab" in out
    assert f"{lab.slack.team}: the Slack workspace" in out
    assert variables(tmp_path)["ACCESS_ALLOW"] == f"'{both}'"


async def test_a_missing_scope_is_named(tmp_path: Path, lab: Lab) -> None:
    """With what it is for."""
    async with SlackServer(scopes=frozenset(SCOPES) - {"users:read"}) as slack:
        said = lines(KEY, "", "y", slack.bot_token)
        _, out, _ = await run(tmp_path, "setup", said=said, **{**lab.addresses, "SLACK_API_URL": slack.api_url})
    assert f"the app lacks scopes: users:read ({SCOPES['users:read'].why})" in out


@pytest.mark.parametrize(("text", "said"), [("NEBULA_API_KEY=ä", "UTF-8"), ("A=1\n\nB='x\n", "Line 3")])
async def test_a_file_that_can_not_be_read_is_named_first(tmp_path: Path, text: str, said: str) -> None:
    """Nobody answers ten questions in vain."""
    (tmp_path / ".env").write_bytes(text.encode("latin-1"))
    status, out, err = await run(tmp_path, "setup")
    assert (status, out) == (2, "")
    assert said in err


async def test_at_a_terminal_secrets_are_not_echoed(lab: Lab, tmp_path: Path) -> None:
    """The same questions in the same order; Ctrl-D ends it with nothing written."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AT_TERMINAL, "setup"),
        cwd=tmp_path,
        env=environment(tmp_path, lab.addresses),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = await _until(ours, "NEBULA_API_KEY: ")
        while termios.tcgetattr(ours)[3] & termios.ECHO:  # the program switches it off after its prompt
            await asyncio.sleep(0.01)
        os.write(ours, f"{KEY}\n".encode())
        shown += await _until(ours, "NEBULA_MODEL [meta-llama/Llama-3.3-70B-Instruct]: ")
        assert "Nebula takes this key" in shown
        assert KEY not in shown
        os.write(ours, b"\x04")
        await _until(ours, "nothing was written")
        assert await process.wait() == 2
        assert not (tmp_path / ".env").exists()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


async def _until(terminal: int, words: str) -> str:
    """What a terminal shows, up to these words."""
    shown = b""
    async with asyncio.timeout(HANG_SECONDS):
        while words.encode() not in shown:
            shown += await asyncio.to_thread(os.read, terminal, 4096)
    return shown.decode()
