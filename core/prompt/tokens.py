"""Estimates how many tokens a text has, calibrated for each model by the counts that the API returns."""

# In most scripts a token is about 3.5 UTF-8 bytes; calibration corrects this for each model.
_TOKENS_PER_BYTE = 1 / 3.5
# Tokens that a chat template adds around each message.
_TOKENS_PER_MESSAGE = 5


class TokenEstimator:
    """Guesses how many tokens a text has, and learns from the `usage` of every answer."""

    def __init__(self) -> None:
        self._ratio: dict[str, float] = {}

    def count(self, model: str, text: str) -> int:
        """Estimate the tokens of one message of a request."""
        return round(_guess(text) * self._ratio.get(model, 1.0)) + _TOKENS_PER_MESSAGE

    def learn(self, model: str, texts: list[str], tokens: int) -> None:
        """Correct the ratio of a model: these messages had this many tokens. Short requests teach too little."""
        counted = tokens - _TOKENS_PER_MESSAGE * len(texts)
        guess = sum(map(_guess, texts))
        if guess < 50 or counted <= 0:
            return
        seen = min(3.0, max(0.3, counted / guess))
        self._ratio[model] = 0.7 * self._ratio.get(model, seen) + 0.3 * seen


def _guess(text: str) -> float:
    return len(text.encode("utf-8", "surrogatepass")) * _TOKENS_PER_BYTE
