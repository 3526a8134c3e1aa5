"""Introduction: what the bot says about itself, once, when it is added to a channel or server."""

from core.access.admission import AccessList
from core.domain.conversation import Place
from core.domain.turn_id import TurnId
from core.store.turns import Turns

KEEP_SECONDS = 365 * 86_400.0
"""Whoever takes the bot away and adds it again within this time knows it."""
TEXT = (
    "Hello, I am {name}, a chat bot: mention me with a question, and an AI model answers.{operator}\n\n"
    "The questions, what I remember of their channel, what is said around a question, and display names leave this "
    "{room}: they go to the API of Nebula Block, where the models run. Mention me with `!forget`, and I delete your "
    "questions in the channel and my answers to them. `!help` shows what else I can do."
)


class Introduction:
    """Decides whether the bot introduces itself; the adapters show it."""

    def __init__(self, turns: Turns, access: AccessList, operator: str = "", *, on: bool = True) -> None:
        """`operator`: who runs the bot, "" to leave that out."""
        self._turns, self._access, self._operator, self._on = turns, access, operator, on

    async def of(self, place: Place, scope: str, name: str, room: str) -> str:
        """The text for those who are in this place, once for this scope; "" from then on, and where there is to be
        none. Raises StoreError.

        `name`: the bot's. `room`: what the place is in, such as `workspace`.
        """
        if not self._on or place.direct or self._access.denies(place):
            return ""
        if not await self._turns.once(_step(scope), KEEP_SECONDS):
            return ""
        operator = f" {self._operator} runs me." if self._operator else ""
        return TEXT.format(name=name, operator=operator, room=room)

    async def failed(self, scope: str) -> None:
        """The platform showed nothing of it: it may be tried once more. Raises StoreError."""
        await self._turns.undo(_step(scope))


def _step(scope: str) -> TurnId:
    return TurnId(f"{scope}/introduced")
