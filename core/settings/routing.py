"""Routing: which conversation and which of its lanes a question belongs to, and where its reply goes."""

from core.domain.conversation import Address, Conversation, Lane, Place
from core.domain.options import Memory, Placement
from core.domain.question import Question
from core.settings.parameters import ChannelSettings, Layer


def conversation_of(question: Question, settings: ChannelSettings) -> Conversation:
    """The conversation of a question, whose history it sees."""
    person = question.author.id if question.private else ""
    return conversation_at(question.place, settings, message=question.message, person=person)


def conversation_at(place: Place, settings: ChannelSettings, *, message: str = "", person: str = "") -> Conversation:
    """The conversation of what is asked in this place. `message`: the one that asks, if a message does. `person`: who
    alone sees question and answer; "" if everybody does."""
    if person:
        return Conversation(place.name, person)
    if settings.memory is Memory.CHANNEL:
        return Conversation(place.channel_scope)
    # On both platforms the thread that the reply will open is named after the message to which it belongs.
    return Conversation(f"{place.name}/{message}" if _opens_thread(place, settings, message) else place.name)


def lane_of(question: Question, settings: ChannelSettings) -> Lane:
    """The lane of a question, where it waits for those before it: that of its thread or, where replies go into the
    channel, of its author. A direct message is one lane, and so is a channel that gives one answer at a time."""
    place, name = question.place, ""
    # A reply in a direct message may be in the thread under its question or beside it: all of it is one lane.
    if settings.parallel > 1 and not question.private and not place.direct:
        name = thread_of(question, settings) or question.author.id
    return Lane(conversation_of(question, settings), name)


def thread_of(question: Question, settings: ChannelSettings) -> str:
    """The thread to which a question and its answer belong: the one in which it was asked, or which the reply opens.
    "" for the channel itself, and for a direct message outside threads, whatever hangs on it."""
    return question.place.thread or (
        question.message if _opens_thread(question.place, settings, question.message) else ""
    )


def usual_layer(place: Place, settings: ChannelSettings) -> Layer:
    """The layer that a command changes here, unless somebody names another one: a thread with its own memory has its
    own settings; any other follows its channel."""
    return Layer.THREAD if place.thread and settings.memory is Memory.THREAD else Layer.CHANNEL


def _opens_thread(place: Place, settings: ChannelSettings, message: str) -> bool:
    return bool(settings.replies is Placement.THREAD and message and not place.thread and not place.direct)


def address_of(question: Question, settings: ChannelSettings, *, adopted: bool = False) -> Address:
    """Return where the reply to a question goes; `adopted` if another process accepted the question."""
    return Address(
        place=question.place,
        placement=settings.replies,
        message=question.message,
        interaction=question.interaction,
        author=question.author.id,
        adopted=adopted,
        conversation=conversation_of(question, settings),
        turn=question.id,
        private=question.private,
        streaming=settings.streaming,
    )
