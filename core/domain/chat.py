"""What passes between the core and a model: requests, pieces of an answer, the models on offer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as counted by the server."""

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat request."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the model is asked. None leaves a parameter to the server's default."""

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


class Finish(StrEnum):
    """Why the model ended."""

    STOP = "stop"  # it had said all
    LENGTH = "length"  # the limit on the output was reached
    FILTER = "filter"  # the server's content filter


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: text for people, thought (never shown as answer), or how it ended.

    `restart`: all text before this piece turned out to be thought; the answer begins with this one. `model`: on the
    first piece, which model answers, if it is another than was asked.
    """

    text: str = ""
    thought: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    restart: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer that was not streamed."""

    text: str
    thought: str
    finish: Finish
    usage: Usage


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on offer. Sizes are in tokens, None where the catalog does not say."""

    name: str  # what the API calls it
    alias: str = ""  # the short name people use
    context: int | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models on offer. `live` is false for the built-in list, used when the API can't be asked."""

    models: tuple[ModelInfo, ...]
    live: bool = True

    def find(self, name: str) -> ModelInfo | None:
        """The model by its name or short name, in any case; None if the catalog does not know it."""
        wanted = name.strip().lower()
        for info in self.models:
            if wanted in (info.name.lower(), info.alias.lower()):
                return info
        return None

    def names(self) -> Iterable[str]:
        """The API's names, in the catalog's order."""
        return (info.name for info in self.models)
