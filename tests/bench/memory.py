"""The memory of the bot's process: idle, and while it streams two hundred replies at once."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.program import cpu_seconds, program, resident
from tests.bench.table import Table
from tests.bench.wire import AskKind, wire

MEMORY_REPLIES = 200
MEMORY_RATE, TOKENS = 20, 400  # tokens per second of each reply, and tokens of each
SETTLE = 3.0  # seconds after the connection, before the idle figure
WATCH = 15  # seconds of the measurement while replies stream


async def measure() -> Table:
    """About 20 s."""
    with TemporaryDirectory(prefix="nb-") as folder:
        async with (
            wire(channels=MEMORY_REPLIES // 2) as servers,
            program(servers.addresses.environment(), Path(folder)) as process,
        ):
            await servers.connected()
            await asyncio.sleep(SETTLE)
            idle = resident(process)
            await servers.answers("word " * TOKENS, MEMORY_RATE)
            await servers.ask_many(AskKind.SLACK, MEMORY_REPLIES // 2)
            await servers.ask_many(AskKind.DISCORD, MEMORY_REPLIES // 2)
            at_once = await servers.streams()
            samples, before = [], cpu_seconds(process)
            for _ in range(WATCH):
                await asyncio.sleep(1)
                samples.append(resident(process))
            busy = (cpu_seconds(process) - before) / WATCH
            at_end = await servers.streams()
    running = max(samples)
    assert at_once == at_end == MEMORY_REPLIES, f"{at_once}, then {at_end} of {MEMORY_REPLIES} replies were running"
    return Table(
        "Memory of a bot's process",
        "`nebula-bot run` with both platforms, resident set; Redis is a process of its own. Running: "
        f"{MEMORY_REPLIES} replies at once, half on each platform, {MEMORY_RATE} tokens a second each; "
        f"the most within {WATCH} s.",
        ("state", "MB", "KB per reply", "CPU of one core"),
        (
            ("idle, connected to both platforms", f"{idle / 1e6:.0f}", "", ""),
            (
                f"{MEMORY_REPLIES} replies running",
                f"{running / 1e6:.0f}",
                f"{(running - idle) / MEMORY_REPLIES / 1e3:.0f}",
                f"{busy:.0%}",
            ),
        ),
    )
