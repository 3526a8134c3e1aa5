"""Chunks of the Nebula API as values: the usual ones, which are read in one pass, and all others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.chat import ChatMessage, ChatRequest, Finish, Picture, Usage
from core.nebula.dialect import STANDARD
from core.nebula.wire import Chunk, parse, request_fields, words

OPTIONAL_TEXT = st.none() | st.text(st.characters(), max_size=8)  # lone surrogates included
DELTAS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": OPTIONAL_TEXT | st.just(7) | st.just([{"type": "text", "text": "part"}]),
        "reasoning_content": OPTIONAL_TEXT,
        "reasoning": OPTIONAL_TEXT,
        "tool_calls": st.just([]) | st.none(),
    },
)
CHOICE_OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, None, "0"]),
        "delta": DELTAS,
        "text": OPTIONAL_TEXT,
        "logprobs": st.none(),
        "finish_reason": st.sampled_from([None, "", "stop", "length", "abort"]),
        "error": st.none() | st.just({"message": "gone"}),
    },
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("chatcmpl-1"),
        "choices": st.none() | st.lists(CHOICE_OBJECTS, max_size=2),
        "usage": st.none() | st.just({"prompt_tokens": 3, "completion_tokens": 4}),
        "error": st.none() | st.just({"message": "gone"}) | st.just(""),
    },
)


@given(CHUNKS)
def test_both_ways_of_reading_the_usual_chunk_agree(value: dict[str, Any]) -> None:
    """The fast path accepts only chunks with text, and finds the same as the general one."""
    data = json.dumps(value)
    said = words(data)
    assert said is None or parse(data) == Chunk(said)


def test_nearly_every_chunk_takes_the_fast_path() -> None:
    """The tokens of vLLM, llama.cpp and LiteLLM are read in one pass."""
    for choice in (
        {"index": 0, "delta": {"content": " hash"}, "logprobs": None, "finish_reason": None},
        {"delta": {"role": "assistant", "content": " hash", "tool_calls": []}},
        {"index": 0, "delta": {"content": " hash", "reasoning_content": None}},
    ):
        assert words(json.dumps({"id": "chatcmpl-1", "choices": [choice], "usage": None})) == " hash"


@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        ('{"choices":[{"index":0,"delta":{"content":" hash"},"logprobs":null,"finish_reason":null}]}', Chunk(" hash")),
        ('{"choices":[{"delta":{"content":"a","reasoning":"b"}}]}', Chunk("a", "b")),
        ('{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}', Chunk("a", finish=Finish.STOP)),
        ('{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}', Chunk("a", usage=Usage(1, 0))),
        ('{"choices":[{"index":1,"delta":{"content":"a"}}]}', Chunk()),
        ('{"choices":[{"delta":{},"message":{"content":"whole"}}]}', Chunk("whole")),
        ('{"choices":[{"delta":{"content":"\\ud83d"}}]}', Chunk("\ud83d")),
        ('{"choices":[{"delta":{"content":"a"},"x":NaN}]}', Chunk("a")),
        ("[1]", None),
        (": ping", None),
    ],
)
def test_a_chunk_is_parsed(data: str, chunk: Chunk | None) -> None:
    """Words, thought, finish, usage; half a character stays for the decoder, and anything but an object is no chunk."""
    assert parse(data) == chunk
    assert words(data) is None or chunk == Chunk(words(data) or "")


@pytest.mark.parametrize("data", ["{", '{"choices":', '{"a":' * 2000])
def test_a_malformed_object_is_an_error(data: str) -> None:
    """A malformed object must not be ignored."""
    with pytest.raises(ValueError):
        parse(data)


def test_pictures_are_parts_beside_the_text() -> None:
    """As data, since the server could not fetch them; a message without one stays a text."""
    picture = Picture("a.png", b"\x00\xff", "image/png")
    request = ChatRequest("m", (ChatMessage("system", "Be brief."), ChatMessage("user", "what?", (picture,))))
    assert request_fields(request, "m", STANDARD, stream=True)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AP8="}},
            ],
        },
    ]
