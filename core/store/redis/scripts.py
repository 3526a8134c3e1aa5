"""Lua scripts as typed calls: a script loads only if its header, its body and its Python stub agree.

A header names the script's KEYS and ARGV in order; `...` after the last name means any number of values:

    -- KEYS: RECORD HOLD LIMITS...
    -- ARGV: PATIENCE_MS HELD_MS NUMBERS...

The body assigns each name from its place (`local RECORD, HOLD = KEYS[1], KEYS[2]`), and a repeated name from its first
place (`local LIMITS = 3`). The stub is a function with the script's name. Its positional parameters are the KEYS and
its keywords the ARGV, in lower case; a repeated name is a Sequence.
"""

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Generic, ParamSpec, get_origin

from redis.asyncio import Redis

P = ParamSpec("P")

FOLDER = files("core.store") / "lua"
_MANY = "..."
_HEADER = re.compile(r"^-- (KEYS|ARGV): (.+)$", re.MULTILINE)
_LOCALS = re.compile(r"^local ([A-Z_]+(?:, [A-Z_]+)*)\s*=\s*(.*?)(?:\s*--.*)?$", re.MULTILINE)
_PLACE = re.compile(r"(?:KEYS|ARGV)\[\d+\]")


class Script(Generic[P]):
    """A script's text and the names of its own KEYS and ARGV, which follow those of the one `after` which it comes."""

    text: str
    keys: tuple[str, ...]
    args: tuple[str, ...]

    def __init__(self, stub: Callable[P, Any], after: "Script[Any] | None" = None) -> None:
        """Raises TypeError if header, body and stub do not agree."""
        own = (FOLDER / f"{_name(stub)}.lua").read_text("utf-8")
        self.text = (after.text if after else "") + own
        self.keys, self.args = _checked(stub, own, len(after.keys) if after else 0, len(after.args) if after else 0)

    def pack(self, *keys: P.args, **args: P.kwargs) -> tuple[list[Any], list[Any]]:
        """The KEYS and the ARGV of a call."""
        return list(_flat(self.keys, keys)), list(_flat(self.args, (args[each] for each in _plain(self.args))))


def load(redis: "Redis", stub: Callable[P, Any], after: Script[Any] | None = None) -> Callable[P, Awaitable[Any]]:
    """This stub's script as a call of one round trip. `after`: the script that begins it. Raises TypeError."""
    script = Script(stub, after)
    run = redis.register_script(script.text)

    async def call(*keys: P.args, **args: P.kwargs) -> Any:
        packed_keys, packed_args = script.pack(*keys, **args)
        return await run(keys=packed_keys, args=packed_args)

    return call


def _name(stub: Callable[..., Any]) -> str:
    return stub.__name__.strip("_")


@cache  # each client loads the same ones
def _checked(
    stub: Callable[..., Any], text: str, keys_before: int, args_before: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a script's own KEYS and ARGV. Raises TypeError if header, body and stub do not agree."""
    declared = dict(_HEADER.findall(text))
    keys, args = (tuple(declared.get(kind, "").split()) for kind in ("KEYS", "ARGV"))
    if (keys, args) != (expected := _parameters(stub)):
        raise TypeError(f"{_name(stub)}.lua declares KEYS {keys} and ARGV {args}, but its stub {expected}")
    places = dict(_places("KEYS", keys, keys_before)) | dict(_places("ARGV", args, args_before))
    assigned = _assigned(text)
    wrong = [f"{each} is not {place}" for each, place in places.items() if assigned.get(each) != place]
    wrong += [f"{place} has no name" for place in _PLACE.findall(text) if place not in places.values()]
    if wrong:
        raise TypeError(f"{_name(stub)}.lua does not read what its header declares: {', '.join(wrong)}")
    return keys, args


def _parameters(stub: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A stub's names of the KEYS and of the ARGV, as a header writes them."""
    found: dict[Any, list[str]] = {inspect.Parameter.POSITIONAL_ONLY: [], inspect.Parameter.KEYWORD_ONLY: []}
    for each in inspect.signature(stub).parameters.values():
        found[each.kind].append(each.name.upper() + _MANY * (get_origin(each.annotation) is Sequence))
    keys, args = found.values()
    return tuple(keys), tuple(args)


def _places(kind: str, names: Sequence[str], before: int) -> Iterator[tuple[str, str]]:
    """The place that the body must assign to each name."""
    for place, name in enumerate(names, before + 1):
        yield (name.removesuffix(_MANY), str(place)) if name.endswith(_MANY) else (name, f"{kind}[{place}]")


def _assigned(text: str) -> dict[str, str]:
    """The place that the body assigns to each name, without `tonumber`."""
    return {
        name: value.strip().removeprefix("tonumber(").removesuffix(")")
        for names, values in _LOCALS.findall(text)
        for name, value in zip(names.split(", "), values.split(","), strict=False)
    }


def _plain(names: Iterable[str]) -> Iterator[str]:
    return (each.removesuffix(_MANY).lower() for each in names)


def _flat(names: Sequence[str], values: Iterable[Any]) -> Iterator[Any]:
    for name, value in zip(names, values, strict=True):
        yield from value if name.endswith(_MANY) else (value,)


def ceil_ms(seconds: float) -> int:
    """Seconds in whole milliseconds, rounded up: no wait ends too early."""
    return math.ceil(seconds * 1000)
