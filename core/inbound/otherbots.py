"""OtherBots: which messages of other bots, apps and workflows are questions, and which only get a sign."""

import logging
from collections.abc import Iterable

from cachetools import TTLCache

from core.access.admission import AccessList
from core.domain.conversation import Place
from core.domain.errors import StoreError
from core.domain.turn_id import TurnId
from core.inbound.listening import BotMessage, Rule, rule_of_bot
from core.store.turns import Turns

log = logging.getLogger(__name__)

SIGN_SECONDS = 86_400.0
"""A bot that asks in vain gets one sign in each place in this time."""
_REMEMBERED = 10_000


class OtherBots:
    """One per process. A bot has several ids; the first one names it in the log."""

    def __init__(self, turns: Turns, access: AccessList) -> None:
        self._turns, self._access = turns, access
        # What needs no look into Redis: this process knows that there was a sign.
        self._signed: TTLCache[TurnId, None] = TTLCache(_REMEMBERED, SIGN_SECONDS)

    def rule(self, ids: Iterable[str], *, own: bool, addresses: bool, commands: bool) -> Rule[BotMessage]:
        """The rule for a message of the bot with these ids (see BotMessage)."""
        return rule_of_bot(BotMessage(own, addresses, self._access.names_bot(ids), commands))

    def names(self, ids: Iterable[str]) -> bool:
        """Whether the operator lets the bot with these ids ask."""
        return self._access.names_bot(ids)

    async def is_new(self, ids: Iterable[str], place: Place, why: Rule[BotMessage]) -> bool:
        """Whether nobody has told this bot yet, today and in this place, that it asks in vain; then a log line says so,
        and the adapter shows a sign. Never raises."""
        bot = next((each for each in ids if each), "-")
        sign = TurnId(f"{place.channel_scope}/bot/{bot}")
        if sign in self._signed:
            return False
        self._signed[sign] = None
        try:
            if not await self._turns.once(sign, SIGN_SECONDS):
                return False
        except StoreError:
            del self._signed[sign]
            return False
        log.info("%s: bot %s mentions me in vain: %s (see ACCESS_BOTS)", place.channel_scope, bot, why.why)
        return True
