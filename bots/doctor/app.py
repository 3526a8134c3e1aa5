"""`nebula-bot doctor`: looks at everything that can be wrong, all at once, and prints it in a fixed order."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bots.adapter import Adapter, Examination, Examines
from bots.compose import nebula
from bots.doctor import machine, memory, settings
from bots.doctor.nebula import NAME as NEBULA
from bots.doctor.nebula import examine as examine_nebula
from bots.doctor.printing import as_json, conclusion, show
from bots.http_port import examine_port
from core.awake import awake
from core.finding import Finding, Verdict, bad
from core.output import say
from core.settings.config import Config
from core.settings.environment import Reading
from core.store.redis.examine import NAME as REDIS

# For each part; all of them are looked at side by side.
PART_SECONDS = 25.0
# What a bot answers at HEALTH_PORT to a request that it does not expect.
_ALIVE = "Method Not Allowed"

Findings = AsyncGenerator[Finding, None]


async def doctor(
    reading: Reading,
    platforms: Sequence[Adapter],
    tokens: Sequence[str],
    channels: Sequence[str] = (),
    *,
    as_list: bool = False,
) -> bool:
    """Look at everything and print it; returns whether all is well. Never raises, and disturbs no bot that is running.

    `platforms`: those with tokens; `tokens`: the variables that switch each of all platforms on. `channels`: see
    Examination. `as_list`: print JSON.
    """
    config = reading.environment.of(Config)
    about = Examination(tuple(channels), open=not config.access_allow)
    parts: list[tuple[str, Findings]] = [
        (settings.CONFIGURATION, _configuration(reading, config, [each.name.title() for each in platforms], tokens)),
        (machine.NAME, machine.examine(config)),
        (REDIS, memory.examine(config)),
        (NEBULA, _nebula(reading, config)),
        *((each.name.title(), each.examine(about)) for each in platforms if isinstance(each, Examines)),
    ]
    found: list[Finding] = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_bounded(name, part)) for name, part in parts]
        for task in tasks:
            part = await task
            found += part
            if not as_list:
                for finding in part:
                    show(finding)
    if as_list:
        say(as_json(found))
    else:
        say(f"\n{conclusion(found)}")
    return all(each.verdict is not Verdict.BAD for each in found)


async def _bounded(name: str, part: Findings) -> list[Finding]:
    """What a part finds within its time; what it found before counts in any case."""
    found: list[Finding] = []
    try:
        async with awake(PART_SECONDS), aclosing(part) as findings:
            async for finding in findings:
                found.append(finding)  # noqa: PERF401 - what came before a timeout is kept
    except TimeoutError:
        found.append(bad(name, f"hangs: it took more than {PART_SECONDS:g} s", "see what is slow there"))
    except Exception as error:  # noqa: BLE001 - one part that fails must not hide the others
        found.append(bad(name, f"could not be examined ({type(error).__name__})", "this is a mistake of the bot's"))
    return found


async def _configuration(reading: Reading, config: Config, names: Sequence[str], tokens: Sequence[str]) -> Findings:
    for finding in (*settings.env_file(reading.environment), *settings.problems(reading.problems)):
        yield finding
    if names or not settings.explained(reading, *re.findall(r"\w+", " ".join(tokens))):
        yield settings.platforms(names, tokens, follows=settings.astray(reading.environment))
    yield settings.limits(config)
    if config.health_port is not None:
        yield await examine_port("health", "HEALTH_PORT", config.health_host, config.health_port, "/healthz", _ALIVE)


async def _nebula(reading: Reading, config: Config) -> Findings:
    told = settings.astray(reading.environment) or settings.explained(reading, "NEBULA_API_KEY")
    if config.nebula_api_key is None and told:
        return
    async with nebula(config) as client, aclosing(examine_nebula(config, client)) as findings:
        async for finding in findings:
            yield finding
