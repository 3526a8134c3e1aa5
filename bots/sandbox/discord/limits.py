"""The rate limits of the sandbox's Discord: fixed windows per route and channel, and their headers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from bots.sandbox.discord.world.values import Json


@dataclass(frozen=True, slots=True)
class DiscordLimit:
    """At most `calls` in a window of `seconds`, which begins with its first call."""

    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DiscordLimits:
    """What the sandbox allows; None lifts a limit.

    Discord publishes its numbers only in headers. These have been observed: messages 5 per 5 s and channel
    (discord-api-docs issue 2761), interactions 5 per 2 s and token (issue 2701), 3 edits per 6 s and channel of
    messages older than `old_age` seconds (issue 4413), 50 per second in all (topics/rate-limits), 2 renames per 10 min
    of a channel or thread (issue 1900). Whether Discord counts the followups and the edits of an interaction together
    is not known; we do, which is stricter.
    """

    post: DiscordLimit | None = DiscordLimit(5, 5.0)
    edit: DiscordLimit | None = DiscordLimit(5, 5.0)
    delete: DiscordLimit | None = DiscordLimit(5, 1.0)
    read: DiscordLimit | None = DiscordLimit(50, 1.0)
    typing: DiscordLimit | None = DiscordLimit(5, 5.0)
    reaction: DiscordLimit | None = DiscordLimit(1, 0.25)
    thread: DiscordLimit | None = DiscordLimit(5, 5.0)
    webhook: DiscordLimit | None = DiscordLimit(5, 2.0)
    commands: DiscordLimit | None = DiscordLimit(5, 20.0)
    old_edit: DiscordLimit | None = DiscordLimit(3, 6.0)
    everything: DiscordLimit | None = DiscordLimit(50, 1.0)
    rename: DiscordLimit | None = DiscordLimit(2, 600.0)
    old_age: float = 3600.0

    def faster(self, times: float) -> "DiscordLimits":
        """The same numbers of calls, in windows shorter by this factor."""
        quick: dict[str, Any] = {}
        for name in (each.name for each in fields(self)):
            limit = getattr(self, name)
            if isinstance(limit, DiscordLimit):
                quick[name] = replace(limit, seconds=limit.seconds / times)
        return replace(self, **quick)


DISCORD_LIMITS = DiscordLimits()
"""The limits that have been observed."""

NO_DISCORD_LIMITS = DiscordLimits(None, None, None, None, None, None, None, None, None, None, None, None)
"""No limits at all."""

# POST and PATCH of a channel's messages name the same bucket but are counted apart (discord-api-docs issue 8073).
BUCKETS: Mapping[str, str] = MappingProxyType(
    {
        "post": "80c17d2f203122d936070c88c8d10f33",
        "edit": "80c17d2f203122d936070c88c8d10f33",
        "delete": "4d9e2f6b8a1c03e5d7f9b1a3c5e70829",
        "read": "f6f5e03a7b1c4d2e9a8b7c6d5e4f3a2b",
        "typing": "d7880b6a1f2e3d4c5b6a79880716253f",
        "reaction": "07c31529a4b8c6d0e2f41638597a6b1c",
        "thread": "3cd1f278bd0ecaf11e0d2391c011f58d",
        "webhook": "9aa7f8c2be7a1ccf0e2d4b6a8c0e1f35",
        "commands": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    }
)


@dataclass(slots=True)
class _Window:
    ends: float = 0.0
    used: int = 0


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """Whether a call is allowed, and the headers of the answer in either case. `retry_after` is in seconds."""

    ok: bool
    headers: Mapping[str, str]
    retry_after: float = 0.0
    everywhere: bool = False

    @property
    def body(self) -> Json:
        """The body of the 429."""
        text = "You are being rate limited."
        return {"message": text, "retry_after": self.retry_after, "global": self.everywhere}


class DiscordLimiter:
    """Counts calls. `limits` may be replaced at any time; windows that have begun keep their counts.

    `clock` returns seconds; windows and headers use it.
    """

    def __init__(self, limits: DiscordLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def take(self, name: str, key: str, *, counted_globally: bool) -> LimitVerdict:
        """Count one call of the limit `name` ("" for none) and the resource `key`."""
        if counted_globally and (limit := self.limits.everything):
            wait = self._take(limit, "everything", "")[1]
            if wait:
                headers = {"X-RateLimit-Global": "true", **refused(wait, "global")}
                return LimitVerdict(False, headers, round(wait, 3), everywhere=True)
        limit = getattr(self.limits, name) if name else None
        if limit is None:
            return LimitVerdict(True, {})
        window, wait = self._take(limit, name, key)
        headers = {
            "X-RateLimit-Limit": str(limit.calls),
            "X-RateLimit-Remaining": str(max(0, limit.calls - window.used)),
            "X-RateLimit-Reset": f"{time.time() + window.ends - self._clock():.3f}",
            "X-RateLimit-Reset-After": f"{max(0.0, window.ends - self._clock()):.3f}",
            "X-RateLimit-Bucket": BUCKETS[name],
        }
        if wait:
            return LimitVerdict(False, headers | refused(wait, "user"), round(wait, 3))
        return LimitVerdict(True, headers)

    def take_old_edit(self, channel: str) -> float:
        """Count one edit of an old message. Returns the seconds to wait, 0 if it is allowed. No header shows this
        limit."""
        limit = self.limits.old_edit
        return self._take(limit, "old_edit", channel)[1] if limit else 0.0

    def take_rename(self, channel: str) -> float:
        """Count one rename of a channel or thread. Returns the seconds to wait, 0 if it is allowed."""
        limit = self.limits.rename
        return self._take(limit, "rename", channel)[1] if limit else 0.0

    def _take(self, limit: DiscordLimit, name: str, key: str) -> tuple[_Window, float]:
        now = self._clock()
        window = self._windows.setdefault((name, key), _Window())
        if now >= window.ends:
            window.ends, window.used = now + limit.seconds, 0
        if window.used >= limit.calls:
            return window, max(0.001, window.ends - now)
        window.used += 1
        return window, 0.0


def refused(retry_after: float, scope: str) -> dict[str, str]:
    """The headers of a 429. Without Via, clients take the answer for a ban by Cloudflare."""
    return {"Via": "1.1 google", "Retry-After": str(max(1, round(retry_after))), "X-RateLimit-Scope": scope}
