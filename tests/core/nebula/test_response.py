"""Bodies as servers really write them: repeated text, early ends, lines without blank lines, tokens of templates."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.domain.chat import Finish, Usage
from core.domain.errors import (
    BadKey,
    BrokenStream,
    ContextTooLong,
    ModelError,
    NoAnswer,
    NoCredits,
    RateLimited,
    ServerTrouble,
)
from core.nebula.failures import AttemptFailed
from core.nebula.response import ResponseDecoder
from core.reply.state import Phase, Reply
from tests.growth import MOST, growth


def chunk(content: str | list[Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def sse(*chunks: dict[str, Any] | str, done: bool = True, end: str = "\n\n", start: str = "data: ") -> bytes:
    datas = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in chunks]
    return "".join(f"{start}{data}{end}" for data in (*datas, *(["[DONE]"] if done else []))).encode()


def answer(body: bytes, cuts: list[int] | range = range(0), model: str = "vendor/model") -> tuple[str, str, Finish]:
    """The text, the thought and the finish of a body that arrives in these reads."""
    decoder = ResponseDecoder(model)
    bounds = [0, *sorted(cuts), len(body)]
    deltas = [*filter(None, (decoder.feed(body[start:stop]) for start, stop in pairwise(bounds) if start < stop))]
    deltas.append(decoder.close())
    reply, thought = Reply(phase=Phase.THINKING), ""
    for delta in deltas:
        reply = reply.add(delta, 0)
        thought += delta.thought
    assert deltas[-1].finish is not None
    return reply.text, thought, deltas[-1].finish


def failure(body: bytes) -> ModelError:
    with pytest.raises(AttemptFailed) as caught:
        answer(body)
    return caught.value.error


SAID = ["The answer ", "is forty ", "two, said ", "with care."]
WHOLE = "".join(SAID)
MESSAGE = {"role": "assistant", "content": WHOLE}
SO_FAR = ["".join(SAID[: number + 1]) for number in range(len(SAID))]

ANTHROPIC: list[tuple[str, dict[str, Any]]] = [
    ("message_start", {"message": {"role": "assistant", "content": []}}),
    *(("content_block_delta", {"delta": {"type": "text_delta", "text": piece}}) for piece in SAID),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}}),
    ("message_stop", {}),
]

BODIES = {
    "plain": sse(*map(chunk, SAID), chunk(finish="stop")),
    "a message at the end": sse(*map(chunk, SAID), chunk(finish="stop", message=MESSAGE)),
    "a message and no delta at the end": sse(
        *map(chunk, SAID), {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
    ),
    "a message in each chunk": sse(*(chunk(message={"content": text}) for text in SO_FAR), chunk(finish="stop")),
    "the whole message in each chunk": sse(*(chunk(message=MESSAGE) for _ in SAID), chunk(finish="stop")),
    "message in place of delta": sse(
        *({"choices": [{"message": {"content": piece}}]} for piece in SAID), chunk(finish="stop")
    ),
    "the text so far": sse(*map(chunk, SO_FAR), chunk(finish="stop")),
    "the text so far, and once more": sse(*map(chunk, [*SO_FAR, WHOLE]), chunk(finish="stop")),
    "the text so far in two chunks": sse(*map(chunk, SO_FAR[2:]), chunk(finish="stop")),
    "the last chunk repeats all": sse(*map(chunk, SAID), chunk(WHOLE, "stop")),
    "all of it once more behind the end": sse(*map(chunk, SAID), chunk(finish="stop"), chunk(WHOLE)),
    "a finish in each chunk": sse(*(chunk(piece, "stop") for piece in SAID)),
    "a finish in the first chunk": sse(chunk("", "stop"), *map(chunk, SAID), chunk(finish="stop")),
    "lines of JSON": sse(*map(chunk, SAID), chunk(finish="stop"), start="", end="\n", done=False),
    "lines of JSON with CRLF and a BOM": b"\xef\xbb\xbf"
    + sse(*map(chunk, SAID), chunk(finish="stop"), start="", end="\r\n"),
    "lines of JSON without the last end": sse(*map(chunk, SAID), chunk(finish="stop"), start="", end="\n", done=False)[
        :-1
    ],
    "one newline": sse(*map(chunk, SAID), chunk(finish="stop"), end="\n"),
    "one CRLF, no space": sse(*map(chunk, SAID), chunk(finish="stop"), end="\r\n", start="data:"),
    "data twice": sse(*map(chunk, SAID), chunk(finish="stop"), start="data: data: "),
    "mixed line ends": sse(*map(chunk, SAID), end="\r\n\n", done=False) + sse(chunk(finish="stop"), end="\r\n\r\n"),
    "a malformed event": sse(*map(chunk, SAID[:2]), "{oops", *map(chunk, SAID[2:]), chunk(finish="stop")),
    "comments": b": keep-alive\n\n"
    + b": ping\n\n".join(sse(each, done=False) for each in map(chunk, SAID))
    + sse(chunk(finish="stop")),
    "Ollama's own form": b"".join(
        json.dumps({"message": {"content": piece}, "done": False}).encode() + b"\n" for piece in SAID
    )
    + b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n',
    "an end token": sse(*map(chunk, [*SAID, "<|eot_id|>"]), chunk(finish="stop")),
    "typed parts": sse(*(chunk([{"type": "text", "text": piece}]) for piece in SAID), chunk(finish="stop")),
    "strings as parts": sse(chunk(SAID), chunk(finish="stop")),
    "an end mark with a blank": sse(*map(chunk, SAID), "[DONE] ", done=False),
    "an end mark in quotes": sse(*map(chunk, SAID), '"[done]"', done=False),
    "an end mark alone": sse(*map(chunk, SAID), done=False) + b"[DONE]\n\n",
    "an end event": sse(*map(chunk, SAID), done=False) + b"event: done\ndata: {}\n\n",
    "an error after the end": sse(*map(chunk, SAID), chunk(finish="stop"), {"error": {"message": "callback failed"}}),
    "an index in quotes": sse(*(chunk(piece, index="0") for piece in SAID), chunk(finish="stop")),
    "the words of a refusal": sse(
        *({"choices": [{"delta": {"content": None, "refusal": piece}}]} for piece in SAID), chunk(finish="stop")
    ),
    "Anthropic's own form": b"".join(
        f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode() for name, fields in ANTHROPIC
    ),
    "a whole answer": json.dumps({"choices": [{"message": MESSAGE, "finish_reason": "stop"}]}).encode(),
    "a whole answer on several lines": json.dumps({"choices": [{"message": MESSAGE}]}, indent=1).encode() + b"\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_every_form_gives_the_text_once(name: str) -> None:
    """However a server repeats, marks or separates the pieces, the answer is read once and as a whole."""
    body = BODIES[name]
    assert answer(body) == (WHOLE, "", Finish.STOP)
    assert answer(body, range(len(body))) == (WHOLE, "", Finish.STOP)


@given(st.sampled_from(list(BODIES.values())), st.data())
def test_reads_of_any_size_change_nothing(body: bytes, data: st.DataObject) -> None:
    """Any split of the bytes gives the same answer."""
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12))
    assert answer(body, cuts) == (WHOLE, "", Finish.STOP)


@pytest.mark.parametrize(
    "pieces", [["ha", "haha"], ["1", "11", "111"], ["a", "ab", "b"], ["-", "--", "---\n", "x"], ["=", "="], [" ", "  "]]
)
def test_pieces_that_begin_like_the_text_are_pieces(pieces: list[str]) -> None:
    """Short words and rows of signs may begin with each other."""
    assert answer(sse(*map(chunk, ["x", *pieces]), chunk(finish="stop")))[0] == "x" + "".join(pieces)
    if pieces != [" ", "  "]:
        assert answer(sse(*map(chunk, pieces), chunk(finish="stop")))[0] == "".join(pieces)


def test_a_replay_of_all_the_text_in_the_middle_is_left_out() -> None:
    """Some servers send a snapshot once in a while. A repeated line or a row of signs is none."""
    said = ["This is the first sentence of an answer. ", "It goes on for a while, with details. ", "And with more. "]
    whole = "".join(said)
    assert answer(sse(*map(chunk, [*said, whole, "The end."]), chunk(finish="stop")))[0] == f"{whole}The end."
    assert answer(sse(*map(chunk, [*said, f"{whole}The ", "end."]), chunk(finish="stop")))[0] == f"{whole}The end."
    for line in ("=" * 40, said[0]):
        assert answer(sse(*map(chunk, ["x", line, line, line]), chunk(finish="stop")))[0] == f"x{line * 3}"


def test_a_character_in_two_halves_is_put_together() -> None:
    """Servers written in JavaScript cut between the halves of a character; half of one alone is replaced."""
    for pieces, text in (
        (["a \ud83d", "\ude42 b"], "a \U0001f642 b"),
        (["\ud83d", "b"], "\ufffdb"),
        (["a\ud83d"], "a\ufffd"),
    ):
        body = sse(*(json.dumps(chunk(piece)) for piece in pieces), chunk(finish="stop"))
        assert answer(body) == answer(body, range(len(body))) == (text, "", Finish.STOP)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"content": "", "reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]},
        {"content": "", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]},
        {"reasoning_content": "Hm.", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]},
        {"reasoning": {"content": "Hm."}},
        {"reasoning_text": "Hm."},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": "Hm.", "extra_content": {"google": {"thought": True}}},
        {"content": "<thought>Hm.</thought>", "extra_content": {"google": {"thought": True}}},
    ],
)
def test_a_thought_comes_under_many_names(delta: dict[str, Any]) -> None:
    """OpenRouter, LiteLLM, Copilot, Mistral and Gemini have their own."""
    thinking = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    assert answer(sse(thinking, *map(chunk, SAID), chunk(finish="stop"))) == (WHOLE, "Hm.", Finish.STOP)


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk("a"), {**chunk(finish="stop"), "usage": {"input_tokens": 7, "output_tokens": 3}}],
        [chunk("a"), {**chunk(finish="stop"), "usage": {"prompt_tokens": 7.0, "completion_tokens": "3"}}],
        [chunk("a"), {**chunk(finish="stop"), "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}}],
        [chunk("a"), {**chunk(finish="stop"), "timings": {"prompt_n": 5, "cache_n": 2, "predicted_n": 3}}],
        [chunk("a"), chunk(finish="stop", usage={"prompt_tokens": 7, "completion_tokens": 3})],
        [chunk("a", "stop"), {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}, {"usage": {"prompt_tokens": 0}}],
        [{"usage": {"prompt_tokens": 7}}, chunk("a"), {**chunk(finish="stop"), "usage": {"completion_tokens": 3}}],
        [{"message": {"content": "a"}, "done": True, "prompt_eval_count": 7, "eval_count": 3}],
    ],
)
def test_the_tokens_are_counted_under_many_names(chunks: list[dict[str, Any]]) -> None:
    """Each family has names and places of its own, some split the counts, and zeros say nothing."""
    decoder = ResponseDecoder("m")
    decoder.feed(sse(*chunks))
    assert decoder.close().usage == Usage(7, 3)


def test_an_early_finish_is_not_believed() -> None:
    """A finish before any output, or with more output after it, is not the end of the text."""
    decoder = ResponseDecoder("m")
    decoder.feed(sse(chunk("", "stop"), done=False))
    assert not decoder.nearly_over
    decoder.feed(sse(chunk("a", "stop"), done=False))
    assert decoder.nearly_over is False
    decoder = ResponseDecoder("m")
    decoder.feed(sse(chunk("a", "stop"), done=False))
    assert decoder.nearly_over
    decoder.feed(sse(chunk("b", "stop"), done=False))
    assert not decoder.nearly_over


def test_text_after_the_last_finish_may_be_incomplete() -> None:
    """The stream ends without a word, after text behind an early finish."""
    assert answer(sse(chunk("", "stop"), chunk("half"), done=False)) == ("half", "", Finish.UNKNOWN)


@pytest.mark.parametrize("field", ["native_finish_reason", "stop_reason", "finish_details"])
def test_a_second_field_may_name_the_reason(field: str) -> None:
    """OpenRouter and others keep the server's own word beside a plain "stop"."""
    word: Any = {"type": "max_tokens"} if field == "finish_details" else "MAX_TOKENS"
    assert answer(sse(chunk("half", "stop", **{field: word})))[2] is Finish.LENGTH
    assert answer(sse(chunk("all", "stop", **{field: "a stop string"})))[2] is Finish.STOP


