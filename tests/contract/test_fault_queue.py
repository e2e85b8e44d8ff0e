"""The dead-letter queue under faults: the gateway acknowledges a rejected message only if its dead letter lies on the queue."""
import re
import time

import pytest

from support import proxy
from support.events import BROKEN_TEXT, event
from support.faults import Stand
from support.runtime_api import SESSION_TOKEN
from support.sqs import SqsFront, broken, record, throttled

FAULTS = {"throttled": throttled, "5xx": broken, "reset": lambda call: "reset"}


@pytest.fixture
def front(sqs):
    with SqsFront(sqs) as one:
        yield one


@pytest.fixture
def stand(sqs, front):
    with Stand(sqs, queue_endpoint=front.url) as one:
        yield one


def mixed(count=12):
    return [record(BROKEN_TEXT if n % 3 == 0 else event({"ph": n}, {"pond": str(n)}), f"m-{n}") for n in range(count)]


@pytest.mark.parametrize("fault", FAULTS)
def test_returns_rejected_messages_and_stores_the_others_while_the_queue_fails(stand, front, fault):
    front._hook = FAULTS[fault]
    records = mixed()
    result = stand.deliver(*records, deadline_s=4.0)
    assert sorted(result.failures) == ["m-0", "m-3", "m-6", "m-9"]
    assert len(front.calls) >= 2
    assert (result.metrics["delivered"], result.metrics["rejected"], result.metrics["handed_back"]) == (8, 4, 4)
    assert stand.tsdb.count() == 8
    front._hook = None
    assert stand.deliver_again(records, result).failures == []
    assert set(stand.letters()) == {"m-0", "m-3", "m-6", "m-9"}


@pytest.mark.parametrize("fault", FAULTS)
def test_loses_nothing_if_a_fault_of_the_queue_passes(stand, front, fault):
    front._hook = lambda call: FAULTS[fault](call) if call.number == 1 else None
    assert stand.deliver(*mixed()).failures == []
    assert set(stand.letters()) == {"m-0", "m-3", "m-6", "m-9"}
    assert stand.tsdb.count() == 8


def fails(ids, sender_fault=False):
    """Returns a spoil: SQS answers 200 but takes no dead letter of these messages."""
    def spoil(call, answer):
        if call.action != "SendMessageBatch":
            return answer
        bad = {entry["Id"] for entry in call.request["Entries"]
               if entry["MessageAttributes"]["source_message_id"]["StringValue"] in ids}
        kept = [one for one in answer.get("Successful", []) if one["Id"] not in bad]
        failed = [{"Id": one, "SenderFault": sender_fault, "Code": "InternalError", "Message": "no"} for one in sorted(bad)]
        return {**answer, "Successful": kept, "Failed": failed}
    return spoil


@pytest.mark.parametrize("sender_fault", [False, True], ids=["the queue's fault", "the sender's fault"])
def test_returns_exactly_the_messages_that_a_batch_call_refuses(stand, front, sender_fault):
    front._spoil = fails({"m-3", "m-9"}, sender_fault)
    result = stand.deliver(*mixed(), deadline_s=6.0)
    assert sorted(result.failures) == ["m-3", "m-9"]
    assert result.metrics["dead_lettered"] == 2


def test_sends_an_entry_again_if_the_queue_failed_to_take_it(stand, front):
    spoil = fails({"m-3"})
    front._spoil = lambda call, answer: spoil(call, answer) if call.number == 1 else answer
    assert stand.deliver(*mixed(), deadline_s=6.0).failures == []
    assert len(front.calls) == 2 and len(front.calls[1].request["Entries"]) == 1


def test_does_not_send_an_entry_again_that_is_the_senders_mistake(stand, front):
    front._spoil = fails({"m-3"}, sender_fault=True)
    assert stand.deliver(*mixed(), deadline_s=6.0).failures == ["m-3"]
    assert len(front.calls) == 1


def other_digest(ids):
    """Returns a spoil: SQS confirms another body than was sent for these messages."""
    def spoil(call, answer):
        of = {entry["Id"]: entry["MessageAttributes"]["source_message_id"]["StringValue"] for entry in call.request["Entries"]}
        changed = [{**one, "MD5OfMessageBody": "0" * 32} if of[one["Id"]] in ids else one for one in answer["Successful"]]
        return {**answer, "Successful": changed}
    return spoil


