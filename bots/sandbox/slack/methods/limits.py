"""Slack's rate limits: calls per method and workspace in a rolling window."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SlackLimit:
    """At most `calls` in any window of `seconds`."""

    calls: int
    seconds: float = 60.0


T2, T3, T4, SPECIAL = SlackLimit(20), SlackLimit(50), SlackLimit(100), SlackLimit(600)

PER_CHANNEL = "chat.postMessage in one channel"

# docs.slack.dev/apis/web-api/rate-limits and the methods' own pages. Tiers are "20+ per minute" and so on: Slack
# promises this number. "Special" numbers are unpublished beyond "several hundred a minute".
SLACK_LIMITS: Mapping[str, SlackLimit] = {
    PER_CHANNEL: SlackLimit(5, 5.0),  # about one a second, with a short burst
    "chat.postMessage": SlackLimit(300),
    "chat.postEphemeral": T4,
    "chat.update": T3,
    "chat.delete": T3,
    "chat.startStream": T2,
    "chat.appendStream": T4,
    "chat.stopStream": T2,
    "reactions.add": T3,
    "reactions.remove": T2,
    "users.info": T4,
    "users.list": T2,
    "users.conversations": T3,
    "conversations.info": T3,
    "conversations.replies": T3,
    "conversations.history": T3,
    "conversations.open": T3,
    "views.open": T4,
    "views.update": T4,
    "views.publish": T4,
    "files.delete": T3,
    "files.getUploadURLExternal": T4,
    "files.completeUploadExternal": T4,
    "bots.info": T3,
    "team.info": T3,
    "apps.connections.open": T3,
    "auth.test": SPECIAL,
    "assistant.threads.setStatus": SPECIAL,
    "assistant.threads.setTitle": T4,
    "assistant.threads.setSuggestedPrompts": T4,
}

NO_SLACK_LIMITS: Mapping[str, SlackLimit] = {}


def of_workspaces(many: int) -> Mapping[str, SlackLimit]:
    """The limits of this many workspaces together, as if each had its share of the channels."""
    wide = {name: replace(limit, calls=limit.calls * many) for name, limit in SLACK_LIMITS.items()}
    return {**wide, PER_CHANNEL: SLACK_LIMITS[PER_CHANNEL]}


class SlackLimiter:
    """Counts calls; refused calls do not count."""

    def __init__(self, table: Mapping[str, SlackLimit]) -> None:
        self.table = dict(table)
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def admit(self, method: str, channel: str, now: float) -> float:
        """Count the call and return 0 if it is allowed, otherwise return the seconds to wait. `now`: seconds of any
        clock."""
        keys = [(method, "")] + ([(PER_CHANNEL, channel)] if method == "chat.postMessage" else [])
        limited = [(key, limit) for key in keys if (limit := self.table.get(key[0]))]
        waits = [self._wait(key, limit, now) for key, limit in limited]
        if wait := max(waits, default=0.0):
            return wait
        for key, _ in limited:
            self._calls[key].append(now)
        return 0.0

    def _wait(self, key: tuple[str, str], limit: SlackLimit, now: float) -> float:
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - limit.seconds:
            calls.popleft()
        return 0.0 if len(calls) < limit.calls else calls[-limit.calls] + limit.seconds - now
