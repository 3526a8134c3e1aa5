"""Looks at Nebula at the start: otherwise people in a channel would be the first to learn of a wrong key."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bots.doctor.nebula import NAME, failure, offer, refuses_key
from core.domain.chat import ModelInfo
from core.domain.errors import BadKey, ModelError
from core.domain.retry import backoff
from core.finding import Finding, Verdict, note
from core.settings.environment import WrongConfig

log = logging.getLogger(__name__)

# The shortest and the longest pause until the next look, as long as Nebula does not take our key.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0


class FirstLook:
    """What the first looks at Nebula have shown.

    `refusal`: why no answer is to be expected, "" once Nebula has taken our key. `finding`: the newest look. `looked`:
    set after the first one. `reported`: set by whoever has reported `finding`; what comes later is logged.
    """

    def __init__(self) -> None:
        self.refusal = "Nebula has not answered yet"
        self.finding: Finding = note(NAME, "has not answered yet")
        self.looked = asyncio.Event()
        self.reported = False

    async def run(self, check: Callable[[], Awaitable[Sequence[ModelInfo]]], model: str) -> None:
        """Look until Nebula takes our key, and whether it offers the model. `check`: returns the list of models, or
        raises ModelError. `model`: the one that answers where no other is set. Raises WrongConfig if Nebula refuses the
        key at the first look; later the bot may be in the middle of its work, and waits for a key that is taken."""
        told = ""
        for pause in backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS):
            try:
                self._found(offer(await check(), model))
                break
            except ModelError as error:
                found = failure(error)
                if isinstance(error, BadKey):
                    if not refuses_key(error):
                        # A key may have the right to ask models, and no other.
                        self._found(note(NAME, f"answers, but refuses the list of models ({error})"))
                        break
                    if not self.looked.is_set():
                        raise WrongConfig((f"Nebula {found.text}: {found.mend}.",)) from None
                self._waits(found, again=found.text == told)
                told = found.text
            await asyncio.sleep(pause)
        if told:
            log.warning("Nebula answers now: %s", self.finding.text)

    def _found(self, found: Finding) -> None:
        self.finding, self.refusal = found, ""
        if self.reported and found.verdict is Verdict.BAD:
            log.warning("Nebula: %s; %s", found.text, found.mend)
        self.looked.set()

    def _waits(self, found: Finding, *, again: bool) -> None:
        self.finding, self.refusal = found, f"Nebula {found.text}"
        if not again:
            log.warning("Nebula %s; %s. Waiting until it answers", found.text, found.mend)
        self.looked.set()
