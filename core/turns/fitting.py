"""Makes the requests for one question, each smaller than the one refused before, and remembers what refusals teach."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from cachetools import TTLCache

from core.domain.chat import Catalog, ChatRequest, Usage
from core.domain.conversation import Exchange
from core.domain.errors import ContextTooLong, StoreError
from core.domain.question import Question
from core.domain.surroundings import NOTHING_SAID, Surroundings
from core.prompt.build import build, rules_for
from core.prompt.quoting import Quotation, asks_for_summary, quote, small_print
from core.prompt.tokens import TokenEstimator
from core.settings.parameters import ChannelSettings
from core.store.windows import ModelWindow, ModelWindows

log = logging.getLogger(__name__)

REFUSALS = 3  # after so many, the question is asked without any history
_LEAST_WINDOW = 256  # tokens; a smaller number in a refusal was something else
_KNOWN_SECONDS = 30.0  # how long to rely on what Redis said
_MAX_MODELS = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask: the newest of the history and of what was said around the question goes along, as much as fits, and
    behind it what was said elsewhere."""

    settings: ChannelSettings
    history: Sequence[Exchange]
    question: Question
    background: Sequence[Exchange] = ()
    around: Surroundings = NOTHING_SAID


class Sizes:
    """What is known of the sizes of requests: the estimates of this process, and what refusals taught any process."""

    def __init__(self, windows: ModelWindows | None, context: int) -> None:
        """`windows`: None for what this process learns alone. `context`: a model's window in tokens, where the catalog
        does not say."""
        self._windows, self._context = windows, context
        self.estimator = TokenEstimator()
        self._known: TTLCache[str, ModelWindow] = TTLCache(_MAX_MODELS, _KNOWN_SECONDS)

    async def fitting(self, asked: Asked, catalog: Catalog) -> "Fitting":
        """The requests for one question."""
        info = catalog.find(asked.settings.model)
        model = info.name if info else asked.settings.model
        known = await self._of(model)
        if known.ratio:
            self.estimator.expect(model, known.ratio)
        context = (info.context if info else None) or self._context
        return Fitting(self, asked, model, context, known.tokens, info.max_output if info else None)

    async def learn(self, model: str, tokens: int | None) -> None:
        """Remember a model's window, if one is given, and the ratio of its counts to our guesses."""
        window = ModelWindow(tokens, self.estimator.ratio(model))
        self._known[model] = ModelWindow(tokens or self._known.get(model, ModelWindow()).tokens)
        if self._windows is None:
            return
        try:
            await self._windows.learn(model, window)
        except StoreError as error:
            log.warning("can't remember the window of a model: %s", error)

    async def _of(self, model: str) -> ModelWindow:
        if (known := self._known.get(model)) is None:
            try:
                known = await self._windows.of(model) if self._windows else ModelWindow()
            except StoreError as error:
                log.warning("can't read the window of a model: %s", error)
                known = ModelWindow()
            # the ratio is taken over once: since then, answers may have taught a smaller one
            self._known[model] = replace(known, ratio=None)
        return known


