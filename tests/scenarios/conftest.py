"""A process, for each worker, that has loaded the program's modules."""

from collections.abc import Iterator

import pytest

from tests.scenarios.warm import warm


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    with warm():
        yield
