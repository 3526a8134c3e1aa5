"""Mailboxes: the keys of a conversation, all in one Cluster slot, and the Lua steps that change them."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from core.settings.encryption import NO_ENCRYPTION, Encryption
from core.store.entries import Entries
from core.store.redis.client import guarded

_STEPS = (
    "accept",
    "claim",
    "renew",
    "release",
    "commit",
    "stop",
    "reset",
    "revise",
    "edit",
    "delete",
    "forget",
    "retain",
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things live, in seconds, and how many there may be."""

    lease: float = 7
    dedupe: float = 3600  # Slack redelivers for about six minutes; missed questions are looked for half an hour back
    keep: float = 30 * 86_400
    inbox: int = 20
    exchanges: int = 100
    window_bytes: int = 256 * 1024
    ended: int = 10  # turns of a conversation whose answer can be asked for again


DEFAULTS = Retention()


class Mailboxes:
    """Runs steps. `partitions`: over so many slots of a Cluster the conversations are spread; fixed for good."""

    def __init__(
        self, redis: "Redis", limits: Retention, partitions: int = 1, encryption: Encryption = NO_ENCRYPTION
    ) -> None:
        self.redis, self.limits, self.partitions = redis, limits, partitions
        self.entries = Entries(encryption)
        source = files("core.store") / "lua"
        common = (source / "common.lua").read_text()
        self._steps = {name: redis.register_script(common + (source / f"{name}.lua").read_text()) for name in _STEPS}
        self._lapsed = redis.register_script((source / "lapsed.lua").read_text())

    def key(self, kind: str, conversation: str) -> str:
        """`c` the state, `i` the inbox, `h` the history, `e` the answers that can be asked for again."""
        return f"nb:{self.tag(conversation)}:{kind}:{conversation}"

    def tag(self, name: str) -> str:
        """The partition as a Cluster hash tag: all keys of a conversation are in one slot."""
        return f"{{{zlib.crc32(name.encode()) % self.partitions}}}"

    async def step(self, name: str, conversation: str, args: Sequence[Any], extra_key: str = "") -> Any:
        """One Lua call. Raises StoreError."""
        limits = self.limits
        keys = [self.key(kind, conversation) for kind in "cihe"] + [f"nb:{self.tag(conversation)}:leases"]
        common: list[Any] = [conversation, ms(limits.lease), ms(limits.keep), limits.exchanges, limits.window_bytes]
        async with guarded():
            return await self._steps[name](keys=[*keys, extra_key] if extra_key else keys, args=common + list(args))

    async def lapsed(self, partition: int, beginnings: Sequence[str], at_most: int) -> list[bytes]:
        """Conversations of one partition whose lease ran out, and whose name begins so. Raises StoreError."""
        async with guarded():
            found: list[bytes] = await self._lapsed(keys=[f"nb:{{{partition}}}:leases"], args=[at_most, *beginnings])
        return found


def ms(seconds: float) -> int:
    """Seconds as Redis counts them."""
    return round(seconds * 1000)
