"""Assistant: one turn from question to shown answer; one task reads the model, another shows the reply."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from core import metrics
from core.domain.beat import Beat
from core.domain.conversation import Author, Exchange
from core.domain.errors import Gone, ModelError, NebulaBotError, PlatformError
from core.domain.options import Streaming, Switch
from core.domain.ports import NO_SIGN, ChatModel, QuestionStatus, Status, Surface
from core.prompt.build import build
from core.prompt.tokens import TokenEstimator
from core.ratelimit.limiter import RateLimiter
from core.reply.latest import Latest
from core.reply.layout import ReplyStyle
from core.reply.publisher import CheckpointListener, ReplyPublisher
from core.reply.state import Phase, Reply
from core.settings.parameters import ChannelSettings
from core.store.turns import Turn

log = logging.getLogger(__name__)

# How often the sign that the model is being asked is shown again, in seconds: Discord's typing indicator
# lasts 10 s (docs.discord.com, Trigger Typing Indicator), Slack's status 2 min.
SIGN_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a turn came to: what was said, None if nothing was, and where, if it can be asked for again.

    `stopped`: somebody ended it. `tokens`: what it cost, guessed from the text alone where the server did not say.
    """

    exchange: Exchange | None
    messages: tuple[str, ...] = ()
    stopped: bool = False
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence in place of an answer; `again`: the question can be asked again with a button."""

    sentence: str
    again: bool = False


class Assistant:
    """Answers turns with a model. Keeps nothing between turns but its guesses of token counts."""

    def __init__(self, model: ChatModel, pacer: RateLimiter, *, context: int, pages: int = 10) -> None:
        """`context`: tokens that a model takes when the catalog does not say. `pages`: messages of a reply, beyond
        which its text is attached as a file."""
        self._model = model
        self._pacer = pacer
        self._context = context
        self._most_pages = pages
        self._estimator = TokenEstimator()
        self._running: dict[str, asyncio.Timeout] = {}  # by the mention's id

    def stop(self, turn: str) -> bool:
        """End the model's request for this mention, keeping the text so far; False when none runs here."""
        scope = self._running.pop(turn, None)  # a second stop finds none
        if scope is None:
            return False
        scope.reschedule(asyncio.get_running_loop().time())
        return True

    async def answer(
        self,
        turn: Turn,
        settings: ChannelSettings,
        surface: Surface,
        keeper: CheckpointListener,
        *,
        refusal: Refusal | None = None,
    ) -> Answered:
        """Answer and show it; returns what was said, and where.

        `keeper` is told what of the reply is on screen. With `refusal`, that is the whole reply and the model is not
        asked. Raises Stale.
        """
        question = turn.mention
        fresh = question.at and turn.attempt == 1 and not question.redo
        with metrics.turn(question.place.platform, time.time() - question.at if fresh else None) as measured:
            return await self._answer(turn, settings, surface, keeper, refusal, measured)

    async def _answer(
        self,
        turn: Turn,
        settings: ChannelSettings,
        surface: Surface,
        keeper: CheckpointListener,
        refusal: Refusal | None,
        measured: metrics.Turn,
    ) -> Answered:
        cell, beat = Latest(Reply()), Beat()
        style = ReplyStyle(
            reasoning=settings.reasoning,
            buttons=settings.buttons is Switch.ON,
            model=settings.model if settings.footer is Switch.ON else "",
            pages=self._most_pages,
            live=settings.streaming is not Streaming.OFF,
            by_status=surface.by_status,
            append_only=surface.append_only,
            again=not turn.mention.private,
        )
        keep = turn.mention.redo is not None and turn.mention.redo.answered
        heading, halt = _heading(turn), partial(self.stop, turn.mention.id)
        painter = ReplyPublisher(
            cell,
            surface,
            self._pacer,
            keeper,
            turn.progress,
            beat,
            heading=heading,
            style=style,
            halt=halt,
            keep=keep,
            platform=turn.mention.place.platform,
        )
        gone = False
        try:
            async with asyncio.TaskGroup() as group:
                signs = group.create_task(_signs(surface, painter.visible))
                group.create_task(self._write(turn, settings, cell, beat, refusal))
                await painter.publish()
                signs.cancel()
            measured.end = "refused" if refusal else cell.value.phase.value
        except* PlatformError as lost:
            # Somebody deleted the reply or its place, or took our right to write: the answer has no reader.
            log.warning("turn %s lost its surface: %s", turn.mention.id, lost.exceptions[0])
            gone = lost.subgroup(Gone) is not None
            measured.end = "lost"
        with suppress(PlatformError):
            await surface.status(NO_SIGN)
        reply, messages = cell.value, tuple(painter.messages)
        asked_for_again = messages if not gone and reply.asked is not None and not turn.mention.private else ()
        stopped, tokens = reply.phase is Phase.STOPPED, self._cost(reply, settings.model)
        if not reply.text or not messages or gone:  # what was taken away is not remembered
            return Answered(None, asked_for_again, stopped, tokens)
        question = turn.mention
        exchange = Exchange(
            turn=question.id,
            author=Author(question.author.id, question.author.name),
            question=question.text,
            answer=reply.text,
            messages=(*filter(None, (each.message for each in (question, *turn.also))), *messages),
            at=question.at,
            model=reply.model or settings.model,
            others=question.others,
        )
        return Answered(exchange, asked_for_again, stopped, tokens)

    def _cost(self, reply: Reply, model: str) -> int:
        if reply.usage:
            return reply.usage.prompt + reply.usage.completion
        said = reply.thought + reply.text
        return self._estimator.count(reply.model or model, said) if said and reply.asked is not None else 0

    async def _write(
        self, turn: Turn, settings: ChannelSettings, cell: Latest[Reply], beat: Beat, refusal: Refusal | None
    ) -> None:
        """Read the model's stream as fast as it comes; every piece replaces the newest reply in the cell."""
        if refusal:
            asked = time.monotonic() if refusal.again else None
            cell.close(cell.value.to(Phase.FAILED if refusal.again else Phase.DONE, refusal.sentence, asked=asked))
            return
        cell.set(cell.value.to(Phase.THINKING, asked=time.monotonic()))
        try:
            async with asyncio.timeout(None) as scope:
                self._running[turn.mention.id] = scope
                await self._stream(turn, settings, cell, beat)
            cell.close(cell.value.to(Phase.DONE, ended=time.monotonic()))
        except TimeoutError:  # our own scope, ended by stop(): the model's timeouts are ModelErrors
            cell.close(cell.value.to(Phase.STOPPED, ended=time.monotonic()))
        except ModelError as error:
            log.warning("turn %s: %s: %s", turn.mention.id, type(error).__name__, error)
            cell.close(cell.value.to(Phase.FAILED, error.notice))
        except Exception:
            # A defect of ours must not leave people before a reply that never ends.
            log.exception("turn %s failed", turn.mention.id)
            cell.close(cell.value.to(Phase.FAILED, NebulaBotError.notice))
        finally:
            self._running.pop(turn.mention.id, None)
            _measure(cell.value, turn.mention.place.platform)

    async def _stream(self, turn: Turn, settings: ChannelSettings, cell: Latest[Reply], beat: Beat) -> None:
        catalog = await self._model.catalog()
        info = catalog.find(settings.model)
        model = info.name if info else settings.model
        request = build(
            settings,
            _before(turn),
            turn.mention,
            model=model,
            context=(info.context if info else None) or self._context,
            max_output=info.max_output if info else None,
            estimator=self._estimator,
        )
        async with self._model.stream(request, beat) as deltas:
            async for delta in deltas:
                cell.set(cell.value.add(delta, time.monotonic()))
        usage = cell.value.usage
        if usage and usage.prompt and not cell.value.model:
            self._estimator.learn(model, [message.content for message in request.messages], usage.prompt)