@pytest.mark.parametrize(
    "word", ["network_error", "error", "abort", "cancelled", "timeout", "insufficient_system_resource"]
)
def test_a_server_that_gave_up_is_a_broken_stream(word: str) -> None:
    """The text so far is not the answer."""
    assert type(failure(sse(chunk("half", word)))) is BrokenStream


def test_a_malformed_piece_of_the_answer_is_told() -> None:
    """The rest is read; the end says that something may be missing."""
    lost = '{"choices":[{"delta":{"content":"los'
    assert answer(sse(chunk("a"), lost, chunk("b", "stop"))) == ("ab", "", Finish.UNKNOWN)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (sse('{"choices":['), BrokenStream),
        (b'{"code":1113,"msg":"Insufficient balance or no resource package.","success":false}', NoCredits),
        (b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"},"choices":null}', NoCredits),
        (sse({"code": 1113, "msg": "\u4f59\u989d\u4e0d\u8db3"}), NoCredits),
        (sse({"text": "**NETWORK ERROR**", "error_code": 50002}), ServerTrouble),
        (b'{"error_code":18,"error_msg":"too many requests"}', RateLimited),
        (b'{"statusCode":429,"message":"Rate limit is exceeded. Try again in 5 seconds."}', RateLimited),
        (b'{"status":"error","message":"Model is temporarily unavailable"}', ServerTrouble),
        (b'{"errors":[{"message":"Invalid API key"}]}', BadKey),
        (b'{"status":402,"message":"Payment Required"}', NoCredits),
        (b'{"ok":false,"description":"insufficient credits"}', NoCredits),
        (b'{"result":"error","msg":"balance is not enough"}', NoCredits),
        (sse({"errcode": 7, "errmsg": "too many concurrent requests"}), RateLimited),
        (b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]', RateLimited),
        (sse({**chunk("half"), "x_groq": {"error": "over capacity"}}), ServerTrouble),
        (sse(chunk("half"), done=False) + b'error: {"code":500,"message":"shift failed"}\n\n', ServerTrouble),
        (b'error: {"code":400,"message":"exceeds the available context size"}\n\n', ContextTooLong),
        (sse(chunk("half"), done=False) + b'{"detail":"Internal error"}\n', ServerTrouble),
        (b'{"choices":[]}', NoAnswer),
        (b"event: error\ndata: the prompt is too long: 9 tokens > 8 maximum\n\n", ContextTooLong),
        (
            sse({"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"}),
            ContextTooLong,
        ),
        (sse({"type": "error", "error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}), ContextTooLong),
        (sse(chunk("<tool_call>{}</tool_call>", "stop")), NoAnswer),
        (sse(chunk('<function=search>{"q":1}</function>', "stop")), NoAnswer),
        (sse(chunk('[TOOL_CALLS][{"name":"f"}]', "stop")), NoAnswer),
        (sse(chunk('<|python_tag|>{"name":"f"}', "stop")), NoAnswer),
        (sse(chunk("<|im_end|>", "stop")), NoAnswer),
    ],
)
def test_failures_with_status_200_are_read(body: bytes, kind: type[ModelError]) -> None:
    """Errors in the place of an answer, in the forms of several servers."""
    assert type(failure(body)) is kind


ENDS = [
    *("<|eot_id|>", "<|im_end|>", "</s>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "[/INST]", "<|end_of_text|>"),
    *(
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "<|return|>",
        "<|END_OF_TURN_TOKEN|>",
        "[|endofturn|]",
        "<eos>",
        "<|user|>",
        "<|assistant|>",
    ),
    *("<|im_end|>\n", "<|im_end|>\n<|endoftext|>", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi"),
    *("<|im_end|>\n<|im_start|>user\nAnd now?", "</s><s>[INST] More", "<end_of_turn>\n<start_of_turn>user\nHi"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_end_of_a_turn_is_taken_away(end: str, size: int) -> None:
    """A template's token at the very end, or before another turn's header, is no part of the answer."""
    content = f"Use `<b>` here.{end}"
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    assert answer(sse(*map(chunk, pieces), chunk(finish="stop")))[0].strip() == "Use `<b>` here."


ABOUT = [
    "Llama ends a turn with `<|eot_id|>`",
    "The token <|eot_id|> ends a turn.",
    "```\nHi<|im_end|>\n```",
    "```\nHi<|im_end|>\n<|im_start|>user\nYou\n```\nThat is ChatML.",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYou<|im_end|>\n",
    "Its end is marked by </s>",
    "An HTML list: <s>old</s>",
    "a < b and [INST] or [x]",
    "```\nHi<|im_end|>",
    "x <y",
]


@pytest.mark.parametrize("text", ABOUT)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_text_about_tokens_stays(text: str, size: int) -> None:
    """In code, in a sentence, or as an example, a token is a word."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert answer(sse(*map(chunk, pieces), chunk(finish="stop")))[0] == text


FAMILIES = [
    *(f"<{name}>Hm.</{name}>\n\nYes." for name in ("think", "thinking", "Reasoning", "thought", "seed:think")),
    *("[THINK]Hm.[/THINK]Yes.", "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>"),
    *("\u25c1think\u25b7Hm.\u25c1/think\u25b7Yes.", "<think>Hm.</think><answer>Yes.</answer>"),
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "<|start|>assistant<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Yes.",
    "<|channel|>final<|message|>Yes.<|end|>",
    "<|im_start|>assistant\nYes.<|im_end|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\nYes.<|eot_id|>",
    "analysisHm.assistantfinalYes.",
    "analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "<|message|>Yes.<|return|>",
    "assistantfinalYes.",
    "<|think|>Hm.<|/think|>Yes.",
    "<inner_monologue>Hm.</inner_monologue>\nYes.",
    "<Thought>Hm.</Thought>\n<Output>Yes.</Output>",
    "<think>Hm.</think>\n<|begin_of_box|>Yes.<|end_of_box|>",
    "Here is my thought process:\nHm.\nHere is my response:\nYes.",
    "Here's my thought process: Hm.\n\nHere's my response:\n\nYes.",
    "Yes.assistant\n\nHow can I help?assistant\n\nBye.",
    "Yes.assistant",
]


@pytest.mark.parametrize("content", FAMILIES)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_thought_of_every_family_is_separated(content: str, size: int) -> None:
    """Each family of models has its own tags; they may be cut anywhere."""
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    body = sse(*map(chunk, pieces), chunk(finish="stop"))
    text, thought, _ = answer(body)
    assert answer(body, range(len(body))) == (text, thought, Finish.STOP)
    assert (text, thought.strip()) == ("Yes.", "Hm." if "Hm." in content else "")


@pytest.mark.parametrize(
    "text",
    [
        "analysis of the data: none",
        "Use <thinking> tags, then </thinking>, then answer.",
        "gpt-oss writes <|channel|>final<|message|> first.",
        "Write `[THINK]` before it.",
        "analysis",
        "final",
        "commentary is <|message|> here.",
        "Here is my bill.",
        "<output> is an HTML element, as in <output>x</output>",
        "Ask the assistant\n\nThen go.",
        "Yes!assistants help",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_text_about_thoughts_stays(text: str, size: int) -> None:
    """A tag inside an answer is a word."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert answer(sse(*map(chunk, pieces), chunk(finish="stop")))[:2] == (text, "")


TOKENS = [
    *ENDS,
    *ABOUT,
    "!assistant",
    "assistant\n\n",
    "assist",
    ".ass",
    "\n\n",
    "<",
    "|",
    "`",
    "```\n",
    " ",
    "\n",
    "word ",
    "<|im",
    "_end|>",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=6), st.data())
def test_pieces_of_any_size_give_the_same_text(parts: list[str], data: st.DataObject) -> None:
    """Where the text is split into chunks decides nothing, unless its pieces look like those of a server that sends all
    of the text so far in each: then nobody could tell."""
    text = "x" + "".join(parts)
    cuts = data.draw(st.lists(st.integers(1, len(text)), max_size=12))
    pieces = [text[start:stop] for start, stop in pairwise([0, *sorted(cuts), len(text)]) if start < stop]
    assume(len(pieces) < 2 or not all(piece.startswith(before) for before, piece in pairwise(pieces[:3])))
    whole = answer(sse(chunk(text), chunk(finish="stop")))
    assert answer(sse(*map(chunk, pieces), chunk(finish="stop"))) == whole


def test_usage_is_bounded_by_what_was_sent_and_received() -> None:
    """No token has less than a byte, whatever a server says. What says nothing is estimated: no answer is free."""
    for huge in (10**23, 1e300, "9" * 19):
        decoder = ResponseDecoder("m", sent=1000)
        body = sse({**chunk("a", "stop"), "usage": {"prompt_tokens": huge, "completion_tokens": huge}})
        decoder.feed(body)
        usage = decoder.close().usage
        assert usage is not None
        assert 0 <= usage.prompt <= 6000
        assert 0 <= usage.completion <= len(body)
    nothing: object
    for nothing in (-5, True, 0, None, "x", "9" * 5000, [], float("nan")):
        decoder = ResponseDecoder("m", sent=1000)
        decoder.feed(sse({**chunk("a", "stop"), "usage": {"prompt_tokens": nothing, "completion_tokens": nothing}}))
        assert decoder.close().usage is None


def test_a_delta_in_the_middle_of_a_restart_keeps_the_end() -> None:
    """A thought that turns out at its closing tag takes nothing of the end's tokens with it."""
    body = sse(*map(chunk, ["Hm.\n", "</think>", "\n\nYes.", "<|im_end|>"]), chunk(finish="stop"))
    assert answer(body) == ("Yes.", "Hm.\n", Finish.STOP)


@pytest.mark.parametrize(
    "piece",
    [
        " word",
        "<",
        "<|end|> x",
        " <|eot_id|>\n",
        "`<|im_end|>` ",
        "</think> a",
        "```\n<|im_start|>\n```\n",
        "[",
        "</s>",
    ],
)
async def test_twice_the_text_costs_twice_the_time(piece: str) -> None:
    """Whatever a model repeats, each piece costs the same."""
    data = sse(*([chunk(piece)] * 50), done=False)

    def read(count: int) -> None:
        decoder = ResponseDecoder("m")
        for _ in range(count // 50):
            decoder.feed(data)

    assert await growth(read, int, 4_000) <= MOST


@pytest.mark.parametrize(
    "piece", [b"data: ", b"data: {}\n\n", b"\n\n", b"event: x\n", b"data: x\n", b"data: {\n", b": x\n", b"\r", b"{\n"]
)
async def test_twice_the_bytes_cost_twice_the_time(piece: bytes) -> None:
    """Whatever a server repeats, as one endless line or as countless events."""

    def read(data: bytes) -> None:
        decoder = ResponseDecoder("m")
        for start in range(0, len(data), 1 << 16):
            decoder.feed(data[start : start + (1 << 16)])
        with suppress(AttemptFailed):
            decoder.close()

    assert await growth(read, lambda size: b": \n" + piece * (size // len(piece)), 200_000) <= MOST
