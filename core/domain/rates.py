"""A rate limit of a platform, and what its answers say about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a platform's answer says about its limit: calls in a window, how many are left, and seconds to its end."""

    limit: int
    remaining: int
    reset_after: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit that replies share: at most `calls` in any window of `seconds`, counted under `scope`.

    `spread`: interim calls are spaced evenly, for one reply at least `least` seconds apart. `shared`: several processes
    may draw on it. `within`: a wider limit that each call counts for as well.
    """

    scope: str
    calls: int
    seconds: float
    spread: bool = True
    least: float = 0.0
    shared: bool = True
    within: "RateLimit | None" = None
