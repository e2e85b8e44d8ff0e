"""`pushgw redrive` shows the messages of a dead-letter queue, and sends each again: whole, once, and with its own time."""
import base64
import json
import os
import re
import signal
import subprocess
import time

import pytest

from support import components
from support.command_line import environment, on_a_terminal, pushgw
from support.events import BROKEN_TEXT, event, now_ms
from support.sqs import SqsFront, broken

HOUR = 3600 * 1000


def ours(reason, **more):
    """Returns the attributes of a dead letter that the gateway sent."""
    return {"reason": reason, "detail": f"the detail of {reason}", "source_message_id": "m-1",
            "sent_timestamp": str(now_ms() - 1000), **{name: str(value) for name, value in more.items()}}


def failure_record(payload, error="delivery_failed", at=None):
    """Returns the record of a failed asynchronous invocation, as Lambda sends it to its on-failure destination."""
    at = time.time() if at is None else at / 1000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"
    return json.dumps({
        "version": "1.0", "timestamp": stamp,
        "requestContext": {"requestId": "r-1", "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
                           "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": error, "errorMessage": f"the words of {error}"}})


def error_action(published):
    """Returns the message that the error action of an IoT rule sends."""
    return json.dumps({
        "ruleName": "water", "topic": "sensors/1", "cloudwatchTraceId": "t", "clientId": "c",
        "base64OriginalPayload": base64.b64encode(published.encode()).decode(),
        "failures": [{"failedAction": "SqsAction", "failedResource": "water-metrics", "errorMessage": "denied"}]})


def moved(sqs, dead_letters, body):
    """Puts `body` on a queue of its own and lets SQS move it after one delivery."""
    policy = json.dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": "1"})
    source = sqs.queue(RedrivePolicy=policy, VisibilityTimeout="0")
    source.send(body)
    for _ in range(3):
        source.client.receive_message(QueueUrl=source.url, MaxNumberOfMessages=10)


@pytest.fixture
def four_shapes(sqs, dead_letters):
    """Sends one dead letter of each shape. Returns, by reason, the bodies that redrive must send."""
    bodies = {"invalid_value": BROKEN_TEXT, "max_receives": json.dumps(event({"moved": 1})),
              "delivery_failed": '{"metrics": {"lambda": 2}}', "iot_action_failed": '{"t": 14.3}'}
    dead_letters.send(bodies["invalid_value"], ours("invalid_value"))
    moved(sqs, dead_letters, bodies["max_receives"])
    dead_letters.send(failure_record(json.loads(bodies["delivery_failed"])))
    dead_letters.send(error_action(bodies["iot_action_failed"]))
    return bodies


@pytest.fixture
def redrive(dead_letters):
    """Runs `pushgw redrive --json` on the dead-letter queue. Returns the printed object and the exit code."""
    def run(*arguments, queue=dead_letters, **env):
        done = pushgw("redrive", "--queue-url", queue.url, "--json", *arguments, **env)
        assert done.returncode in (0, 1), done.stderr
        shown = json.loads(done.stdout)
        assert shown["ok"] == (done.returncode == 0)
        return shown, done.returncode
    return run


def by_reason(shown):
    return {one["reason"]: one for one in shown["reasons"]}


def bodies(queue):
    return sorted(letter.body for letter in queue.letters())


def test_dry_run_shows_all_four_shapes_and_leaves_every_dead_letter(four_shapes, dead_letters, redrive):
    for _ in range(2):
        shown, status = redrive()
        assert status == 0 and shown["dry_run"] and shown["letters"] == 4
        reasons = by_reason(shown)
        assert {reason: one["from"] for reason, one in reasons.items()} == {
            "invalid_value": "gateway", "max_receives": "queue", "delivery_failed": "lambda", "iot_action_failed": "iot"}
        for reason, body in four_shapes.items():
            (example,) = reasons[reason]["examples"]
            assert example["body"] == body and example["detail"]
        assert "the words of delivery_failed" in reasons["delivery_failed"]["examples"][0]["detail"]
        assert "water-metrics" in reasons["iot_action_failed"]["examples"][0]["detail"]
    assert len(dead_letters.letters()) == 4, "the messages are visible again at once"


def test_redrive_shows_people_a_table_with_examples_and_what_to_do(four_shapes, dead_letters):
    done = pushgw("redrive", "--queue-url", dead_letters.url)
    assert done.returncode == 0, done.stderr
    for part in [*four_shapes, *four_shapes.values(), "the detail of invalid_value", "--to-file", "dry run"]:
        assert part in done.stdout, f"{part} in {done.stdout}"


