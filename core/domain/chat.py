"""The values that pass between the core and a model: requests, pieces of an answer, the models on offer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer, as counted by the server."""

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat request."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to the model. None leaves a parameter to the server's default.

    `deadline`: until when it may wait to be sent and, streamed, for its first token, on the event loop's clock.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    deadline: float | None = None


class Finish(StrEnum):
    """Why the model stopped writing."""

    STOP = "stop"  # the answer is complete
    LENGTH = "length"  # the answer reached the limit on its length
    FILTER = "filter"  # the server's content filter cut it off
    UNKNOWN = "unknown"  # for a reason that we do not know: the answer may be incomplete


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: text for people, thought (never shown as the answer), or how the answer ended.

    `restart`: all text before this piece turned out to be thought; the answer begins with this piece. `model`: on the
    first piece, the model that answers, if it is not the one that was asked.
    """

    text: str = ""
    thought: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    restart: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A complete answer that was not streamed."""

    text: str
    thought: str
    finish: Finish
    usage: Usage


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on offer. Sizes are in tokens; None where the catalog does not say."""

    name: str  # its name in the API
    alias: str = ""  # the short name people use
    context: int | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models on offer. `live` is false for the built-in list, which is used when the API can't be reached."""

    models: tuple[ModelInfo, ...]
    live: bool = True

    def find(self, name: str) -> ModelInfo | None:
        """Find a model by its name or alias, ignoring case; None if the catalog does not list it."""
        wanted = name.strip().lower()
        for info in self.models:
            if wanted in (info.name.lower(), info.alias.lower()):
                return info
        return None

    def names(self) -> Iterable[str]:
        """The names of the models in the API, in the order of the catalog."""
        return (info.name for info in self.models)
