"""`python -m tests.pictures`: renders the pictures of README from sessions with the real program in its sandbox.

It runs `nebula-bot sandbox` in a new folder, types into it, and writes what the terminal shows to docs/*.svg.
"""

import argparse
import asyncio
import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.ansi import AnsiDecoder
from rich.console import Console

from bots.sandbox.nebula.server import NebulaServer
from tests.bounds import HANG_SECONDS
from tests.scenarios.program import started

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 98
TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "60"}

SLACK = (
    "@nebula what is a monad, in one line?",
    "/nebula prompt set You are a pirate. Answer in one line.",
    ":as bob",
    "/nebula settings",
)
DISCORD = (":discord", "/ask what is a monad, in one line?")
IN_THE_CODE = 192  # tokens of the answer to DISCORD after which its code block is open


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after this output, with colours.

    rich redraws whole lines: apart from colours, it only moves up, erases a line and hides the cursor.
    """
    lines, row = [""], 0
    for part in re.split(r"(\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif found := re.fullmatch(r"\x1b\[(\d*)A", part):
            row -= int(found[1] or 1)
        elif part != "\r" and not part.startswith("\x1b[?25"):
            lines[row] += part
    return lines


def picture(written: str, title: str) -> str:
    """The screen as an SVG that loads nothing from elsewhere."""
    lines = [line.rstrip() for line in screen(written)]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in AnsiDecoder().decode("\n".join(lines).strip("\n")):
        line.rstrip()
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title=title, unique_id=title.split()[0].lower())
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"[ \t]+\n", "\n", svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


async def slack(folder: Path) -> str:
    """A question, a command and another person, in Slack."""
    async with started(folder, "sandbox", **TERMINAL) as process:
        out, _ = await process.communicate("".join(f"{line}\n" for line in SLACK).encode())
    return from_prompt(out.decode())


async def discord(folder: Path) -> str:
    """A reply in Discord that still grows: the model is held in the middle of its code."""
    async with NebulaServer() as nebula:
        model = {
            "NEBULA_API_KEY": "ak",
            "NEBULA_BASE_URL": nebula.base_url,
            "NEBULA_PLATFORM_URL": nebula.platform_url,
            "NEBULA_STALL_SECONDS": f"{HANG_SECONDS:g}",
        }
        held = nebula.hold(after=IN_THE_CODE)
        async with started(folder, "sandbox", **TERMINAL, **model) as process, asyncio.timeout(HANG_SECONDS):
            assert process.stdin
            assert process.stdout
            process.stdin.write("".join(f"{line}\n" for line in DISCORD).encode())
            out = b""
            while not in_the_code(out):
                out += await process.stdout.read(65536)
            held.release()
            await process.communicate(b"")  # end of the input
    return from_prompt(out.decode(errors="ignore"))


def in_the_code(out: bytes) -> bool:
    """Whether the newest frame is whole and shows the code block."""
    *above, last = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(screen(out.decode(errors="ignore")))).split("\n")
    return "[Stop]" in last and any("def answer" in line for line in above)


def from_prompt(out: str) -> str:
    """The output after the welcome, from the first prompt on."""
    return out[max(out.find("\x1b[1mslack #general"), 0) :]


async def main() -> None:
    for session, name, title in (
        (slack, "slack.svg", "Slack in the sandbox of Nebula Bot"),
        (discord, "discord.svg", "Discord in the sandbox of Nebula Bot, while the model writes"),
    ):
        with TemporaryDirectory(prefix="nebula-") as folder:
            written = await session(Path(folder))
        svg = picture(written, title)
        (DOCS / name).write_text(svg)
        print(f"docs/{name}: {len(svg.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__).parse_args(sys.argv[1:])
    asyncio.run(main())
