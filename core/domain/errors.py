"""Everything that can go wrong, as one tree; each error knows the sentence that people see.

NebulaBotError
├── ModelError                 the model's answer did not come, or not whole
│   ├── BadKey                 the API key is refused
│   ├── NoCredits              the account is empty
│   ├── RateLimited            too many requests or tokens; retry_after in seconds when the server said
│   ├── ContextTooLong         the conversation does not fit the model
│   ├── UnknownModel           the API does not serve this model, or not to this key
│   ├── BadRequest             the API refused a parameter
│   ├── ServerTrouble          the API failed or could not be reached
│   ├── Unavailable            it failed so often that we do not ask it for a while; again in retry_after seconds
│   ├── ModelTimeout           no token came in time, or the stream stalled
│   ├── BrokenStream           the stream ended before the answer did
│   └── NoAnswer               the model ended well and said nothing, or nothing but thought
├── PlatformError              Slack or Discord refused a call
│   ├── SlowDown               too many calls: come back after retry_after seconds
│   ├── Frozen                 the message is there, but can't be edited any more
│   ├── Halted                 a person ended the reply with the platform's own button
│   ├── Gone                   the message, thread or channel is no longer there
│   ├── Forbidden              the bot lacks a permission
│   ├── Rejected               the content was refused (too long, filtered, malformed)
│   └── Unreachable            a passing fault: connection, timeout, 5xx
├── StoreError                 Redis can't be reached or refused a step
│   └── Stale                  another process holds this turn now
└── UserError                  something a person asked for can't be done; the notice says what to do
"""

from core.domain.rates import RateLimitStatus


class NebulaBotError(Exception):
    """Base of all errors of this bot. `str(error)` is for the log and may hold technical detail, never message text."""

    notice = "Something went wrong on my side. Please try again."


class ModelError(NebulaBotError):
    """The model's answer did not come, or not whole."""

    notice = "The model failed to answer. Please try again."


class BadKey(ModelError):
    notice = "Nebula refuses this bot's API key. Whoever runs the bot: check NEBULA_API_KEY."


class NoCredits(ModelError):
    notice = "The Nebula account behind this bot has no credits left. Whoever runs the bot: top it up."


class RateLimited(ModelError):
    """`retry_after`: seconds, None when the server did not say. `ours`: by our own count of the account's limits, so
    that another model would not help."""

    def __init__(self, detail: str = "", retry_after: float | None = None, *, ours: bool = False) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.ours = ours

    @property
    def notice(self) -> str:  # type: ignore[override]
        return f"Nebula's rate limit for this bot is reached. Please ask again {when(self.retry_after)}."


class ContextTooLong(ModelError):
    notice = (
        "This is too long for the model. Shorten the message, forget the history with `!reset`, "
        "or choose a model with more room."
    )


class UnknownModel(ModelError):
    """`model`: the name that was asked for."""

    def __init__(self, detail: str = "", model: str = "") -> None:
        super().__init__(detail)
        self.model = model

    @property
    def notice(self) -> str:  # type: ignore[override]
        name = f" `{self.model}`" if self.model else ""
        return f"Nebula does not offer the model{name} to this bot. `!model list` shows what it offers."


class BadRequest(ModelError):
    notice = "Nebula refused a parameter of this request. `!settings` shows what is set; `!reset` forgets the history."


class ServerTrouble(ModelError):
    notice = "Nebula has trouble right now. Please try again in a moment."


class Unavailable(ModelError):
    """`retry_after`: seconds until the model is tried again."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def notice(self) -> str:  # type: ignore[override]
        return (
            "Nebula does not answer at the moment, so I let it rest. "
            f"Please ask again {when(self.retry_after)}, or choose another model."
        )


class ModelTimeout(ModelError):
    notice = "The model took too long. Please try again, or choose a faster model."


class BrokenStream(ModelError):
    notice = "The connection to the model broke off. Please try again."


class NoAnswer(ModelError):
    notice = "The model gave no answer. Please ask again, or choose another model."


class PlatformError(NebulaBotError):
    """Slack or Discord refused a call."""


class SlowDown(PlatformError):
    """`retry_after`: seconds. `everywhere`: the limit is that of the whole bot, not of this place. `shared`: others
    used it up, so it says nothing of ours. `told`: what the platform said of the limit."""

    def __init__(
        self,
        detail: str,
        retry_after: float,
        *,
        everywhere: bool = False,
        shared: bool = False,
        told: RateLimitStatus | None = None,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.everywhere = everywhere
        self.shared = shared
        self.told = told


class Frozen(PlatformError):
    """The message is there, but can't be edited any more."""


class Halted(PlatformError):
    """A person ended the reply with the platform's own button; what is on screen stays."""


class Gone(PlatformError):
    """The message, thread or channel is no longer there."""


class Forbidden(PlatformError):
    """The bot lacks a permission."""


class Rejected(PlatformError):
    """The content was refused."""


class Unreachable(PlatformError):
    """A passing fault; the same call may succeed later."""


class StoreError(NebulaBotError):
    """Redis can't be reached or refused a step."""

    notice = "My memory is out of reach right now. Please try again in a minute."


class Stale(StoreError):
    """Another process holds this turn now; whoever sees this drops the turn without a word."""


class UserError(NebulaBotError):
    """Something a person asked for can't be done; the message is the notice, and says what to do."""

    @property
    def notice(self) -> str:  # type: ignore[override]
        return str(self)


def when(seconds: float | None) -> str:
    """A time from now, as people say it; "in a minute" for one that nobody knows."""
    if not seconds:
        return "in a minute"
    if seconds < 100:
        return f"in about {max(1, round(seconds))} s"
    return f"in about {round(seconds / 60)} min" if seconds < 5400 else f"in about {round(seconds / 3600)} h"
