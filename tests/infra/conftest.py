"""Fixtures. Servers that are slow to start live as long as the test session. `support` comes from tests/contract."""
import pytest

from package import ARCHITECTURES
from support.dynamodb import DynamoDb
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.sqs import Sqs


def pytest_collection_modifyitems(config, items):
    """`tests/run` leaves the second build and the other processor to `tests/run --long`."""
    if len(ARCHITECTURES) == 1:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("second_build")])
        items[:] = [item for item in items if not item.get_closest_marker("second_build")]


@pytest.fixture
def receiver():
    """A receiver that answers 204 by default. A request that breaks a rule fails the test."""
    with Receiver() as one:
        yield one
        one.check()


@pytest.fixture(scope="session")
def sqs():
    """moto's SQS."""
    with Sqs() as server:
        yield server


@pytest.fixture(scope="session")
def dynamodb():
    """A DynamoDB that keeps conditions under concurrency."""
    with DynamoDb() as server:
        yield server


@pytest.fixture(scope="session")
def prometheus():
    """A real Prometheus. All tests share it: use metric names of your own."""
    with Prometheus() as server:
        yield server
