"""The gateway's state of one connection, and of one session, which may outlive its connection."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from enum import IntFlag

from aiohttp import web

from bots.sandbox.discord.world.values import Json

MAX_KEPT_EVENTS = 5_000  # events that a session can replay


class Intent(IntFlag):
    """Gateway intents (events/gateway#gateway-intents)."""

    NONE = 0
    GUILDS = 1 << 0
    MEMBERS = 1 << 1
    PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_REACTIONS = 1 << 10
    GUILD_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_REACTIONS = 1 << 13
    DIRECT_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15
    PRIVILEGED = MEMBERS | PRESENCES | MESSAGE_CONTENT

    @property
    def flags(self) -> int:
        """The flags of an application that may have these intents without a review
        (resources/application#application-object-application-flags)."""
        members, content = self & Intent.MEMBERS, self & Intent.MESSAGE_CONTENT
        return (1 << 15) * bool(members) | (1 << 19) * bool(content)


@dataclass(slots=True, eq=False)
class Socket:
    """One connection. It sends the frames in `queue` in order; None ends it."""

    ws: web.WebSocketResponse
    transport: asyncio.Transport | None
    queue: asyncio.Queue[tuple[float, str] | None] = field(default_factory=asyncio.Queue)
    session: "Session | None" = None
    received: list[float] = field(default_factory=list)
    ended: bool = False  # whether the server closed it
    silent: bool = False  # it stays open, but sends nothing any more


@dataclass(slots=True, eq=False)
class Session:
    """An identified session, which outlives its connection: it keeps its events for a resume."""

    id: str
    intents: Intent
    shard: int
    shards: int
    socket: Socket | None = None
    resumable: bool = True
    sequence: int = 0
    log: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MAX_KEPT_EVENTS))

    @property
    def content(self) -> bool:
        """Whether it has the message content intent."""
        return bool(self.intents & Intent.MESSAGE_CONTENT)

    def add(self, event: str, payload: Json) -> str:
        """Number an event as the next frame of this session, and keep it."""
        self.sequence += 1
        text = json.dumps({"op": 0, "s": self.sequence, "t": event, "d": payload})
        self.log.append((self.sequence, text))
        return text

    def since(self, sequence: int) -> list[str] | None:
        """The frames after `sequence`; None if some of them are no longer kept."""
        missed = [text for number, text in self.log if number > sequence]
        return missed if len(missed) == self.sequence - sequence else None
