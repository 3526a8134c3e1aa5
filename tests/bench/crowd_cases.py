"""The cases of `python -m tests.bench.crowd`: who asks at once, and what each of them may expect."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.crowd_scene import TOKENS_A_WORD, Ask, Spot

CROWD_PACE = 30.0  # tokens per second of an answer
LONG_SECONDS, SHORT_SECONDS, STRICT_SECONDS = 10.5, 3.5, 2.0  # of an answer
CROWD_PATIENCE_SECONDS = 60.0  # for the end of the last answer: longer than the targets, so that a miss can be measured
MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CrowdGoal:
    """The targets of a case, in seconds, and of ends as multiples of the answer's own time; None: no target.

    `first`, `end`: of all questions; `end_most`, `sign_most`: of 95 % of them. `strict`: answers follow one another in
    the order of their questions. No call may get 429 in any case.
    """

    first: float | None = None
    end: float | None = None
    end_most: float | None = None
    sign_most: float | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class CrowdCase:
    """Who asks where, and how long the model writes each answer. `settings`: variables of the bot."""

    title: str
    asks: tuple[Ask, ...]
    seconds: float
    goal: CrowdGoal
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> int:
        """The length of an answer."""
        return round((self.seconds * CROWD_PACE + 1) / TOKENS_A_WORD)

    @property
    def rooms(self) -> int:
        """How many rooms there must be."""
        return max(ask.room for ask in self.asks) + 1

    @property
    def people(self) -> int:
        """How many people there must be."""
        return max(ask.person for ask in self.asks) + 1


def _at_once(spot: Spot, people: int) -> tuple[Ask, ...]:
    """Each of them asks in the same channel."""
    return tuple(Ask(0.0, spot, 0, person) for person in range(people))


def _minute(spot: Spot, many: int, rooms: int) -> tuple[Ask, ...]:
    """Evenly over a minute, each by another person, in one room after the other."""
    return tuple(Ask(number * MINUTE_SECONDS / many, spot, number % rooms, number) for number in range(many))


CROWD_CASES: Mapping[str, CrowdCase] = {
    "slack-4": CrowdCase(
        "Slack, 4 threads of one channel", _at_once(Spot.SLACK_THREAD, 4), LONG_SECONDS, CrowdGoal(first=2.0, end=1.2)
    ),
    "discord-4": CrowdCase(
        "Discord, 4 people in one channel", _at_once(Spot.DISCORD, 4), LONG_SECONDS, CrowdGoal(first=3.0, end=1.35)
    ),
    "discord-8": CrowdCase(
        "Discord, 8 people in one channel", _at_once(Spot.DISCORD, 8), LONG_SECONDS, CrowdGoal(end=1.6)
    ),
    "slack-strict": CrowdCase(
        "Slack, 4 threads, parallel 1",
        _at_once(Spot.SLACK_THREAD, 4),
        STRICT_SECONDS,
        CrowdGoal(strict=True),
        (("REPLY_PARALLEL", "1"),),
    ),
    "discord-strict": CrowdCase(
        "Discord, 4 people, parallel 1",
        _at_once(Spot.DISCORD, 4),
        STRICT_SECONDS,
        CrowdGoal(strict=True),
        (("REPLY_PARALLEL", "1"),),
    ),
    "slack-40": CrowdCase(
        "Slack, 40 a minute, 40 channels",
        _minute(Spot.SLACK, 40, 40),
        SHORT_SECONDS,
        CrowdGoal(end_most=1.15, sign_most=1.0),
    ),
    "slack-120": CrowdCase(
        "Slack, 120 a minute, 60 channels",
        _minute(Spot.SLACK, 120, 60),
        SHORT_SECONDS,
        CrowdGoal(end_most=1.5, sign_most=1.0),
    ),
    "discord-240": CrowdCase(
        "Discord, 240 a minute, 120 channels",
        _minute(Spot.DISCORD, 240, 120),
        SHORT_SECONDS,
        CrowdGoal(end_most=1.1, sign_most=1.0),
    ),
}
