"""Bursts: what one person does too fast is refused, with a sentence once."""

from core.access.bursts import Bursts, Pace


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_one_in_a_while() -> None:
    """Ten at once; the person is told once; others are not affected."""
    clock = Clock()
    bursts = Bursts(10, 3.0, clock=clock)
    assert [bursts.take("ann") for _ in range(13)] == [Pace.FINE] * 10 + [Pace.TOLD] + [Pace.SILENT] * 2
    assert bursts.take("bob") is Pace.FINE
    clock.now = 2.9
    assert bursts.take("ann") is Pace.SILENT
    clock.now = 3.1
    assert [bursts.take("ann") for _ in range(2)] == [Pace.FINE, Pace.TOLD]
    clock.now = 1000
    assert [bursts.take("ann") for _ in range(11)] == [Pace.FINE] * 10 + [Pace.TOLD]


def test_what_is_delivered_twice_counts_once() -> None:
    """Slack sends a mention as two events, in any order with those of others."""
    bursts = Bursts(2, 3.0, clock=Clock())
    found = [bursts.take("ann", event) for event in ("1", "2", "1", "2", "3", "4", "3", "4")]
    assert found == [Pace.FINE] * 4 + [Pace.TOLD] + [Pace.SILENT] * 3


def test_memory_is_bounded() -> None:
    """Any number of people: those who acted last are remembered."""
    bursts = Bursts(1, 3.0, people=100, clock=Clock())
    for number in range(10_000):
        assert bursts.take(str(number)) is Pace.FINE
    assert bursts.take("9999") is Pace.TOLD
    assert bursts.take("9899") is Pace.FINE
