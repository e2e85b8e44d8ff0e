"""Fixtures: servers that are costly to start live as long as the test session. `support` is that of tests/contract."""
import pytest

from support.prometheus import Prometheus
from support.receiver import Receiver
from support.sqs import Sqs


@pytest.fixture
def receiver():
    """A receiver that answers 204 until told otherwise; any rule that a request breaks fails the test."""
    with Receiver() as one:
        yield one
        one.check()


@pytest.fixture(scope="session")
def sqs():
    """moto's SQS."""
    with Sqs() as server:
        yield server


@pytest.fixture(scope="session")
def prometheus():
    """A real Prometheus. It is shared: use names of your own for metrics."""
    with Prometheus() as server:
        yield server
