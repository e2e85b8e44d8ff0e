"""A small event source mapping of Lambda. It polls a queue of moto or a `FifoQueue`, batches messages, invokes the function, deletes
acknowledged messages and makes the others visible again.

It can be as unkind as the real one. Deletions are lost, so a message is delivered twice. Functions are killed and started again.
Visibility ends while a function works, so two functions have a message at once.

    source = EventSource(queue, start=lambda: Ingest({...}), workers=2, deadline_s=3)
    source.start()
    ...
    source.drain(30)           # until the queue is empty
    source.close()
    source.deliveries          # message id -> the receive counts of its deliveries
"""
import random
import threading
import time
from collections import defaultdict

from .runtime_api import IngestExited
from .sqs import REGION, _attribute, counts


class EventSource:
    """The event source: see the module. It calls `check(result, records)` for every answer, and adds its errors to `faults`.
    `unkind` is a random generator if messages may be delivered twice and functions killed, else None."""

    def __init__(self, queue, start, workers=2, batch=(1, 60), deadline_s=3.0, visibility_s=8, check=None, unkind=None,
                 lose_deletion=0.02, kill=0.03, run_out=0.0):
        self._queue, self._start_ingest, self._check = queue, start, check
        self._batch, self._deadline, self._visibility = batch, deadline_s, visibility_s
        self._unkind, self._lose_deletion, self._kill, self._run_out = unkind, lose_deletion, kill, run_out
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(workers)]
        #: Message id -> receive counts, in order; and message id -> the time when it was sent, by SQS.
        self.deliveries, self.sent = defaultdict(list), {}
        #: Ids of messages that were acknowledged and deleted; and of those that were delivered again while a function had them.
        self.done, self.in_two_hands = set(), set()
        self.invocations = self.killed = self.deletions_lost = self.handed_back = 0
        #: Sentences on answers that broke a rule, and on workers that failed.
        self.faults = []

    def start(self):
        for thread in self._threads:
            thread.start()

    def be_kind(self):
        """Stops killing functions, losing deletions and letting visibility end."""
        self._unkind = None

    def drain(self, timeout):
        """Waits until the queue has no message, visible or hidden. Returns false if the time ran out first."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and not self.faults:
            if not any(counts(self._queue)):
                return True
            time.sleep(0.1)  # between two looks at the queue
        return False

    def close(self):
        self._closing.set()
        for thread in self._threads:
            thread.join(30)

    def _draw(self, probability):
        with self._lock:
            return self._unkind is not None and self._unkind.random() < probability

    def _work(self, number):
        generator, ingest = random.Random(number), None
        try:
            while not self._closing.is_set():
                records = self._receive(generator.randint(*self._batch))
                if not records:
                    self._closing.wait(0.05)
                    continue
                ingest = ingest or self._start_ingest()
                if not self._deliver(ingest, records, generator):
                    ingest.close()
                    ingest = None
        except Exception as why:  # `faults` reports a worker that failed
            self.faults.append(f"worker {number}: {type(why).__name__}: {why}")
        finally:
            if ingest:
                ingest.close()

    def _receive(self, wanted):
        records = {}
        while len(records) < wanted:
            messages = self._queue.client.receive_message(
                QueueUrl=self._queue.url, MaxNumberOfMessages=min(10, wanted - len(records)), AttributeNames=["All"],
                MessageAttributeNames=["All"], VisibilityTimeout=self._visibility).get("Messages", [])
            for message in messages:
                attributes = {name: _attribute(value.get("StringValue"), value["DataType"])
                              for name, value in message.get("MessageAttributes", {}).items()}
                # If a message comes twice while a batch is gathered, the batch has it once, as it came last.
                records[message["MessageId"]] = {
                    "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                    "attributes": message["Attributes"], "messageAttributes": attributes, "md5OfBody": message["MD5OfBody"],
                    "eventSource": "aws:sqs", "eventSourceARN": self._queue.arn, "awsRegion": REGION}
            if not messages:
                break
        with self._lock:
            for name, one in records.items():
                self.deliveries[name].append(int(one["attributes"]["ApproximateReceiveCount"]))
                self.sent[name] = int(one["attributes"]["SentTimestamp"])
        return list(records.values())

    def _deliver(self, ingest, records, generator):
        """Runs one invocation. Returns true if the process still runs."""
        self.invocations += 1
        killer, struck = None, threading.Event()

        def strike():
            struck.set()
            ingest.process.kill()

        if self._draw(self._kill):
            killer = threading.Timer(generator.choice([0.001, 0.003, 0.01, 0.05, 0.3]), strike)
            killer.start()
        if self._draw(self._run_out):
            with self._lock:
                self.in_two_hands.update(one["messageId"] for one in records)
            self._show_again(records, generator)
        try:
            result = ingest.invoke({"Records": records}, deadline_s=self._deadline)
        except IngestExited:
            if not struck.is_set():
                raise
            self.killed += 1
            self._show_again(records, generator)
            return False
        finally:
            if killer:
                killer.cancel()
                killer.join()
        if self._check:
            try:
                self._check(result, records)
            except AssertionError as why:
                self.faults.append(str(why)[:2000])
        failed = set(result.failures) if result.ok else {one["messageId"] for one in records}
        self.handed_back += len(failed)
        acknowledged = [one for one in records if one["messageId"] not in failed]
        self._show_again([one for one in records if one["messageId"] in failed], generator)
        to_delete = []
        for one in acknowledged:
            if self._draw(self._lose_deletion):
                self.deletions_lost += 1
                self._show_again([one], generator)
            else:
                to_delete.append(one)
        for start in range(0, len(to_delete), 10):
            part = to_delete[start:start + 10]
            answer = self._queue.client.delete_message_batch(QueueUrl=self._queue.url, Entries=[
                {"Id": str(index), "ReceiptHandle": one["receiptHandle"]} for index, one in enumerate(part)])
            with self._lock:
                self.done.update(part[int(one["Id"])]["messageId"] for one in answer.get("Successful", []))
        return not struck.is_set()

    def _show_again(self, records, generator):
        for start in range(0, len(records), 10):
            self._queue.client.change_message_visibility_batch(QueueUrl=self._queue.url, Entries=[
                {"Id": str(index), "ReceiptHandle": one["receiptHandle"], "VisibilityTimeout": generator.choice([0, 0, 1])}
                for index, one in enumerate(records[start:start + 10])])
