"""Recognises that a request is too long for a model, and reads the numbers in the refusal, in the words of all servers.

The words are those of vLLM, SGLang, llama.cpp, TGI, TensorRT-LLM, LMDeploy, Ollama, LM Studio, LiteLLM, OpenAI, Azure,
Anthropic, Bedrock, Gemini, Cohere, Mistral, Groq, xAI, Moonshot, Qwen, GLM, MiniMax and others.
"""

import re
from dataclasses import dataclass

# Certain whatever else a refusal says.
_CERTAIN = re.compile(
    r"context_length_exceeded|exceed_context_size|contextwindowexceeded|context_window_exceeded|prompt_too_long"
    r"|input_too_long|tokens_limit_reached|string_above_max|request too large for|must be reduced in order to"
    r"|context (?:length|window|size|limit)|maximum (?:model|context|prompt|sequence) len"
)
_WORDS = re.compile(
    r"context[ _-]?(?:length|window|size|limit|len)|\bn_ctx\b|session_len|max_seq_?len|max_num_tokens|max_input_length"
    r"|max(?:imum)? (?:allowed )?(?:input|prompt|sequence|total) ?(?:tokens?|len|size)|maximum sequence length"
    r"|(?:prompt|inputs?|messages?|conversation|question|request|text|payload|content|query|history)\b[^.\n]{0,60}?"
    r"(?:\btoo (?:long|large|big|many tokens)|\blonger than|\bmore (?:tokens? )?than|\bgreater than|\blarger than"
    r"|\bexceed(?:s|ed|ing)?\b[^.\n]{0,60}?(?:tokens?|len|limit|size|max|characters|capacity))"
    r"|(?:input|prompt|request|total|requested|sequence)[ _]?(?:tokens?|length|token count)\b[^\n]{0,80}?"
    r"(?:exceed|too (?:long|large|many)|longer than|more than|greater than|larger than|at most|cannot be|only supports)"
    r"|tokens? (?:count|length|limit|number)[^\n]{0,40}?exceed"
    r"|exceed(?:s|ed)? (?:the )?(?:model(?:'s)? )?(?:max(?:imum)? )?"
    r"(?:number of )?(?:input |prompt |context |model )?tokens?\b|number of (?:input |prompt )?tokens[^\n]{0,60}?exceed"
    r"|exceeded model token limit|tokens in request more than|inputs?`? must have less than|`inputs` tokens"
    r"|range of (?:input|prompt) length|too many (?:input |prompt |total )?tokens|(?:reduce|shorten) (?:the|your) "
    r"(?:length|size|prompt|input|message|conversation|context|number of tokens)|indices sequence length"
    r"|tokens? limit (?:exceeded|reached)|expected maxlength|超长|(?:长度|token).{0,12}(?:超过|超出|过长)"
    r"|(?:超过|超出).{0,16}(?:长度|token|上限)|输入.{0,6}?过长|max input characters|context is full"
    r"|inputs?`? tokens \+ `?max_new_tokens|context overflow|exceed(?:s|ed)? (?:the |maximum )*context"
    r"|fit (?:in|into|within) (?:the )?(?:model's )?context|length of input_ids is"
)
# A limit on how often or how much we may ask: time helps, not a shorter message.
_RATE = re.compile(
    r"please wait|throttl|rate[ _-]?limit|too many requests|per (?:minute|second|hour|day)|\b[tr]p[md]\b|quota"
    r"|(?:try|retry) again (?:later|in|after)|slow down|queue|concurren|overload"
)
# The request itself is short enough, but asks for a longer answer than the model gives.
_ANSWER = re.compile(
    r"(?:^|\n|range of |value for |parameter )[^\w\n]*max_?(?:completion_|new_|output_)?tokens\b[^\n]{0,80}?"
    r"(?:exceed|too (?:large|high|big)|must be|should be|greater|larger|cannot|at most|less than|invalid)"
)
_PROMPT = re.compile(r"\b(?:prompt|inputs?|messages?)\b")
_OUTPUT = re.compile(r"max_(?:completion_)?tokens.{0,40}is too large: (\d+).{0,80}?length is (\d+)", re.DOTALL)

