"""The circuit breaker: when it opens, who probes, how pauses grow, and its invariants after any sequence of events."""

from hypothesis import given
from hypothesis import strategies as st

from core.nebula.wrappers.circuit_breaker import BreakerPermit, BreakerState, CircuitBreaker


def new_breaker(failures: int = 3) -> CircuitBreaker:
    return CircuitBreaker(failures, pause=10, longest=60, draw=lambda: 0.0)


def enter(breaker: CircuitBreaker, now: float) -> BreakerPermit:
    found = breaker.enter(now)
    assert found is not None
    return found


def opened(breaker: CircuitBreaker, now: float = 0.0) -> CircuitBreaker:
    while breaker.state is not BreakerState.OPEN:
        breaker.failed(enter(breaker, now), now)
    return breaker


def test_it_opens_after_several_failures_in_a_row() -> None:
    """An answer in between restarts the count."""
    breaker = new_breaker()
    for answers in (False, False, True, False, False):
        permit = enter(breaker, 0)
        breaker.answered() if answers else breaker.failed(permit, 0)
    breaker.failed(enter(breaker, 0), 0)
    assert (breaker.enter(9.9), breaker.wait(4)) == (None, 6)


def test_one_probe_is_sent_after_the_pause() -> None:
    """After the pause one request may be sent; the others wait for its outcome. Its answer closes the breaker."""
    breaker = opened(new_breaker())
    enter(breaker, 10)
    assert breaker.enter(10) is None
    assert breaker.wait(10) > 0
    breaker.answered()
    assert enter(breaker, 10)
    assert enter(breaker, 10)


def test_the_pause_doubles_up_to_a_cap_and_is_reset() -> None:
    """Each failed probe doubles the pause; an answer resets it."""
    breaker, now, pauses = opened(new_breaker()), 0.0, []
    for _ in range(5):
        pauses.append(breaker.wait(now))
        now += breaker.wait(now)
        breaker.failed(enter(breaker, now), now)
    assert pauses == [10, 20, 40, 60, 60]
    now += breaker.wait(now)
    enter(breaker, now)
    breaker.answered()
    assert opened(breaker, now).wait(now) == 10


def test_a_probe_without_a_result_allows_the_next() -> None:
    """If a person stops the answer of the probe, that says nothing about the server."""
    breaker = opened(new_breaker())
    breaker.given_up(enter(breaker, 10), 10)
    assert breaker.state is BreakerState.OPEN
    assert enter(breaker, 10)


def test_failures_of_earlier_requests_do_not_count() -> None:
    """Requests sent earlier neither prolong the pause nor decide about the probe."""
    breaker = new_breaker()
    early = [enter(breaker, 0) for _ in range(2)]
    opened(breaker)
    breaker.failed(early[0], 5)
    assert breaker.wait(5) == 5
    enter(breaker, 10)
    breaker.failed(early[1], 11)
    breaker.given_up(early[1], 11)
    assert breaker.state is BreakerState.PROBING


def test_processes_do_not_probe_at_the_same_time() -> None:
    """The pause is up to a quarter longer, at random."""
    breaker = opened(CircuitBreaker(1, pause=10, draw=lambda: 1.0))
    assert breaker.wait(0) == 12.5


@given(st.lists(st.tuples(st.sampled_from(["enter", "answered", "failed", "given up"]), st.floats(0, 30))))
def test_it_recovers_from_any_state(events: list[tuple[str, float]]) -> None:
    """There is never more than one probe, nobody waits longer than the longest pause, and when all requests have
    ended, a probe may be sent after the announced wait."""
    breaker = CircuitBreaker(2, pause=1, longest=16)
    now, out = 0.0, list[BreakerPermit]()
    for event, passed in events:
        now += passed
        match event:
            case "enter":
                wait, probing = breaker.wait(now), breaker.state is BreakerState.PROBING
                permit = breaker.enter(now)
                assert (permit is None) == (wait > 0)
                assert permit is None or not probing
                out += [permit] if permit else []
            case _ if not out:
                continue
            case "answered":
                out.pop(0)
                breaker.answered()
            case "failed":
                breaker.failed(out.pop(0), now)
            case _:
                breaker.given_up(out.pop(0), now)
        assert 0 <= breaker.wait(now) <= 16 * 1.25
    for permit in out:
        breaker.given_up(permit, now)
    assert breaker.enter(now + breaker.wait(now)) is not None
