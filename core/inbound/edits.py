"""EditHandler: what happens to a question and its answer when somebody edits or deletes a message."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from core.access.admission import Admission
from core.domain.conversation import Address, Conversation, Place
from core.domain.errors import PlatformError, StoreError
from core.domain.options import EditPolicy
from core.domain.page import Action, Page
from core.domain.progress import AnsweredQuestion
from core.domain.question import NEW, Question
from core.domain.turn_id import Step, step_of
from core.inbound.buttons import regeneration
from core.reply.notices import retract
from core.settings.parameters import ChannelSettings
from core.settings.routing import address_of, conversation_at, conversation_of
from core.store.records import ConversationLookups, DeletedMessage, State
from core.store.settings import SettingsStore
from core.store.turns import Turns
from core.turns.background import Background
from core.turns.inbox import Inbox
from core.turns.surfaces import Surfaces

CHANGED = "You changed your question."
# The store knows a question for an hour, so an edit does not turn a message older than this into a new question.
_NEW_MESSAGE_SECONDS = 1800.0
# How often to check whether a question that was edited during its answer has that answer now.
_POLL_SECONDS = 2.0


class EditHandler:
    """Handles edits and deletions of messages. All methods raise StoreError."""

    def __init__(
        self,
        inbox: Inbox,
        turns: Turns,
        records: ConversationLookups,
        settings: SettingsStore,
        admission: Admission,
        surfaces: Surfaces,
        background: Background,
    ) -> None:
        self._inbox, self._turns, self._records = inbox, turns, records
        self._settings, self._admission = settings, admission
        self._surfaces, self._background = surfaces, background

    async def edited(self, question: Question, *, asks: bool) -> None:
        """The message of this question has a new text. `asks`: in its new form it asks the bot something.

        A follow-up without a mention still is one when its text changes, unless it now speaks to somebody else: then
        it is not `overheard`.
        """
        settings = await self._settings.of(question.place)
        conversation = conversation_of(question, settings)
        known = await self._records.asked(conversation, question.message)
        if known is None:
            await self._unknown(conversation, question, settings, asks=asks)
            return
        state, previous = known
        asks = asks or (question.overheard and previous.question.overheard)
        if state is State.WAITING and not asks:
            # The new text is not meant for the bot: store nothing of it.
            await self._records.delete(conversation, question.message)
            return
        new = self._changed(previous.question, question)
        unheard = not asks or (question.overheard and bool(settings.muted))
        if new is None or (unheard and state is State.ENDED):
            return
        if state is State.WAITING:
            state = await self._records.edit(conversation, new) or State.ENDED
        if state is State.RUNNING:
            self._background.start(self._look_again_later(conversation, question, asks))
        elif state is State.ENDED:
            await self._offer_again(conversation, previous, new, settings)

    async def knows(self, place: Place, message: str) -> bool:
        """Whether this message asked something that waits, runs, or was answered and is still remembered or told."""
        conversation = conversation_at(place, await self._settings.of(place), message=message)
        if await self._records.asked(conversation, message) or await self._records.exchange(conversation, message):
            return True
        return await self._records.summarises(conversation, message)

    async def _unknown(
        self, conversation: Conversation, question: Question, settings: ChannelSettings, *, asks: bool
    ) -> None:
        """An edit of a message that neither waits nor was answered lately. It may add the mention that was missing.
        Usually it concerns an old question: what was taken out of that is not remembered any more either, nor told in a
        summary, since nobody can have it answered anew. Other questions that share its answer are not forgotten for it.
        """
        ignored = settings.edits is EditPolicy.IGNORE
        exchange = await self._records.exchange(conversation, question.message)
        if exchange is None:
            if not ignored and await self._records.summarises(conversation, question.message):
                await self._records.delete(conversation, question.message)
            if asks and time.time() - question.at < _NEW_MESSAGE_SECONDS:
                await self._inbox.accept(question)
            return
        own = exchange.messages[:1] == (question.message,) and not exchange.others
        now = self._admission.judged(question)
        # an older version did not store the names of files
        if own and not ignored and exchange.question not in (now.words, now.text):
            await self._records.delete(conversation, question.message)

    async def deleted(self, place: Place, message: str) -> None:
        """A message was deleted. A question takes its answer with it; an answer, what is remembered of it."""
        settings = await self._settings.of(place)
        # The reply may have opened this thread: then the question is outside it.
        either = {conversation_at(place, settings, message=each) for each in (message, "")}
        for conversation in sorted(either, key=lambda each: each.name):
            found = await self._records.delete(conversation, message)
            address, messages = _reply_to(message, found, place, settings, conversation)
            if messages and message not in messages:
                surface = self._surfaces.at(address, address.turn, Step.DELETED)
                self._background.start(retract(surface, messages))
            if found.running or found.waiting or found.exchange or found.shown:
                return

    def _changed(self, old: Question, edited: Question) -> Question | None:
        """The old question with its new text. None if nothing changed, or if the question combines several: asked
        again with the text of one, the others would lose their answer."""
        if old.others:
            return None
        new = self._admission.judged(edited)
        said = [
            (each.text, [file.identity for file in each.attachments], each.declined, each.model, each.draws)
            for each in (old, new)
        ]
        if said[0] == said[1]:
            return None
        kind = new.declined or (NEW if old.declined else old.kind)
        return replace(old, text=new.text, attachments=new.attachments, kind=kind, model=new.model, draws=new.draws)

    async def _offer_again(
        self, conversation: Conversation, previous: AnsweredQuestion, new: Question, settings: ChannelSettings
    ) -> None:
        """Offer to ask an answered question again, or ask it at once."""
        if settings.edits is EditPolicy.IGNORE or new.declined:
            return
        if settings.edits is EditPolicy.RERUN:
            message = previous.messages[0]
            answer = await self._records.exchange(conversation, message)
            await self._inbox.accept(regeneration(replace(previous, question=new), answer))
            return
        if not await self._records.revise(conversation, replace(previous, question=new)):
            return
        # Another process may have heard of the same edit.
        if not previous.offer and await self._turns.once(step_of(previous.question.id, Step.OFFER)):
            self._background.start(self._offer(conversation, replace(previous, question=new), settings))

    async def _offer(self, conversation: Conversation, previous: AnsweredQuestion, settings: ChannelSettings) -> None:
        """Post a message with a button. It counts as one of the answer's messages, so a new answer replaces it too."""
        surface = self._surfaces.beside(previous.question, settings, Step.CHANGED)
        with suppress(PlatformError, StoreError):
            message = (await surface.post(Page("", foot=CHANGED, actions=(Action.AGAIN,)))).id
            await self._records.revise(
                conversation, replace(previous, messages=(*previous.messages, message), offer=message)
            )

    async def _look_again_later(self, conversation: Conversation, question: Question, asks: bool) -> None:
        """The question was edited during its answer: look at it again when the answer is complete."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            with suppress(StoreError):
                known = await self._records.asked(conversation, question.message)
                if known is None or known[0] is State.ENDED:
                    await self.edited(question, asks=asks and known is not None)
                    return


def _reply_to(
    message: str, found: DeletedMessage, place: Place, settings: ChannelSettings, conversation: Conversation
) -> tuple[Address, tuple[str, ...]]:
    """Where the reply to a deleted question is, and its messages; none if an answer was deleted, or is not known."""
    if found.shown:
        return address_of(found.shown.question, settings), found.shown.messages
    address = Address(place, settings.replies, message, conversation=conversation, streaming=settings.streaming)
    exchange = found.exchange
    if exchange is None:
        return address, ()
    address = replace(address, author=exchange.author.id, turn=exchange.turn)
    # The id of a turn ends with the message that asked: not so if that was a press or a command.
    asked = message in exchange.messages[:1] and exchange.turn.endswith(f"/{message}")
    return address, exchange.messages[1:] if asked else ()
