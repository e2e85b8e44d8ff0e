"""`pushgw serve --queue-url` polls a queue on one machine as Lambda's event source mapping does."""
import contextlib
import json
import signal
import subprocess
import threading
import time

import pytest

from support import components
from support.command_line import environment, eventually, pushgw
from support.events import BROKEN_TEXT, event, now_ms, numbered
from support.receiver import Answer, acknowledged_values
from support.remote_write import double
from support.serve import invoke, serving
from support.sqs import SqsFront, broken, left_on


@contextlib.contextmanager
def polling(queue, receiver, *arguments, **env):
    """A `pushgw serve` that polls `queue`, invokes the function at once, and writes to `receiver`."""
    window = [] if "--batch-window" in arguments or queue.fifo else ["--batch-window", "0"]
    given = ["--queue-url", queue.url, "--remote-write-url", receiver.remote_write_url, "--timeout", "5", "--json"]
    with serving(*given, *window, *arguments, **env) as server:
        # The queue's URL names this machine too, so the server's URL is taken from its own first line.
        eventually(lambda: "\n" in server.printed())
        server.url = json.loads(server.printed().splitlines()[0])["url"]
        yield server


def batches(server):
    """Returns the printed line of each batch so far."""
    lines = [json.loads(line) for line in server.printed().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "batch"]


def stop(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0, server.output()


def test_stores_and_deletes_the_messages_of_the_queue(sqs, receiver):
    queue = sqs.queue()
    queue.send_all(numbered(25))
    with polling(queue, receiver) as server:
        eventually(lambda: left_on(queue) == 0)
        stop(server)
        said = batches(server)
    assert sorted(acknowledged_values(receiver)) == list(range(25))
    assert sum(batch["deleted"] for batch in said) == sum(batch["messages"] for batch in said) == 25
    assert all(batch["kept"] == 0 and batch["failure"] is None for batch in said)


def test_event_travels_from_send_through_the_queue_to_the_receiver(sqs, receiver, tmp_path):
    queue = sqs.queue()
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in numbered(57)))
    with polling(queue, receiver):
        done = pushgw("send", path, "--queue-url", queue.url)
        assert done.returncode == 0, done.stdout + done.stderr
        eventually(lambda: left_on(queue) == 0)
    assert sorted(acknowledged_values(receiver)) == list(range(57))


def test_event_without_a_timestamp_has_the_time_of_its_message(sqs, receiver):
    queue = sqs.queue()
    first_sent = now_ms() - 60_000
    queue.send(event({"redriven": 1}, timestamp=None), attributes={"sent_timestamp": str(first_sent)})
    before = now_ms()
    queue.send(event({"fresh": 1}, timestamp=None))
    with polling(queue, receiver):
        eventually(lambda: left_on(queue) == 0)
    [(redriven, _)], [(fresh, _)] = receiver.metric("redriven"), receiver.metric("fresh")
    assert redriven == first_sent
    assert before - 1000 <= fresh <= now_ms()


def test_dead_letters_broken_messages_with_their_reason(sqs, receiver, dead_letters):
    queue = sqs.queue()
    queue.send_all([*numbered(3), BROKEN_TEXT])
    with polling(queue, receiver, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint):
        eventually(lambda: left_on(queue) == 0)
    letter = dead_letters.letter()
    assert (letter.body, letter.attributes["reason"]) == (BROKEN_TEXT, "invalid_value")
    assert sorted(acknowledged_values(receiver)) == [0, 1, 2]


def test_sqs_moves_a_broken_message_if_there_is_no_dead_letter_queue(sqs, receiver, dead_letters):
    redrive = json.dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": "2"})
    queue = sqs.queue(VisibilityTimeout="1", RedrivePolicy=redrive)
    queue.send(BROKEN_TEXT)
    with polling(queue, receiver) as server:
        eventually(lambda: left_on(dead_letters) == 1)
        assert [batch["kept"] for batch in batches(server)] == [1, 1]
    letter = dead_letters.letter()
    assert (letter.body, letter.attributes) == (BROKEN_TEXT, {})


