"""Plain values of the sandbox's Nebula: its answers, what can go wrong with them, and the requests it received."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bots.sandbox.hold import Hold
from core.domain.chat import ChatMessage

# LiteLLM sends this when the server behind it dies: an error object in the stream, and no [DONE].
UPSTREAM_DIED = (
    '{"error":{"message":"litellm.APIConnectionError: the server behind the proxy is gone",'
    '"type":null,"param":null,"code":"500"}}'
)


class Thought(StrEnum):
    """How a server sends what a model thinks aloud."""

    TAGS = "tags"  # <think>…</think> in the content
    UNOPENED = "unopened"  # the same without <think>, which is in the prompt
    REASONING_CONTENT = "reasoning_content"  # a separate field: LiteLLM, vLLM until 0.15
    REASONING = "reasoning"  # the new name of that field in vLLM


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the model says. `finish` None: the stream has no finish_reason."""

    text: str
    thought: str = ""
    style: Thought = Thought.TAGS
    finish: str | None = "stop"


@dataclass(frozen=True, slots=True)
class NebulaFault:
    """How one request goes wrong. Positions are tokens of the answer, including its thought.

    `body`: replaces the answer, byte by byte; with status 200 it replays a recording, whose type is in `headers`.
    `first_token`: extra seconds before the first token. `stall_after`: nothing is sent after this many tokens.
    `hold_after`: nothing is sent after this many tokens until `hold` is released; then the rest is sent at once.
    `cut_after`: the connection is reset. `error_after`: `error` is sent as an event, and the body ends.
    `done`: whether `[DONE]` is sent. `noise`: role-only, empty and choiceless chunks, comments and pings between the
    tokens. `crlf`: lines end in CRLF. `bytewise`: each byte is written separately. `empty`: the model says nothing.
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
    """A chat request as received. `at`: seconds on the loop's clock. `closed_early`: the client hung up."""

    at: float
    key: str
    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    include_usage: bool = False
    fields: tuple[str, ...] = ()  # the field names in the body, to check what was left out
    closed_early: bool = False
    finished: bool = False  # the answer was sent completely
    written: tuple[float, ...] = ()  # when each token was written, on the same clock; known after the stream
