"""A turn without Redis: the assistant answers a mention on a surface, and nothing stores its progress."""

from core.domain.conversation import Conversation, Exchange, Lane
from core.domain.page import Page
from core.domain.ports import Surface
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.question import Question
from core.settings.parameters import ChannelSettings
from core.store.turns import Turn
from core.turns.assistant import Assistant


class _Nobody:
    """Stores no progress."""

    def on_edit(self, progress: Progress, page: Page) -> None:
        pass

    async def on_post(self, progress: Progress, page: Page) -> None:
        pass

    async def check(self) -> None:
        pass


async def answered(
    assistant: Assistant, mention: Question, settings: ChannelSettings, surface: Surface
) -> Exchange | None:
    """Answer completely, in a conversation of its own."""
    turn = Turn(Lane(Conversation(mention.id)), mention, 1, 1, 0, (), NOTHING_SHOWN)
    return (await assistant.answer(turn, settings, surface, _Nobody())).exchange
