"""What a person at a real terminal sees: answers that grow in place, and Ctrl-C that stops them."""

import asyncio
import os
import pty
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bots.sandbox.nebula import NebulaServer
from tests.scenarios.program import PROGRAM, environment


class Screen:
    """The person's side of a terminal; `seen` is all that was written to it, without colours and cursor moves."""

    def __init__(self, handle: int, process: Process) -> None:
        self.process = process
        self.raw = ""
        self._looked = 0  # how far `until` has looked
        self._handle = handle
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, self._read)

    @property
    def seen(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)

    def type(self, text: str) -> None:
        os.write(self._handle, text.encode())

    async def until(self, text: str) -> None:
        """Wait until this text comes, after what was waited for before."""
        async with asyncio.timeout(20):
            while (found := self.seen.find(text, self._looked)) < 0:
                self._news.clear()
                await self._news.wait()
        self._looked = found + len(text)

    def _read(self) -> None:
        try:
            self.raw += os.read(self._handle, 65536).decode(errors="replace")
        except OSError:  # the program closed its end
            asyncio.get_running_loop().remove_reader(self._handle)
        self._news.set()


@asynccontextmanager
async def at_terminal(folder: Path, command: str, **settings: str) -> AsyncIterator[Screen]:
    ours, theirs = pty.openpty()
    variables = {**environment(folder, settings), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


async def test_console_grows_and_stops(tmp_path: Path) -> None:
    """The answer is redrawn while it comes; Ctrl-C ends the request and keeps the text; Ctrl-D ends the program."""
    async with NebulaServer(pace=50) as nebula:
        nebula.answer_next("Growing " * 500)
        settings = {
            "NEBULA_API_KEY": "ak",
            "NEBULA_BASE_URL": nebula.base_url,
            "NEBULA_PLATFORM_URL": nebula.platform_url,
        }
        async with at_terminal(tmp_path, "console", **settings) as screen:
            await screen.until("Ctrl-D ends")
            await screen.until("›")
            screen.type("hello\r")
            for _ in range(3):
                await screen.until("Growing Growing Growing")
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


async def test_sandbox_shows_the_growing_reply(tmp_path: Path) -> None:
    """In the sandbox a reply is drawn many times while it grows; a dialog takes its text at the prompt."""
    async with at_terminal(tmp_path, "sandbox") as screen:
        await screen.until("Ctrl-D ends")
        screen.type("@nebula hello\r")
        await screen.until("You said {len(question)} characters.")
        assert screen.seen.count("stand-in model") > 3
        screen.type("/nebula prompt set\r")
        await screen.until("Your text, in one line:")
        screen.type("You are a pirate.\r")
        await screen.until("prompt of this channel is now: You are a pirate.")
        screen.type(":quit\r")
        assert await screen.process.wait() == 0
        assert "Traceback" not in screen.seen
