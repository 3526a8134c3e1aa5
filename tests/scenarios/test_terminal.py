"""A person at a terminal: answers grow in place, buttons can be pressed, and Ctrl-C stops an answer."""

import asyncio
import os
import pty
import re
import signal
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.inbound.buttons import NOT_YOURS
from tests.bounds import HANG_SECONDS
from tests.scenarios.warm import Running, run, started_at

POSITION_QUERY, POSITION_REPORT = "\x1b[6n", b"\x1b[20;1R"  # Cursor Position Report, ECMA-48


class PseudoTerminal:
    """The person's side of a terminal. `seen`: all that was written to it, without colours and cursor moves."""

    def __init__(self, handle: int, process: Running) -> None:
        self.process = process
        self.raw = ""
        self._position = 0  # how far `until` has searched
        self._reports = 0  # answered questions for the cursor's position
        self._decoder = getincrementaldecoder("utf-8")()  # a character may arrive in two parts
        self._handle = handle
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, self._read)

    @property
    def seen(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)

    def type(self, text: str) -> None:
        os.write(self._handle, text.encode())

    async def until(self, text: str) -> None:
        """Wait for this text, after the text of the previous wait."""
        async with asyncio.timeout(HANG_SECONDS):
            while (found := self.seen.find(text, self._position)) < 0:
                self._changed.clear()
                await self._changed.wait()
        self._position = found + len(text)

    def _read(self) -> None:
        try:
            self.raw += self._decoder.decode(os.read(self._handle, 65536))
            # Answer like a terminal where the cursor is. Without it, the program waits a second at each prompt.
            asked = self.raw.count(POSITION_QUERY)
            os.write(self._handle, POSITION_REPORT * (asked - self._reports))
            self._reports = asked
        except OSError:  # the program closed its end
            asyncio.get_running_loop().remove_reader(self._handle)
        self._changed.set()


@asynccontextmanager
async def at_terminal(folder: Path, command: str, **settings: str) -> AsyncIterator[PseudoTerminal]:
    ours, theirs = pty.openpty()
    size = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    try:
        async with started_at(theirs, folder, command, **size, **settings) as process:
            yield PseudoTerminal(ours, process)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)


def model(nebula: NebulaServer) -> dict[str, str]:
    """The settings that point the program to this model, however long it stalls."""
    return {
        "NEBULA_API_KEY": "ak",
        "NEBULA_BASE_URL": nebula.base_url,
        "NEBULA_PLATFORM_URL": nebula.platform_url,
        "NEBULA_STALL_SECONDS": f"{HANG_SECONDS:g}",
    }


async def test_console_shows_a_growing_answer_and_stops_it(tmp_path: Path) -> None:
    """The answer is redrawn as it grows; Ctrl-C ends the request and keeps the text; Ctrl-D ends the program."""
    async with NebulaServer(pace=5) as nebula:  # its first words leave the screen only after a minute
        nebula.answer_next("Once " + "growing " * 5000)  # too long to wait for: it is stopped before its end
        async with at_terminal(tmp_path, "console", **model(nebula)) as screen:
            await screen.until("Ctrl-D quits")
            await screen.until("›")
            screen.type("hello\r")
            for _ in range(3):  # its first words come with each redraw
                await screen.until("Once growing growing")
            screen.process.send_signal(signal.SIGINT)
            await screen.until("Stopped.")
            await screen.until("›")
            await nebula.until(lambda: nebula.requests[0].closed_early)
            nebula.answer_next("Still here.")
            screen.type("and now?\r")
            await screen.until("Still here.")
            await screen.until("›")
            screen.type("\x04")
            assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen


async def test_sandbox_shows_a_reply_and_a_dialog(tmp_path: Path) -> None:
    """Without a key the sandbox's fake model answers; a dialog takes its text at the prompt."""
    async with at_terminal(tmp_path, "sandbox") as screen:
        await screen.until("a stand-in answers instead of a real model")
        await screen.until("Ctrl-D quits")
        screen.type("@nebula hello\r")
        await screen.until("stand-in model")
        await screen.until("You said {len(question)} characters.")
        screen.type("/nebula prompt set\r")
        await screen.until("Your text, in one line:")
        screen.type("You are a pirate.\r")
        await screen.until("prompt of this channel is now: You are a pirate.")
        screen.type(":quit\r")
        assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen


@pytest.mark.parametrize(("platform", "question"), [(":slack", "@nebula hello"), (":discord", "/ask hello")])
async def test_sandbox_stops_and_regenerates(tmp_path: Path, platform: str, question: str) -> None:
    """A reply is redrawn many times before its end. Ctrl-C presses the Stop button below it; later another button is
    pressed by name."""
    async with NebulaServer() as nebula, at_terminal(tmp_path, "sandbox", **model(nebula)) as screen:
        nebula.fault(NebulaFault(stall_after=30))
        await screen.until("Ctrl-D quits")
        screen.type(f"{platform}\r")
        await screen.until("You are ann in")
        screen.type(f"{question}\r")
        for _ in range(4):
            await screen.until("stand-in model")
            await screen.until("[Stop]")
        assert "You said" not in screen.seen
        screen.process.send_signal(signal.SIGINT)
        await screen.until("Stopped.")
        await screen.until("[Regenerate]")
        await screen.until("›")
        screen.type(":press REGENERATE\r")
        await screen.until("You said {len(question)} characters.")
        await screen.until("[Regenerate]")
        await screen.until("›")
        screen.type(":quit\r")
        assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen


