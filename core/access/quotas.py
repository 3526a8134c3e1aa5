"""User quotas: how much each person and channel may use, checked before a question and charged after its answer."""

from collections.abc import Callable
from dataclasses import dataclass

from core.domain.errors import when
from core.domain.question import Question
from core.settings.parameters import DAY_SECONDS
from core.store.quotas import Demand, QuotaLimit, QuotaRefused, Quotas

HOUR_SECONDS = 3600.0
PERSON = "person"
CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class UserLimits:
    """Questions an hour and tokens a day, of each person and of each channel; None: as many as they like."""

    person_requests: int | None = None
    person_tokens: int | None = None
    channel_requests: int | None = None
    channel_tokens: int | None = None

    @property
    def sentence(self) -> str:
        """The limits in words, "" if there are none."""
        each = {
            "each person": (self.person_requests, self.person_tokens),
            "each channel": (self.channel_requests, self.channel_tokens),
        }
        parts = []
        for who, (requests, tokens) in each.items():
            said = [f"{requests:,} questions an hour"] if requests is not None else []
            said += [f"{tokens:,} tokens a day"] if tokens is not None else []
            parts += [f"{who} {' and '.join(said)}"] if said else []
        return ", ".join(parts)


class UserQuotas:
    """The limits set by whoever runs the bot. While Redis can't count, questions wait with their platform or get a
    sentence, as they do while it can't store them."""

    def __init__(self, quotas: Quotas, limits: UserLimits, own: Callable[[str], str] = str) -> None:
        """`own`: makes a name one that only this bot uses (see Spaces)."""
        self._quotas, self._own = quotas, own
        self._requests = {PERSON: limits.person_requests, CHANNEL: limits.channel_requests}
        self._tokens = {PERSON: limits.person_tokens, CHANNEL: limits.channel_tokens}

    async def take(self, question: Question) -> str:
        """Count a question, once however often it is delivered; return "", or the sentence that refuses it.

        Tokens are counted after the answer: a question is refused until those of earlier answers are worked off. Raises
        StoreError.
        """
        demands = [Demand(limit, 1) for limit in self._limits(question, "requests")]
        demands += [Demand(limit, 0) for limit in self._limits(question, "tokens")]
        if not demands or question.declined:
            return ""
        match await self._quotas.take(f"people/{self._own(question.id)}", demands):
            case QuotaRefused(QuotaLimit() as limit, wait):
                return _sentence(limit, wait)
        return ""

    async def charge(self, question: Question, tokens: int) -> None:
        """Count the tokens of an answer, once for each question. Raises StoreError."""
        demands = [Demand(limit, tokens) for limit in self._limits(question, "tokens")]
        await self._quotas.settle(f"people/{self._own(question.id)}", demands, taken=False)

    def _limits(self, question: Question, unit: str) -> list[QuotaLimit]:
        """The limits that apply to this question; a direct message's channel is its author's alone, so it has none."""
        place = question.place
        # without the workspace: a direct message on Discord has none, and would give a second allowance
        scopes = {PERSON: f"{place.platform}/{question.author.id}"}
        if not place.direct:
            scopes[CHANNEL] = place.channel_scope
        per, seconds = (self._requests, HOUR_SECONDS) if unit == "requests" else (self._tokens, DAY_SECONDS)
        return [
            QuotaLimit.refilled(f"{kind}/{unit}/{self._own(scope)}", most, seconds)
            for kind, scope in scopes.items()
            if (most := per[kind]) is not None
        ]


def _sentence(limit: QuotaLimit, wait: float) -> str:
    kind, unit = limit.name.split("/")[:2]
    things = f"question{'s' * (limit.most != 1)} an hour" if unit == "requests" else "tokens a day"
    most = f"{limit.most:,.0f} {things}"
    used = f"You have used up the {most} that each person has here."
    if kind == CHANNEL:
        used = f"This channel has used up its {most}."
    return f"{used} You can ask again {when(wait)}."
