"""Fixtures: the world around one `ingest`. Servers that are costly to start live as long as the test session."""
import pytest

from support.faults import Stand
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.runtime_api import Ingest
from support.sqs import Sqs


def pytest_collection_modifyitems(items):
    """Tests that wait long and work little come first: beside them the others run, and nobody waits for them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


@pytest.fixture
def receiver():
    """A receiver that answers 204 until told otherwise; any rule that a request breaks fails the test."""
    with Receiver() as one:
        yield one
        one.check()


@pytest.fixture
def start(receiver):
    """Starts an `ingest` that writes to `receiver`: `start(LATE_SAMPLES="drop")`. Any number of them."""
    running = []

    def start_one(credentials=True, **env):
        one = Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, **env}, credentials=credentials)
        running.append(one)
        return one

    yield start_one
    for one in running:
        one.close()


@pytest.fixture
def ingest(start):
    """An `ingest` that writes to `receiver`, without a dead-letter queue."""
    return start()


@pytest.fixture(scope="session")
def sqs():
    """moto's SQS."""
    with Sqs() as server:
        yield server


@pytest.fixture
def stand(sqs):
    """A `Stand` that is as it comes: for the tests of faults."""
    with Stand(sqs) as one:
        yield one


@pytest.fixture
def dead_letters(sqs):
    """A standard queue for dead letters."""
    return sqs.queue()


@pytest.fixture
def ingest_with_queue(start, sqs, dead_letters):
    """An `ingest` that writes to `receiver` and puts rejected messages on `dead_letters`."""
    return start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


@pytest.fixture(scope="session")
def prometheus():
    """A real Prometheus. It is shared: use names of your own for metrics."""
    with Prometheus() as server:
        yield server
