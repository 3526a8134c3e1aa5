"""Edits: what becomes of a question and its answer when a message is changed or deleted."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from core.access.admission import Admission
from core.domain.conversation import Author, Place, Question
from core.domain.errors import PlatformError, StoreError
from core.domain.options import EditPolicy
from core.domain.page import Action, Page
from core.domain.progress import AnsweredQuestion
from core.inbound.buttons import again
from core.reply.notices import retract
from core.settings.parameters import ChannelSettings
from core.settings.routing import conversation_of
from core.store.records import ConversationLookups, State
from core.store.settings import SettingsStore
from core.turns.intake import Intake

CHANGED = "You changed your question."
# The store knows a question for an hour: an edit of an older message does not make it one. Seconds.
_NEW = 1800.0
# How often it is looked whether a question that was changed during its answer has it by now. Seconds.
_LOOK = 2.0


class EditHandler:
    """Serves what platforms tell of messages that exist already. All raise StoreError."""

    def __init__(self, intake: Intake, records: ConversationLookups, settings: SettingsStore, gate: Admission) -> None:
        self._intake, self._records, self._settings, self._gate = intake, records, settings, gate

    async def edited(self, mention: Question, *, asks: bool) -> None:
        """The message of this question reads differently now; `asks`: as it stands it puts a question to the bot."""
        settings = await self._settings.of(mention.place)
        conversation = conversation_of(mention, settings)
        known = await self._records.asked(conversation, mention.message)
        if known is None:
            # It may put the mention into a message that had none, but is mostly a new look at an answered question.
            fresh = asks and time.time() - mention.at < _NEW
            if fresh and not await self._records.exchange(conversation, mention.message):
                await self._intake.accept(mention)
            return
        state, shown = known
        if state is State.WAITING and not asks:
            # What it says now is not meant for the bot: nothing of it is stored.
            await self._records.delete(conversation, mention.message)
            return
        new = self._changed(shown.mention, mention)
        if new is None or (not asks and state is State.ENDED):
            return
        if state is State.WAITING:
            state = await self._records.edit(conversation, new) or State.ENDED
        if state is State.RUNNING:
            self._intake.beside(self._afterwards(conversation, mention, asks))
        elif state is State.ENDED:
            await self._answered(conversation, shown, new, settings)

    async def deleted(self, place: Place, message: str) -> None:
        """A message is gone: with a question its answer goes, with an answer what is remembered of it."""
        settings = await self._settings.of(place)
        asked = Question("", place, Author("", ""), "", message)
        # The thread may be one that the reply opened: then the question stood outside of it.
        places = {conversation_of(asked, settings), conversation_of(replace(asked, message=""), settings)}
        for conversation in sorted(places):
            found = await self._records.delete(conversation, message)
            question = found.shown.mention if found.shown else asked
            messages = found.shown.messages if found.shown else ()
            if found.exchange and not messages:
                first = message in found.exchange.messages[:1]
                question = replace(question, id=found.exchange.turn, author=found.exchange.author)
                messages = found.exchange.messages[1:] if first and question.id.endswith(f"/{message}") else ()
            if messages and message not in messages:
                surface = self._intake.surface(question, settings, f"{question.id}/deleted")
                self._intake.beside(retract(surface, messages))
            if found.running or found.waiting or found.exchange or found.shown:
                return

    def _changed(self, old: Question, edited: Question) -> Question | None:
        """The old mention in its new words; None if they are the same, or if it stands for several questions: asked
        again in the words of one, the others would lose their answer."""
        if old.others:
            return None
        new = self._gate.judged(edited)
        if (new.text, new.attachments, new.refusal) == (old.text, old.attachments, old.refusal):
            return None
        return replace(old, text=new.text, attachments=new.attachments, refusal=new.refusal)

    async def _answered(
        self, conversation: str, shown: AnsweredQuestion, new: Question, settings: ChannelSettings
    ) -> None:
        """An answered question is offered to be asked again, or is asked at once."""
        if settings.edits is EditPolicy.IGNORE or new.refusal:
            return
        if settings.edits is EditPolicy.RERUN:
            message = shown.messages[0]
            answered = await self._records.exchange(conversation, message) is not None
            await self._intake.accept(again(replace(shown, mention=new), answered=answered))
            return
        if not await self._records.revise(conversation, replace(shown, mention=new)):
            return
        # Another process may have heard of the same change.
        if not shown.offer and await self._intake.once(f"{shown.mention.id}/offer"):
            self._intake.beside(self._offer(conversation, replace(shown, mention=new), settings))

    async def _offer(self, conversation: str, shown: AnsweredQuestion, settings: ChannelSettings) -> None:
        """A message with a button. It counts as one of the answer's: asked again, the answer takes its place."""
        surface = self._intake.surface(shown.mention, settings, f"{shown.mention.id}/changed")
        with suppress(PlatformError, StoreError):
            message = await surface.post(Page("", foot=CHANGED, actions=(Action.AGAIN,)))
            await self._records.revise(conversation, replace(shown, messages=(*shown.messages, message), offer=message))

    async def _afterwards(self, conversation: str, mention: Question, asks: bool) -> None:
        """Changed while it was being answered: looked at again when it has its answer."""
        while True:
            await asyncio.sleep(_LOOK)
            with suppress(StoreError):
                known = await self._records.asked(conversation, mention.message)
                if known is None or known[0] is State.ENDED:
                    await self.edited(mention, asks=asks and known is not None)
                    return
