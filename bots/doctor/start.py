"""The report of a start: one block in the log that says what it found, once all is known or enough time has passed."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from bots.adapter import Adapter, Examination, Examines
from bots.doctor.look import FirstLook
from bots.doctor.printing import MARKS
from core.finding import Finding, Verdict, note

log = logging.getLogger(__name__)

# How long the report waits for what is still being looked at. Answers never wait for it.
REPORT_SECONDS = 15.0


async def report(
    known: Sequence[Finding],
    look: FirstLook,
    platforms: Sequence[Adapter],
    about: Examination,
    more: Sequence[Finding] = (),
    *,
    listen: bool = True,
) -> None:
    """Write the report. `known` comes first, then Nebula and the platforms, then `more`. Without `listen` the platforms
    do not connect."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REPORT_SECONDS):
            await look.looked.wait()
            for each in platforms if listen else ():
                await each.ready.wait()
    found = [*known, look.finding]
    look.reported = True
    for each in platforms:
        said = list(each.report(about)) if isinstance(each, Examines) else []
        away = bool(said) and all(one.verdict is Verdict.BAD for one in said)  # it says itself why
        if listen and not each.ready.is_set() and not away:
            said.append(note(each.name.title(), "is not connected yet"))
        found += said
    log.info("what this start found:")
    for finding in (*found, *more):
        mend = f"; {finding.mend}" if finding.mend else ""
        level = logging.WARNING if finding.verdict is Verdict.BAD else logging.INFO
        log.log(level, "%s %s: %s%s", MARKS[finding.verdict], finding.name, finding.text, mend)
