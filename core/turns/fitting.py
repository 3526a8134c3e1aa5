"""Makes the requests for one question, each smaller than the one refused before, and remembers what refusals teach."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from cachetools import TTLCache

from core.domain.chat import Catalog, ChatRequest, ModelInfo, Usage
from core.domain.conversation import NO_SUMMARY, Conversation, Exchange, Summary
from core.domain.errors import CantSee, ContextTooLong, StoreError
from core.domain.options import OldHistory
from core.domain.question import Question
from core.domain.surroundings import NOTHING_SAID, Surroundings
from core.files.attachments import NOTHING_ATTACHED, Attached
from core.files.quoting import FileQuotation, quote_all
from core.pauses import with_pauses
from core.prompt.build import Built, build, cost
from core.prompt.dialogue import Recalled
from core.prompt.quoting import Quotation, asks_for_summary, quote, small_print
from core.prompt.summary import small_print as of_summary
from core.prompt.tokens import PICTURE_TOKENS, TokenEstimator
from core.prompt.vision import Vision
from core.settings.parameters import ChannelSettings
from core.store.windows import KEEP_SECONDS, ModelWindow, ModelWindows
from core.summaries.stored import News
from core.summaries.writer import Outgrown
from core.turns.background import Background

log = logging.getLogger(__name__)

REFUSALS = 3  # after so many, the question is asked without any history
_LEAST_WINDOW = 256  # tokens; a smaller number in a refusal was something else
_KNOWN_SECONDS = 30.0  # how long to rely on what Redis said
# What answers taught is told to other processes when it differs by this share from what they know, and now and then.
_NEWS, _NEWS_SECONDS = 0.1, KEEP_SECONDS / 2
_MAX_MODELS = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask: the newest of the history and of what was said around the question goes along, as much as fits, and
    behind it what was said elsewhere. `stored`: what Redis has of the dialogue's summary. `summary`: the same, if it
    may be used; the history is then without what it covers."""

    settings: ChannelSettings
    history: Sequence[Exchange]
    question: Question
    background: Sequence[Exchange] = ()
    around: Surroundings = NOTHING_SAID
    summary: Summary = NO_SUMMARY
    stored: Summary = NO_SUMMARY
    attached: Attached = NOTHING_ATTACHED

    @classmethod
    def of(
        cls,
        settings: ChannelSettings,
        question: Question,
        recalled: Recalled,
        around: Surroundings,
        stored: Summary,
        later: Sequence[Exchange],
        attached: Attached = NOTHING_ATTACHED,
    ) -> "Asked":
        """`later`: exchanges of the conversation that this question must not see; a summary that tells of one can't be
        used."""
        wanted = settings.history is OldHistory.SUMMARY and stored.text
        summary = stored if wanted and not any(map(stored.covers, later)) else NO_SUMMARY
        continues = question.continues.turn if question.continues else None
        history = tuple(each for each in recalled.dialogue if each.turn == continues or not summary.covers(each))
        return cls(settings, history, question, recalled.background, around, summary, stored, attached)


class Sizes:
    """What is known of the sizes of requests: the estimates of this process, and what all processes learnt."""

    def __init__(
        self,
        windows: ModelWindows | None,
        context: int,
        background: Background | None = None,
        vision: Vision | None = None,
    ) -> None:
        """`windows`: None for what this process learns alone. `context`: a model's window in tokens, where the catalog
        does not say. `background`: tells the other processes what answers teach. `vision`: which models see."""
        self._windows, self._context, self._background = windows, context, background
        self.vision = vision or Vision()
        self.estimator = TokenEstimator()
        self._shared: TTLCache[str, float] = TTLCache(_MAX_MODELS, _NEWS_SECONDS)  # what the others know
        self._known: TTLCache[str, ModelWindow] = TTLCache(_MAX_MODELS, _KNOWN_SECONDS)

    async def fitting(self, asked: Asked, catalog: Catalog) -> "Fitting":
        """The requests for one question. Raises ContextTooLong."""
        info = catalog.find(asked.settings.model)
        model = info.name if info else asked.settings.model
        known = await self._of(model)
        if known.usual:
            self.estimator.adopt(model, known.usual)
            self._shared[model] = known.usual
        if known.ratio:
            self.estimator.expect(model, known.ratio)
        return await Fitting(self, asked, info or ModelInfo(model), known, self._context).begun()

    async def learn(self, model: str, tokens: int | None) -> None:
        """Remember a model's window, if one is given, and the ratio of its counts to our guesses."""
        known = self._known.get(model, ModelWindow())
        self._known[model] = ModelWindow(tokens or known.tokens, blind=known.blind)
        await self._tell(model, ModelWindow(tokens, self.estimator.ratio(model)))

    async def blind(self, model: str) -> None:
        """Remember that a model refuses pictures."""
        self._known[model] = ModelWindow(self._known.get(model, ModelWindow()).tokens, blind=True)
        await self._tell(model, ModelWindow(blind=True))

    def answered(self, model: str, texts: list[str], tokens: int) -> None:
        """An answer's `usage` says how many tokens these messages had. What that teaches reaches the other processes
        if it is news to them."""
        self.estimator.learn(model, texts, tokens)
        ratio, known = self.estimator.learnt(model), self._shared.get(model)
        if ratio is None or self._background is None or (known and abs(ratio / known - 1) < _NEWS):
            return
        self._shared[model] = ratio
        self._background.start(self._tell(model, ModelWindow(usual=ratio)))

    async def _tell(self, model: str, window: ModelWindow) -> None:
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
            # ratios are taken over once: since then, answers may have taught smaller ones
            self._known[model] = ModelWindow(known.tokens, blind=known.blind)
        return known