def test_dry_run_counts_each_of_many_dead_letters_once(dead_letters, redrive):
    dead_letters.send_all([event({"ph": number}) for number in range(75)])
    shown, _ = redrive()
    assert (shown["letters"], by_reason(shown)["max_receives"]["letters"]) == (75, 75)
    assert len(by_reason(shown)["max_receives"]["examples"]) == 3
    assert len(dead_letters.letters()) == 75


def test_redrive_sends_the_chosen_reasons_and_leaves_the_others(sqs, four_shapes, dead_letters, redrive):
    source = sqs.queue()
    shown, status = redrive("--to", source.url, "--reason", "max_receives", "--reason", "delivery_failed")
    assert status == 0 and (shown["sent"], shown["left"]) == (2, {"not_chosen": 2})
    assert bodies(source) == sorted([four_shapes["max_receives"], four_shapes["delivery_failed"]])
    assert len(dead_letters.letters()) == 2


def test_redriven_message_is_delivered_with_its_original_time(sqs, dead_letters, redrive, receiver, ingest):
    first = now_ms() - 1_200_000
    dead_letters.send({"metrics": {"own": 1}}, ours("refused_by_receiver", sent_timestamp=first))
    dead_letters.send(failure_record({"metrics": {"async": 2}}, at=first + 1))
    dead_letters.send({"timestamp": first + 2, "metrics": {"timed": 3}})
    source = sqs.queue()
    assert redrive("--to", source.url, "--all")[0]["sent"] == 3
    batch = source.lambda_event()
    for one in batch["Records"]:
        assert set(one["messageAttributes"]) == {"sent_timestamp"}
    source.settle(batch, ingest.invoke(batch))
    assert receiver.values() == {("own", ()): [(first, 1)], ("async", ()): [(first + 1, 2)], ("timed", ()): [(first + 2, 3)]}
    assert dead_letters.letters() == [] and source.letters() == []


def test_message_that_sqs_moved_keeps_the_time_at_which_it_was_sent(sqs, dead_letters, redrive):
    moved(sqs, dead_letters, '{"metrics": {"ph": 6.7}}')
    (example,) = by_reason(redrive()[0])["max_receives"]["examples"]
    source = sqs.queue()
    redrive("--to", source.url, "--all")
    assert source.letter().attributes["sent_timestamp"] == str(example["sent_timestamp"])


def test_redrive_writes_a_devices_message_to_a_file_and_never_to_the_queue(sqs, dead_letters, redrive, tmp_path):
    dead_letters.send(error_action('{"t": 14.3}'))
    source, path = sqs.queue(), tmp_path / "letters.jsonl"
    shown, status = redrive("--to", source.url, "--all")
    assert status == 1 and shown["left"] == {"only_to_file": 1}
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all")
    assert done.returncode == 1 and "the device's message" in done.stdout
    shown, status = redrive("--to", source.url, "--to-file", path, "--all")
    assert status == 0 and (shown["sent"], shown["filed"]) == (0, 1)
    assert path.read_text() == '{"t": 14.3}\n'
    assert source.letters() == [] and dead_letters.letters() == []


def test_redrive_appends_one_line_per_dead_letter_to_a_file(dead_letters, redrive, tmp_path):
    path = tmp_path / "letters.jsonl"
    path.write_text('{"kept": true}\n')
    written = ['{"metrics": {"a": 1.0}, "timestamp": 1676398017000}', '{"metrics":\n{"b":\r\n1e3}}', "ph=6.7\n", '["é"]']
    for body in written:
        dead_letters.send(body, ours("invalid_json"))
    shown, status = redrive("--to-file", path, "--reason", "invalid_json")
    assert status == 0 and (shown["filed"], shown["filed_without_time"]) == (4, 3)
    lines = path.read_text().splitlines()
    assert lines[0] == '{"kept": true}'
    assert sorted(lines[1:]) == sorted([written[0], '{"metrics": {"b":  1e3}}', '"ph=6.7\\n"', '["é"]'])
    assert dead_letters.letters() == []


def test_redrive_counts_the_lines_of_a_file_whose_typed_metrics_may_be_counted(dead_letters, redrive, tmp_path):
    """A line has no identity, so they would count twice."""
    typed, plain = {"type": "counter", "name": "c", "value": 1}, {"metrics": {"a": "x"}}
    counted = {**ours("invalid_value"), "counted": "true"}
    for body, attributes in ([typed, plain], counted), ([plain], counted), ([typed, plain], ours("invalid_value")), ([typed, plain], {}):
        dead_letters.send(body, attributes)
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to-file", tmp_path / "first", "--reason", "max_receives")
    assert "1 dead letter have typed metrics that may be counted already" in done.stdout, done.stdout
    shown, status = redrive("--to-file", tmp_path / "letters.jsonl", "--all")
    assert status == 0 and (shown["filed"], shown["filed_counted"]) == (3, 1)


