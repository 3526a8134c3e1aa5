"""Discord's rate limits, as far as replies run into them."""

from dataclasses import dataclass

from core.domain.rates import RateLimit


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` in any `seconds`."""

    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of new messages, edits, answers to interactions, reactions and everything together.

    Discord names most of them in headers alone; the defaults are the observed ones.

    `post`, `edit`: per channel (github.com/discord/discord-api-docs, issues 2761 and 8073).
    `old_edit`: per channel, for messages older than `old_age_seconds`; no header tells of it (issue 4413).
    `interaction`: per token, for followups and edits together (issue 2701).
    `interaction_seconds`: between two edits of an answer that grows, even where the window allows more: our own rule,
    which leaves a call of the observed window to a followup or to the end.
    `reaction_seconds`: between two reactions in a channel, set or removed (issue 182). We count from the answer to one
    call to the next call.
    `everything`: all requests of a bot, except those that answer an interaction (docs.discord.com, Rate Limits).
    """

    post: Window = Window(5, 5.0)
    edit: Window = Window(5, 5.0)
    old_edit: Window = Window(3, 6.0)
    old_age_seconds: float = 3600.0
    interaction: Window = Window(5, 2.0)
    interaction_seconds: float = 0.5
    reaction_seconds: float = 0.25
    everything: Window = Window(50, 1.0)

    @property
    def all_calls(self) -> RateLimit:
        """The limit of everything together, which all processes of the bot share."""
        return RateLimit("discord/everything", self.everything.calls, self.everything.seconds, spread=False)


LIMITS = Limits()
"""The limits as observed."""
