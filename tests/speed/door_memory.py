"""The peak memory of the function for the largest requests of its HTTP door."""
import gzip
import string

from measure import Sink
from support.dynamodb import DynamoDb
from support.function_url import event
from support.runtime_api import Ingest, peak_memory

#: The longest body, unpacked.
LONGEST = 16 << 20
NAMES = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]


def _body(line):
    """Returns as many lines as fit into a body, fewer than a million."""
    lines, length = [], 0
    for number in range(999_990):
        lines.append(line(number).encode())
        length += len(lines[-1])
        if length > LONGEST:
            return b"".join(lines[:-1])
    return b"".join(lines)


BODIES = {
    "a million short series": lambda: _body(lambda number: 'a{b="%x"} 1\n' % number),
    "147 labels": lambda: _body(lambda number: 'a{x="%x",%s} 1\n' % (number, ",".join(f'{name}="1"' for name in NAMES[:146]))),
    "20 labels of which none repeats": lambda: _body(lambda number: "a{%s} 1\n" % ",".join(f'{name}="{number:x}"' for name in NAMES[:20])),
}


def _settings(sink, table=None, dynamodb=None):
    settings = {"REMOTE_WRITE_URL": sink.url, "HTTP_AUTH": "none", "HTTP_DEADLINE": "60s"}
    return settings | ({"STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint} if table else {})


def _push(ingest, body, job="x"):
    made = event("PUT", f"/metrics/job/{job}", [("Content-Encoding", "gzip")], gzip.compress(body, 1))
    return ingest.invoke(made, deadline_s=100).json["statusCode"]


def memory_of_push(body, has_table):
    """Returns the peak memory and the status of one push."""
    with Sink() as sink, DynamoDb() as dynamodb:
        table = dynamodb.table() if has_table else None
        with Ingest(_settings(sink, table, dynamodb)) as ingest:
            status = _push(ingest, body)
            return peak_memory(ingest.pid), status


def memory_of_groups(path, groups):
    """Returns the peak memory and the status of a request that shows so many groups of a thousand series."""
    body = "".join(f'a{{b="{number:x}"}} 1\n' for number in range(1_000)).encode()
    with Sink() as sink, DynamoDb() as dynamodb:
        settings = _settings(sink, dynamodb.table(), dynamodb)
        with Ingest(settings) as ingest:
            for number in range(groups):
                assert _push(ingest, body, f"j{number}") == 202
        with Ingest(settings) as ingest:
            status = ingest.invoke(event("GET", path, [("Accept-Encoding", "gzip")]), deadline_s=100).json["statusCode"]
            return peak_memory(ingest.pid), status
