"""The settings that people choose in the chat, in Redis: one hash per scope and one for the presets of a workspace,
without a TTL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cachetools import LRUCache
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from core.domain.conversation import NO_WORKSPACE, Place
from core.domain.options import PlatformDefaults
from core.settings.parameters import ChannelSettings, Layer, LayerEntries, OperatorDefaults, Stored, called, resolve
from core.settings.presets import MOST_PRESETS, PRESET, Preset, referred
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


@dataclass(frozen=True, slots=True)
class _Preset:
    """A preset as it is stored, behind its words; another version may not know all of it."""

    values: dict[str, str]
    author: str = ""
    by: str = ""
    at: float = 0.0


class Saved(IntEnum):
    """How a change of a preset ended."""

    CHANGED = 0  # somebody was faster: nothing was done
    DONE = 1
    FULL = 2  # the workspace has as many as it may


_STORED, _READ, _PRESET = TypeAdapter(Stored), TypeAdapter(_Stored), TypeAdapter(_Preset)
_LAYERS = (Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD)
# Of so many scopes it is remembered which preset they use.
_MAX_USES = 10_000


def _preset(presets: str, /, *, name: str, before: bytes, value: bytes, most: int) -> Any:
    """As Saved."""


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
        self._write, self._change = load(redis, _write), load(redis, _preset)
        self._uses: LRUCache[str, str] = LRUCache(_MAX_USES)
        self.changes = 0

    async def of(self, place: Place, person: str = "") -> ChannelSettings:
        """The settings in effect in this place, each with its origin. `person`: whose own defaults count too, if any.

        One round trip; one more where this process does not know yet that a preset is used.
        """
        return resolve(place, self._operator, self._defaults[place.platform], await self._read(place, person))

    async def _read(self, place: Place, person: str) -> Sequence[LayerEntries]:
        """What is stored for this place and this person, in the order of the layers."""
        # A preset's name is known only once its user's settings are read. So the one that was used last is read along:
        # a guess that costs nothing when it is wrong but what is not known then, a further read.
        guessed = _names(self._uses.get(scope, "") for scope in place.scopes)
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for scope in place.scopes:
                pipe.hgetall(self._key(scope))
            if guessed:
                pipe.hmget(self._presets_key(place.library), guessed)
            if person:
                pipe.hgetall(self._own_key(place, person))
            found = await pipe.execute()
        entries = [_entries(fields) for fields in found[: len(place.scopes)]]
        uses = [each[PRESET].value if PRESET in each else "" for each in entries]
        for scope, use in zip(place.scopes, uses, strict=True):
            self._uses[scope] = referred(use)[0]
        known = dict(zip(guessed, found[len(place.scopes)], strict=True)) if guessed else {}
        if missing := [name for name in _names(referred(use)[0] for use in uses) if name not in known]:
            async with guarded():
                known |= zip(missing, await self._redis.hmget(self._presets_key(place.library), missing), strict=True)
        presets = {each.reference: each for each in map(_read_preset, known.items()) if each}
        layers = [
            LayerEntries(layer, own, presets.get(use)) for layer, own, use in zip(_LAYERS, entries, uses, strict=False)
        ]
        own = [LayerEntries(Layer.PERSON, _entries(found[-1]))] if person else []
        return [*layers[:2], *own, *layers[2:]]

    async def own(self, place: Place, person: str) -> Mapping[str, Stored]:
        """The defaults that this person set for their own questions, by parameter."""
        async with guarded():
            found: Any = await self._redis.hgetall(self._own_key(place, person))
        return _entries(found)

    async def write_own(self, place: Place, person: str, parameter: str, value: Stored | None) -> None:
        """Set a value for this person's own questions, or remove it with None."""
        key = self._own_key(place, person)
        async with guarded():
            if value is None:
                await self._redis.hdel(key, parameter)
            else:
                await self._redis.hset(key, parameter, _STORED.dump_json(value))

    async def preset(self, library: str, name: str) -> Preset | None:
        """The preset of this name; None if there is none. `library`: see Place.library."""
        async with guarded():
            found: Any = await self._redis.hget(self._presets_key(library), name)
        return _read_preset((name, found))

    async def preset_names(self, library: str) -> tuple[str, ...]:
        """The names of all presets, in the order of the alphabet."""
        async with guarded():
            found: Any = await self._redis.hkeys(self._presets_key(library))
        return tuple(sorted(name.decode("utf-8", "replace") for name in found))

    async def presets(self, library: str, names: Sequence[str]) -> tuple[Preset, ...]:
        """Those presets of these names that there are."""
        if not names:
            return ()
        async with guarded():
            found: Any = await self._redis.hmget(self._presets_key(library), names)
        return tuple(filter(None, map(_read_preset, zip(names, found, strict=True))))

    async def save_preset(self, library: str, preset: Preset, before: Preset | None) -> Saved:
        """Write a preset, unless the one of its name is not `before` any more."""
        stored = _PRESET.dump_json(_Preset(dict(preset.values), preset.author, preset.by, preset.at))
        return await self._change_preset(library, preset.name, before, _words(preset) + b"|" + stored)

    async def delete_preset(self, library: str, preset: Preset) -> Saved:
        """Remove a preset, unless somebody changed it meanwhile. Whoever used it uses none then."""
        return await self._change_preset(library, preset.name, preset, b"")

    async def _change_preset(self, library: str, name: str, before: Preset | None, value: bytes) -> Saved:
        words = _words(before) if before else b""
        async with guarded():
            done = await self._change(
                self._presets_key(library), name=name, before=words, value=value, most=MOST_PRESETS
            )
        return Saved(int(done))

    async def write(self, scope: str, parameter: str, value: Stored | None) -> None:
        """Set a value for a scope (see Place.scopes), or remove it with None."""
        stored = b"" if value is None else _STORED.dump_json(value)
        signal = f"{self._spaces.prefix(scope)}:{CHANGED}"
        async with guarded():
            await self._write(self._key(scope), parameter=parameter, value=stored, signal=signal, scope=scope)
        self.changed(scope)

    def called(self, place: Place, layer: Layer) -> str:
        """What people in this place call a layer."""
        return called(layer, self._defaults[place.platform])

    def changed(self, scope: str) -> None:
        """Somebody, in any process, changed a setting of this scope."""
        self.changes += 1

    def _key(self, scope: str) -> str:
        return f"{self._spaces.prefix(scope)}:s:{scope}"

    def _own_key(self, place: Place, person: str) -> str:
        workspace = NO_WORKSPACE if self._defaults[place.platform].roaming else place.workspace
        return self._key(f"{place.platform}/{workspace}/person/{person}")

    def _presets_key(self, library: str) -> str:
        return f"{self._key(library)}/presets"


