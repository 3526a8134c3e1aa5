"""Titles: gives a chat that a question began its title, once, beside the turns and whether or not it succeeds."""

import asyncio
import logging

from core import metrics
from core.awake import awake
from core.domain.errors import ModelError, PlatformError, StoreError
from core.domain.ports import ChatModel
from core.domain.question import New
from core.domain.turn_id import Step, TurnId, step_of
from core.prompt.titling import first_words, title_of, title_request
from core.settings.parameters import ChannelSettings
from core.store.records import ConversationLookups
from core.store.turns import Turn, Turns
from core.turns.background import Background
from core.turns.surfaces import Surfaces

log = logging.getLogger(__name__)

# How long a title may wait to be asked for: it gives way to every question that waits for the account's limits.
PATIENCE_SECONDS = 1.0
# And how long the model may take.
ANSWER_SECONDS = 30.0


class Titles:
    """One per process. A title is tried once; if that fails, the first words of the question stay."""

    def __init__(
        self,
        model: ChatModel,
        turns: Turns,
        records: ConversationLookups,
        surfaces: Surfaces,
        background: Background,
    ) -> None:
        self._model, self._turns, self._records = model, turns, records
        self._surfaces, self._background = surfaces, background
        self._showing: dict[TurnId, asyncio.Event] = {}  # first words on their way, which must not land after a title

    def begun(self, turn: Turn, settings: ChannelSettings) -> None:
        """A turn begins: until its chat has a title, show the first words."""
        if (chat := self._chat(turn, settings)) and turn.attempt == 1:
            shown = self._showing[turn.question.id] = asyncio.Event()  # before the turn can have ended
            self._background.start(self._show_first_words(turn, settings, chat, shown))

    def answered(self, turn: Turn, settings: ChannelSettings) -> None:
        """The turn ended with an answer."""
        if chat := self._chat(turn, settings):
            self._background.start(self._name(turn, settings, chat))

    def _chat(self, turn: Turn, settings: ChannelSettings) -> str:
        """The id of the chat that the question began, "" if it began none, or if others must not read of it."""
        question = turn.question
        if question.private or not question.message or not isinstance(question.kind, New):
            return ""
        return self._surfaces.chat(question, settings)

    async def _show_first_words(self, turn: Turn, settings: ChannelSettings, chat: str, shown: asyncio.Event) -> None:
        try:
            if (words := first_words(turn.question.text)) and await self._is_first(turn, chat, Step.BEGUN):
                await self._surfaces.entitle(turn.question, settings, words, begun=True)
        except (PlatformError, StoreError) as error:
            log.info("turn %s: its chat has no title yet: %s", turn.question.id, error)
        except Exception:
            log.exception("turn %s: its chat has no title yet", turn.question.id)
        finally:
            shown.set()
            if self._showing.get(turn.question.id) is shown:
                del self._showing[turn.question.id]

    async def _name(self, turn: Turn, settings: ChannelSettings, chat: str) -> None:
        question, now = turn.question, asyncio.get_running_loop().time
        try:
            if not await self._records.answered(turn.conversation, question.id):  # it was to be forgotten meanwhile
                return
            if not await self._is_first(turn, chat, Step.TITLED):
                return
            async with awake(ANSWER_SECONDS):
                answer = await self._model.complete(
                    title_request(settings.model, question.words, now() + PATIENCE_SECONDS)
                )
            metrics.TOKENS.labels(question.place.platform, "prompt").inc(answer.usage.prompt)
            metrics.TOKENS.labels(question.place.platform, "completion").inc(answer.usage.completion)
            if showing := self._showing.get(question.id):
                await showing.wait()
            if title := title_of(answer):
                await self._surfaces.entitle(question, settings, title)
        except (ModelError, PlatformError, StoreError, TimeoutError) as error:
            log.info("turn %s: no title for its chat: %s: %s", question.id, type(error).__name__, error)
        except Exception:
            log.exception("turn %s: no title for its chat", question.id)

    async def _is_first(self, turn: Turn, chat: str, step: Step) -> bool:
        name = TurnId(f"{turn.question.place.channel_scope}/{chat}")
        return await self._turns.once(step_of(name, step))
