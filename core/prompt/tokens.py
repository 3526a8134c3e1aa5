"""Estimates of tokens, calibrated per model by the counts that the API returns."""

# Characters of most scripts cost about a token per 3.5 UTF-8 bytes; calibration corrects it model by model.
_TOKENS_PER_BYTE = 1 / 3.5
# What a chat template adds around each message, in tokens.
_PER_MESSAGE = 5


class TokenEstimator:
    """Guesses how many tokens a text costs; learns from every answer's `usage`."""

    def __init__(self) -> None:
        self._ratio: dict[str, float] = {}

    def count(self, model: str, text: str) -> int:
        """Tokens of one message of a request."""
        return round(_guess(text) * self._ratio.get(model, 1.0)) + _PER_MESSAGE

    def learn(self, model: str, texts: list[str], tokens: int) -> None:
        """Correct the ratio of a model: these messages cost so many tokens. Short requests teach too little."""
        counted = tokens - _PER_MESSAGE * len(texts)
        guess = sum(map(_guess, texts))
        if guess < 50 or counted <= 0:
            return
        seen = min(3.0, max(0.3, counted / guess))
        self._ratio[model] = 0.7 * self._ratio.get(model, seen) + 0.3 * seen


def _guess(text: str) -> float:
    return len(text.encode("utf-8", "surrogatepass")) * _TOKENS_PER_BYTE