def _measure(reply: Reply, platform: str) -> None:
    """How long the model took to begin, and what the answer cost."""
    begun = [moment for moment in (reply.thought_since, reply.text_since) if moment is not None]
    if begun and reply.asked is not None:
        metrics.FIRST_TOKEN_SECONDS.observe(min(begun) - reply.asked)
    if usage := reply.usage:
        metrics.TOKENS.labels(platform, "prompt").inc(max(0, usage.prompt))
        metrics.TOKENS.labels(platform, "completion").inc(max(0, usage.completion))


def _before(turn: Turn) -> tuple[Exchange, ...]:
    """The history as the question saw it, or is to see it: without the answer to be replaced and what followed that,
    and up to the answer that is gone on with."""
    mention, history = turn.mention, turn.history
    if redo := mention.redo:
        known = any(each.turn == redo.turn for each in history)
        return tuple(takewhile(lambda each: each.turn != redo.turn if known else each.at <= mention.at, history))
    places = [place for place, each in enumerate(history) if each.turn == mention.after]
    return history[: places[-1] + 1] if places else history


def _heading(turn: Turn) -> str:
    """Small print above the reply: a command's question, which nobody else could read; files left unread; that several
    questions are answered together."""
    mention = turn.mention
    if mention.refusal:
        return ""
    lines = []
    if turn.also:
        lines.append(f"To the last {len(turn.also) + 1} questions.")
    if not (mention.message or mention.place.direct):
        lines.append(f"{mention.author.name}: {_short(mention.text)}")
    if mention.attachments:
        lines.append(f"I read text only, not {_short(', '.join(each.name for each in mention.attachments))}.")
    return "\n".join(lines)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


async def _signs(surface: Surface, visible: asyncio.Event) -> None:
    """Show that the question is being thought about, until there is something to read."""
    since = time.monotonic()
    while not visible.is_set():
        with suppress(PlatformError):
            await surface.status(QuestionStatus(Status.THINKING, seconds=time.monotonic() - since))
        with suppress(TimeoutError):
            async with asyncio.timeout(SIGN_SECONDS):
                await visible.wait()
