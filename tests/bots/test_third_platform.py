"""A platform that no file of the bot names is served like the others: a folder and an entry in the table are enough."""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp

from bots.sandbox.nebula.server import NebulaServer
from tests.bounds import HANG_SECONDS
from tests.ports import free_port
from tests.scenarios.program import run, started

PROGRAM = (sys.executable, "-m", "tests.bots.campfire")
TOKENS = {"CAMPFIRE_TOKEN": "secret", "CAMPFIRE_ROOM": "den", "NEBULA_API_KEY": "key"}


async def written(process: Process, text: str) -> None:
    """Read what the bot writes in the chat until it is this text."""
    assert process.stdout
    async with asyncio.timeout(HANG_SECONDS):
        while line := await process.stdout.readline():
            if json.loads(line) == text:
                return
    raise AssertionError("the program ended")


async def ready(session: aiohttp.ClientSession, port: int, line: str) -> None:
    """Probe until the bot is ready and says this line: Redis may answer too late at a probe."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                if response.status == 200 and line in (await response.text()).splitlines():
                    return
            await asyncio.sleep(0.02)


async def test_it_is_served(tmp_path: Path, redis_url: str) -> None:
    """A question gets its answer, a command its response, /readyz has a line for the platform, and SIGTERM ends it."""
    port = free_port()
    async with NebulaServer() as nebula, aiohttp.ClientSession() as session:
        nebula.answer_next("It is warm here.")
        settings = TOKENS | {
            "NEBULA_BASE_URL": nebula.base_url,
            "NEBULA_PLATFORM_URL": nebula.platform_url,
            "REDIS_URL": redis_url,
            "HEALTH_PORT": str(port),
        }
        async with started(tmp_path, "run", program=PROGRAM, **settings) as process:
            assert process.stdin
            process.stdin.write(b"How is it?\n")
            await written(process, "It is warm here.")
            process.stdin.write(b"!ratings\n")
            await written(process, "Nobody has rated an answer here yet.")
            await ready(session, port, "campfire: listening")
            process.terminate()
            assert await process.wait() == 0


async def test_its_variables_are_read_with_the_others(tmp_path: Path) -> None:
    """Its problems are reported together with those of the rest, and a misspelt name of its own is found."""
    (tmp_path / ".env").write_text("CAMPFIRE_LENGHT=300\nCAMPFIRE_LENGTH=1\nDISCORD_MANAGERS=boss\n")
    status, _, err = await run(tmp_path, "run", program=PROGRAM, CAMPFIRE_TOKEN="secret")
    assert status == 2
    for sentence in (
        "CAMPFIRE_LENGTH: it must be greater than or equal to 100.",
        "CAMPFIRE_ROOM is missing: the bot speaks in one room.",
        "CAMPFIRE_LENGHT in .env is not a setting; did you mean CAMPFIRE_LENGTH?",
        "DISCORD_MANAGERS: word 1 is not known",
        "NEBULA_API_KEY is missing",
    ):
        assert sentence in err
    assert "secret" not in err


async def test_the_command_line_names_it(tmp_path: Path) -> None:
    """The help and the way to go live list the platforms of the table."""
    _, out, _ = await run(tmp_path, "--help", program=PROGRAM)
    assert "Slack and Discord and Campfire" in " ".join(out.split())
