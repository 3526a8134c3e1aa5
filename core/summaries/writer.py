"""Writes summaries beside the turns: after a turn in which the oldest exchanges did not fit, the model is asked to fold
them into the dialogue's summary.

A summary is never in a turn's way, and the history stays as it is, whatever becomes of the summary. What is folded is
chosen by the measure that decided what fits, down to half of the room, so that several turns pass until the next one.
One process at a time writes the summary of a dialogue. It is stored only if the summary before it and all of its
exchanges are still there, so that whoever forgets something meanwhile wins. After a failure nobody tries again for a
while.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cachetools import TTLCache

from core import metrics
from core.awake import awake
from core.domain.chat import Completion
from core.domain.conversation import NO_SUMMARY, Conversation, Exchange, Summary
from core.domain.errors import ContextTooLong, ModelError, NoAnswer, StoreError
from core.domain.ports import ChatModel
from core.pauses import pause, with_pauses
from core.prompt.dialogue import in_dialogue
from core.prompt.summary import Fold, fold, outgrown, written
from core.store.entries import digests
from core.summaries.stored import Material, News, StoredExchange, StoredSummaries

log = logging.getLogger(__name__)

# How many summaries one process writes at once.
AT_ONCE = 2
# How long a request may take, thought included.
REQUEST_SECONDS = 240.0
# For how long nobody else writes, unless the writer says again that it does.
_WRITING_SECONDS, _RENEWAL_SECONDS = 30.0, 10.0
# How long nobody tries again after one failure in a row, two, and more.
BACKOFF_SECONDS = (60.0, 300.0, 900.0)
_MAX_FAILED, _FAILED_SECONDS = 1_000, 3600.0
# Requests for one summary: what is too long for one goes in several, until this share of the room holds what is left.
_MOST_REQUESTS, _ENOUGH = 8, 0.75
# A history that is so full of a dialogue will soon lose its oldest exchanges.
_NEARLY = 0.9
# A summary of more questions begins afresh: it remembers of which it tells, and should not grow for ever.
MOST_COVERED = 1_000
# What leaves the history within this share of its time is not told any more: a summary goes with its oldest exchange,
# and would have to be written again with each.
_SOON = 0.1


@dataclass(frozen=True, slots=True)
class Outgrown:
    """A dialogue that a request did not hold all of, or of whose summary people have just read.

    `said`: what people learnt of it, None for nothing. `left_out`: how many exchanges did not fit into the `room` for
    them; 0 if none should be summarised. `crowded`: the history is full, mostly of this dialogue, so that its oldest
    exchanges will leave it soon, whether or not they fit. `window` and `max_output`: of the `model`, in tokens, None if
    not known. `count`: how many tokens a text has, and `cost` an exchange. `keep`: for how many seconds things are
    remembered, None: as the operator says.
    """

    conversation: Conversation
    dialogue: str
    said: News | None
    left_out: int
    room: int
    model: str
    window: int
    max_output: int | None
    count: Callable[[str], int]
    cost: Callable[[Exchange], int]
    keep: float | None = None
    crowded: bool = False


class SummaryWriter:
    """Reads and writes the summaries of this process's dialogues."""

    def __init__(
        self,
        stored: StoredSummaries,
        model: ChatModel,
        *,
        keep: float,
        exchanges: int,
        backoff: tuple[float, ...] = BACKOFF_SECONDS,
    ) -> None:
        """`keep`: for how many seconds things are remembered. `exchanges`: how many of a conversation. `backoff`: how
        long to wait after failures, in seconds."""
        self._stored, self._model, self._keep, self._backoff = stored, model, keep, backoff
        self._exchanges = exchanges
        self._places = asyncio.Semaphore(AT_ONCE)
        self._busy: set[tuple[Conversation, str]] = set()
        self._failed: TTLCache[tuple[Conversation, str], int] = TTLCache(_MAX_FAILED, _FAILED_SECONDS)

    async def of(self, conversation: Conversation, dialogue: str) -> Summary:
        """The summary of a dialogue; never raises."""
        try:
            return await self._stored.of(conversation, dialogue)
        except StoreError as error:
            log.warning("can't read the summary of a dialogue: %s", error)
            return NO_SUMMARY

    def crowds(self, history: Sequence[object], dialogue: Sequence[Exchange]) -> bool:
        """Whether the history is nearly full, mostly of these exchanges of a dialogue, which no summary tells of."""
        return len(history) >= _NEARLY * self._exchanges and 2 * len(dialogue) > self._exchanges

    async def write(self, grown: Outgrown) -> None:
        """Fold what does not fit any more into the summary; never raises."""
        name = (grown.conversation, grown.dialogue)
        try:
            if grown.said:
                await self._stored.known(*name, grown.said)
            if not (grown.left_out or grown.crowded) or name in self._busy:
                return
            self._busy.add(name)
            try:
                async with self._places:
                    if await self._stored.begin(*name, _WRITING_SECONDS):
                        await self._alone(grown)
            finally:
                self._busy.discard(name)
        except StoreError as error:
            log.warning("can't store the summary of a dialogue: %s", error)
        except Exception:
            log.exception("the summary of a dialogue failed")

    async def _alone(self, grown: Outgrown) -> None:
        """As the only one of all processes."""
        name, rest = (grown.conversation, grown.dialogue), 0.0
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._go_on(grown))
                try:
                    await self._fold_all(grown)
                    self._failed.pop(name, None)
                except (ModelError, TimeoutError) as error:
                    failures = self._failed[name] = self._failed.get(name, 0) + 1
                    rest = self._backoff[min(failures, len(self._backoff)) - 1]
                    metrics.SUMMARIES.labels("failed").inc()
                    log.warning("no summary for %s: %s; not again for %g s", name[0], type(error).__name__, rest)
                except StoreError as error:
                    log.warning("can't store the summary of a dialogue: %s", error)
                renewing.cancel()
        finally:
            with suppress(StoreError):
                await self._stored.go_on(*name, rest)

    async def _go_on(self, grown: Outgrown) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            with suppress(StoreError):
                await self._stored.go_on(grown.conversation, grown.dialogue, _WRITING_SECONDS)

    async def _fold_all(self, grown: Outgrown) -> None:
        """Raises ModelError, StoreError and TimeoutError."""
        window, room = grown.window, max(grown.room, grown.window // 4)
        for number in range(_MOST_REQUESTS):
            material = await self._stored.material(grown.conversation, grown.dialogue)
            old = material.old if material.old.count < MOST_COVERED else NO_SUMMARY
            left = self._untold(material, old, grown)
            exchanges = [each.exchange for each in left]
            for each in exchanges:  # their costs are known from then on
                grown.cost(each)
                await pause()
            ripe: tuple[Exchange, ...] = ()
            # A further request may be for little, or another turn's request may have come first.
            if sum(map(grown.cost, exchanges)) > (_ENOUGH * room if number else grown.room):
                ripe = outgrown(exchanges, room // 2, grown.room, grown.cost)
            elif grown.crowded and not number and self.crowds(material.history, exchanges):
                ripe = tuple(exchanges[: len(exchanges) // 2])
            if not ripe:
                return
            work = fold(
                *(old.text, ripe),
                model=grown.model,
                window=window,
                max_output=grown.max_output,
                count=grown.count,
            )
            folding = await with_pauses(work)
            if not folding:
                return
            try:
                async with awake(REQUEST_SECONDS):
                    completion = await self._model.complete(folding.request)
            except ContextTooLong as error:
                if window < grown.window // 4:
                    raise
                window = min(error.window or window, window // 2)
                continue
            self._measure(grown, completion)
            text = written(completion, window, grown.count)
            if not text:
                raise NoAnswer("no summary")
            new = _summary(text, old, folding, left)
            if not await self._stored.write(grown.conversation, grown.dialogue, material.entry, new, folding.exchanges):
                metrics.SUMMARIES.labels("overtaken").inc()
                return
            metrics.SUMMARIES.labels("written").inc()

    def _untold(self, material: Material, old: Summary, grown: Outgrown) -> list[StoredExchange]:
        """What a summary does not tell yet, and should."""
        keep = self._keep if grown.keep is None else grown.keep
        soon = 0.0 if old.text else time.time() - (1 - _SOON) * keep
        return [
            each
            for each in material.history
            if in_dialogue(each.exchange, grown.dialogue) and not old.covers(each.exchange) and not 0 < each.at < soon
        ]

    def _measure(self, grown: Outgrown, completion: Completion) -> None:
        platform = grown.conversation.scope.split("/")[0]
        metrics.TOKENS.labels(platform, "prompt").inc(max(0, completion.usage.prompt))
        metrics.TOKENS.labels(platform, "completion").inc(max(0, completion.usage.completion))


def _summary(text: str, old: Summary, folding: Fold, left: list[StoredExchange]) -> Summary:
    """The new summary, of what the old one tells and what is folded into it."""
    folded = folding.exchanges
    at = [each.at for each in left[: len(folded)] if each.at]
    return Summary(
        text=text,
        count=old.count + len(folded),
        covered=old.covered.union(*map(digests, folded)),
        people=old.people.union(*((each.author.id, *each.others) for each in folded)),
        since=min([*filter(None, [old.since]), *at], default=0),
        known=old.known and bool(old.text),
    )
