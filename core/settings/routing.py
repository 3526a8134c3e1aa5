"""Which conversation a question belongs to, and where its reply goes."""

from core.domain.conversation import Address, Question
from core.domain.options import Memory, Placement
from core.settings.parameters import ChannelSettings


def conversation_of(mention: Question, settings: ChannelSettings) -> str:
    """The name of the conversation that a mention belongs to: whose history it sees, and whose turn it waits for."""
    place = mention.place
    if mention.private:
        return f"{place.name}/private/{mention.author.id}"
    if settings.memory is Memory.CHANNEL:
        return place.scopes[1]
    opens_thread = settings.replies is Placement.THREAD and mention.message and not place.thread and not place.direct
    # The thread that the reply will open is named after the message it hangs on, on both platforms.
    return f"{place.name}/{mention.message}" if opens_thread else place.name


def address_of(mention: Question, settings: ChannelSettings, *, adopted: bool = False) -> Address:
    """Where the reply to a mention goes; `adopted` when another process accepted it."""
    return Address(
        place=mention.place,
        placement=settings.replies,
        message=mention.message,
        interaction=mention.interaction,
        expires=mention.expires,
        author=mention.author.id,
        adopted=adopted,
        conversation=conversation_of(mention, settings),
        turn=mention.id,
        private=mention.private,
        streaming=settings.streaming,
    )
