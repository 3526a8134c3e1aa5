"""The one way to retry: how often a call is made, after which pause, and which error is raised in the end."""

from itertools import islice

import pytest

from core.domain.errors import PlatformError, Rejected, SlowDown, Unreachable
from core.domain.retry import backoff, retried

NEVER = 1e9  # seconds; a test that waits this long hangs


class Call:
    """A call that fails with these errors, one after the other, and then returns its number."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.made = list(errors), 0

    async def __call__(self) -> int:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.made


async def test_a_call_is_made_until_it_succeeds() -> None:
    """Each failure is reported with its number, and the result is that of the attempt that succeeded."""
    first, second = Unreachable("one"), Unreachable("two")
    reported: list[tuple[Exception, int]] = []
    call = Call(first, second)
    assert await retried(call, (0.0, 0.0, NEVER), failed=lambda *report: reported.append(report)) == 3
    assert reported == [(first, 1), (second, 2)]


async def test_the_last_error_is_raised() -> None:
    """There is one attempt more than there are pauses; its error is raised and not reported."""
    reported: list[int] = []
    call = Call(Unreachable("one"), Unreachable("two"), Unreachable("three"))
    with pytest.raises(Unreachable, match="two"):
        await retried(call, (0.0,), failed=lambda _, attempt: reported.append(attempt))
    assert (call.made, reported) == (2, [1])


@pytest.mark.parametrize("error", [Rejected("no"), ValueError("defect")], ids=["refusal", "defect"])
async def test_other_errors_are_final(error: Exception) -> None:
    """An error that will not pass is raised at once."""
    call = Call(error)
    with pytest.raises(type(error)):
        await retried(call, (NEVER,))
    assert call.made == 1


async def test_an_exception_to_what_is_retried() -> None:
    """What `unless` names is final, even where `on` names its base."""
    call = Call(Unreachable("one"), Rejected("two"))
    with pytest.raises(Rejected):
        await retried(call, (0.0, NEVER), on=PlatformError, unless=Rejected)
    assert call.made == 2


async def test_a_platform_says_how_long_to_wait() -> None:
    """The time of a SlowDown counts instead of the usual pause."""
    assert await retried(Call(SlowDown("busy", 0.0)), (NEVER,)) == 2


async def test_a_long_wait_is_cut() -> None:
    """No pause is longer than `longest`, whatever the platform says."""
    assert await retried(Call(SlowDown("busy", NEVER), Unreachable("one")), (NEVER, NEVER), longest=0.0) == 3


async def test_no_attempt_begins_after_the_deadline() -> None:
    """If the pause would end too late, the error is raised at once instead of after it."""
    call = Call(Unreachable("one"), Unreachable("two"))
    with pytest.raises(Unreachable, match="two"):
        await retried(call, (0.0, NEVER), within=NEVER / 2)
    assert call.made == 2


def test_pauses_double() -> None:
    """Each pause is at least half of its step, and the last step is repeated without end."""
    for step, pause in zip((1.0, 2.0, 4.0, 5.0, 5.0, 5.0), islice(backoff(1.0, 5.0), 6), strict=True):
        assert step / 2 <= pause <= step
