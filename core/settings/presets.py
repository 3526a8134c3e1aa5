"""Presets: a system prompt with a model and parameters under a name, for all channels of a workspace."""

import re
from dataclasses import dataclass

from core.domain.errors import UserError

PRESET = "preset"
"""Beside the parameters of a scope: which preset it uses."""
CONTENTS = ("prompt", "model", "temperature", "top_p", "max_tokens", "reasoning", "language")
"""The parameters that a preset can hold."""
NONE = "default"
"""In place of a name: no preset."""
MOST_PRESETS = 100  # of a workspace
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset. `id`: stays the same when it is saved anew, and differs from that of an older one which had the same
    name and was deleted: whoever used that one does not use this one. `revision`: differs each time it is saved.

    `values`: of its parameters, as text, by their names. `author`: id of the person who saved it first, with their
    name in `by`; `at`: when it was saved last, in epoch seconds.
    """

    name: str
    id: str
    revision: str
    values: tuple[tuple[str, str], ...]
    author: str
    by: str
    at: float

    @property
    def reference(self) -> str:
        """What a channel stores to use it."""
        return f"{self.name} {self.id}"

    def value(self, parameter: str) -> str:
        """The value of a parameter, "" if the preset leaves it alone."""
        return dict(self.values).get(parameter, "")


def preset_name(text: str) -> str:
    """A name as it is stored, in lower case. Raises UserError, which says what a name must be."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise UserError(
            "The name of a preset has up to 32 letters (a to z), digits, `-` and `_`, without spaces; the first is a "
            "letter or a digit."
        )
    if name == NONE:
        raise UserError(f"`{NONE}` can't be the name of a preset: `preset use {NONE}` ends the use of one.")
    return name


def referred(reference: str) -> tuple[str, str]:
    """The name and the id in a reference."""
    name, _, identifier = reference.partition(" ")
    return name, identifier
