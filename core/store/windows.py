"""What refusals and answers taught about the sizes of the models' requests, in Redis for all processes: one small key
for each model."""

import math
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.store.redis.client import guarded

KEEP_SECONDS = 86_400  # an operator may have given the model a larger window meanwhile
_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """`tokens`: how large a request may be, None if no refusal named it. `ratio`: the server's count of tokens over our
    guess, as a refusal taught, and `usual`: as answers teach. `blind`: it refused pictures."""

    tokens: int | None = None
    ratio: float | None = None
    usual: float | None = None
    blind: bool = False


class ModelWindows:
    """Reads and writes what was learnt. All calls raise StoreError."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def of(self, model: str) -> ModelWindow:
        """What is known of this model."""
        async with guarded():
            found: list[Any] = await self._redis.hmget(_key(model), ["tokens", "ratio", "usual", "blind"])
        return ModelWindow(_int(found[0]), _float(found[1]), _float(found[2]), bool(found[3]))

    async def learn(self, model: str, window: ModelWindow) -> None:
        """Record what is known, for a day."""
        blind = 1 if window.blind else None
        values = {"tokens": window.tokens, "ratio": window.ratio, "usual": window.usual, "blind": blind}
        known: dict[Any, Any] = {name: str(round(value, 3)) for name, value in values.items() if value is not None}
        if not known:
            return
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(_key(model), mapping=known)
            pipe.expire(_key(model), KEEP_SECONDS)
            await pipe.execute()


def _key(model: str) -> str:
    return f"nb:m:{model[:_MAX_NAME_CHARACTERS]}"


def _int(value: bytes | None) -> int | None:
    return int(value) if value and value.isdigit() and len(value) < 12 else None


def _float(value: bytes | None) -> float | None:
    try:
        number = float(value or b"nan")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
