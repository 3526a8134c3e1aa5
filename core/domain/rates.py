"""Rate limits of a platform, and what its responses say about them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a platform's response says about a limit: calls per window, calls left, and seconds to the window's end."""

    limit: int
    remaining: int
    reset_after: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit that replies share: at most `calls` in any window of `seconds`, counted under `scope`.

    `spread`: interim calls are spaced evenly, and those of one reply at least `least` seconds apart. `shared`: several
    processes may draw on it. `within`: a wider limit under which each call counts as well.
    """

    scope: str
    calls: int
    seconds: float
    spread: bool = True
    least: float = 0.0
    shared: bool = True
    within: "RateLimit | None" = None