def test_sends_a_dead_letter_again_if_the_queue_confirms_another_body(stand, front):
    spoil = other_digest({"m-3"})
    front._spoil = lambda call, answer: spoil(call, answer) if call.number == 1 else answer
    assert stand.deliver(*mixed(), deadline_s=6.0).failures == []
    assert len(front.calls) == 2


def test_returns_a_message_whose_body_the_queue_never_confirms(stand, front):
    front._spoil = other_digest({"m-3"})
    result = stand.deliver(*mixed(), deadline_s=6.0)
    assert result.failures == ["m-3"]
    assert "another body" in result.warnings(message_id="m-3")[0]["detail"]


def test_a_call_that_hangs_leaves_time_for_another(stand, front):
    front._hook = lambda call: time.sleep(20) if call.number == 1 else None
    result = stand.deliver(*mixed(), deadline_s=6.0)
    assert result.failures == []
    assert len(front.calls) == 2


def test_shows_no_secret_that_the_queue_repeats(stand, front):
    def repeat(request):
        headers = dict(request.headers)
        token, signature = headers["X-Amz-Security-Token"], headers["Authorization"].rpartition("Signature=")[2]
        text = f"The signature {signature} does not match: x-amz-security-token:{token}\\nhost"
        body = '{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"%s"}' % text
        return 403, {"Content-Type": "application/x-amz-json-1.0"}, body.encode()
    front.respond = lambda request: repeat(Lowered(request))
    result = stand.deliver(*mixed(), deadline_s=6.0)
    assert len(result.failures) == 4
    assert SESSION_TOKEN not in result.raw_log and SESSION_TOKEN[:20] not in result.raw_log
    assert "(hidden)" in result.warnings(message_id="m-0")[0]["detail"]
    assert not re.search("[0-9a-f]{64}", result.raw_log)


class Lowered:
    """A request whose headers have the usual capital letters."""

    def __init__(self, request):
        self.headers = [(name.title(), value) for name, value in request.headers]


def test_reads_a_bounded_part_of_the_queues_answer(stand, front):
    front._hook = lambda call: (200, {"Content-Type": "application/x-amz-json-1.0"}, b'{"Successful":[],"x":"' + b"y" * 100_000_000 + b'"}')
    before = stand.ingest.peak_memory()
    result = stand.deliver(*mixed(), deadline_s=8.0)
    assert sorted(result.failures) == ["m-0", "m-3", "m-6", "m-9"]
    assert stand.ingest.peak_memory() - before < 20_000_000


def test_returns_rejected_messages_if_the_queue_answers_nonsense(stand, front):
    front._hook = lambda call: (200, {"Content-Type": "application/x-amz-json-1.0"}, b"<html>captive portal</html>")
    result = stand.deliver(*mixed(), deadline_s=4.0)
    assert sorted(result.failures) == ["m-0", "m-3", "m-6", "m-9"]


def test_returns_messages_that_the_queues_answer_does_not_name(stand, front):
    def forgetful(call, answer):
        return {**answer, "Successful": answer["Successful"][:1] if call.number == 1 else [], "Failed": []}
    front._spoil = forgetful
    result = stand.deliver(*mixed(), deadline_s=4.0)
    assert len(result.failures) == 3


def test_returns_everything_in_time_if_receiver_and_queue_fail_at_once(stand, front):
    stand.proxy.fault_with(lambda exchange: proxy.hang())
    front._hook = broken
    records = mixed()
    result = stand.deliver(*records, deadline_s=2.0)
    assert len(result.failures) == 12
    stand.proxy.fault_with(None)
    front._hook = None
    assert stand.deliver_again(records, result).failures == []
    assert stand.tsdb.count() == 8
    assert len(stand.letters()) == 4


def test_leaves_time_for_dead_letters_if_the_receiver_hangs(stand):
    # The contract: a rejected message is dead-lettered, however the others end.
    stand.proxy.fault_with(lambda exchange: proxy.hang())
    result = stand.deliver(*mixed(), deadline_s=3.0)
    assert len(result.failures) == 8
    assert set(stand.letters()) == {"m-0", "m-3", "m-6", "m-9"}
