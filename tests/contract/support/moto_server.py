"""moto's SQS as a server on a free port of loopback, which it prints. `sqs.Sqs` starts it as a process of its own.

moto is written for tests of one thread. Pollers and functions that work at the same time need three changes, which this file makes
from outside. Calls on a queue run one at a time, the counts of a queue are those of one moment, and long queues stay fast.
"""
import functools
import threading
import time

import moto.sqs.models
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.sqs.models import SQSBackend
from werkzeug.serving import make_server

_alone = threading.RLock()
_moment = threading.local()


def _now_ms():
    # moto asks for the time several times for each message of a queue, and its own function is slow.
    return getattr(_moment, "ms", None) or time.time() * 1000


def _one_at_a_time(name):
    """Lets one call run at a time. Without this, two receivers get one message, or both move it to the dead-letter queue. A message
    that is sent during a deletion is lost, because moto deletes by writing a new list."""
    action = getattr(SQSBackend, name)

    @functools.wraps(action)
    def alone(*arguments, **more):
        with _alone:
            return action(*arguments, **more)
    setattr(SQSBackend, name, alone)


def _receive_message(backend, queue_name, count, wait_s, *more, receive=SQSBackend.receive_message, **named):
    """Receives messages as moto does, but others may use the queue while this waits."""
    end = time.monotonic() + int(wait_s or 0)
    while True:
        with _alone:
            messages = receive(backend, queue_name, count, 0, *more, **named)
        if messages or time.monotonic() >= end:
            return messages
        time.sleep(0.02)


def _get_queue_attributes(backend, *arguments, ask=SQSBackend.get_queue_attributes, **named):
    """Counts all messages at one moment. moto counts the visible messages first, then the others: one that becomes visible in between
    is in neither count, and its queue looks empty."""
    with _alone:
        _moment.ms = time.time() * 1000
        try:
            return ask(backend, *arguments, **named)
        finally:
            _moment.ms = None


def main():
    moto.sqs.models.unix_time_millis = _now_ms
    SQSBackend.receive_message = _receive_message
    SQSBackend.get_queue_attributes = _get_queue_attributes
    for name in ("send_message", "delete_message", "change_message_visibility", "purge_queue"):
        _one_at_a_time(name)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