async def test_reply_grows_at_the_terminal(tmp_path: Path) -> None:
    """The first part is on the screen before the rest arrives; the rest follows without a key press."""
    async with NebulaServer() as nebula, at_terminal(tmp_path, "sandbox", **model(nebula)) as screen:
        held = nebula.hold(after=30)
        await screen.until("Ctrl-D quits")
        screen.type("@nebula hello\r")
        await screen.until("stand-in model")
        assert "You said" not in screen.seen
        held.release()
        await screen.until("You said {len(question)} characters.")
        await screen.until("›")
        screen.type(":quit\r")
        assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen


async def test_ctrl_c_ends_the_wait_in_the_sandbox(tmp_path: Path) -> None:
    """If there is nothing to stop yet, Ctrl-C brings the prompt back, and the program goes on."""
    async with (
        NebulaServer(first_token=HANG_SECONDS) as nebula,
        at_terminal(tmp_path, "sandbox", **model(nebula)) as screen,
    ):
        await screen.until("Ctrl-D quits")
        screen.type("@nebula hello\r")
        await nebula.until(lambda: len(nebula.requests) == 1)
        screen.process.send_signal(signal.SIGINT)
        await screen.until("›")
        screen.type(":help\r")
        await screen.until("Ctrl-C presses its Stop button")
        screen.type(":quit\r")
        assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen


async def test_sandbox_shows_and_presses_buttons_in_a_pipe(tmp_path: Path) -> None:
    """Buttons are shown below a message and pressed by name, in any letter case; the response comes as a line."""
    script = (
        "@nebula hello",
        ":press Good Answer",
        ":as bob",
        ":press regenerate",
        ":press fly",
        ":discord",
        "@nebula !prompt set",
        ":as ann",
        "@nebula !prompt set",
        ":press system prompt",
        "You are a cook.",
        "/ask what is up?",
        ":press Regenerate",
        ":press 👍",
    )
    status, out, err = await run(tmp_path, "sandbox", said="\n".join(script) + "\n")
    assert (status, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines.count("[Regenerate] [Good answer] [Bad answer]") == 1
    assert "↳ nebula (only you see this): Thank you, noted." in lines
    assert f"↳ nebula (only you see this): {NOT_YOURS}" in lines
    assert "slack refuses: there is no button 'fly' to press" in lines
    assert "Nebula: `prompt` of this channel is now: `You are a cook.`" in lines
    assert lines.count("[Regenerate] [👍] [👎]") == 1
    assert lines.count("[Regenerate] [👍] [👎] [‹] [2/2] [›]") == 1
    assert "Nebula (only you see this): Thank you, noted." in lines


async def test_sandbox_has_the_menus_of_slack(tmp_path: Path) -> None:
    """They concern the newest message; the private answer can be shared."""
    script = (
        "/Ask Nebula",
        "the deploy failed",
        "/Ask Nebula",
        "why?",
        ":press share",
        "/Summarise thread",
    )
    status, out, err = await run(tmp_path, "sandbox", said="\n".join(script) + "\n")
    assert (status, err) == (0, "")
    assert "slack refuses: there is no message here yet" in out
    assert "nebula (only you see this): ann: why?" in out
    assert "nebula: **ann** shares an answer to: why?" in out
    assert "nebula (only you see this): ann: Summarise this thread" in out


async def test_sandbox_takes_discord_options_by_name(tmp_path: Path) -> None:
    """Options with fixed values come first, by name; the rest is the text. A private answer can't be
    asked again."""
    script = (
        ":discord",
        "/prompt set You are a pirate: answer briefly.",
        "/set scope:workspace temperature 0.5",
        "/ask private:true what did I say: nothing?",
        ":press regenerate",
        "/ask private:maybe what?",
    )
    status, out, err = await run(tmp_path, "sandbox", said="\n".join(script) + "\n")
    assert (status, err) == (0, "")
    assert "`prompt` of this channel is now: `You are a pirate: answer briefly.`" in out
    assert "`temperature` of this server is now: `0.5`" in out
    assert "Nebula (only you see this): -# ann: what did I say: nothing?" in out
    assert "discord refuses: there is no button 'regenerate' to press" in out
    assert "discord refuses: private: 'maybe' does not fit" in out


@pytest.mark.parametrize(("command", "asks"), [("console", ""), ("sandbox", "@nebula ")])
async def test_nothing_that_a_model_writes_drives_the_terminal(tmp_path: Path, command: str, asks: str) -> None:
    """No clipboard, no title, no cleared screen, no link that hides where it leads, and no bell."""
    nasty = "Begin \x1b]52;c;ZXZpbA==\x07 \x1b]0;title\x1b\\ \x1b[2J\x1b[3J \x9b2J \x9d8;;https://evil.example\x9c x "
    async with NebulaServer() as nebula:
        nebula.answer_next(nasty + "[label](https://target.example/) the end.")
        async with at_terminal(tmp_path, command, **model(nebula)) as screen:
            await screen.until("Ctrl-D quits")
            await screen.until("›")
            screen.type(f"{asks}hello\r")
            await screen.until("the end.")
            await screen.until("›")
            screen.type("\x04")
            assert await screen.process.wait() == 0
    shown = screen.raw[screen.raw.index("Begin") :]
    assert "https://target.example/" in shown
    assert not re.search("\x1b\\]|\x1b\\[[23]J|[\x07\x0b\x0c\x80-\x9f]", shown)


async def test_sandbox_says_what_is_taken_away(tmp_path: Path) -> None:
    """An undone answer leaves the screen: the next line is read all the same, and nothing of it is remembered."""
    status, out, err = await run(tmp_path, "sandbox", said="@nebula hello\n:press undo\n@nebula and now?\n")
    assert (status, err) == (0, "")
    assert "(1 message taken away)" in out
    assert out.count("no earlier messages") == 2
