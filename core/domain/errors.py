"""All errors of the bot, as one tree; each error knows the sentence that people see.

NebulaBotError
├── ModelError                 the model gave no answer, or only part of one
│   ├── BadKey                 the API refuses the key
│   ├── NoCredits              the account is empty
│   ├── RateLimited            too many requests or tokens; retry_after in seconds, if the server gave it
│   ├── Blocked                the API, or a firewall, a CDN or a proxy in front of it, refuses the bot's place
│   ├── WrongAddress           something else than the API answers at its address
│   ├── Filtered               a content filter refuses the question or its history
│   ├── ContextTooLong         the request does not fit the model
│   ├── CantSee                the model takes no pictures
│   ├── UnknownModel           the API does not offer this model, or not to this key
│   ├── BadRequest             the API refused a parameter
│   ├── ServerTrouble          the API failed or could not be reached
│   ├── Unavailable            it failed so often that we do not ask it for retry_after seconds
│   ├── ModelTimeout           no token arrived in time, or the stream stalled
│   ├── BrokenStream           the stream ended before the answer did
│   ├── NoAnswer               the model ended normally but wrote no text, or only thought
│   ├── NoPicture              the answer to a request for a picture holds none that can be shown
│   └── CantDraw               no model draws here; the error's message is the notice
├── PlatformError              Slack or Discord refused a call
│   ├── SlowDown               too many calls: try again after retry_after seconds
│   ├── Frozen                 the message exists, but can no longer be edited
│   ├── Halted                 a person ended the reply with the platform's own button
│   ├── Gone                   the message, thread or channel no longer exists
│   ├── Forbidden              the bot lacks a permission
│   │   └── Hidden              nobody is shown it any more, so no permission would help
│   ├── Rejected               the content was refused (filtered, malformed)
│   │   └── TooLong            it was refused for its length
│   └── Unreachable            a temporary fault: connection, timeout, 5xx
├── StoreError                 Redis can't be reached, or it refused a step
│   ├── UnusableStore          the settings of the store, or the server that they name, must be changed first
│   ├── QuestionDeleted        the question was deleted before its answer could be stored
│   └── Stale                  another process holds this turn now
└── UserError                  a person asked for something that can't be done; the notice says what to do
"""

from core.domain.rates import RateLimitStatus


class NebulaBotError(Exception):
    """Base of all errors of the bot. `str(error)` is for the log: technical details are fine, message text never is."""

    notice = "Something went wrong on my side. Please try again."


class ModelError(NebulaBotError):
    """The model gave no answer, or only part of one."""

    notice = "The model failed to answer. Please try again."


class BadKey(ModelError):
    notice = "Nebula rejects this bot's API key. Please ask whoever runs the bot to check NEBULA_API_KEY."


class NoCredits(ModelError):
    notice = "The Nebula account of this bot has no credits left. Please ask whoever runs the bot to top it up."


class RateLimited(ModelError):
    """`retry_after`: seconds, None if the server did not say. `ours`: our own count of the account's limits refused the
    request, so another model would not help."""

    def __init__(self, detail: str = "", retry_after: float | None = None, *, ours: bool = False) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.ours = ours

    @property
    def notice(self) -> str:  # type: ignore[override]
        return f"This bot has reached Nebula's rate limit. Please ask again {when(self.retry_after)}."


class Blocked(ModelError):
    notice = (
        "Nebula, or something in front of it such as a firewall, refuses requests from where this bot runs. "
        "Please ask whoever runs the bot to look into it."
    )


class WrongAddress(ModelError):
    """`unanswered`: nothing answered there at all."""

    notice = (
        "Nebula does not answer at the address that this bot uses. Please try again later, or ask whoever runs the "
        "bot to check NEBULA_BASE_URL."
    )

    def __init__(self, detail: str = "", *, unanswered: bool = False) -> None:
        super().__init__(detail)
        self.unanswered = unanswered


class Filtered(ModelError):
    notice = (
        "A content filter refused this question, or the history that goes with it. Please ask in other words, or "
        "clear the history with `!reset`."
    )


class ContextTooLong(ModelError):
    """The history is left out before people see this. `window`, `prompt`: the sizes of the model's window and of our
    prompt, in the server's tokens, if it said them. `fallback`: it was the fallback that refused the request."""

    notice = (
        "Your message alone is too long for the model, even without the history. Shorten it (or this channel's "
        "`!prompt`), or choose a model with a larger context window."
    )

    def __init__(self, detail: str = "", window: int | None = None, prompt: int | None = None) -> None:
        super().__init__(detail)
        self.window, self.prompt = window, prompt
        self.fallback = False


