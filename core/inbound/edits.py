"""EditHandler: what happens to a question and its answer when somebody edits or deletes a message."""

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
from core.inbound.buttons import regeneration
from core.reply.notices import retract
from core.settings.parameters import ChannelSettings
from core.settings.routing import conversation_of
from core.store.records import ConversationLookups, State
from core.store.settings import SettingsStore
from core.turns.intake import Intake

CHANGED = "You changed your question."
# The store knows a question for an hour, so an edit does not turn a message older than this into a new question.
_NEW_MESSAGE_SECONDS = 1800.0
# How often to check whether a question that was edited during its answer has that answer now.
_POLL_SECONDS = 2.0


class EditHandler:
    """Handles edits and deletions of messages. All methods raise StoreError."""

    def __init__(
        self, intake: Intake, records: ConversationLookups, settings: SettingsStore, admission: Admission
    ) -> None:
        self._intake, self._records, self._settings, self._admission = intake, records, settings, admission

    async def edited(self, question: Question, *, asks: bool) -> None:
        """The message of this question has a new text. `asks`: in its new form it asks the bot something."""
        settings = await self._settings.of(question.place)
        conversation = conversation_of(question, settings)
        known = await self._records.asked(conversation, question.message)
        if known is None:
            # The edit may add the mention that was missing, but usually it concerns a question answered long ago.
            fresh = asks and time.time() - question.at < _NEW_MESSAGE_SECONDS
            if fresh and not await self._records.exchange(conversation, question.message):
                await self._intake.accept(question)
            return
        state, previous = known
        if state is State.WAITING and not asks:
            # The new text is not meant for the bot: store nothing of it.
            await self._records.delete(conversation, question.message)
            return
        new = self._changed(previous.mention, question)
        if new is None or (not asks and state is State.ENDED):
            return
        if state is State.WAITING:
            state = await self._records.edit(conversation, new) or State.ENDED
        if state is State.RUNNING:
            self._intake.in_background(self._look_again_later(conversation, question, asks))
        elif state is State.ENDED:
            await self._offer_again(conversation, previous, new, settings)

    async def deleted(self, place: Place, message: str) -> None:
        """A message was deleted. A question takes its answer with it; an answer, what is remembered of it."""
        settings = await self._settings.of(place)
        asked = Question("", place, Author("", ""), "", message)
        # The reply may have opened this thread: then the question is outside it.
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
                self._intake.in_background(retract(surface, messages))
            if found.running or found.waiting or found.exchange or found.shown:
                return

    def _changed(self, old: Question, edited: Question) -> Question | None:
        """The old question with its new text. None if nothing changed, or if the question combines several: asked
        again with the text of one, the others would lose their answer."""
        if old.others:
            return None
        new = self._admission.judged(edited)
        if (new.text, new.attachments, new.refusal) == (old.text, old.attachments, old.refusal):
            return None
        return replace(old, text=new.text, attachments=new.attachments, refusal=new.refusal)

    async def _offer_again(
        self, conversation: str, previous: AnsweredQuestion, new: Question, settings: ChannelSettings
    ) -> None:
        """Offer to ask an answered question again, or ask it at once."""
        if settings.edits is EditPolicy.IGNORE or new.refusal:
            return
        if settings.edits is EditPolicy.RERUN:
            message = previous.messages[0]
            answered = await self._records.exchange(conversation, message) is not None
            await self._intake.accept(regeneration(replace(previous, mention=new), answered=answered))
            return
        if not await self._records.revise(conversation, replace(previous, mention=new)):
            return
        # Another process may have heard of the same edit.
        if not previous.offer and await self._intake.once(f"{previous.mention.id}/offer"):
            self._intake.in_background(self._offer(conversation, replace(previous, mention=new), settings))

    async def _offer(self, conversation: str, previous: AnsweredQuestion, settings: ChannelSettings) -> None:
        """Post a message with a button. It counts as one of the answer's messages, so a new answer replaces it too."""
        surface = self._intake.surface(previous.mention, settings, f"{previous.mention.id}/changed")
        with suppress(PlatformError, StoreError):
            message = await surface.post(Page("", foot=CHANGED, actions=(Action.AGAIN,)))
            await self._records.revise(
                conversation, replace(previous, messages=(*previous.messages, message), offer=message)
            )

    async def _look_again_later(self, conversation: str, question: Question, asks: bool) -> None:
        """The question was edited during its answer: look at it again when the answer is complete."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            with suppress(StoreError):
                known = await self._records.asked(conversation, question.message)
                if known is None or known[0] is State.ENDED:
                    await self.edited(question, asks=asks and known is not None)
                    return
