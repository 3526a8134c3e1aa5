"""Metrics that this process exposes to Prometheus; no label ever names a person, a place or a model.

Each label has few values, all known beforehand: a platform, an end, a kind, the class of an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each metric, of no use to us

REGISTRY = CollectorRegistry()

# Buckets in seconds: for what people wait for, and for a server near by.
_WAIT_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
_REDIS_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

TURNS = Counter(
    "nebula_bot_turns",
    "Turns that ended here: done, failed (by the model), stopped (by a person), refused (nothing to ask the model), "
    "lost (the bot can't write there) or interrupted (another process continues).",
    ["platform", "end"],
    registry=REGISTRY,
)
RUNNING = Gauge("nebula_bot_turns_running", "Turns running in this process.", ["platform"], registry=REGISTRY)
WAITING = Gauge(
    "nebula_bot_turns_waiting",
    "Questions accepted by this process that are waiting for the turn before them.",
    ["platform"],
    registry=REGISTRY,
)
WAIT_SECONDS = Histogram(
    "nebula_bot_turn_wait_seconds",
    "Time from a question, by the platform's clock, to the start of its turn, in seconds.",
    ["platform"],
    buckets=_WAIT_BUCKETS,
    registry=REGISTRY,
)
FIRST_TOKEN_SECONDS = Histogram(
    "nebula_bot_first_token_seconds",
    "Time from the request to the model to its first token of thought or text, in seconds.",
    buckets=_WAIT_BUCKETS,
    registry=REGISTRY,
)
FRAME_AGE_SECONDS = Histogram(
    "nebula_bot_frame_age_seconds",
    "Age of the newest text in a frame when the platform has accepted the frame, in seconds.",
    ["platform"],
    buckets=_WAIT_BUCKETS,
    registry=REGISTRY,
)
TOKENS = Counter(
    "nebula_bot_tokens",
    "Tokens of answers, summaries and titles as the API counted them, by kind: prompt or completion.",
    ["platform", "kind"],
    registry=REGISTRY,
)
SUMMARIES = Counter(
    "nebula_bot_summaries",
    "Summaries of what no longer fits, by their end: written, failed (by the model), or overtaken (what they tell of "
    "was forgotten meanwhile).",
    ["end"],
    registry=REGISTRY,
)
PLATFORM_429S = Counter(
    "nebula_bot_platform_rate_limited",
    "Calls that a platform refused because there were too many (HTTP 429).",
    ["platform"],
    registry=REGISTRY,
)
MODEL_FAILURES = Counter(
    "nebula_bot_model_failures",
    "Failed requests to the Nebula API, retried ones included; RateLimited stands for its 429s.",
    ["error"],
    registry=REGISTRY,
)
REDIS_SECONDS = Histogram(
    "nebula_bot_redis_seconds",
    "Duration of a whole step in Redis, including the wait for a connection, in seconds.",
    buckets=_REDIS_BUCKETS,
    registry=REGISTRY,
)
REDIS_ERRORS = Counter(
    "nebula_bot_redis_errors", "Failed steps in Redis, by the class of the error.", ["error"], registry=REGISTRY
)
TAKEOVERS = Counter(
    "nebula_bot_takeovers", "Turns taken over from a process that died or was stopped.", registry=REGISTRY
)


@dataclass(slots=True)
class MeasuredTurn:
    """A running turn. `end` says how it ended; unless somebody sets it, another process has to continue the turn."""

    end: str = "interrupted"


@contextmanager
def turn(platform: str, waited: float | None) -> Iterator[MeasuredTurn]:
    """Count a turn, first as running and then by its end. `waited`: seconds since the question, None if unknown."""
    if waited is not None:
        WAIT_SECONDS.labels(platform).observe(
            max(0.0, waited)
        )  # two clocks: the question may seem to come from the future
    running, measured = RUNNING.labels(platform), MeasuredTurn()
    running.inc()
    try:
        yield measured
    finally:
        running.dec()
        TURNS.labels(platform, measured.end).inc()


def exposed() -> bytes:
    """Return all metrics in the Prometheus text format 0.0.4."""
    return generate_latest(REGISTRY)
