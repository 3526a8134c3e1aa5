"""Fixtures that every test may use, and the order in which several workers take the tests."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

from tests.redis_server import redis_client, redis_server, redis_url

__all__ = ["redis_client", "redis_server", "redis_url"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LONG = ("tests/chaos/test_short.py", "tests/scenarios/")  # each test starts the program, once or more


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the long tests: one that began last would leave the other workers idle.

    xdist's worksteal gives each worker a run of neighbours at first. The others stay neighbours: the tests of a module
    may share servers.
    """
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, [item for item in items if item.nodeid.startswith(LONG)], workers)


def dealt(items: Sequence[pytest.Item], long: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The items in as many parts as there are workers, one after the other, each with its share of the long ones."""
    apart = set(long)
    others = [item for item in items if item not in apart]
    found: list[pytest.Item] = []
    for worker in range(workers):
        begin, end = (len(others) * place // workers for place in (worker, worker + 1))
        found += [*long[worker::workers], *others[begin:end]]
    return found