def _names(names: Iterable[str]) -> list[str]:
    """These names, each once, without those that are empty."""
    return list(dict.fromkeys(filter(None, names)))


def _entries(fields: Mapping[bytes, bytes]) -> dict[str, Stored]:
    return dict(filter(None, map(_entry, fields.items())))


def _entry(field: tuple[bytes, bytes]) -> tuple[str, Stored] | None:
    """A setting with its name; None if another version wrote it and this one can't read it."""
    try:
        read = _READ.validate_json(field[1])
        return field[0].decode(), Stored(read.value, read.by, read.at)
    except (ValidationError, UnicodeDecodeError):
        return None


def _words(preset: Preset) -> bytes:
    """What a stored preset begins with: this very state of this very preset."""
    return f"{preset.id},{preset.revision}".encode()


def _read_preset(field: tuple[str, bytes | None]) -> Preset | None:
    """A preset with its name; None if there is none, or another version wrote it and this one can't read it."""
    name, stored = field
    words, _, value = (stored or b"").partition(b"|")
    try:
        read, (identifier, revision) = _PRESET.validate_json(value), words.decode().split(",")
    except ValueError:  # a ValidationError is one, and so is what `decode` raises
        return None
    return Preset(name, identifier, revision, tuple(read.values.items()), read.author, read.by, read.at)