class Fitting:
    """The requests for one question. `quoted`: what the newest one quotes of the room, `filed`: of files."""

    def __init__(self, sizes: Sizes, asked: Asked, info: ModelInfo, known: ModelWindow, context: int) -> None:
        """`info`: the model as the catalog has it; `known`: what refusals taught of it. `context`: its window in
        tokens, where the catalog does not say."""
        self._sizes, self._asked, self.model = sizes, asked, info.name
        self._context, self._window, self._max_output = info.context or context, known.tokens, info.max_output
        self._refused: list[ChatRequest] = []
        self._named = False  # the last refusal named the window
        self._background = asked.background
        self._summary = asked.summary.text
        self._quotes = True  # the room is quoted
        self._share = 1.0  # of the room that files may take
        most = self._limit // 2 // PICTURE_TOKENS
        sees = sizes.vision.sees(info.name, info) and not known.blind
        self._pictures = asked.attached.pictures[-most:] if sees and most else ()
        self.quoted, self.filed = Quotation(), FileQuotation()
        self._built: Built

    async def begun(self) -> "Fitting":
        """This, with its first request. Raises ContextTooLong."""
        self._built = await self._build(self._asked.history)
        return self

    @property
    def unseen(self) -> tuple[str, ...]:
        """The names of the pictures that the model does not see: it sees the newest."""
        return tuple(each.name for each in self._asked.attached.pictures[: -len(self._pictures) or None])

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing to answer: no words, and no file that could be read."""
        asked = self._asked
        return not (asked.question.text or asked.around.referred or self._pictures or asked.attached.has_text)

    @property
    def request(self) -> ChatRequest:
        """The newest request."""
        return self._built.request

    @property
    def note(self) -> str:
        """Small print: what was read of files and of the room, and what became of the oldest questions."""
        asked = self._asked
        files = asked.attached.small_print(self._pictures, self.filed.cut, again=self.filed.again)
        read = small_print(self.quoted, asked.question, asked.settings.context, asked.around.gaps)
        return " ".join(filter(None, (files, read, self._news)))

    @property
    def _news(self) -> str:
        """What became of the oldest questions, unless people know."""
        stored = self._asked.stored
        if self._built.summarised:
            return "" if stored.known else of_summary(stored.count, 0)
        if stored.text and self._wants_summary:  # it tells of what this question must not see
            return ""
        return "" if stored.known and not stored.text else of_summary(0, self._left_out)

    def outgrown(
        self,
        conversation: Conversation,
        dialogue: str,
        crowds: Callable[[Sequence[Exchange]], bool],
    ) -> Outgrown | None:
        """What to do about the summary once this request is answered; None if there is nothing. `crowds`: whether these
        exchanges crowd the history."""
        asked, left_out = self._asked, self._left_out if self._wants_summary else 0
        crowded = self._wants_summary and crowds(asked.history)
        said = News.LEFT_OUT if self._wants_summary else News.DROPPED
        if self._built.summarised:
            said = News.SUMMARISED
        if not (self._news or left_out or crowded):
            return None
        count = partial(self._sizes.estimator.count, self.model)
        return Outgrown(
            conversation=conversation,
            dialogue=dialogue,
            said=said if self._news else None,
            left_out=left_out,
            room=self._built.room,
            model=self.model,
            window=self._limit,
            max_output=self._max_output,
            count=count,
            cost=partial(cost, count=count, room=not asked.question.place.direct),
            keep=asked.settings.keep,
            crowded=crowded,
        )

    @property
    def _wants_summary(self) -> bool:
        return self._asked.settings.history is OldHistory.SUMMARY

    @property
    def _left_out(self) -> int:
        """How many of the oldest exchanges are neither in the request nor in the summary."""
        return len(self._asked.history) - _exchanges(self.request)

    async def shrink(self, error: ContextTooLong) -> bool:
        """Make the request smaller after this refusal. False if the question alone was refused."""
        refused, estimator = self.request, self._sizes.estimator
        self._refused.append(refused)
        texts = [message.content for message in refused.messages]
        if error.fallback:  # its numbers are another model's
            error = ContextTooLong(str(error))
        if error.prompt and not refused.pictures:
            estimator.refused(self.model, texts, error.prompt)
        self._named = error.window is not None and _LEAST_WINDOW <= error.window < self._limit
        if self._named:
            self._window = error.window
        if error.prompt or self._named:
            await self._sizes.learn(self.model, self._window if self._named else None)
        # after a refusal, the background and half of the files are left out before anything of the dialogue, and the
        # summary after all of it
        told, summarised, self._background = self._built.elsewhere, self._built.summarised, ()
        kept, attached = _exchanges(refused), self._attached
        if not (counted := bool(error.prompt or self._named)):
            self._share /= 2
        if len(self._refused) >= REFUSALS:
            self._summary, self._share, self._pictures = "", 0.0, ()
        if attached and len(self._refused) == 1 and not counted:
            self._built = await self._build(self._asked.history[-kept:] if kept else ())
            if self._attached < attached:
                return True
        if not (kept or told):
            self._summary = ""
            quoted = self.quoted.text
            self._quotes = summarised or len(self._refused) < REFUSALS
            self._built = await self._build(())
            if summarised:
                return True
            if quoted and len(self.quoted.text) >= len(quoted):
                self._quotes = False
                self._built = await self._build(())
            if attached and self._attached >= attached:
                self._share, self._pictures = 0.0, ()
                self._built = await self._build(())
            if quoted or attached:
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
        self._built = await self._build(history)
        log.warning(
            "%s refuses %d messages as too long: %s; asking with %d",
            *(self.model, len(refused.messages), error, len(self.request.messages)),
        )
        return True

    async def blinded(self, error: CantSee) -> bool:
        """Leave pictures out that were refused: all, or those that are too many. False if there are none."""
        if not self._pictures:
            return False
        if not (error.most or error.fallback):
            await self._sizes.blind(self.model)
        left = self._pictures[-error.most :] if 0 < error.most < len(self._pictures) else ()
        log.warning("%s refuses %d pictures: %s; asking with %d", self.model, len(self._pictures), error, len(left))
        self._pictures = left
        self._built = await self._build(self._asked.history)
        return True

    async def answered(self, usage: Usage | None) -> None:
        """The newest request was answered: learn from the server's count, and from what it refused before."""
        estimator = self._sizes.estimator
        texts = [message.content for message in self.request.messages]
        if usage and usage.prompt and not self.request.pictures:
            (estimator.refused if self._refused else self._sizes.answered)(self.model, texts, usage.prompt)
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

    @property
    def _attached(self) -> int:
        """How much of files is in the request that could be left out, in any measure."""
        return (len(self.filed.text) if self._share else 0) + len(self._pictures)

    async def _quote_files(self) -> FileQuotation:
        """The files: half of the window at most, a third beside the room; the question and the answer have their room
        first. Those of earlier questions: a quarter."""
        asked, count = self._asked, partial(self._sizes.estimator.count, self.model)
        earlier, files = asked.attached.quotable_earlier(), asked.attached.quotable(self._pictures)
        beside = self._beside(count)
        room = self._quotes and (asked.around.messages or asked.around.referred)
        most = min(self._limit // 3, 2 * beside // 3) if room else min(self._limit // 2, beside)
        most, old = (int(self._share * each) for each in (most, self._limit / 4))
        return await with_pauses(quote_all(files, most, earlier, old, count))

    def _beside(self, count: Callable[[str], int]) -> int:
        """The tokens that question, rules, pictures and answer leave."""
        asked = self._asked
        output = min(asked.settings.max_tokens or 1024, self._limit // 2)
        spent = count(asked.settings.prompt) + count(asked.question.words) + PICTURE_TOKENS * len(self._pictures)
        return int(0.94 * self._limit) - output - spent

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
        beside = min(beside, self._beside(count) - count(self.filed.text))
        return quote(asked.around, min(share, beside), count)

    async def _build(self, history: Sequence[Exchange]) -> Built:
        self.filed = await self._quote_files()
        self.quoted = self._quote()
        return build(
            self._asked.settings,
            history,
            self._asked.question,
            background=self._background,
            model=self.model,
            context=self._context,
            window=self._window,
            quoted="\n\n".join(filter(None, (self.quoted.text, self.filed.text))),
            pictures=self._pictures,
            summary=self._summary,
            max_output=self._max_output,
            estimator=self._sizes.estimator,
        )


def _exchanges(request: ChatRequest) -> int:
    """How many exchanges a request repeats: its other messages are the rules and the question."""
    return (len(request.messages) - 2) // 2