def test_stores_messages_later_if_the_receiver_is_down(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="3")
    down = threading.Event()
    down.set()
    receiver.answer_with(lambda write: Answer(404, "away") if down.is_set() else Answer())
    queue.send_all(numbered(12))
    with polling(queue, receiver) as server:
        eventually(lambda: sum(batch["kept"] for batch in batches(server)) >= 12)
        assert left_on(queue) == 12 and acknowledged_values(receiver) == []
        down.clear()
        eventually(lambda: left_on(queue) == 0)
    assert sorted(acknowledged_values(receiver)) == list(range(12))


def test_receives_only_the_failed_messages_again(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="2")
    queue.send_all([*numbered(2), BROKEN_TEXT])
    with polling(queue, receiver) as server:
        eventually(lambda: len([one for one in batches(server) if one["kept"]]) >= 2)
        assert all((one["messages"], one["deleted"]) == (1, 0) for one in batches(server)[1:] if one["kept"])
    assert left_on(queue) == 1
    assert sorted(acknowledged_values(receiver)) == [0, 1]


def test_stores_a_group_of_a_fifo_queue_in_order(sqs, receiver):
    queue = sqs.queue(fifo=True)
    for number, one in enumerate(numbered(45)):
        queue.send({**one, "dimensions": {"group": f"g{number % 3}"}}, group=f"g{number % 3}")
    with polling(queue, receiver, "--concurrency", "3") as server:
        eventually(lambda: left_on(queue) == 0 and batches(server))
        assert max(batch["messages"] for batch in batches(server)) <= 10
    for group in range(3):
        own = [double(bits) for write in receiver.writes for labels, _, bits in write.samples
               if dict(labels).get("group") == f"g{group}"]
        assert own == list(range(group, 45, 3))


def test_nothing_overtakes_a_failed_message_of_its_group(sqs, receiver):
    queue = sqs.queue(fifo=True, VisibilityTimeout="2")
    refused = []

    def once(write):
        if any(double(bits) == 1 for _, _, bits in write.samples) and not refused:
            refused.append(write)
            return Answer(404, "not now")
        return Answer()

    receiver.answer_with(once)
    for one in numbered(4):
        queue.send(one, group="g")
    with polling(queue, receiver, "--batch-size", "1"):
        eventually(lambda: left_on(queue) == 0)
    assert refused and acknowledged_values(receiver) == [0, 1, 2, 3]


def test_stopped_poller_finishes_messages_in_flight_and_loses_nothing(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="4")
    queue.send_all([event({"number": number}, {"n": str(number)}) for number in range(40)])
    receiver.answer_with(lambda write: Answer(delay=0.7))
    with polling(queue, receiver, "--batch-size", "5") as server:
        assert receiver.arrived.wait(20)
        stop(server)
        said = batches(server)
    stored = acknowledged_values(receiver)
    assert 0 < len(stored) < 40
    assert len(stored) == sum(batch["deleted"] for batch in said) == 40 - left_on(queue)
    receiver.answer_with(lambda write: Answer())
    with polling(queue, receiver):
        eventually(lambda: left_on(queue) == 0)
    assert sorted(acknowledged_values(receiver)) == list(range(40)), "a finished message was received again"


def test_killed_poller_loses_nothing(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="3")
    queue.send_all([event({"number": number}, {"n": str(number)}) for number in range(40)])
    receiver.answer_with(lambda write: Answer(delay=0.5))
    with polling(queue, receiver, "--batch-size", "5") as server:
        eventually(lambda: batches(server))
        server.process.kill()
        server.process.wait()
    receiver.answer_with(lambda write: Answer())
    with polling(queue, receiver):
        eventually(lambda: left_on(queue) == 0)
    assert set(acknowledged_values(receiver)) == set(range(40))


def test_gathers_a_batch_during_the_window(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="30")
    with polling(queue, receiver, "--batch-window", "3") as server:
        for one in numbered(3):
            queue.send(one)
            time.sleep(0.3)
        eventually(lambda: left_on(queue) == 0 and batches(server))
        assert [batch["messages"] for batch in batches(server)] == [3]


def test_has_no_more_batches_in_flight_than_allowed(sqs, receiver):
    queue = sqs.queue()
    queue.send_all([event({"number": number}, {"n": str(number)}) for number in range(12)])
    lock, now, most = threading.Lock(), [0], [0]

    def slow(write):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.3)
        with lock:
            now[0] -= 1
        return Answer()

    receiver.answer_with(slow)
    with polling(queue, receiver, "--batch-size", "1", "--concurrency", "3"):
        eventually(lambda: left_on(queue) == 0)
    assert most[0] == 3


