"""What people see before they ask: suggestions when they open the app's pane, an introduction where it is added."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cachetools import TTLCache

from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import Capabilities, Identity
from bots.slack.inbound.payloads import place, string
from bots.slack.outbound import responses
from bots.slack.outbound.agent_pane import AgentPane
from bots.slack.outbound.surface import SlackSurface
from core.commands.responses import Response
from core.domain.conversation import Address, Place
from core.domain.errors import PlatformError, StoreError
from core.domain.options import Placement, Streaming
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

# How long, and for how many people, it is remembered which suggestions a pane shows.
_SHOWN_SECONDS, _PANES = 3600.0, 10_000


class Greetings:
    """Handles the events of Slack that come before any question."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Identity,
        capabilities: Capabilities,
        pane: AgentPane,
        surface: Callable[[Address], SlackSurface],
        tasks: TaskSupervisor,
    ) -> None:
        self._dispatcher, self._me, self._capabilities = dispatcher, me, capabilities
        self._pane, self._surface, self._tasks = pane, surface, tasks
        self._shown: TTLCache[tuple[str, str], tuple[str, ...]] = TTLCache(_PANES, _SHOWN_SECONDS)

    async def opened(self, event: dict[str, Any]) -> None:
        """Somebody opened the messages of the app (app_home_opened) or, with Slack's older assistant, a new chat
        (assistant_thread_started); docs.slack.dev/reference/events."""
        chat = event.get("assistant_thread")
        older = chat if isinstance(chat, dict) else {}
        if event.get("type") == "app_home_opened" and event.get("tab") != "messages":
            return
        try:
            where = place(older.get("channel_id") or event.get("channel"), self._me, string(older.get("thread_ts")))
        except ValueError:
            log.warning("Slack: an opened chat has a form that can't be read")
            return
        if where.direct and self._pane.works:
            await self._suggest(where)

    async def _suggest(self, where: Place) -> None:
        try:
            suggestions = await self._dispatcher.suggestions(where)
            if not suggestions or self._shown.get((where.channel, where.thread)) == suggestions:
                return
            await self._pane.suggest(where.channel, suggestions, where.thread)
            self._shown[where.channel, where.thread] = suggestions
        except (PlatformError, StoreError) as error:
            log.info("Slack: could not suggest questions: %s: %s", type(error).__name__, error)

    async def joined(self, event: dict[str, Any]) -> None:
        """The bot was added to a channel (docs.slack.dev/reference/events/member_joined_channel). Raises StoreError."""
        try:
            where = place(event.get("channel"), self._me)
        except ValueError:
            log.warning("Slack: an event of a channel that we joined can't be read")
            return
        text = await self._dispatcher.introduction.of(
            where, where.channel_scope, self._capabilities.name or "Nebula", "workspace"
        )
        if text:
            address = Address(where, Placement.CHANNEL, streaming=Streaming.OFF)
            self._tasks.start(self._introduce(address, text))

    async def _introduce(self, address: Address, text: str) -> None:
        if not await responses.by_message(self._surface(address), Response(text)):
            with suppress(StoreError):
                await self._dispatcher.introduction.failed(address.place.channel_scope)
