"""Estimates how many tokens a text has, by classes of characters, calibrated for each model by what the API counts.

The weights are means over the tokenizers of Llama 3, Qwen 2.5 to 3.6 and DeepSeek V3: for most texts the guess is at
most a fifth off. It takes linear time.
"""

import re
from collections import Counter

from cachetools import LRUCache

# A word is a token or more, also those of names in code. Digits are tokens one by one or in threes. Signs come in pairs
# and threes, line breaks with what is before them, and single spaces with what follows.
_WORD, _LETTERS_PER_TOKEN = re.compile(r"[A-Za-z]+"), 4.8
_DIGITS, _TOKENS_PER_DIGIT = re.compile(r"[0-9]+"), 0.7
_SIGNS, _SIGNS_PER_TOKEN, _LEAST_PER_RUN = re.compile(r"[!-/:-@\[-`{-~]+"), 2.2, 0.75
_TOKENS_PER_BREAK = 0.6
_BLANKS = re.compile(r"[ \t]{2,}")
# Keys, hashes and base64 are no words: letters and digits without a pattern.
_RANDOM, _RANDOM_PER_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{20,}"), 1.45
_MIXED = re.compile(r"[0-9][A-Za-z]")
_ASCII = re.compile(r"[\x00-\x7f]+")
# Tokens for each character of other scripts; what is in none of them counts as the last.
_SCRIPTS = (
    (re.compile("[\u00a0-\u024f\u1e00-\u1eff]+"), 0.45),  # Latin with marks
    (re.compile("[\u0400-\u052f]+"), 0.36),  # Cyrillic
    (re.compile("[\u0600-\u06ff]+"), 0.4),  # Arabic
    (re.compile("[\uac00-\ud7af]+"), 0.8),  # Korean
    (re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]+"), 0.6),  # Chinese, Japanese
    (re.compile("[\u2190-\u2bff\u200d\ufe00-\ufe0f\U0001f000-\U0001faff]+"), 1.6),  # emoji and symbols
    (re.compile("[\u2010-\u2027\u2030-\u205e\u20a0-\u20bf]+"), 1.0),  # dashes, quotes, currencies
)
_TOKENS_PER_OTHER = 0.7
# Of a guess: the whole text may be of a kind that a model knows well.
_LEAST_SHARE = 0.6
# Tokens that a chat template adds around each message.
_TOKENS_PER_MESSAGE = 5
# Of a picture of 1,024 x 1,024 pixels, the largest that is sent: Qwen2.5-VL has one for 28 x 28 pixels. Other models
# have from 258 (Gemini) to 1,601 (Llama 3.2).
PICTURE_TOKENS = 1_400
LEAST_RATIO, MOST_RATIO = 0.3, 5.0  # of a server's count and our guess
_MAX_MODELS = 256
# Of a longer text, so many samples stand for the whole: nobody waits for its count.
_LONG, _SAMPLES = 65_536, 16
# The same texts are counted again and again: kept are their numbers, by digests that say nothing of them.
_known: LRUCache[tuple[int, int], float] = LRUCache(16_384)


class TokenEstimator:
    """Guesses how many tokens a text has, and learns from the `usage` of every answer and from refusals."""

    def __init__(self) -> None:
        self._ratio: LRUCache[str, float] = LRUCache(_MAX_MODELS)

    def count(self, model: str, text: str) -> int:
        """Estimate the tokens of one message of a request."""
        return round(_guess(text) * self._ratio.get(model, 1.0)) + _TOKENS_PER_MESSAGE

    def least(self, text: str) -> int:
        """A number of tokens that the text hardly stays below, whatever the model."""
        return round(_LEAST_SHARE * _guess(text))

    def ratio(self, model: str) -> float:
        """What the server's counts of this model are, over our guesses."""
        return self._ratio.get(model, 1.0)

    def learnt(self, model: str) -> float | None:
        """The same, if this process knows anything about it."""
        return self._ratio.get(model)

    def learn(self, model: str, texts: list[str], tokens: int) -> None:
        """Correct the ratio of a model: these messages had this many tokens. Short requests teach too little."""
        if (seen := _seen(texts, tokens)) is not None:
            self._ratio[model] = 0.7 * self._ratio.get(model, seen) + 0.3 * seen

    def refused(self, model: str, texts: list[str], tokens: int) -> None:
        """Raise the ratio of a model at once: it refused these messages, which had this many tokens."""
        if (seen := _seen(texts, tokens)) is not None:
            self.expect(model, seen)

    def expect(self, model: str, ratio: float) -> None:
        """Raise the ratio of a model to at least this one."""
        self._ratio[model] = min(MOST_RATIO, max(self.ratio(model), ratio))

    def adopt(self, model: str, ratio: float) -> None:
        """Take over the ratio that other processes have learnt, unless this one has learnt its own."""
        self._ratio.setdefault(model, min(MOST_RATIO, max(LEAST_RATIO, ratio)))


def _seen(texts: list[str], tokens: int) -> float | None:
    counted = tokens - _TOKENS_PER_MESSAGE * len(texts)
    guess = sum(map(_guess, texts))
    if guess < 50 or counted <= 0:
        return None
    return min(MOST_RATIO, max(LEAST_RATIO, counted / guess))


def _guess(text: str) -> float:
    key = (hash(text), len(text))
    if (found := _known.get(key)) is None:
        found = _known[key] = _sampled(text) if len(text) > _LONG else _of_classes(text)
    return found


def _sampled(text: str) -> float:
    size = _LONG // _SAMPLES
    samples = "".join(text[begin : begin + size] for begin in range(0, len(text), len(text) // _SAMPLES))
    return _of_classes(samples) * len(text) / len(samples)


def _of_classes(text: str) -> float:
    tokens = 0.0
    if not text.isascii():
        other = _ASCII.sub("", text)
        for script, each in _SCRIPTS:
            rest = script.sub("", other)
            tokens += each * (len(other) - len(rest))
            other = rest
        tokens += _TOKENS_PER_OTHER * len(other)
    random = [run for run in _RANDOM.findall(text) if _MIXED.search(run)]
    tokens += sum(map(len, random)) / _RANDOM_PER_TOKEN
    if random:
        text = _RANDOM.sub(_without_random, text)
    tokens += _of_runs(_WORD, text, 1.0, 1 / _LETTERS_PER_TOKEN)
    tokens += _of_runs(_SIGNS, text, _LEAST_PER_RUN, 1 / _SIGNS_PER_TOKEN)
    tokens += _of_runs(_DIGITS, text, 1.0, _TOKENS_PER_DIGIT)
    return tokens + text.count("\n") * _TOKENS_PER_BREAK + len(_BLANKS.findall(text))


def _without_random(run: "re.Match[str]") -> str:
    return "" if _MIXED.search(run[0]) else run[0]


def _of_runs(runs: "re.Pattern[str]", text: str, least: float, each: float) -> float:
    """The tokens of all runs of a class, of which each has some."""
    lengths = Counter(map(len, runs.findall(text)))
    return sum(many * max(least, length * each) for length, many in lengths.items())
