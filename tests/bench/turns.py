"""A turn without Redis: the assistant answers a mention on a surface, and nobody keeps how far it came."""

from core.assistant import Assistant
from core.model import NOTHING_SHOWN, Exchange, Mention, Progress
from core.ports import Surface
from core.settings import ChannelSettings
from core.store.turns import Turn


class _Nobody:
    """Keeps no progress."""

    def drawn(self, progress: Progress) -> None:
        pass

    async def posted(self, progress: Progress) -> None:
        pass


async def answered(
    assistant: Assistant, mention: Mention, settings: ChannelSettings, surface: Surface
) -> Exchange | None:
    """Answer to the end, as a conversation of its own."""
    turn = Turn(mention.id, mention, 1, 1, 0, (), NOTHING_SHOWN)
    return (await assistant.answer(turn, settings, surface, _Nobody())).exchange
