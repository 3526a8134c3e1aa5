"""Undoing: the newest question of a lane and its answer are forgotten, and the answer leaves the screen."""

from dataclasses import replace

from core.commands.registry import Invocation
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Address, Author, Conversation, Exchange, Place, Rights
from core.domain.errors import UserError
from core.domain.turn_id import Step, first_turn
from core.reply.notices import take_away
from core.settings.parameters import ChannelSettings
from core.settings.routing import conversation_at
from core.store.records import ConversationLookups, State
from core.store.settings import SettingsStore
from core.turns.background import Background
from core.turns.surfaces import Surfaces

UNDONE = "Undone: I have forgotten your last question here and my answer to it."
OTHERS_UNDONE = "Undone: I have forgotten the last question here, which somebody else asked, and my answer to it."
TAKEN_BACK = "This answer was taken back."
BUSY = "I am still answering here. Press Stop or write `stop` first."
NOTHING = (
    "There is nothing to undo here. In a channel, you undo your own last question; in a thread, the last one there."
)
NOT_THE_LAST = "Only the newest answer here can be undone."
NOT_YOURS = "Only the person who asked and those who manage this channel can undo this answer."
GONE = "I no longer remember this answer."
FROM_MEMORY = (
    "Undone: I have forgotten this question and its answer. Only you could see them, and you can dismiss them."
)
STAYS = "Undone: I have forgotten it. I no longer know which messages show the answer, so they stay."


class Undoing:
    """Undoes answers, by command or by button. Raises StoreError."""

    def __init__(
        self, records: ConversationLookups, settings: SettingsStore, surfaces: Surfaces, background: Background
    ) -> None:
        self._records, self._settings = records, settings
        self._surfaces, self._background = surfaces, background

    async def commanded(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Undo the newest answer of the thread or, outside threads, the person's own newest one. Raises UserError."""
        place, author = invocation.place, invocation.author
        settings = await self._settings.of(place)
        found: list[tuple[Conversation, Exchange]] = []
        for person in (author.id, ""):  # also what only this person sees
            conversation = conversation_at(place, settings, person=person)
            of = [
                each
                for each in await self._records.history(conversation)
                if _is_here(each, conversation, place, author)
            ]
            found += [(conversation, each) for each in of[-1:]]
            running = [each.question for each in await self._records.running(conversation)]
            if any(
                place.thread in (each.place.thread, each.message) if place.thread else each.asked_by(author.id)
                for each in running
            ):
                raise UserError(BUSY)
        if not found:
            raise UserError(NOTHING)
        conversation, newest = max(found, key=lambda each: each[1].at)
        done = UNDONE if newest.asked_by(author.id) else OTHERS_UNDONE
        return await self._undo(conversation, newest, place, settings, author, rights) or Response(done)

    async def pressed(
        self, conversation: Conversation, message: str, place: Place, author: Author, rights: RightsOf
    ) -> Response | None:
        """Undo the answer in this message, if it is the newest of its lane. None: that it goes shows the result."""
        exchange = await self._records.exchange(conversation, message)
        if exchange is None:
            running = await self._records.running(conversation)
            return Response(BUSY if any(message in each.messages for each in running) else GONE)
        history = await self._records.history(conversation)
        lane = [each for each in history if _is_beside(each, exchange, direct=place.direct or bool(conversation.owner))]
        if lane and lane[-1].turn != exchange.turn:
            return Response(NOT_THE_LAST)
        try:
            return await self._undo(conversation, exchange, place, await self._settings.of(place), author, rights)
        except UserError as error:
            return Response(error.notice)

    async def _undo(
        self,
        conversation: Conversation,
        exchange: Exchange,
        place: Place,
        settings: ChannelSettings,
        author: Author,
        rights: RightsOf,
    ) -> Response | None:
        """Forget it first: what was forgotten may stay on screen after a crash, but not the other way round."""
        if not exchange.asked_by(author.id) and await rights() is Rights.NONE:
            raise UserError(NOT_YOURS)
        undone = await self._records.undo(conversation, exchange)
        if undone is None or isinstance(undone, State):
            raise UserError(BUSY if undone else GONE)
        if conversation.owner:
            return Response(FROM_MEMORY)
        if shown := undone.shown:
            surface, messages = self._surfaces.beside(shown.question, settings, Step.DELETED), shown.messages
        elif messages := _reply_of(exchange):
            address = _address_of(exchange, conversation, place, settings)
            surface = self._surfaces.at(address, exchange.turn, Step.DELETED)
        else:
            return Response(STAYS)
        self._background.start(take_away(surface, messages, TAKEN_BACK))
        return None


def _reply_of(exchange: Exchange) -> tuple[str, ...]:
    """The messages of an answer, as far as its exchange surely tells them from those of people: not so if it answers
    several questions, or one that was no message."""
    asked = first_turn(exchange.turn).endswith(f"/{next(iter(exchange.messages), None)}")
    return exchange.messages[1:] if asked and not exchange.others else ()


def _address_of(exchange: Exchange, conversation: Conversation, place: Place, settings: ChannelSettings) -> Address:
    """Where the answer to a message is, if the exchange is all that is known of it."""
    message = exchange.messages[0]
    return Address(
        replace(place, thread="" if exchange.thread == message else exchange.thread),
        settings.replies,
        message,
        author=exchange.author.id,
        conversation=conversation,
        turn=exchange.turn,
        streaming=settings.streaming,
    )


def _is_here(exchange: Exchange, conversation: Conversation, place: Place, author: Author) -> bool:
    """Whether a command in this place is about the lane of this exchange."""
    if place.thread:
        return bool(conversation.owner) or exchange.thread == place.thread
    return place.direct or exchange.asked_by(author.id)


def _is_beside(exchange: Exchange, other: Exchange, *, direct: bool) -> bool:
    """Whether two exchanges are of one lane: that of a thread or, outside threads, of a person."""
    return exchange.thread == other.thread and (bool(other.thread) or direct or exchange.asked_by(other.author.id))
