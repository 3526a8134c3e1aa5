"""Finds the questions that people asked while the bot was offline, in every conversation that it is a member of."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.lookups import WINDOW_SECONDS
from bots.slack.api.workspace import Capabilities, Identity
from bots.slack.inbound.events import RawQuestion, raw_question
from bots.slack.inbound.surroundings import CALLS
from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.retry import retried
from core.inbound.dispatcher import Dispatcher
from core.ratelimit.limiter import RateLimiter

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

# For each type of users.conversations, the scope that lets us read its messages.
_SCOPES = {
    "public_channel": "channels:history",
    "private_channel": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
}
# How much we read at most: conversations, pages of each, threads.
MAX_CONVERSATIONS, MAX_PAGES, MAX_THREADS = 100, 5, 50
# Age up to which we look into a thread for new questions.
_THREAD_AGE_SECONDS = 86_400.0
# Look further back: clocks differ, and a dead socket seems alive for a while. A question found twice is answered once.
_MARGIN_SECONDS = 60.0
# Calls of each method in a minute. Slack allows 20 (Tier 2) of users.conversations. Of the other two they are a part of
# those that read what was said around questions, which would find none for minutes if this took them all.
_CALLS, _MINUTE_SECONDS = 20, 60.0
# Attempts at a call that Slack delays or fails, and the pause after a failure.
_MAX_ATTEMPTS, _PAUSE_SECONDS = 5, 1.0


class SlackBackfill:
    """Reads past messages. `accepts` says whether a person asked one, and `to_question` turns it into a question.
    `limiter` counts the calls."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Identity,
        web: Web,
        capabilities: Capabilities,
        limiter: RateLimiter,
        accepts: Callable[[RawQuestion], Awaitable[bool]],
        to_question: Callable[[RawQuestion], Awaitable[Question]],
    ) -> None:
        self._dispatcher, self._me, self._web = dispatcher, me, web
        self._capabilities, self._limiter = capabilities, limiter
        self._accepts, self._to_question = accepts, to_question

    async def look_back(self, seconds: float) -> None:
        """Accept the questions of the last `seconds`, oldest first, while everything else continues.

        Raises StoreError, and PlatformError if Slack can't even list the conversations.
        """
        kinds = [kind for kind, scope in _SCOPES.items() if self._capabilities.granted(scope)]
        since = time.time() - seconds - _MARGIN_SECONDS
        found: dict[str, RawQuestion] = {}
        threads: dict[tuple[str, str], Json] = {}
        async for channel in self._conversations(kinds):
            for message in await self._messages(channel, since):
                self._collect(channel, message, since, found)
                if self._has_new_replies(channel, message, since, found):
                    threads[channel["id"], message["ts"]] = channel
        for (where, thread), channel in list(threads.items())[:MAX_THREADS]:
            for message in await self._replies(where, thread, since):
                self._collect(channel, message, since, found)
        asked = 0
        for raw in sorted(found.values(), key=lambda each: each.at):
            if await self._is_question(raw):
                await self._dispatcher.missed(await self._to_question(raw))
                asked += 1
        log.info("Slack: searched for missed questions; %d messages were for us", asked)

    async def _is_question(self, raw: RawQuestion) -> bool:
        """Without a mention, it depends on the questions before it, which may have been missed too."""
        if raw.said:
            return await self._dispatcher.followups.is_meant(raw.said, raw.place, raw.user)
        return await self._accepts(raw)

    def _collect(self, channel: Json, message: Json, since: float, found: dict[str, RawQuestion]) -> None:
        kind = "im" if channel.get("is_im") else ""
        raw = raw_question({**message, "type": "message", "channel": channel["id"], "channel_type": kind}, self._me)
        # While a process listened, it decided about messages without a mention.
        if raw and raw.at > (since + _MARGIN_SECONDS if raw.said else since):
            found[raw.id] = raw

    def _has_new_replies(self, channel: Json, message: Json, since: float, found: Mapping[str, RawQuestion]) -> bool:
        """Return whether the thread under this message has new replies and involves the bot."""
        if float(message.get("latest_reply") or 0) <= since:
            return False
        ours = self._me.user in (message.get("user"), *(message.get("reply_users") or ()))
        name = f"slack/{self._me.team}/{channel['id']}/{message['ts']}"
        asked = name in found and found[name].said is None
        return bool(channel.get("is_im")) or ours or asked

    async def _conversations(self, kinds: list[str]) -> AsyncIterator[Json]:
        count, cursor = 0, ""
        while kinds:
            answer = await self._call(
                self._limit("users.conversations"),
                self._web.client.users_conversations,
                types=",".join(kinds),
                exclude_archived=True,
                limit=MAX_CONVERSATIONS,
                cursor=cursor or None,
            )
            for channel in answer["channels"]:
                if (count := count + 1) > MAX_CONVERSATIONS:
                    log.warning(
                        "Slack: searched for missed questions in the first %d conversations only", MAX_CONVERSATIONS
                    )
                    return
                yield channel
            if not (cursor := _cursor(answer)):
                return

    async def _messages(self, channel: Json, since: float) -> list[Json]:
        """Return a conversation's messages, newest first; also older ones, whose threads may have new replies."""
        found: list[Json] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            try:
                answer = await self._call(
                    self._shared_limit("conversations.history"),
                    self._web.client.conversations_history,
                    channel=channel["id"],
                    oldest=f"{since - _THREAD_AGE_SECONDS:.6f}",
                    limit=100,
                    cursor=cursor or None,
                )
            except (SlowDown, Unreachable):
                raise
            except PlatformError as error:
                log.info("Slack: can't read the history of a conversation: %s", error)
                break
            found += answer["messages"]
            cursor = _cursor(answer)
            if not cursor or not found or float(found[-1]["ts"]) <= since:
                break
        return found

    async def _replies(self, channel: str, thread: str, since: float) -> list[Json]:
        try:
            answer = await self._call(
                self._shared_limit("conversations.replies"),
                self._web.client.conversations_replies,
                channel=channel,
                ts=thread,
                oldest=f"{since:.6f}",
                limit=100,
            )
        except (SlowDown, Unreachable):
            raise
        except PlatformError as error:
            log.info("Slack: can't read the history of a thread: %s", error)
            return []
        return list(answer["messages"])

    def _limit(self, method: str) -> RateLimit:
        return RateLimit(f"slack/{self._me.team}/{method}/backfill", _CALLS, _MINUTE_SECONDS, spread=False)

    def _shared_limit(self, method: str) -> RateLimit:
        """The limit of a method that reads what was said around questions as well."""
        everything = RateLimit(f"slack/{self._me.team}/{method}", CALLS, WINDOW_SECONDS, spread=False)
        return replace(self._limit(method), within=everything)

    async def _call(self, limit: RateLimit, method: Any, /, **arguments: Any) -> Any:
        """Make one call when its turn comes, and retry it while that may help. Raises PlatformError."""

        async def call() -> Any:
            async with await self._limiter.permit(limit, final=True):
                return await self._web.call(method(**arguments))

        return await retried(call, (_PAUSE_SECONDS * attempt for attempt in range(1, _MAX_ATTEMPTS)))


def _cursor(answer: Any) -> str:
    """Return where the next page begins, "" after the last one (docs.slack.dev/apis/web-api/pagination)."""
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")
