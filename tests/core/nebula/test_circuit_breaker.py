"""The circuit breaker: when it opens, who probes, how pauses grow; and what holds after any course of events."""

from hypothesis import given
from hypothesis import strategies as st

from core.nebula.circuit_breaker import CircuitBreaker, State, Trial


def breaker(failures: int = 3) -> CircuitBreaker:
    return CircuitBreaker(failures, pause=10, longest=60, draw=lambda: 0.0)


def permit(gate: CircuitBreaker, now: float) -> Trial:
    found = gate.enter(now)
    assert found is not None
    return found


def opened(gate: CircuitBreaker, now: float = 0.0) -> CircuitBreaker:
    while gate.state is not State.OPEN:
        gate.failed(permit(gate, now), now)
    return gate


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """An answer in between begins the count anew."""
    gate = breaker()
    for answers in (False, False, True, False, False):
        leave = permit(gate, 0)
        gate.answered() if answers else gate.failed(leave, 0)
    gate.failed(permit(gate, 0), 0)
    assert (gate.enter(9.9), gate.wait(4)) == (None, 6)


def test_one_probe_goes_after_the_pause() -> None:
    """When the pause is over one may ask; the others wait for what comes of it, and it closes the breaker."""
    gate = opened(breaker())
    permit(gate, 10)
    assert gate.enter(10) is None
    assert gate.wait(10) > 0
    gate.answered()
    assert permit(gate, 10)
    assert permit(gate, 10)


def test_the_pause_doubles_up_to_a_cap_and_begins_anew() -> None:
    """Each probe that fails doubles the pause; after an answer it is the first one again."""
    gate, now, pauses = opened(breaker()), 0.0, []
    for _ in range(5):
        pauses.append(gate.wait(now))
        now += gate.wait(now)
        gate.failed(permit(gate, now), now)
    assert pauses == [10, 20, 40, 60, 60]
    now += gate.wait(now)
    permit(gate, now)
    gate.answered()
    assert opened(gate, now).wait(now) == 10


def test_a_probe_without_a_verdict_makes_way_for_the_next() -> None:
    """A person who stopped the probe's answer says nothing of the server."""
    gate = opened(breaker())
    gate.given_up(permit(gate, 10), 10)
    assert gate.state is State.OPEN
    assert permit(gate, 10)


def test_failures_from_before_it_opened_are_no_news() -> None:
    """Requests that left earlier neither prolong the pause nor judge the probe."""
    gate = breaker()
    early = [permit(gate, 0) for _ in range(2)]
    opened(gate)
    gate.failed(early[0], 5)
    assert gate.wait(5) == 5
    permit(gate, 10)
    gate.failed(early[1], 11)
    gate.given_up(early[1], 11)
    assert gate.state is State.PROBING


def test_processes_do_not_probe_together() -> None:
    """The pause is up to a quarter longer, as it is drawn."""
    gate = opened(CircuitBreaker(1, pause=10, draw=lambda: 1.0))
    assert gate.wait(0) == 12.5


@given(st.lists(st.tuples(st.sampled_from(["enter", "answered", "failed", "given up"]), st.floats(0, 30))))
def test_whatever_happens_it_gets_out_again(events: list[tuple[str, float]]) -> None:
    """Never more than one probe is out, nobody waits for longer than the longest pause, and with all requests ended a
    probe may go after the wait that was told."""
    gate = CircuitBreaker(2, pause=1, longest=16)
    now, out = 0.0, list[Trial]()
    for event, passed in events:
        now += passed
        match event:
            case "enter":
                wait, probing = gate.wait(now), gate.state is State.PROBING
                leave = gate.enter(now)
                assert (leave is None) == (wait > 0)
                assert leave is None or not probing
                out += [leave] if leave else []
            case _ if not out:
                continue
            case "answered":
                out.pop(0)
                gate.answered()
            case "failed":
                gate.failed(out.pop(0), now)
            case _:
                gate.given_up(out.pop(0), now)
        assert 0 <= gate.wait(now) <= 16 * 1.25
    for leave in out:
        gate.given_up(leave, now)
    assert gate.enter(now + gate.wait(now)) is not None