def test_polls_a_queue_again_that_failed_for_a_while(sqs, receiver):
    queue = sqs.queue()
    queue.send_all(numbered(3))
    failing = [3]

    def hook(call):
        if call.action == "ReceiveMessage" and failing[0]:
            failing[0] -= 1
            return broken()
        return None

    with SqsFront(sqs, hook) as front:
        with polling(queue, receiver, AWS_ENDPOINT_URL_SQS=front.url) as server:
            eventually(lambda: left_on(queue) == 0)
            assert "panicked" not in server.output()
    assert sorted(acknowledged_values(receiver)) == [0, 1, 2]


def test_retries_a_deletion_that_failed_in_part(sqs, receiver):
    queue = sqs.queue()
    queue.send_all(numbered(4))
    spoiled = []

    def spoil(call, answer):
        if call.action == "DeleteMessageBatch" and not spoiled:
            spoiled.append(call)
            first, *rest = answer["Successful"]
            failed = [{"Id": first["Id"], "SenderFault": False, "Code": "InternalError", "Message": "again"}]
            return {**answer, "Successful": rest, "Failed": failed}
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        with polling(queue, receiver, AWS_ENDPOINT_URL_SQS=front.url) as server:
            eventually(lambda: batches(server))
            deletions = [call for call in front.calls if call.action == "DeleteMessageBatch"]
            assert [len(call.request["Entries"]) for call in deletions] == [4, 1]
            assert batches(server)[0]["deleted"] == 4


def test_serves_the_invoke_endpoint_beside_the_queue(sqs, receiver):
    queue = sqs.queue()
    with polling(queue, receiver) as server:
        _, body = invoke(server, event({"invoked": 1}))
        queue.send(event({"queued": 1}))
        eventually(lambda: left_on(queue) == 0)
    assert json.loads(body)["accepted"] == 1
    assert receiver.metric("invoked") and receiver.metric("queued")


def test_shows_people_the_polled_queue_and_each_batch(sqs):
    queue = sqs.queue(VisibilityTimeout="60")
    with serving("--queue-url", queue.url, "--batch-window", "0", "--timeout", "5") as server:
        queue.send(event({"temperature": 14.3}))
        eventually(lambda: left_on(queue) == 0 and "1 deleted" in server.printed())
        stop(server)
        said = server.output()
    assert queue.url in said and "comes again after 60 s" in said
    assert "1 event: 1 stored" in said and "temperature" in said
    assert "warning" not in said


def test_warns_of_a_visibility_timeout_that_is_too_short(sqs, receiver):
    queue = sqs.queue(VisibilityTimeout="2")
    with polling(queue, receiver) as server:
        assert "messages may be handled twice" in server.output()


def test_exits_with_1_if_the_queue_does_not_exist(sqs):
    done = pushgw("serve", "--listen", "127.0.0.1:0", "--queue-url", sqs.missing_queue_url(), timeout=30)
    assert done.returncode == 1
    assert "no-such-queue" in done.stderr and "sqs:ReceiveMessage" in done.stderr
    assert "listening" not in done.stdout


@pytest.mark.parametrize("arguments, said", [
    (["--batch-size", "11"], "--batch-size 11"),
    (["--batch-window", "20"], "--batch-window 20"),
    (["--batch-size", "0"], "1..=10000"),
    (["--concurrency", "many"], "--concurrency"),
], ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_exits_with_2_for_values_that_lambda_does_not_allow(sqs, arguments, said):
    queue = sqs.queue(fifo=True)
    done = pushgw("serve", "--listen", "127.0.0.1:0", "--queue-url", queue.url, *arguments, timeout=30)
    assert done.returncode == 2
    assert said in done.stderr


def test_rejects_options_of_a_queue_without_a_queue():
    for option in ("--batch-size", "--batch-window", "--concurrency"):
        assert pushgw("serve", option, "1", timeout=20).returncode == 2


def test_stops_at_once_while_it_waits_for_messages(sqs, receiver):
    queue = sqs.queue()
    process = subprocess.Popen([components.pushgw(), "serve", "--listen", "127.0.0.1:0", "--queue-url", queue.url,
                                "--remote-write-url", receiver.remote_write_url], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment())
    process.stdout.readline()
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    process.stdout.close()
    assert time.monotonic() - started < 3
