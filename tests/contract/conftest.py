"""Fixtures: the world around one `ingest`. Servers that are slow to start live as long as the test session."""
import pytest

from support.dynamodb import DynamoDb
from support.environment import Environment
from support.faults import Stand
from support.gateway import Gateway
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.runtime_api import Ingest
from support.sqs import Sqs


def pytest_collection_modifyitems(items):
    """Puts tests that wait long and work little first. The others run beside them, and nobody waits for them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


@pytest.fixture
def receiver(request):
    """A receiver that answers 204 by default. A request that breaks a rule fails the test. `RECEIVER` of a test's module is its class."""
    with getattr(request.module, "RECEIVER", Receiver)() as one:
        yield one
        one.check()


@pytest.fixture
def start(receiver):
    """Starts any number of `ingest` processes that write to `receiver`: `start(LATE_SAMPLES="drop")`."""
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
def queue(sqs):
    """A standard queue."""
    return sqs.queue()


@pytest.fixture
def start_environment(request):
    """Starts environments with the Lambda extension in them: `start_environment(queue, freeze=True, LOGS="on")`. Every record is
    dispatched at once, to a queue, or to the URL of one, or to a `GATEWAY`."""
    running = []

    def start_one(queue=None, **settings):
        if "GATEWAY" not in settings:
            # A queue needs moto, and a Pushgateway does not.
            settings = {"AWS_ENDPOINT_URL_SQS": request.getfixturevalue("sqs").endpoint, **settings}
        if queue:
            settings["PUSH_QUEUE_URL"] = getattr(queue, "url", queue)
        one = Environment(**{"DISPATCH_MIN_BATCH_SIZE": "1", **settings})
        running.append(one)
        return one

    yield start_one
    for one in running:
        one.close()


@pytest.fixture(scope="session")
def dynamodb():
    """A DynamoDB in memory."""
    with DynamoDb() as server:
        yield server


@pytest.fixture
def table(dynamodb):
    """An empty table for the state."""
    one = dynamodb.table()
    yield one
    one.delete()


@pytest.fixture
def state(dynamodb, table):
    """The settings of the table."""
    return {"STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}


@pytest.fixture
def stand(sqs):
    """A `Stand` with its defaults, for the tests of faults."""
    with Stand(sqs) as one:
        yield one


@pytest.fixture
def dead_letters(sqs):
    """A standard queue for dead letters."""
    return sqs.queue()


@pytest.fixture
def ingest_with_queue(start, sqs, dead_letters):
    """An `ingest` that writes to `receiver` and dead-letters rejected messages to `dead_letters`."""
    return start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


@pytest.fixture(scope="session")
def prometheus():
    """A real Prometheus. All tests share it: use metric names of your own."""
    with Prometheus() as server:
        yield server


@pytest.fixture(scope="module")
def gateway():
    """One `Gateway` for all tests of a module."""
    with Receiver() as receiver:
        one = Gateway(receiver)
        yield one
        one.close()
