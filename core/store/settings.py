"""The settings that people choose in the chat, in Redis: one hash per scope, without a TTL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from core.domain.conversation import Place
from core.domain.options import PlatformDefaults
from core.settings.parameters import ChannelSettings, Layer, OperatorDefaults, Stored, resolve
from core.store.redis.client import guarded
from core.store.redis.scripts import load
from core.store.redis.spaces import Spaces
from core.store.signals import CHANGED


@dataclass(frozen=True, slots=True)
class _Stored:
    """A setting as it is stored; another version may know no more than its value."""

    value: str
    by: str = ""
    at: float = 0.0


_STORED, _READ = TypeAdapter(Stored), TypeAdapter(_Stored)
_LAYERS = (Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD)


def _write(settings: str, /, *, parameter: str, value: bytes, signal: str, scope: str) -> Any:
    """Nothing."""


class SettingsStore:
    """Reads and writes the settings of workspaces, channels and threads. All calls raise StoreError.

    `changes` counts what any process wrote, as far as this one heard of it: what somebody remembers of settings is as
    old as the count then was.
    """

    def __init__(
        self,
        redis: "Redis",
        operator: OperatorDefaults,
        defaults: Mapping[str, PlatformDefaults],
        spaces: Spaces | None = None,
    ) -> None:
        """`operator`: what whoever runs the bot chose. `defaults`: those of each platform, by its name."""
        self._redis, self._spaces = redis, spaces or Spaces()
        self._operator = operator
        self._defaults = defaults
        self._write = load(redis, _write)
        self.changes = 0

    async def of(self, place: Place) -> ChannelSettings:
        """The settings in effect in this place, each with its origin; one round trip."""
        return resolve(place, self._operator, self._defaults[place.platform], await self._read(place))

    async def _read(self, place: Place) -> Sequence[tuple[Layer, dict[str, Stored]]]:
        """The stored settings for this place, widest layer first; one round trip."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for scope in place.scopes:
                pipe.hgetall(self._key(scope))
            found = await pipe.execute()
        return [
            (layer, dict(filter(None, map(_entry, fields.items()))))
            for layer, fields in zip(_LAYERS, found, strict=False)
        ]

    async def write(self, scope: str, parameter: str, value: Stored | None) -> None:
        """Set a value for a scope (see Place.scopes), or remove it with None."""
        stored = b"" if value is None else _STORED.dump_json(value)
        signal = f"{self._spaces.prefix(scope)}:{CHANGED}"
        async with guarded():
            await self._write(self._key(scope), parameter=parameter, value=stored, signal=signal, scope=scope)
        self.changed(scope)

    def changed(self, scope: str) -> None:
        """Somebody, in any process, changed a setting of this scope."""
        self.changes += 1

    def _key(self, scope: str) -> str:
        return f"{self._spaces.prefix(scope)}:s:{scope}"


def _entry(field: tuple[bytes, bytes]) -> tuple[str, Stored] | None:
    """A setting with its name; None if another version wrote it and this one can't read it."""
    try:
        read = _READ.validate_json(field[1])
        return field[0].decode(), Stored(read.value, read.by, read.at)
    except (ValidationError, UnicodeDecodeError):
        return None