def test_redrive_loses_no_dead_letter_if_the_file_cannot_be_written(dead_letters, tmp_path):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to-file", tmp_path / "no" / "folder", "--all")
    assert done.returncode == 2 and "no/folder" in done.stderr
    if os.path.exists("/dev/full"):
        done = pushgw("redrive", "--queue-url", dead_letters.url, "--to-file", "/dev/full", "--all")
        assert done.returncode != 0
    assert len(dead_letters.letters()) == 1


def test_redrive_counts_messages_that_are_too_old_and_sends_them_only_on_request(sqs, dead_letters, redrive, tmp_path):
    dead_letters.send(event({"ph": 1}, timestamp=now_ms() - 2 * HOUR))
    dead_letters.send({"metrics": {"ph": 2}}, ours("refused_by_receiver", sent_timestamp=now_ms() - 2 * HOUR))
    dead_letters.send(event({"ph": 3}))
    source = sqs.queue()
    assert (redrive()[0]["too_old"], redrive(MAX_SAMPLE_AGE="3h")[0]["too_old"]) == (2, 0)
    shown, status = redrive("--to", source.url, "--all")
    assert status == 1 and (shown["sent"], shown["left"]) == (1, {"too_old": 2})
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all")
    assert "the gateway would reject it again" in done.stdout
    shown, status = redrive("--to", source.url, "--all", "--include-too-old")
    assert status == 0 and shown["sent"] == 2
    assert len(source.letters()) == 3


def test_redrive_sends_what_can_only_be_rejected_again_only_on_request(sqs, dead_letters, redrive, tmp_path):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    source = sqs.queue()
    shown, status = redrive("--to", source.url, "--reason", "invalid_value")
    assert status == 1 and (shown["sent"], shown["left"]) == (0, {"invalid": 1})
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all")
    assert "--include-invalid" in done.stdout
    assert source.letters() == []
    shown, status = redrive("--to", source.url, "--reason", "invalid_value", "--include-invalid")
    assert status == 0 and shown["sent"] == 1
    assert source.letter().body == BROKEN_TEXT


def test_redrive_sends_a_second_value_for_one_time_back_by_its_reason(sqs, dead_letters, redrive):
    """Another event of its payload, or the receiver, holds the other value: the event is not wrong in itself."""
    text = json.dumps(event({"ph": 7.1}))
    dead_letters.send(text, ours("duplicate_timestamp"))
    source = sqs.queue()
    shown, status = redrive("--to", source.url, "--reason", "duplicate_timestamp")
    assert status == 0 and (shown["sent"], shown["left"]) == (1, {})
    assert source.letter().body == text
    assert dead_letters.letters() == []


def test_redrive_writes_a_file_for_its_owner_alone_and_not_to_standard_output(sqs, dead_letters, redrive, tmp_path):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to-file", "-", "--all")
    assert done.returncode == 2 and "standard output" in done.stderr
    path = tmp_path / "file"
    assert redrive("--to-file", path, "--all")[1] == 0
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target", ["kept", "missing"])
def test_redrive_writes_through_no_symbolic_link(dead_letters, tmp_path, target):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    (tmp_path / "kept").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / target)
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to-file", tmp_path / "link", "--all")
    assert done.returncode == 2 and "symbolic link" in done.stderr
    assert (tmp_path / "kept").read_text() == "" and not (tmp_path / "missing").exists()
    assert len(dead_letters.letters()) == 1


def test_redrive_sends_maybe_stored_messages_only_on_request(sqs, dead_letters, redrive, tmp_path):
    dead_letters.send(event({"ph": 1}), ours("out_of_order", maybe_stored="true"))
    source = sqs.queue()
    for way in ["--to", source.url], ["--to-file", tmp_path / "f"]:
        shown, status = redrive(*way, "--all")
        assert status == 1 and shown["left"] == {"maybe_stored": 1} and shown["maybe_stored"] == 1
    shown, status = redrive("--to", source.url, "--all", "--include-maybe-stored")
    assert status == 0 and shown["sent"] == 1
    assert "reason" not in source.letter().attributes


