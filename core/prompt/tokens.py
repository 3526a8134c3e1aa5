"""Estimates how many tokens a text has, calibrated for each model by the counts that the API returns."""

from cachetools import LRUCache

# In most scripts a token is about 3.5 UTF-8 bytes; calibration corrects this for each model.
_TOKENS_PER_BYTE = 1 / 3.5
# Nearly every tokenizer gives a digit a token, and most signs of code too.
_DIGITS, _SIGNS = b"0123456789", rb"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
_TOKENS_PER_DIGIT, _TOKENS_PER_SIGN = 0.8, 0.6
# Tokens that a chat template adds around each message.
_TOKENS_PER_MESSAGE = 5
LEAST_RATIO, MOST_RATIO = 0.3, 5.0  # of a server's count and our guess; the most is a token for each byte
_MAX_MODELS = 256


class TokenEstimator:
    """Guesses how many tokens a text has, and learns from the `usage` of every answer and from refusals."""

    def __init__(self) -> None:
        self._ratio: LRUCache[str, float] = LRUCache(_MAX_MODELS)

    def count(self, model: str, text: str) -> int:
        """Estimate the tokens of one message of a request."""
        return round(_guess(text) * self._ratio.get(model, 1.0)) + _TOKENS_PER_MESSAGE

    def least(self, text: str) -> int:
        """A number of tokens that the text hardly stays below, whatever the model."""
        return round(0.5 * _guess(text))

    def ratio(self, model: str) -> float:
        """What the server's counts of this model are, over our guesses."""
        return self._ratio.get(model, 1.0)

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


def _seen(texts: list[str], tokens: int) -> float | None:
    counted = tokens - _TOKENS_PER_MESSAGE * len(texts)
    guess = sum(map(_guess, texts))
    if guess < 50 or counted <= 0:
        return None
    return min(MOST_RATIO, max(LEAST_RATIO, counted / guess))


def _guess(text: str) -> float:
    data = text.encode("utf-8", "surrogatepass")
    words = data.translate(None, _DIGITS)
    digits = len(data) - len(words)
    rest = len(words.translate(None, _SIGNS))
    signs = len(words) - rest
    return rest * _TOKENS_PER_BYTE + digits * _TOKENS_PER_DIGIT + signs * _TOKENS_PER_SIGN
