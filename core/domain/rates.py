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
    processes may draw on it. `within`: a wider limit under which each call counts as well. `promised`: its calls are
    promised to the ends of replies that are shown while they grow. `end`: the limit of which a call must be promised
    before a growing page is shown by a call of this one (see core.ratelimit.plan).
    """

    scope: str
    calls: int
    seconds: float
    spread: bool = True
    least: float = 0.0
    shared: bool = True
    within: "RateLimit | None" = None
    promised: bool = False
    end: "RateLimit | None" = None

    @property
    def owed(self) -> "RateLimit | None":
        """The limit that the end of what this call shows counts against, if that has to be promised."""
        return self.end or (self if self.promised else None)