def test_fifo_source_gets_each_dead_letter_once_in_its_group(sqs, redrive):
    letters, source = sqs.queue(fifo=True), sqs.queue(fifo=True)
    for number in range(12):
        letters.send(event({"ph": number}), ours("refused_by_receiver"), group=f"g{number % 3}")
    shown, status = redrive("--to", source.url, "--all", queue=letters)
    assert status == 0 and shown["sent"] == 12
    got = source.letters()
    groups = {}
    for letter in got:
        groups.setdefault(letter.system["MessageGroupId"], []).append(json.loads(letter.body)["metrics"]["ph"])
    assert groups == {f"g{number}": list(range(number, 12, 3)) for number in range(3)}
    assert len({letter.system["MessageDeduplicationId"] for letter in got}) == 12


def test_dead_letter_from_a_standard_queue_gets_the_group_rejected(sqs, dead_letters, redrive):
    dead_letters.send(event({"ph": 1}))
    source = sqs.queue(fifo=True)
    redrive("--to", source.url, "--all")
    assert source.letter().system["MessageGroupId"] == "rejected"


def test_redrive_leaves_a_large_message_without_room_for_its_time(sqs, dead_letters, redrive):
    def padded(size):
        text = json.dumps(event({"ph": 1}))
        return text + " " * (size - len(text))
    for size in (1_000_000, 1_000_000, 1024 * 1024):
        dead_letters.send(padded(size))
    source = sqs.queue()
    shown, status = redrive("--to", source.url, "--all")
    assert status == 1 and (shown["sent"], shown["left"]) == (2, {"too_long": 1})
    assert [len(body) for body in bodies(source)] == [1_000_000] * 2
    assert len(dead_letters.letters()) == 1


def test_redrive_leaves_and_reports_entries_that_a_batch_call_refuses(sqs, dead_letters):
    for name in "good", "poison", "good":
        dead_letters.send(event({name: 1}))

    def spoil(call, answer):
        if call.action == "SendMessageBatch":
            bad = {entry["Id"] for entry in call.request["Entries"] if "poison" in entry["MessageBody"]}
            answer["Failed"] = [{"Id": one, "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
                                for one in bad]
            answer["Successful"] = [one for one in answer["Successful"] if one["Id"] not in bad]
        return answer

    source = sqs.queue()
    with SqsFront(sqs, spoil=spoil) as front:
        done = pushgw("redrive", "--queue-url", dead_letters.url, "--json", "--to", source.url, "--all",
                      AWS_ENDPOINT_URL_SQS=front.url)
    shown = json.loads(done.stdout)
    assert done.returncode == 1 and (shown["sent"], shown["failed"]) == (2, 1)
    assert "InvalidMessageContents" in str(shown["failures"])
    assert "poison" in dead_letters.letter().body


def test_redrive_retries_entries_whose_deletion_failed(sqs, dead_letters):
    for number in range(3):
        dead_letters.send(event({"ph": number}))
    refused = []

    def spoil(call, answer):
        if call.action == "DeleteMessageBatch" and not refused:
            refused.append(call)
            one = answer["Successful"].pop()
            answer["Failed"] = [{"Id": one["Id"], "SenderFault": False, "Code": "InternalError", "Message": "again"}]
        return answer

    source = sqs.queue()
    with SqsFront(sqs, spoil=spoil) as front:
        done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all",
                      AWS_ENDPOINT_URL_SQS=front.url)
    assert done.returncode == 0, done.stdout
    assert len(source.letters()) == 3 and dead_letters.letters() == []


def test_redrive_ends_without_loss_if_the_source_refuses_everything(sqs, dead_letters):
    dead_letters.send_all([event({"ph": number}) for number in range(30)])
    source = sqs.queue()
    with SqsFront(sqs, hook=lambda call: broken() if call.action == "SendMessageBatch" else None) as front:
        done = pushgw("redrive", "--queue-url", dead_letters.url, "--json", "--to", source.url, "--all",
                      AWS_ENDPOINT_URL_SQS=front.url)
        assert len([call for call in front.calls if call.action == "ReceiveMessage"]) == 1
    shown = json.loads(done.stdout)
    assert done.returncode == 1 and (shown["ended"], shown["failed"]) == ("failed", 10)
    assert len(dead_letters.letters()) == 30 and source.letters() == []


@pytest.mark.parametrize("which", ["dead letters", "source"])
def test_redrive_reports_a_missing_queue_before_it_receives_anything(sqs, dead_letters, which):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    missing = sqs.missing_queue_url()
    urls = (missing, dead_letters.url) if which == "dead letters" else (dead_letters.url, missing)
    done = pushgw("redrive", "--queue-url", urls[0], "--to", urls[1], "--all")
    assert done.returncode == 1 and missing in done.stderr, done.stderr
    assert dead_letters.letter().system["ApproximateReceiveCount"] == "1"


