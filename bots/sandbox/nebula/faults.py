"""What can go wrong with an answer of the sandbox's Nebula, and what it has to say: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bots.sandbox.hold import Hold
from core.domain.chat import ChatMessage

# LiteLLM when the server behind it dies: an error object in the stream, and no [DONE]
UPSTREAM_DIED = (
    '{"error":{"message":"litellm.APIConnectionError: the server behind the proxy is gone",'
    '"type":null,"param":null,"code":"500"}}'
)


class Thought(StrEnum):
    """How a server passes on what a model thinks aloud."""

    TAGS = "tags"  # <think>…</think> in the content
    UNOPENED = "unopened"  # the same without <think>, which is in the prompt
    REASONING_CONTENT = "reasoning_content"  # a field of its own: LiteLLM, vLLM until 0.15
    REASONING = "reasoning"  # the field's new name in vLLM


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says. `finish` None: the stream gives no finish_reason."""

    text: str
    thought: str = ""
    style: Thought = Thought.TAGS
    finish: str | None = "stop"


@dataclass(frozen=True, slots=True)
class Fault:
    """How one request goes wrong. Positions are counted in tokens of the answer, its thought included.

    `body` replaces the answer, byte by byte as given; with status 200 that replays a recording (`headers` say of
    what type). `first_token`: seconds more until the first token. `stall_after`: then nothing comes any more.
    `hold_after`: then nothing comes until `hold` is let go; from then on what is left comes at once.
    `cut_after`: then the connection is reset. `error_after`: then `error` comes as an event, and the body ends.
    `done`: whether `[DONE]` is sent. `noise`: role-only, empty and choiceless chunks, comments and pings between the
    tokens. `crlf`: lines end in CRLF. `bytewise`: each byte is written by itself. `empty`: the model says nothing.
    """

    status: int = 200
    body: bytes | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    first_token: float = 0.0
    stall_after: int | None = None
    hold_after: int | None = None
    hold: Hold | None = None
    cut_after: int | None = None
    error_after: int | None = None
    error: str = UPSTREAM_DIED
    done: bool = True
    noise: bool = False
    crlf: bool = False
    bytewise: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A chat request as the server got it. `at`: seconds of the loop's clock. `closed_early`: the client hung up."""

    at: float
    key: str
    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    include_usage: bool = False
    fields: tuple[str, ...] = ()  # the names in the body, to see what was left out
    closed_early: bool = False
    finished: bool = False  # the answer was sent to its end
    written: tuple[float, ...] = ()  # when each of its tokens was, by the same clock; known once the stream has ended
