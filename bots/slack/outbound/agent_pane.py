"""Slack's agent pane: titles of chats, and the questions suggested where a chat begins; all of it best effort."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.errors import lasting
from bots.slack.api.workspace import Capabilities, Feature
from bots.slack.outbound.status import Eyes
from core.domain.errors import PlatformError

log = logging.getLogger(__name__)

# The scope of both methods, and their limit, Tier 4 (docs.slack.dev/reference/methods: assistant.threads.setTitle,
# assistant.threads.setSuggestedPrompts).
SCOPE, CALLS = "assistant:write", 100
# Characters that a button shows; Slack names no limit.
_BUTTON = 75


class AgentPane:
    """The direct messages of an app that is an agent. `eyes` has the limiter that all processes share."""

    def __init__(self, web: Web, eyes: Eyes, capabilities: Capabilities) -> None:
        self._web, self._eyes, self._capabilities = web, eyes, capabilities
        self._feature = Feature()

    @property
    def works(self) -> bool:
        """Whether the app is an agent, as far as we know."""
        return self._capabilities.granted(SCOPE) and self._feature.works()

    async def entitle(self, channel: str, thread: str, title: str) -> None:
        """Give a chat a title, if a call is free. Raises PlatformError."""
        await self._call(
            "assistant.threads.setTitle",
            channel,
            lambda: self._web.client.assistant_threads_setTitle(channel_id=channel, thread_ts=thread, title=title),
        )

    async def suggest(self, channel: str, suggestions: Sequence[str], thread: str = "") -> None:
        """Show questions that people can ask with one press, if a call is free. `thread`: of an app with Slack's older
        assistant; an agent's are for the whole pane. Raises PlatformError."""
        prompts = [{"title": _short(each), "message": each} for each in suggestions]
        await self._call(
            "assistant.threads.setSuggestedPrompts",
            channel,
            lambda: self._web.client.assistant_threads_setSuggestedPrompts(
                channel_id=channel, thread_ts=thread or None, prompts=prompts
            ),
        )

    async def _call(self, method: str, channel: str, call: Callable[[], Awaitable[Any]]) -> None:
        permit = await self._eyes.limiter.ticket().attempt(self._eyes.limit(method, CALLS), final=True)
        if permit is None:
            log.info("Slack: no call of %s is free", method)
            return
        try:
            async with permit:
                await self._web.call(call())
        except PlatformError as error:
            if lasting(error) and self._feature.failed(channel, sure=True):
                log.warning("Slack: the app is no agent, so its chats get no titles and suggestions: %s", error)
            raise
        self._feature.worked()


def _short(text: str) -> str:
    return text if len(text) <= _BUTTON else text[: _BUTTON - 1].rstrip() + "…"