class Fitting:
    """The requests for one question. `request` is the newest, `quoted` what it quotes of the room."""

    def __init__(
        self, sizes: Sizes, asked: Asked, model: str, context: int, window: int | None, max_output: int | None
    ) -> None:
        """`context`: the model's window as the catalog says; `window`: as a refusal said. Raises ContextTooLong."""
        self._sizes, self._asked, self.model = sizes, asked, model
        self._context, self._window, self._max_output = context, window, max_output
        self._refused: list[ChatRequest] = []
        self._named = False  # the last refusal named the window
        self._background = asked.background
        self._quotes = True  # the room is quoted
        self.quoted = Quotation()
        self.request = self._build(asked.history)

    @property
    def note(self) -> str:
        """Small print: what was read of the room."""
        asked = self._asked
        return small_print(self.quoted, asked.question, asked.settings.context, asked.around.gaps)

    async def shrink(self, error: ContextTooLong) -> bool:
        """Make the request smaller after this refusal. False if the question alone was refused."""
        refused, estimator = self.request, self._sizes.estimator
        self._refused.append(refused)
        texts = [message.content for message in refused.messages]
        if error.fallback:  # its numbers are another model's
            error = ContextTooLong(str(error))
        if error.prompt:
            estimator.refused(self.model, texts, error.prompt)
        self._named = error.window is not None and _LEAST_WINDOW <= error.window < self._limit
        if self._named:
            self._window = error.window
        if error.prompt or self._named:
            await self._sizes.learn(self.model, self._window if self._named else None)
        # after a refusal, the background is left out before anything of the dialogue
        told = refused.messages[0].content != rules_for(self._asked.settings, self._asked.question)
        self._background = ()
        kept = _exchanges(refused)
        if not (kept or told):
            quoted = self.quoted.text
            self._quotes = len(self._refused) < REFUSALS
            self.request = self._build(())
            if quoted and len(self.quoted.text) >= len(quoted):
                self._quotes = False
                self.request = self._build(())
            if quoted:
                return True
            less = (self.request.max_tokens or 0) < (refused.max_tokens or 0)
            return less and len(self._refused) <= REFUSALS + 1
        fewer = kept if told else kept - 1
        history = self._asked.history[-fewer:] if fewer > 0 else ()
        if len(self._refused) >= REFUSALS:
            history = ()
        elif not error.prompt and not (self._named and len(self._refused) == 1):
            half = sum(estimator.count(self.model, text) for text in texts) // 2
            history = self._newest(history, half)
        self.request = self._build(history)
        log.warning(
            "%s refuses %d messages as too long: %s; asking with %d",
            *(self.model, len(refused.messages), error, len(self.request.messages)),
        )
        return True

    async def answered(self, usage: Usage | None) -> None:
        """The newest request was answered: learn from the server's count, and from what it refused before."""
        estimator = self._sizes.estimator
        texts = [message.content for message in self.request.messages]
        if usage and usage.prompt:
            (estimator.refused if self._refused else estimator.learn)(self.model, texts, usage.prompt)
        if self._refused and not self._named:
            # no number was named: from now on, nothing as large as what was refused, unless the estimate explains it
            refused = self._refused[-1]
            size = sum(estimator.count(self.model, message.content) for message in refused.messages)
            fits = sum(estimator.count(self.model, text) for text in texts) + min(refused.max_tokens or 1024, size)
            explained = size > 0.95 * self._limit - min(refused.max_tokens or 1024, self._limit // 2)
            await self._sizes.learn(self.model, None if explained or fits < _LEAST_WINDOW else round(fits / 0.95) + 1)

    @property
    def _limit(self) -> int:
        return min(self._context, self._window or self._context)

    def _newest(self, history: Sequence[Exchange], tokens: int) -> Sequence[Exchange]:
        """The newest of the history within this many tokens."""
        for number, exchange in enumerate(reversed(history)):
            tokens -= sum(
                self._sizes.estimator.count(self.model, text) for text in (exchange.question, exchange.answer)
            )
            if tokens < 0:
                return history[len(history) - number :]
        return history

    def _quote(self) -> Quotation:
        """The room around the question: a third of the window at most, half of it where a summary is asked for."""
        asked, count = self._asked, partial(self._sizes.estimator.count, self.model)
        if not (asked.around.messages or asked.around.referred):
            return Quotation()
        if not self._quotes:
            return Quotation(cut=True)
        share = self._limit // (2 if asks_for_summary(asked.question) else 3)
        # build keeps up to half of the window for the answer, and a twentieth for errors of the estimate
        beside = int(0.44 * self._limit) - count(asked.settings.prompt) - count(asked.question.text)
        return quote(asked.around, min(share, beside), count)

    def _build(self, history: Sequence[Exchange]) -> ChatRequest:
        self.quoted = self._quote()
        return build(
            self._asked.settings,
            history,
            self._asked.question,
            background=self._background,
            model=self.model,
            context=self._context,
            window=self._window,
            quoted=self.quoted.text,
            max_output=self._max_output,
            estimator=self._sizes.estimator,
        )


def _exchanges(request: ChatRequest) -> int:
    """How many exchanges a request repeats: its other messages are the rules and the question."""
    return (len(request.messages) - 2) // 2
