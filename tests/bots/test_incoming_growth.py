"""Whatever people send, reading it costs no more than in proportion to its length."""

from collections.abc import Callable

import pytest

from tests.bots.incoming import READERS
from tests.degenerate import INCOMING
from tests.growth import MOST, growth


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
async def test_reading_costs_in_proportion(reader: Callable[[str], None]) -> None:
    """Twice the length costs at most 2.5 times as much, for every text that has made a parser slow."""
    found = {name: await growth(reader, case) for name, case in INCOMING.items()}
    assert not {name: ratio for name, ratio in found.items() if ratio > MOST}
