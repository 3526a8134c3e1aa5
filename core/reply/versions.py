"""Versions: what people can choose under an answer, and the reply that shows another version of it."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from core.domain.chat import Catalog, Delta
from core.domain.conversation import Exchange
from core.domain.errors import StoreError
from core.domain.page import Choices
from core.domain.turn_id import TurnId
from core.reply.state import Phase, Reply

# Reads the answers that a turn's question has so far, in order of writing.
VersionsOf = Callable[[], Awaitable[tuple[Exchange, ...]]]
MODELS = 10  # in the menu of an answer
# A platform's menu has no room for a longer name (Discord's select: 100 characters for a label and for a value).
_LONGEST_NAME = 80


async def no_versions() -> tuple[Exchange, ...]:
    """For a question that keeps none."""
    return ()


async def if_known(versions: VersionsOf) -> tuple[Exchange, ...]:
    """The versions; none while Redis is out of reach, since a running answer goes on then."""
    try:
        return await versions()
    except StoreError:
        return ()


def models_of(usual: str, catalog: Catalog) -> tuple[str, ...]:
    """The models in the menu, by the names that people use: the usual one here, then the catalog's first others."""
    found = dict.fromkeys(
        (info.alias or info.name if info else usual) for info in (catalog.find(usual), *catalog.models[: 2 * MODELS])
    )
    return tuple(each for each in found if len(each) <= _LONGEST_NAME)[:MODELS]


def new_version(models: tuple[str, ...], before: Sequence[Exchange], most: int) -> Choices:
    """The choices under an answer that is being written. `before`: those that it adds to, of which `most` are kept."""
    number = min(len(before) + 1, most) if before else 0
    return Choices(models, number, number, undo=True)


def shown_again(reply: Reply, version: TurnId, known: Sequence[Exchange], usual: str, catalog: Catalog) -> Reply:
    """The reply that shows the version of this turn, among all that are known. If it was forgotten meanwhile, the reply
    ends without a text, so that what is on screen stays. `usual`: the model that answers here."""
    number = next((place for place, each in enumerate(known, 1) if each.turn == version), 0)
    if not number:
        return reply.to(Phase.STOPPED)
    shown, now = known[number - 1], time.monotonic()
    choices = Choices(models_of(usual, catalog), number, len(known), undo=True)
    chosen = chosen_model(shown.model, usual, catalog)
    whole = reply.to(Phase.THINKING, asked=now).add(Delta(text=shown.answer, finish=shown.finish), now)
    return replace(whole, chosen=chosen, choices=choices, unseen=shown.unseen).to(
        Phase.STOPPED if shown.stopped else Phase.DONE
    )


def chosen_model(asked: str, usual: str, catalog: Catalog) -> str:
    """The model that is asked, as the API names it; "" if it is the usual one here."""
    asked, usual = (info.name if (info := catalog.find(each)) else each for each in (asked, usual))
    return asked if asked != usual else ""
