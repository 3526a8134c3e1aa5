"""Routing: which conversation a question belongs to, and where its reply goes."""

from core.domain.conversation import Address, Question
from core.domain.options import Memory, Placement
from core.settings.parameters import ChannelSettings


def conversation_of(question: Question, settings: ChannelSettings) -> str:
    """Name the conversation of a question: it sees this conversation's history and waits for its running turn."""
    place = question.place
    if question.private:
        return f"{place.name}/private/{question.author.id}"
    if settings.memory is Memory.CHANNEL:
        return place.scopes[1]
    opens_thread = settings.replies is Placement.THREAD and question.message and not place.thread and not place.direct
    # On both platforms the thread that the reply will open is named after the message to which it belongs.
    return f"{place.name}/{question.message}" if opens_thread else place.name


def address_of(question: Question, settings: ChannelSettings, *, adopted: bool = False) -> Address:
    """Return where the reply to a question goes; `adopted` if another process accepted the question."""
    return Address(
        place=question.place,
        placement=settings.replies,
        message=question.message,
        interaction=question.interaction,
        expires=question.expires,
        author=question.author.id,
        adopted=adopted,
        conversation=conversation_of(question, settings),
        turn=question.id,
        private=question.private,
        streaming=settings.streaming,
    )
