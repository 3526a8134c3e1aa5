"""What passes between the core and a model: requests, pieces of an answer and the beat in which they are read, the
models on offer."""

import asyncio
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from itertools import pairwise
from typing import Literal

BEAT_SECONDS = 0.15  # between two reads of a quick stream, unless somebody asks for its text sooner
# The system keeps a few dozen kilobytes of small packets for a connection that is not read, and then the model's server
# has to wait. After a read of so many bytes the next one follows at once.
FULL_BYTES = 8_192
QUICK_READS = 4  # a stream counts as quick after more reads in a row than this, each within BEAT_SECONDS
_LIKELY = 16  # names that a misspelt one is compared with
# Words in the names of models that see pictures.
SEEING = (
    *("vl", "vision", "internvl", "gpt-4o", "gpt-4.1", "gpt-5", "gemini", "claude", "pixtral", "llava", "llama-4"),
    *("gemma-3", "minicpm-v"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer, as counted by the server."""

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, small enough for a model. `data`: its bytes, of the type `mime`."""

    name: str
    data: bytes
    mime: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat request. `pictures`: those that the model sees beside the text."""

    role: Literal["system", "user", "assistant"]
    content: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to the model. None leaves a parameter to the server's default.

    `deadline`: until when it may wait to be sent and, streamed, for its first token, on the event loop's clock.
    `urgent`: somebody waits for the answer; otherwise it is sent only if the account has room for it at once.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    deadline: float | None = None
    urgent: bool = True

    @property
    def pictures(self) -> int:
        """How many pictures the model sees."""
        return sum(len(each.pictures) for each in self.messages)


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
class ImageRequest:
    """A request for a picture. `width` and `height`: in pixels. None leaves a parameter to the server's default.

    `deadline`: until when the picture must be there, waiting included, on the event loop's clock.
    """

    model: str
    prompt: str
    width: int
    height: int
    steps: int | None = None
    guidance: float | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class ImageResult:
    """A picture as bytes. `kind`: "png", "jpeg" or "webp", as its first bytes say."""

    content: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on offer. Sizes are in tokens; None where the catalog does not say. `sees`: it takes pictures. `known`:
    another short name, by which people may know it although the catalog gives it a different one."""

    name: str  # its name in the API
    alias: str = ""  # the short name people use
    context: int | None = None
    max_output: int | None = None
    sees: bool | None = None
    known: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names by which people may ask for it."""
        return tuple(filter(None, (self.name, self.alias, self.known)))


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models on offer that write, and the names of those that draw. `live` is false for the built-in list, which is
    used when the API can't be reached."""

    models: tuple[ModelInfo, ...]
    live: bool = True
    pictures: tuple[str, ...] = ()

    def find(self, name: str) -> ModelInfo | None:
        """Find a model by one of its names, ignoring case; None if the catalog does not list it. The names that the
        catalog gives go before those by which people may know a model."""
        wanted = name.strip().lower()
        found = [info for info in self.models if wanted in (info.name.lower(), info.alias.lower())]
        known = found or [info for info in self.models if wanted and wanted == info.known.lower()]
        return known[0] if known else None

    def doubt(self, name: str) -> str:
        """A sentence about a model that the catalog, which changes, does not list; "" for one that it lists."""
        if self.find(name):
            return ""
        near = self.near(name)
        hint = f"Did you mean `{near}`? " if near else ""
        return f"This model is not on Nebula's list. {hint}I will try it anyway."

    def near(self, name: str, likeness: float = 0.75) -> str:
        """The name of the model that is called most like this, at least so much (0 to 1); "" if there is none."""
        known = {each.lower(): info.name for info in self.models for each in info.names}
        found = difflib.get_close_matches(name.lower(), _likely(name.lower(), known), n=1, cutoff=likeness)
        return known[found[0]] if found else ""


def _likely(name: str, known: Iterable[str]) -> list[str]:
    """The few names that share the most pairs of letters with this one: to compare any two takes a while."""
    pairs = set(pairwise(name))
    return nlargest(_LIKELY, known, key=lambda each: len(pairs.intersection(pairwise(each))))


class Beat:
    """The beat of one answer. Pieces of a quick stream gather, at no cost, until a beat has passed or somebody asks.

    The first pieces, and all pieces of a slow stream, are read as they come, and so is what follows a full read: no
    stream is too quick.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._quick = 0
        self._full = False
        self._wanted = asyncio.Event()
        self._resting = False

    @property
    def quick(self) -> bool:
        """Whether the next pieces should gather before they are read."""
        return self._quick > QUICK_READS and not self._full

    def read(self) -> None:
        """Note that a read begins."""
        self._since = self._clock()

    def heard(self, size: int) -> None:
        """Note that the read brought something from the model, in so many bytes."""
        self._full = size >= FULL_BYTES
        self._quick = self._quick + 1 if self._clock() - self._since < BEAT_SECONDS else 0

    async def rest(self) -> None:
        """Wait for the next beat, or until somebody wants what has gathered."""
        self._wanted.clear()
        self._resting = True
        alarm = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._wanted.set)
        try:
            await self._wanted.wait()
        finally:
            self._resting = False
            alarm.cancel()

    def now(self) -> bool:
        """Have the gathered pieces read at once. False if nothing is gathering at the moment."""
        if self._resting:
            self._wanted.set()
        return self._resting
