"""Assistant: one turn from question to shown answer; one task reads the model, another shows the reply."""

import asyncio
import logging
import time
from contextlib import suppress

from core.errors import ModelError, NebulaBotError, PlatformError
from core.latest import Latest
from core.model import Exchange, Mention
from core.pace import Pacer
from core.painter import Keeper, Painter
from core.ports import ChatModel, Status, Surface
from core.prompt import build
from core.reply import Phase, Reply
from core.settings import ChannelSettings
from core.store.turns import Turn
from core.tokens import TokenEstimator

log = logging.getLogger(__name__)

# How often the sign that the model is being asked is shown again, in seconds: Discord's typing indicator
# lasts 10 s (docs.discord.com, Trigger Typing Indicator), Slack's status 2 min.
SIGN_SECONDS = 8.0


class Assistant:
    """Answers turns with a model. Keeps nothing between turns but its guesses of token counts."""

    def __init__(self, model: ChatModel, pacer: Pacer, *, context: int) -> None:
        """`context`: tokens that a model takes when the catalog does not say."""
        self._model = model
        self._pacer = pacer
        self._context = context
        self._estimator = TokenEstimator()
        self._running: dict[str, asyncio.Timeout] = {}

    def stop(self, conversation: str) -> bool:
        """End the model's request of this conversation, keeping the text so far; False when none runs here."""
        scope = self._running.pop(conversation, None)  # a second stop finds none
        if scope is None:
            return False
        scope.reschedule(asyncio.get_running_loop().time())
        return True

    async def answer(
        self, turn: Turn, settings: ChannelSettings, surface: Surface, keeper: Keeper, *, refusal: str = ""
    ) -> Exchange | None:
        """Answer and show it; returns what was said, or None if nothing was.

        `keeper` is told what of the reply is on screen. With `refusal`, that sentence is the whole reply and the
        model is not asked.
        """
        cell = Latest(Reply())
        painter = Painter(cell, surface, self._pacer, keeper, turn.progress, heading=_heading(turn.mention))
        try:
            async with asyncio.TaskGroup() as group:
                signs = group.create_task(_signs(surface, painter.visible))
                group.create_task(self._write(turn, settings, cell, refusal))
                await painter.paint()
                signs.cancel()
        except* PlatformError as lost:
            # Somebody deleted the reply or its place, or took our right to write: the answer has no reader.
            log.warning("turn %s lost its surface: %s", turn.mention.id, lost.exceptions[0])
        with suppress(PlatformError):
            await surface.status(Status.NONE)
        reply = cell.value
        if not reply.text or not painter.messages:
            return None
        question = turn.mention
        return Exchange(
            turn=question.id,
            author=question.author,
            question=question.text,
            answer=reply.text,
            messages=(*filter(None, (question.message,)), *painter.messages),
            at=question.at,
            model=settings.model,
        )

    async def _write(self, turn: Turn, settings: ChannelSettings, cell: Latest[Reply], refusal: str) -> None:
        """Read the model's stream as fast as it comes; every piece replaces the newest reply in the cell."""
        if refusal:
            cell.set(cell.value.to(Phase.DONE, refusal))
            return
        cell.set(cell.value.to(Phase.THINKING))
        try:
            async with asyncio.timeout(None) as scope:
                self._running[turn.conversation] = scope
                await self._stream(turn, settings, cell)
            cell.set(cell.value.to(Phase.DONE))
        except TimeoutError:  # our own scope, ended by stop(): the model's timeouts are ModelErrors
            cell.set(cell.value.to(Phase.STOPPED))
        except ModelError as error:
            log.warning("turn %s: %s: %s", turn.mention.id, type(error).__name__, error)
            cell.set(cell.value.to(Phase.FAILED, error.notice))
        except Exception:
            # A defect of ours must not leave people before a reply that never ends.
            log.exception("turn %s failed", turn.mention.id)
            cell.set(cell.value.to(Phase.FAILED, NebulaBotError.notice))
        finally:
            self._running.pop(turn.conversation, None)

    async def _stream(self, turn: Turn, settings: ChannelSettings, cell: Latest[Reply]) -> None:
        catalog = await self._model.catalog()
        info = catalog.find(settings.model)
        model = info.name if info else settings.model
        request = build(
            settings,
            turn.history,
            turn.mention,
            model=model,
            context=(info.context if info else None) or self._context,
            max_output=info.max_output if info else None,
            estimator=self._estimator,
        )
        async with self._model.stream(request) as deltas:
            async for delta in deltas:
                cell.set(cell.value.add(delta, time.monotonic()))
        usage = cell.value.usage
        if usage and usage.prompt:
            self._estimator.learn(model, [message.content for message in request.messages], usage.prompt)


def _heading(mention: Mention) -> str:
    """Small print above the reply: a command's question, which nobody else could read; files left unread."""
    if mention.refusal:
        return ""
    lines = []
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
    while not visible.is_set():
        with suppress(PlatformError):
            await surface.status(Status.THINKING)
        with suppress(TimeoutError):
            async with asyncio.timeout(SIGN_SECONDS):
                await visible.wait()