class CantSee(ModelError):
    """The pictures are left out before people see this. `most`: so many the model takes at once, mostly none.
    `fallback`: it was the fallback that refused them."""

    notice = "This model can't see pictures. Please ask in words, or choose a model that sees."

    def __init__(self, detail: str = "", most: int = 0) -> None:
        super().__init__(detail)
        self.most = most
        self.fallback = False


class UnknownModel(ModelError):
    """`model`: the name in the request. `once`: somebody chose it for one question alone."""

    def __init__(self, detail: str = "", model: str = "") -> None:
        super().__init__(detail)
        self.model, self.once = model, False

    @property
    def notice(self) -> str:  # type: ignore[override]
        name = f" `{self.model}`" if self.model else ""
        said = f"Nebula does not offer the model{name} to this bot."
        if self.once:
            return f"{said} Ask again with one from `!model list`, or without naming one."
        choose = "Choose one from `!model list` with `!model set`"
        return f"{said} {choose}, or ask whoever runs the bot to check NEBULA_MODEL."


class BadRequest(ModelError):
    notice = "Nebula rejected a parameter of this request. Check `!settings`, or clear the history with `!reset`."


class ServerTrouble(ModelError):
    notice = "Nebula is having problems right now. Please try again in a moment."


class Unavailable(ModelError):
    """`retry_after`: seconds until we try the model again."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def notice(self) -> str:  # type: ignore[override]
        return (
            "Nebula is not responding at the moment, so I am giving it a short break. "
            f"Please ask again {when(self.retry_after)}, or choose another model."
        )


class ModelTimeout(ModelError):
    notice = "The model took too long. Please try again, or choose a faster model."


class BrokenStream(ModelError):
    notice = "The connection to the model broke off. Please try again."


class NoAnswer(ModelError):
    notice = "The model gave no answer. Please ask again, or choose another model."


class NoPicture(ModelError):
    notice = "The model sent nothing that I can show as a picture. Please try again."


class CantDraw(ModelError):
    """The error's message is the notice, and says what to do."""

    @property
    def notice(self) -> str:  # type: ignore[override]
        return str(self)


class PlatformError(NebulaBotError):
    """Slack or Discord refused a call."""


class SlowDown(PlatformError):
    """`retry_after`: seconds. `everywhere`: the limit is the whole bot's, not that of this place. `shared`: others used
    the limit up, so this says nothing about our own. `rate_limit`: what the platform said about it."""

    def __init__(
        self,
        detail: str,
        retry_after: float,
        *,
        everywhere: bool = False,
        shared: bool = False,
        rate_limit: RateLimitStatus | None = None,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.everywhere = everywhere
        self.shared = shared
        self.rate_limit = rate_limit


class Frozen(PlatformError):
    """The message exists, but can no longer be edited."""


class Halted(PlatformError):
    """A person ended the reply with the platform's own button; what is on screen stays there."""


class Gone(PlatformError):
    """The message, thread or channel no longer exists."""


class Forbidden(PlatformError):
    """The bot lacks a permission."""


class Hidden(Forbidden):
    """Nobody is shown it any more, such as a file that is older than the workspace's plan allows."""


class Rejected(PlatformError):
    """The platform refused the content."""


class TooLong(Rejected):
    """The platform refused the content for its length, although we took it to fit."""


class Unreachable(PlatformError):
    """A temporary fault; the same call may succeed later."""


class StoreError(NebulaBotError):
    """Redis can't be reached, or it refused a step."""

    notice = "My memory is out of reach right now. Please try again in a minute."


class UnusableStore(StoreError):
    """The settings of the store, or the server that they name, must be changed: another attempt would not help."""


class QuestionDeleted(StoreError):
    """The question was deleted before its answer could be stored: nothing was written, and the reply must go."""


class Stale(StoreError):
    """Another process holds this turn now; the process that gets this error drops the turn silently."""


class UserError(NebulaBotError):
    """A person asked for something that can't be done. The error's message is the notice, and says what to do."""

    @property
    def notice(self) -> str:  # type: ignore[override]
        return str(self)


def when(seconds: float | None) -> str:
    """A time from now in words, such as "in about 30 s"; "in a minute" if the time is not known."""
    if not seconds:
        return "in a minute"
    if seconds < 100:
        return f"in about {max(1, round(seconds))} s"
    return f"in about {round(seconds / 60)} min" if seconds < 5400 else f"in about {round(seconds / 3600)} h"
