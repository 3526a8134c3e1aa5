"""Metrics: what this process counts and measures, for Prometheus; no label ever names a person, a place or a model.

A label has few values, all known beforehand: a platform, an end, a kind, the class of an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which says nothing of use

REGISTRY = CollectorRegistry()

# Seconds, as people feel them, and as a server near by answers.
_FELT = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
_NEAR = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

TURNS = Counter(
    "nebula_bot_turns",
    "Turns that ended here: done, failed (the model), stopped (a person), refused (nothing to ask the model), "
    "lost (its place can't be written to) or interrupted (another process goes on).",
    ["platform", "end"],
    registry=REGISTRY,
)
RUNNING = Gauge("nebula_bot_turns_running", "Turns that run in this process.", ["platform"], registry=REGISTRY)
WAITING = Gauge(
    "nebula_bot_turns_waiting",
    "Questions that this process accepted and that wait for the turn before them.",
    ["platform"],
    registry=REGISTRY,
)
WAIT_SECONDS = Histogram(
    "nebula_bot_turn_wait_seconds",
    "From a question, by the platform's clock, to the start of its turn, in seconds.",
    ["platform"],
    buckets=_FELT,
    registry=REGISTRY,
)
FIRST_TOKEN_SECONDS = Histogram(
    "nebula_bot_first_token_seconds",
    "From the moment in which the model was asked to its first token of thought or text, in seconds.",
    buckets=_FELT,
    registry=REGISTRY,
)
FRAME_AGE_SECONDS = Histogram(
    "nebula_bot_frame_age_seconds",
    "Age of the newest text in a frame when the platform has taken it, in seconds.",
    ["platform"],
    buckets=_FELT,
    registry=REGISTRY,
)
TOKENS = Counter(
    "nebula_bot_tokens",
    "Tokens of answers as the API counted them, by kind: prompt or completion.",
    ["platform", "kind"],
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
    "Requests to the Nebula API that failed, those tried again included; RateLimited are its 429s.",
    ["error"],
    registry=REGISTRY,
)
REDIS_SECONDS = Histogram(
    "nebula_bot_redis_seconds",
    "A whole step in Redis, waiting for a connection included, in seconds.",
    buckets=_NEAR,
    registry=REGISTRY,
)
REDIS_ERRORS = Counter(
    "nebula_bot_redis_errors", "Steps in Redis that failed, by the class of the error.", ["error"], registry=REGISTRY
)
TAKEOVERS = Counter(
    "nebula_bot_takeovers", "Turns taken over from a process that died or was stopped.", registry=REGISTRY
)


@dataclass(slots=True)
class Turn:
    """A turn that runs. `end` is what became of it, until told otherwise that another process has to go on."""

    end: str = "interrupted"


@contextmanager
def turn(platform: str, waited: float | None) -> Iterator[Turn]:
    """Around a turn: counts it as running, and by its end. `waited`: seconds since the question, None if unknown."""
    if waited is not None:
        WAIT_SECONDS.labels(platform).observe(max(0.0, waited))  # two clocks: it may seem to come from the future
    running, measured = RUNNING.labels(platform), Turn()
    running.inc()
    try:
        yield measured
    finally:
        running.dec()
        TURNS.labels(platform, measured.end).inc()


def exposed() -> bytes:
    """All metrics in Prometheus' text format 0.0.4."""
    return generate_latest(REGISTRY)
