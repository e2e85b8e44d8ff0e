"""A FIFO queue in memory, as AWS documents it, with the few calls of SQS that `EventSource` makes. moto's own returns messages of a
group in another order after a failure.

    queue = FifoQueue()
    queue.send('{"metrics": {"ph": 6.7}}', group="pond")
    EventSource(queue, ...)

| what | as documented |
|---|---|
| order | messages of a group come in the order in which they were sent; as many of one group as possible, then of the next |
| a group in flight | while one of its messages is hidden, no receiver gets another one |
| visibility | ends, or is changed: the message comes again, with a receive count of one more and a new receipt handle |
| an expired receipt handle | deletes nothing and changes nothing: `InvalidParameterValue` |
| deduplication | a second message with the same id within 5 minutes is accepted and not delivered |

Sources: "FIFO queue delivery logic" and "Using the message deduplication ID" in the developer guide of SQS;
<https://repost.aws/knowledge-center/sqs-receipt-handle-error> for the handles. Time is `clock`, in seconds.
"""
import hashlib
import json
import threading
import time
import uuid

from .sqs import ACCOUNT, REGION

DEDUPLICATION_S = 300
EXPIRED = "InvalidParameterValue"


class _Message:
    def __init__(self, body, group, deduplication, number, now):
        self.body, self.group, self.deduplication = body, group, deduplication
        self.id, self.number = str(uuid.uuid4()), number
        self.sent, self.first_received, self.receives = int(now * 1000), None, 0
        #: The end of its time hidden, and its last receipt handle.
        self.hidden_until, self.handle = 0.0, None


class FifoQueue:
    """The queue: see the module. It is its own `client`: the methods have the names and shapes of boto3's."""

    fifo = True

    def __init__(self, visibility_s=30, clock=time.time):
        name = f"q-{uuid.uuid4().hex}.fifo"
        self.url, self.arn = f"memory:{name}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        self.client = self
        self._visibility, self._clock, self._lock = visibility_s, clock, threading.Lock()
        #: Group -> its messages, the oldest first.
        self._groups = {}
        #: Message id -> message; deduplication id -> (time, message id).
        self._messages, self._seen = {}, {}
        self._numbers = 0

    def send(self, body, group="g", deduplication=None):
        """Sends one message and returns its id."""
        body = body if isinstance(body, str) else json.dumps(body)
        with self._lock:
            now = self._clock()
            deduplication = deduplication or str(uuid.uuid4())
            when, known = self._seen.get(deduplication, (float("-inf"), None))
            if now - when < DEDUPLICATION_S:
                return known
            self._numbers += 1
            message = _Message(body, group, deduplication, self._numbers, now)
            self._seen[deduplication] = (now, message.id)
            self._messages[message.id] = message
            self._groups.setdefault(group, []).append(message)
            return message.id

    def receive_message(self, MaxNumberOfMessages=1, VisibilityTimeout=None, **_):
        with self._lock:
            now, taken = self._clock(), []
            hidden_until = now + (self._visibility if VisibilityTimeout is None else VisibilityTimeout)
            for messages in sorted(self._groups.values(), key=lambda messages: messages[0].number):
                if any(one.hidden_until > now for one in messages):
                    continue
                taken += messages[:MaxNumberOfMessages - len(taken)]
                if len(taken) == MaxNumberOfMessages:
                    break
            return {"Messages": [self._given(one, now, hidden_until) for one in taken]}

    def _given(self, message, now, hidden_until):
        message.receives += 1
        message.first_received = message.first_received or int(now * 1000)
        message.hidden_until, message.handle = hidden_until, f"{message.id} {message.receives}"
        return {"MessageId": message.id, "ReceiptHandle": message.handle, "Body": message.body,
                "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
                "Attributes": {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": str(message.sent),
                               "SenderId": "AIDAIENQZJOLO23YVJ4VO", "SequenceNumber": str(18849496460467696128 + message.number),
                               "ApproximateFirstReceiveTimestamp": str(message.first_received),
                               "MessageGroupId": message.group, "MessageDeduplicationId": message.deduplication}}

    def delete_message_batch(self, Entries, **_):
        def delete(message, entry):
            del self._messages[message.id]
            self._groups[message.group].remove(message)
            if not self._groups[message.group]:
                del self._groups[message.group]
        return self._each(Entries, delete)

    def change_message_visibility_batch(self, Entries, **_):
        def change(message, entry):
            message.hidden_until = self._clock() + entry["VisibilityTimeout"]
        return self._each(Entries, change)

    def _each(self, entries, act):
        done, failed = [], []
        with self._lock:
            for entry in entries:
                message = self._messages.get(entry["ReceiptHandle"].partition(" ")[0])
                if message and message.handle == entry["ReceiptHandle"] and message.hidden_until > self._clock():
                    act(message, entry)
                    done.append({"Id": entry["Id"]})
                else:
                    failed.append({"Id": entry["Id"], "SenderFault": True, "Code": EXPIRED,
                                   "Message": "Reason: The receipt handle has expired."})
        return {"Successful": done, "Failed": failed}

    def get_queue_attributes(self, **_):
        with self._lock:
            now = self._clock()
            hidden = sum(one.hidden_until > now for one in self._messages.values())
            return {"Attributes": {"ApproximateNumberOfMessages": str(len(self._messages) - hidden),
                                   "ApproximateNumberOfMessagesNotVisible": str(hidden)}}
