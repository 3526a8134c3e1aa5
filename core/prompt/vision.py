"""Which models see pictures, and which one to offer where a model does not: no list of models says so reliably."""

import re
from dataclasses import dataclass

from core.domain.chat import SEEING, Catalog, ModelInfo


@dataclass(frozen=True, slots=True)
class Vision:
    """`names`: words in the names of models that see. `model`: the one to offer, "" for none; `surely`: also if the
    catalog does not list it."""

    names: tuple[str, ...] = SEEING
    model: str = ""
    surely: bool = False

    def sees(self, model: str, info: ModelInfo | None) -> bool:
        """Whether this model sees, as far as its name and the catalog say."""
        named = any(_has(model, each) for each in self.names)
        return named or model.lower() == self.model.lower() or bool(info and info.sees)

    def other(self, model: str, catalog: Catalog) -> str:
        """The model to offer beside this one, "" if there is none."""
        found = catalog.find(self.model) if self.model else None
        name = found.name if found else self.model if self.surely else ""
        return name if name.lower() != model.lower() else ""


def _has(model: str, word: str) -> bool:
    """Whether a name has this word, as a whole or with a number behind it: `vl` is in `Qwen2.5-VL-7B`."""
    return re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}(?![a-z])", model.lower()) is not None
