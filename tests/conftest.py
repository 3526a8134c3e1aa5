"""Fixtures for all tests, and the order in which several workers run the tests."""

import gc
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

from tests.redis_server import redis_cleaner, redis_client, redis_server, redis_url

__all__ = ["redis_cleaner", "redis_client", "redis_server", "redis_url"]

# The time of an example says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# As in the process of the bot; the usual 700 would fill again and again within each test.
GARBAGE = 10_000
LONG_TESTS = ("tests/chaos/test_short.py", "tests/scenarios/")  # each test starts the program at least once


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the long tests: a long test that begins last leaves the other workers
    idle.

    xdist's worksteal first gives each worker a sequence of neighbours. The other tests stay neighbours, because the
    tests of a module may share servers.
    """
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, [item for item in items if item.nodeid.startswith(LONG_TESTS)], workers)


def pytest_collection_finish() -> None:
    """Leave out of each later look for garbage what stays for the whole run: the modules and thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def dealt(items: Sequence[pytest.Item], long: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order the items as one part per worker, each beginning with its share of the long ones."""
    apart = set(long)
    others = [item for item in items if item not in apart]
    found: list[pytest.Item] = []
    for worker in range(workers):
        begin, end = (len(others) * place // workers for place in (worker, worker + 1))
        found += [*long[worker::workers], *others[begin:end]]
    return found
