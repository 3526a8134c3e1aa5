"""What each person and each channel may use: asked before a question is accepted, charged after its answer."""

import logging

from core.domain.conversation import Question
from core.domain.errors import StoreError, when
from core.settings.config import Config
from core.settings.parameters import DAY
from core.store.quotas import Demand, Limit, Quotas, Refused

log = logging.getLogger(__name__)

HOUR = 3600.0
PERSON = "person"
CHANNEL = "channel"


class UserQuotas:
    """The limits that whoever runs the bot has set. While Redis is out of reach there are none."""

    def __init__(self, quotas: Quotas, config: Config) -> None:
        self._quotas = quotas
        self._requests = {PERSON: config.person_requests, CHANNEL: config.channel_requests}
        self._tokens = {PERSON: config.person_tokens, CHANNEL: config.channel_tokens}

    async def take(self, mention: Question) -> str:
        """Count a question, once however often it is delivered; "" or the sentence that refuses it, for its author.

        Tokens are counted afterwards: a question is refused while those of earlier ones are not worked off.
        """
        demands = [Demand(limit, 1) for limit in self._limits(mention, "requests")]
        demands += [Demand(limit, 0) for limit in self._limits(mention, "tokens")]
        if not demands or mention.refusal:
            return ""
        try:
            match await self._quotas.take(f"people/{mention.id}", demands):
                case Refused(Limit() as limit, wait):
                    return _sentence(limit, wait)
        except StoreError as error:
            log.warning("a question goes on uncounted: %s", error)
        return ""

    async def charge(self, mention: Question, tokens: int) -> None:
        """Count what an answer cost, once for each question."""
        demands = [Demand(limit, tokens) for limit in self._limits(mention, "tokens")]
        try:
            await self._quotas.settle(f"people/{mention.id}", demands, taken=False)
        except StoreError as error:
            log.warning("an answer goes uncounted: %s", error)

    def _limits(self, mention: Question, unit: str) -> list[Limit]:
        """Those that hold for this question; a direct message's channel is its author's alone."""
        place = mention.place
        # without the workspace: a direct message on Discord has none, and would be a second allowance
        scopes = {PERSON: f"{place.platform}/{mention.author.id}"}
        if not place.direct:
            scopes[CHANNEL] = place.scopes[1]
        per, seconds = (self._requests, HOUR) if unit == "requests" else (self._tokens, DAY)
        return [
            Limit.refilled(f"{kind}/{unit}/{scope}", most, seconds)
            for kind, scope in scopes.items()
            if (most := per[kind]) is not None
        ]


def _sentence(limit: Limit, wait: float) -> str:
    kind, unit = limit.name.split("/")[:2]
    things = f"question{'s' * (limit.most != 1)} an hour" if unit == "requests" else "tokens a day"
    most = f"{limit.most:,.0f} {things}"
    used = f"You have used up the {most} that each person has here."
    if kind == CHANNEL:
        used = f"This channel has used up its {most}."
    return f"{used} You can ask again {when(wait)}."
