"""Measures what a reply took."""

from core import metrics
from core.reply.state import Reply


def measure(reply: Reply, platform: str) -> None:
    """Measure how long the model took to begin, and what the answer cost."""
    begun = [moment for moment in (reply.thought_since, reply.text_since) if moment is not None]
    if begun and reply.asked is not None:
        metrics.FIRST_TOKEN_SECONDS.observe(min(begun) - reply.asked)
    if usage := reply.usage:
        metrics.TOKENS.labels(platform, "prompt").inc(max(0, usage.prompt))
        metrics.TOKENS.labels(platform, "completion").inc(max(0, usage.completion))
