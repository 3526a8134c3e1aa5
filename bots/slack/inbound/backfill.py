"""Missed: finds the questions that were put while nobody listened, in every conversation that the bot is in."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.api.identity import Identity
from bots.slack.inbound.events import Heard, heard
from core.domain.conversation import Question
from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

# By the types of users.conversations: the scope that lets us read them.
_KINDS = {
    "public_channel": "channels:history",
    "private_channel": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
}
# The most that is looked at: conversations, pages of each, threads.
CONVERSATIONS, PAGES, THREADS = 100, 5, 50
# How far back a thread may have begun in which somebody asked since. Seconds.
_THREADS_SINCE = 86_400.0
# Clocks differ, and a dead socket is taken for a living one for a while; what is found twice is answered once. Seconds.
_MARGIN = 60.0
# Calls a minute, of the 50 that Slack allows (Tier 3); the others are for replies.
_CALLS, _MINUTE = 40, 60.0
# Attempts at a call that Slack put off or failed at, and the pause after a failure in seconds.
_TRIES, _PAUSE = 5, 1.0


class Backfill:
    """Looks back. `words` makes a question of what was found."""

    def __init__(
        self,
        front: Dispatcher,
        me: Identity,
        web: Web,
        style: Capabilities,
        words: Callable[[Heard], Awaitable[Question]],
    ) -> None:
        self._front, self._me, self._web, self._style, self._words = front, me, web, style, words
        self._calls: deque[float] = deque()

    async def look(self, seconds: float) -> None:
        """Take in the questions of so many seconds, oldest first, in the background of all else.

        Raises StoreError, and PlatformError when Slack can't even tell the conversations.
        """
        kinds = [kind for kind, scope in _KINDS.items() if self._style.granted(scope)]
        since = time.time() - seconds - _MARGIN
        found: dict[str, Heard] = {}
        threads: dict[tuple[str, str], Json] = {}
        async for channel in self._conversations(kinds):
            for message in await self._written(channel, since):
                self._sift(channel, message, since, found)
                if self._concerns(channel, message, since, found):
                    threads[channel["id"], message["ts"]] = channel
        for (where, thread), channel in list(threads.items())[:THREADS]:
            for message in await self._replies(where, thread, since):
                self._sift(channel, message, since, found)
        for question in sorted(found.values(), key=lambda each: each.at):
            await self._front.missed(await self._words(question))
        log.info("Slack: looked back, %d messages were for us", len(found))

    def _sift(self, channel: Json, message: Json, since: float, found: dict[str, Heard]) -> None:
        kind = "im" if channel.get("is_im") else ""
        question = heard({**message, "type": "message", "channel": channel["id"], "channel_type": kind}, self._me)
        if question and question.at > since:
            found[question.id] = question

    def _concerns(self, channel: Json, message: Json, since: float, found: Mapping[str, Heard]) -> bool:
        """Whether somebody wrote in the thread under this message, and the bot has a part in it."""
        if float(message.get("latest_reply") or 0) <= since:
            return False
        ours = self._me.user in (message.get("user"), *(message.get("reply_users") or ()))
        name = f"slack/{self._me.team}/{channel['id']}/{message['ts']}"
        return bool(channel.get("is_im")) or ours or name in found

    async def _conversations(self, kinds: list[str]) -> AsyncIterator[Json]:
        count, cursor = 0, ""
        while kinds:
            answer = await self._call(
                self._web.client.users_conversations,
                types=",".join(kinds),
                exclude_archived=True,
                limit=CONVERSATIONS,
                cursor=cursor or None,
            )
            for channel in answer["channels"]:
                if (count := count + 1) > CONVERSATIONS:
                    log.warning("Slack: looked back in the first %d conversations only", CONVERSATIONS)
                    return
                yield channel
            if not (cursor := _cursor(answer)):
                return

    async def _written(self, channel: Json, since: float) -> list[Json]:
        """The messages of a conversation, newest first; also older ones, in whose threads somebody may have written."""
        found: list[Json] = []
        cursor = ""
        for _ in range(PAGES):
            try:
                answer = await self._call(
                    self._web.client.conversations_history,
                    channel=channel["id"],
                    oldest=f"{since - _THREADS_SINCE:.6f}",
                    limit=100,
                    cursor=cursor or None,
                )
            except (SlowDown, Unreachable):
                raise
            except PlatformError as error:
                log.info("a conversation can't be looked back in: %s", error)
                break
            found += answer["messages"]
            cursor = _cursor(answer)
            if not cursor or not found or float(found[-1]["ts"]) <= since:
                break
        return found

    async def _replies(self, channel: str, thread: str, since: float) -> list[Json]:
        try:
            answer = await self._call(
                self._web.client.conversations_replies, channel=channel, ts=thread, oldest=f"{since:.6f}", limit=100
            )
        except (SlowDown, Unreachable):
            raise
        except PlatformError as error:
            log.info("a thread can't be looked back in: %s", error)
            return []
        return list(answer["messages"])

    async def _call(self, method: Any, **arguments: Any) -> Any:
        """One call, when its turn comes, tried again as long as that is worth it. Raises PlatformError."""
        for attempt in range(1, _TRIES):
            await self._paced()
            try:
                return await self._web.call(method(**arguments))
            except SlowDown as slow:
                await asyncio.sleep(slow.retry_after)
            except Unreachable:
                await asyncio.sleep(_PAUSE * attempt)
        return await self._web.call(method(**arguments))

    async def _paced(self) -> None:
        if len(self._calls) >= _CALLS:
            await asyncio.sleep(max(0.0, self._calls.popleft() + _MINUTE - time.monotonic()))
        self._calls.append(time.monotonic())


def _cursor(answer: Any) -> str:
    """Where the next page begins, "" if this was the last (docs.slack.dev/apis/web-api/pagination)."""
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")
