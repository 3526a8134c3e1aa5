"""Finds names of variables that are almost ours, and secrets under a name that nobody reads.

In .env both are mistakes. The environment is shared with other programs: there they are doubts.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from core.finding import Finding, bad, note
from core.settings.env_file import shown

SECRETS = ("_TOKEN", "_KEY", "_SECRET")
# The environment has many names, of which a few resemble ours by chance.
_ALIKE, _ALIKE_OURS = 0.85, 0.6


@dataclass(frozen=True, slots=True)
class Known:
    """The variables that the bot reads, and how a secret begins that belongs in one of them."""

    names: frozenset[str]
    shapes: Sequence[tuple[str, str]]  # a regular expression, and the variable

    def owner(self, value: str) -> str:
        """The variable in which this secret belongs, "" if it may be anybody's."""
        return next((name for shape, name in self.shapes if re.match(shape, value)), "")


@dataclass(frozen=True, slots=True)
class _Stranger:
    """A name that nobody reads. `meant`: the variable that was probably meant; "" if it only begins like ours."""

    name: str
    meant: str

    def sentence(self, where: str) -> str:
        return f"{shown(self.name)} in {where} is not a setting"

    @property
    def hint(self) -> str:
        return f"did you mean {self.meant}?" if self.meant else "docs/settings.md lists all settings."


def misspelt(in_file: Mapping[str, str], known: Known, given: Set[str]) -> list[str]:
    """Problems with names in .env: misspelt variables would otherwise be ignored silently."""
    return [f"{each.sentence('.env')}; {each.hint}" for each in _strangers(in_file, known, given)]


def meant(in_file: Mapping[str, str], known: Known, given: Set[str]) -> set[str]:
    """The variables that misspelt names in .env probably stand for."""
    return {each.meant for each in _strangers(in_file, known, given) if each.meant}


def doubts(around: Mapping[str, str], known: Known, given: Set[str]) -> Iterator[Finding]:
    """What is strange in the environment, which may be meant for other programs."""
    for each in _strangers(around, known, given):
        kind = bad if each.meant else note
        yield kind("environment", each.sentence("the environment"), each.hint)


def _strangers(named: Mapping[str, str], known: Known, given: Set[str]) -> Iterable[_Stranger]:
    """A name that begins like one of our secrets, such as SLACK_, is meant for us however it goes on; so is a secret of
    ours under any name, unless it is set under its own too."""
    secrets = {name.split("_")[0] for name in known.names if name.endswith(SECRETS)}
    for name, value in named.items():
        if name in known.names:
            continue
        ours = name.split("_")[0] in secrets
        owner = known.owner(value)
        near = difflib.get_close_matches(name, sorted(known.names), n=1, cutoff=_ALIKE_OURS if ours else _ALIKE)
        if owner and owner not in given:
            yield _Stranger(name, owner)
        elif near or ours:
            yield _Stranger(name, near[0] if near else "")