def test_redrive_looks_at_no_more_than_max(sqs, dead_letters, redrive):
    dead_letters.send_all([event({"ph": number}) for number in range(30)])
    source = sqs.queue()
    shown, status = redrive("--to", source.url, "--all", "--max", 13)
    assert status == 0 and (shown["sent"], shown["ended"]) == (13, "max")
    assert len(source.letters()) == 13 and len(dead_letters.letters()) == 17


def start(front, letters, source, *arguments):
    return subprocess.Popen([components.pushgw(), "redrive", "--queue-url", letters.url, "--to", source.url, "--all", "--json",
                             *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(AWS_ENDPOINT_URL_SQS=front.url))


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_stopped_run_finishes_its_batch_and_releases_the_rest(sqs, dead_letters, redrive, stop):
    dead_letters.send_all([event({"ph": number}) for number in range(40)])
    source, running = sqs.queue(), []

    def hook(call):
        if call.action == "SendMessageBatch" and len(running) == 1:
            running.pop().send_signal(stop)
            time.sleep(1)  # the signal arrives while the batch is under way
        return None

    with SqsFront(sqs, hook=hook) as front:
        process = start(front, dead_letters, source)
        running.append(process)  # `hook` removes it again
        said, _ = process.communicate(timeout=30)
    shown = json.loads(said)
    assert process.returncode == 1 and (shown["ended"], shown["sent"], shown["hidden"]) == ("stopped", 10, 0)
    shown, _ = redrive("--to", source.url, "--all")
    assert shown["sent"] == 30
    sent = bodies(source)
    assert len(sent) == len(set(sent)) == 40 and dead_letters.letters() == []


def test_killed_run_loses_nothing_and_repeats_at_most_one_batch(sqs, dead_letters, redrive):
    dead_letters.send_all([event({"ph": number}) for number in range(45)])
    source, running, handles = sqs.queue(), [], {}

    def spoil(call, answer):
        for message in answer.get("Messages", []):
            handles[message["MessageId"]] = message["ReceiptHandle"]
        return answer

    def hook(call):
        if call.action == "DeleteMessageBatch" and call.number > 8:
            running[0].kill()  # between write and deletion
            running[0].wait()
            return broken()
        return None

    with SqsFront(sqs, hook=hook, spoil=spoil) as front:
        running.append(start(front, dead_letters, source))
        running[0].communicate(timeout=30)
    assert running[0].returncode == -signal.SIGKILL
    for handle in handles.values():  # instead of a wait until --hide is over
        try:
            dead_letters.client.change_message_visibility(QueueUrl=dead_letters.url, ReceiptHandle=handle,
                                                          VisibilityTimeout=0)
        except dead_letters.client.exceptions.ClientError:
            pass  # deleted
    shown, status = redrive("--to", source.url, "--all")
    assert status == 0
    sent = bodies(source)
    assert len(set(sent)) == 45 and len(sent) <= 55
    assert dead_letters.letters() == []


@pytest.mark.parametrize("arguments", [
    [], ["--queue-url", "no url"], ["--queue-url", "http://q/1/a", "--to", "http://q/1/b"],
    ["--queue-url", "http://q/1/a", "--reason", "too_old"], ["--queue-url", "http://q/1/a", "--all"],
    ["--queue-url", "http://q/1/a", "--to", "http://q/1/a", "--all"],
    ["--queue-url", "http://q/1/a", "--to", "http://q/1/b", "--all", "--reason", "too_old"],
    ["--queue-url", "http://q/1/a", "--max", "0"],
], ids=" ".join)
def test_exits_with_2_for_wrong_usage_and_calls_no_queue(arguments):
    done = pushgw("redrive", *arguments)
    assert done.returncode == 2 and done.stderr and done.stdout == ""


def test_redrive_reports_a_wrong_setting(dead_letters):
    done = pushgw("redrive", "--queue-url", dead_letters.url, MAX_SAMPLE_AGE="old")
    assert done.returncode == 2 and "MAX_SAMPLE_AGE=old" in done.stderr


def test_redrive_reports_a_reason_that_no_dead_letter_has(sqs, dead_letters):
    dead_letters.send(BROKEN_TEXT, ours("invalid_value"))
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", sqs.queue().url, "--reason", "invalid_valeu")
    assert done.returncode == 0 and "no dead letter has the reason invalid_valeu" in done.stderr


def test_shows_progress_on_a_terminal(dead_letters):
    dead_letters.send_all([event({"ph": number}) for number in range(20)])
    status, shown = on_a_terminal("redrive", "--queue-url", dead_letters.url)
    assert status == 0 and re.search(r"of about 20 dead letters", shown)