_N = r"(\d[\d,]{0,11})(?!\d|,\d| ?char)"
_T = r"(?: input| prompt)?(?: tokens?)?"
# Pairs of the prompt's size and the window, in this order, or the other way round for `True`.
_PAIRS = (
    (re.compile(rf"{_N}{_T} \+ \d[\d,]* ?> ?{_N}"), False),  # Anthropic, with max_tokens
    (re.compile(rf"{_N}{_T} ?(?:>|exceeds?) ?{_N}"), False),
    (re.compile(rf"{_N}{_T} is (?:greater|larger|longer) than[^\d\n]{{0,70}}{_N}"), False),  # TabbyAPI
    (re.compile(rf"token count \(?(?:is |of )?{_N}\)?[^\d\n]{{0,70}}{_N}"), False),  # Gemini, Copilot, Vertex
    (re.compile(rf"request(?:ed tokens)? \({_N}{_T}\) exceeds?[^\d\n]{{0,60}}{_N}"), False),  # llama.cpp
    (
        re.compile(rf"(?:input|prompt|sequence)(?: length)? ?\((?:length )?{_N}{_T}\)[^\d\n]{{0,70}}{_N}"),
        False,
    ),  # SGLang
    (re.compile(rf"passed {_N} input tokens[\s\S]{{0,90}}?context length is only {_N}"), False),  # vLLM
    (re.compile(rf"contains {_N} tokens[\s\S]{{0,60}}?model with {_N}"), False),  # Mistral
    (re.compile(rf"current length is {_N} while limit is {_N}"), False),  # Cerebras
    (re.compile(rf"length of input_ids is {_N}, but `?max_length`? is set to {_N}"), False),  # Transformers
    (re.compile(rf"less than {_N} tokens\. given: {_N}"), True),  # TGI
    (re.compile(rf"<= ?{_N}\. given: {_N} `inputs`"), True),
    (
        re.compile(rf"length is {_N}{_T}[\s\S]{{0,160}}?\({_N} in (?:the|your) (?:messages|prompt|input)"),
        True,
    ),  # OpenAI
    (
        re.compile(
            rf"length (?:is|of) {_N}{_T}[\s\S]{{0,120}}?{_N} (?:tokens )?(?:from|of|in) (?:the |your |text )?input"
        ),
        True,
    ),
    (re.compile(rf"length is {_N}{_T}[\s\S]{{0,80}}?(?:messages resulted in|prompt (?:has|contains)) {_N}"), True),
    (re.compile(rf"length is {_N}{_T}[\s\S]{{0,80}}?request (?:has|contains) {_N}"), True),
    (re.compile(rf"exceed {_N} - received {_N}"), True),  # Cohere
    (re.compile(rf"token limit:? {_N} \(requested:? {_N}"), True),  # Moonshot
    (re.compile(rf"limit:? {_N}, requested:? {_N}"), True),  # Groq
)
# The window alone.
_WINDOW = (
    re.compile(rf"range of input length should be \[\d+, ?{_N}\]"),  # Qwen
    re.compile(
        r"(?:context|prompt|input|sequence|model|token|allowed|total)[ _-]?(?:length|len|window|size|limit|tokens?)"
        rf"[ '`]*(?:is|of|:|=|<=|are|to be)*(?: only| at most)? ?\(?{_N}"
    ),
    re.compile(rf"max(?:imum)? (?:size|length):? {_N} tokens"),  # GitHub
    re.compile(rf"(?:context|maximum|limit|less than|at most|up to|only|cannot exceed|<=|n_ctx)\b[^\d\n]{{0,40}}?{_N}"),
)
_LEAST, _MOST = 16, 100_000_000  # tokens; another number is none


@dataclass(frozen=True, slots=True)
class Overflow:
    """What a refusal says: the model's window and the size of our prompt, in the server's tokens; None: not said."""

    window: int | None = None
    prompt: int | None = None


def overflows(words: str, *, surely: bool = False) -> bool:
    """Whether these words of a server, in lower case, say that the request is too long. `surely`: by a certain word."""
    if _asks_too_much(words) or "header or cookie" in words or "uri too" in words:
        return False
    if _CERTAIN.search(words):
        return True
    return not surely and _WORDS.search(words) is not None and not _RATE.search(words)


def read(words: str, fields: dict[str, int]) -> Overflow:
    """The numbers of a refusal in these words. `fields`: the numbers that it gives by name."""
    window, prompt = fields.get("n_ctx"), fields.get("n_prompt_tokens")  # llama.cpp
    for pattern, other_way in _PAIRS if window is None else ():
        if found := pattern.search(words):
            prompt, window = map(_number, found.groups()[:: -1 if other_way else 1])
            break
    for pattern in _WINDOW if window is None else ():
        if found := pattern.search(words):
            window = _number(found[1])
            break
    return Overflow(_sane(window), _sane(prompt))


def _asks_too_much(words: str) -> bool:
    """Whether max_tokens alone is refused; then no shorter prompt helps. vLLM mentions the context length here too."""
    found = _OUTPUT.search(words)
    if found:
        return int(found[1]) >= int(found[2])
    answer = _ANSWER.search(words)
    return answer is not None and not _PROMPT.search(words) and "context" not in words


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _sane(number: int | None) -> int | None:
    return number if number is not None and _LEAST <= number <= _MOST else None
