"""`pushgw send` sends events to a queue, to a function, or directly to a receiver."""
import fcntl
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from support import components, sigv4
from support.command_line import environment, eventually, on_a_terminal, pushgw
from support.events import BROKEN, BROKEN_TEXT, event, now_ms, numbered
from support.http_server import HttpServer
from support.receiver import Answer, acknowledged_values
from support.runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from support.serve import serving
from support.sqs import REGION, SqsFront, broken, left_on, throttled


def lines(events):
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in events)


@pytest.fixture
def file(tmp_path):
    """Writes events as JSON lines into a file and returns its path."""
    def write(events, name="events.jsonl"):
        path = tmp_path / name
        path.write_text(lines(events))
        return path
    return write


def bodies(queue):
    return [letter.body for letter in queue.letters()]


def started(*arguments, **env):
    return subprocess.Popen([components.pushgw(), "send", *map(str, arguments)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**env))


# --- to a queue ------------------------------------------------------------------------------------------------------

def test_sends_each_line_as_a_message_byte_for_byte(sqs, file):
    queue = sqs.queue()
    texts = [json.dumps(one, separators=(" , ", " :  ")) for one in numbered(23)] + ['[{"dimensions":{"site":"Küche"},"metrics":{"a":1}}]']
    done = pushgw("send", file(texts), "--queue-url", queue.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sent 24 of 24 messages (24 events)" in done.stdout
    assert bodies(queue) == texts


def test_sends_one_document_as_one_message(sqs, tmp_path):
    queue = sqs.queue()
    text = json.dumps([event(), event()], indent=2)
    (tmp_path / "array.json").write_text(text)
    done = pushgw("send", tmp_path / "array.json", "--queue-url", queue.url)
    assert done.returncode == 0 and "1 message (2 events)" in done.stdout
    assert bodies(queue) == [text]


def test_reads_json_lines_from_standard_input_too(sqs):
    queue = sqs.queue()
    texts = [json.dumps(one) for one in numbered(3)]
    done = pushgw("send", "-", "--queue-url", queue.url, stdin=lines(texts))
    assert done.returncode == 0, done.stdout + done.stderr
    assert bodies(queue) == texts


def test_takes_an_event_from_the_command_line(sqs):
    queue = sqs.queue()
    now = now_ms()
    done = pushgw("send", "--queue-url", queue.url, "--metric", "temperature=14.30", "--metric", "ph=NaN",
                  "--label", "customerId=customer1", "--timestamp", now)
    assert done.returncode == 0, done.stdout + done.stderr
    [body] = bodies(queue)
    assert json.loads(body, parse_float=str) == {"dimensions": {"customerId": "customer1"}, "timestamp": now,
                                                 "metrics": {"temperature": "14.30", "ph": "NaN"}}


@pytest.mark.parametrize("arguments, reason", [
    (["--metric", "ph=abc"], "invalid_value"),
    (["--metric", "a=1", "--metric", "a=2"], "metric_collision"),
    (["--metric", "a=1", "--timestamp", "1676398017000"], "too_old"),
    (["--metric", "a=1", "--timestamp", "1676398017"], "too_old"),
], ids=lambda one: "_".join(one) if isinstance(one, list) else one)
def test_checks_an_event_of_the_command_line(sqs, arguments, reason):
    queue = sqs.queue()
    done = pushgw("send", "--queue-url", queue.url, *arguments)
    assert done.returncode == 1
    assert reason in done.stdout
    assert left_on(queue) == 0


def test_sends_at_most_ten_messages_and_a_mebibyte_in_a_call(sqs, file):
    queue = sqs.queue()
    small = numbered(25)
    with SqsFront(sqs) as front:
        pushgw("send", file(small), "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert [len(call.bodies()) for call in front.calls] == [10, 10, 5]
    large = [event({"a": 1}, {str(number): "x" * 2000 for number in range(140)}) for _ in range(5)]
    with SqsFront(sqs) as front:
        done = pushgw("send", file(large), "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [len(call.bodies()) for call in front.calls] == [3, 2]


def test_rejects_a_message_that_is_too_large_for_sqs_before_it_sends(sqs, tmp_path):
    queue = sqs.queue()
    path = tmp_path / "large.json"
    path.write_text(json.dumps([event()] * 20_000))
    done = pushgw("send", path, "--queue-url", queue.url)
    assert done.returncode == 1
    assert "too_large" in done.stdout and "JSON lines" in done.stdout
    assert left_on(queue) == 0


def test_rejects_broken_events_with_their_position_and_sends_the_others(sqs, file):
    queue = sqs.queue()
    path = file([event(), BROKEN, "{", event()])
    done = pushgw("send", path, "--queue-url", queue.url)
    assert done.returncode == 1
    assert f'{path}:2 invalid_value: metrics.ph: "abc" is not a number' in done.stdout
    assert f"{path}:3 invalid_json" in done.stdout
    assert "sent 2 of 4" in done.stdout
    assert len(bodies(queue)) == 2


def test_sends_events_unchanged_without_a_check(sqs, file):
    queue = sqs.queue()
    texts = [json.dumps(event()), BROKEN_TEXT, "{"]
    done = pushgw("send", file(texts), "--queue-url", queue.url, "--no-check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert bodies(queue) == texts


def test_checks_events_by_the_settings(sqs, file):
    queue = sqs.queue()
    path = file([event(timestamp=now_ms() - 2 * 3600 * 1000)])
    assert pushgw("send", path, "--queue-url", queue.url).returncode == 1
    assert pushgw("send", path, "--queue-url", queue.url, MAX_SAMPLE_AGE="3h").returncode == 0
    assert pushgw("send", path, "--queue-url", queue.url, MAX_SAMPLE_AGE="soon").returncode == 2


def test_sends_again_only_the_entries_that_the_queue_refused(sqs, file):
    queue = sqs.queue()
    texts = [json.dumps(one) for one in numbered(10)]
    spoiled = []

    def spoil(call, answer):
        if not spoiled:
            spoiled.append(call)
            refused = {"3", "7"}
            failed = [{"Id": one, "SenderFault": False, "Code": "InternalError", "Message": "again"} for one in refused]
            kept = [one for one in answer["Successful"] if one["Id"] not in refused]
            return {**answer, "Successful": kept, "Failed": failed}
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        done = pushgw("send", file(texts), "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [call.bodies() for call in front.calls] == [texts, [texts[3], texts[7]]]


def test_reports_entries_that_the_queue_never_takes_and_sends_the_rest(sqs, file):
    queue = sqs.queue()
    path = file(numbered(12))

    def spoil(call, answer):
        first, *rest = answer["Successful"]
        failed = [{"Id": first["Id"], "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}]
        return {**answer, "Successful": rest, "Failed": failed}

    with SqsFront(sqs, spoil=spoil) as front:
        done = pushgw("send", path, "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert len(front.calls) == 2
    assert done.returncode == 1
    assert "sent 10 of 12" in done.stdout
    for line in (1, 11):
        assert f"{path}:{line} InvalidMessageContents: no" in done.stdout


@pytest.mark.parametrize("fault", [throttled, broken], ids=lambda one: one.__name__)
def test_sends_everything_to_a_queue_that_fails_for_a_while(sqs, file, fault):
    queue = sqs.queue()
    with SqsFront(sqs, lambda call: fault() if call.number <= 2 else None) as front:
        done = pushgw("send", file(numbered(12)), "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(front.calls) == 4
    assert len(bodies(queue)) == 12


def test_gives_up_after_six_tries_at_a_queue_that_stays_broken(sqs, file):
    queue = sqs.queue()
    path = file(numbered(25))
    with SqsFront(sqs, lambda call: broken() if call.number > 1 else None) as front:
        done = pushgw("send", path, "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert len(front.calls) == 7
    assert done.returncode == 1
    assert "sent 10 of 25" in done.stdout
    assert f"not sent: 15, from {path}:11 on: InternalError" in done.stdout


def test_calls_a_queue_that_does_not_exist_once(sqs, file):
    with SqsFront(sqs) as front:
        done = pushgw("send", file(numbered(3)), "--queue-url", sqs.missing_queue_url(), AWS_ENDPOINT_URL_SQS=front.url)
        assert len(front.calls) == 1
    assert done.returncode == 1
    assert "sent 0 of 3" in done.stdout and "does not exist" in done.stdout


def test_wants_a_group_for_a_fifo_queue(sqs, file):
    queue = sqs.queue(fifo=True)
    done = pushgw("send", file(numbered(3)), "--queue-url", queue.url)
    assert done.returncode == 2
    assert "--group-id" in done.stderr


def test_keeps_the_order_on_a_fifo_queue_and_a_resumed_run_sends_nothing_twice(sqs, file, tmp_path):
    queue = sqs.queue(fifo=True)
    same = json.dumps(event({"same": 1}))
    texts = [*(json.dumps(one) for one in numbered(23)), same, same]
    path, state = file(texts), tmp_path / "state"
    for run in range(2):
        done = pushgw("send", path, "--queue-url", queue.url, "--group-id", "device-1", "--resume", state)
        assert done.returncode == 0, done.stdout + done.stderr
        # As if the end of the machine had lost all lines but the first, which names the run.
        state.write_text(state.read_text().splitlines(keepends=True)[0])
    letters = queue.letters()
    assert [letter.body for letter in letters] == texts
    assert {letter.system["MessageGroupId"] for letter in letters} == {"device-1"}


def test_each_run_of_a_cron_job_reaches_a_fifo_queue(sqs):
    """SQS drops a message whose deduplication id came in the last five minutes, and says that it was sent."""
    queue = sqs.queue(fifo=True)
    for _ in range(3):
        done = pushgw("send", "--metric", "up=1", "--queue-url", queue.url, "--group-id", "cron")
        assert done.returncode == 0, done.stdout + done.stderr
    assert left_on(queue) == 3


def test_a_second_run_with_the_same_progress_is_an_error(sqs, file, tmp_path):
    path, state = file(numbered(3)), tmp_path / "state"
    assert pushgw("send", path, "--queue-url", sqs.queue().url, "--resume", state).returncode == 0
    with open(state) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = pushgw("send", path, "--queue-url", sqs.queue().url, "--resume", state)
    assert done.returncode == 2 and "another run" in done.stderr


@pytest.mark.parametrize("target", ["kept", "missing"])
def test_progress_is_not_saved_through_a_symbolic_link(sqs, file, tmp_path, target):
    (tmp_path / "kept").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / target)
    queue = sqs.queue()
    done = pushgw("send", file(numbered(3)), "--queue-url", queue.url, "--resume", tmp_path / "link")
    assert done.returncode == 2 and "symbolic link" in done.stderr
    assert (tmp_path / "kept").read_text() == "" and not (tmp_path / "missing").exists()
    assert left_on(queue) == 0


def test_prints_one_object_as_json(sqs, file):
    queue = sqs.queue()
    path = file([event(), BROKEN, [event(), event()]])
    done = pushgw("send", path, "--queue-url", queue.url, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert {name: report[name] for name in ("ok", "messages", "events", "sent", "refused_count", "unsent")} == {
        "ok": False, "messages": 3, "events": 4, "sent": 2, "refused_count": 1, "unsent": 0}
    assert report["refused"] == [{"place": f"{path}:2", "message": 'invalid_value: metrics.ph: "abc" is not a number'}]


def test_shows_a_progress_bar_on_a_terminal(sqs, file):
    queue = sqs.queue()
    status, shown = on_a_terminal("send", file(numbered(2000)), "--queue-url", queue.url)
    assert status == 0
    assert re.search(r"\d+/2000 messages", shown)
    assert left_on(queue) == 2000


# --- stopped and resumed ---------------------------------------------------------------------------------------------

def slow_after(calls, reached):
    """Returns a hook that delays the calls after the first `calls`, and sets `reached` when it does."""
    def hook(call):
        if call.number > calls:
            reached.set()
            time.sleep(1.5)
        return None
    return hook


def test_killed_run_resumes_at_its_last_batch(sqs, file, tmp_path):
    queue = sqs.queue()
    texts = [json.dumps(one) for one in numbered(95)]
    path, state = file(texts), tmp_path / "events.progress"
    reached = threading.Event()
    with SqsFront(sqs, slow_after(4, reached)) as front:
        process = started(path, "--queue-url", queue.url, "--resume", state, AWS_ENDPOINT_URL_SQS=front.url)
        assert reached.wait(20)
        process.kill()
        process.communicate()
    eventually(lambda: left_on(queue) == 50)
    done = pushgw("send", path, "--queue-url", queue.url, "--resume", state, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["settled_before"], report["sent"], report["unsent"]) == (40, 95, 0)
    found = bodies(queue)
    assert set(found) == set(texts)
    assert len(found) == 105, "only the batch whose answer was lost is on the queue twice"


def test_stopped_run_finishes_its_batch_and_reports_its_position(sqs, file, tmp_path):
    queue = sqs.queue()
    path, state = file(numbered(95)), tmp_path / "events.progress"
    reached = threading.Event()
    with SqsFront(sqs, slow_after(2, reached)) as front:
        process = started(path, "--queue-url", queue.url, "--resume", state, AWS_ENDPOINT_URL_SQS=front.url)
        assert reached.wait(20)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"not sent: 65, from {path}:31 on: it was asked to stop" in said
    assert "the same command continues from there" in said
    assert left_on(queue) == 30
    assert pushgw("send", path, "--queue-url", queue.url, "--resume", state).returncode == 0
    assert left_on(queue) == 95, "a message was sent twice"


def test_sends_from_a_pipe_while_it_is_open_and_a_stopped_run_does_not_wait_for_its_end(sqs):
    queue = sqs.queue()
    reached = threading.Event()
    with SqsFront(sqs, slow_after(2, reached)) as front:
        process = subprocess.Popen([components.pushgw(), "send", "-", "--queue-url", queue.url], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=environment(AWS_ENDPOINT_URL_SQS=front.url))
        # Beyond what the pipe holds, and it stays open.
        text = lines(event({"a": n}, {"d": "x" * 1_000}) for n in range(2_000))
        threading.Thread(target=os.write, args=(process.stdin.fileno(), text.encode()), daemon=True).start()
        assert reached.wait(20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1
    said = process.stdout.read()
    assert re.search(r"sent 30 of \d+ messages", said) and "from -:31 on: it was asked to stop" in said
    assert left_on(queue) == 30


def test_resumes_what_a_pipe_brings_again(sqs, tmp_path):
    queue, state, text = sqs.queue(), tmp_path / "events.progress", lines(numbered(12))
    for _ in range(2):
        done = pushgw("send", "/dev/stdin", "--queue-url", queue.url, "--resume", state, stdin=text)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "an earlier run settled 12 of them" in done.stdout
    assert left_on(queue) == 12


def test_sends_nothing_if_one_of_several_files_cannot_be_read(sqs, file, tmp_path):
    queue, path = sqs.queue(), file(numbered(3))
    for other in tmp_path / "missing", tmp_path:
        done = pushgw("send", path, other, "--queue-url", queue.url)
        assert done.returncode == 2 and str(other) in done.stderr and done.stdout == ""
    assert left_on(queue) == 0


def test_failed_run_resumes_and_a_finished_one_sends_nothing(sqs, file, tmp_path):
    queue = sqs.queue()
    path, state = file([*numbered(15), BROKEN]), tmp_path / "events.progress"
    with SqsFront(sqs, lambda call: broken() if call.number > 1 else None) as front:
        done = pushgw("send", path, "--queue-url", queue.url, "--resume", state, AWS_ENDPOINT_URL_SQS=front.url)
    assert done.returncode == 1 and "the same command continues from there" in done.stdout
    for _ in range(2):
        done = pushgw("send", path, "--queue-url", queue.url, "--resume", state)
        assert "sent 15 of 16" in done.stdout and "an earlier run settled" in done.stdout
        assert done.returncode == 1, "the rejected event is still rejected"
        assert left_on(queue) == 15


def test_exits_with_2_for_the_state_of_other_events_or_another_queue(sqs, file, tmp_path):
    queue, state = sqs.queue(), tmp_path / "events.progress"
    path = file([event()])
    assert pushgw("send", path, "--queue-url", queue.url, "--resume", state).returncode == 0
    other = pushgw("send", file([event(), event()], "other"), "--queue-url", queue.url, "--resume", state)
    elsewhere = pushgw("send", path, "--queue-url", sqs.queue().url, "--resume", state)
    for done, said in ((other, "other events"), (elsewhere, queue.url)):
        assert done.returncode == 2
        assert said in done.stderr
    assert left_on(queue) == 1


def test_rejects_a_state_file_with_standard_input(sqs, tmp_path):
    done = pushgw("send", "-", "--queue-url", sqs.queue().url, "--resume", tmp_path / "x", stdin=lines([event()]))
    assert done.returncode == 2
    assert "standard input" in done.stderr


# --- to a function ---------------------------------------------------------------------------------------------------

def test_sends_events_to_a_function_in_arrays(receiver, file):
    with serving("--remote-write-url", receiver.remote_write_url, "--json") as server:
        done = pushgw("send", file(numbered(1200)), "--function-name", "ingest", "--endpoint-url", server.url)
        assert done.returncode == 0, done.stdout + done.stderr
        runs = [json.loads(line) for line in server.printed().splitlines()][1:]
    assert [run["received"] for run in runs] == [500, 500, 200]
    assert sorted(acknowledged_values(receiver)) == list(range(1200))


def test_reports_events_that_the_function_rejects_with_their_position(receiver, file):
    path = file([event({"a": 1}), BROKEN, event({"b": 1}), [event({"c": 1}), BROKEN]])
    with serving("--remote-write-url", receiver.remote_write_url, "--keep-dead-letters") as server:
        done = pushgw("send", path, "--function-name", "ingest", "--no-check", AWS_ENDPOINT_URL_LAMBDA=server.url)
    assert done.returncode == 1
    assert "sent 2 of 4" in done.stdout and "rejected: 2" in done.stdout
    for line in (2, 4):
        assert re.search(rf'{re.escape(str(path))}:{line} invalid_value: .*metrics\.ph: "abc" is not a number', done.stdout)
    assert receiver.metric("a") and receiver.metric("b") and receiver.metric("c")


def test_sends_wrapped_messages_and_arrays_to_a_function_one_by_one(receiver, file):
    detail = {"detail-type": "x", "source": "y", "detail": event({"wrapped": 1})}
    with serving("--remote-write-url", receiver.remote_write_url, "--json") as server:
        done = pushgw("send", file([event({"a": 1}), event({"b": 1}), detail, [event({"c": 1})], event({"d": 1})]),
                      "--function-name", "ingest", "--endpoint-url", server.url)
        assert done.returncode == 0, done.stdout + done.stderr
        runs = [json.loads(line) for line in server.printed().splitlines()][1:]
    assert [run["received"] for run in runs] == [2, 1, 1, 1]
    assert {name for name, _ in receiver.samples()} == {"a", "b", "c", "d", "wrapped"}


def test_does_not_wait_for_an_asynchronous_invocation(receiver, file):
    receiver.answer_with(lambda write: Answer(delay=8))
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        begun = time.monotonic()
        done = pushgw("send", file(numbered(3)), "--function-name", "ingest", "--endpoint-url", server.url, "--asynchronous")
        took = time.monotonic() - begun
        assert done.returncode == 0, done.stdout + done.stderr
        assert took < 6 and acknowledged_values(receiver) == []
        receiver.release()
        eventually(lambda: len(acknowledged_values(receiver)) == 3)


def test_invokes_a_function_again_if_it_could_not_deliver(receiver, file):
    receiver.answer(Answer(404, "away"))
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        done = pushgw("send", file(numbered(3)), "--function-name", "ingest", "--endpoint-url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(acknowledged_values(receiver)) == [0, 1, 2]


class Lambda(HttpServer):
    """Gives each invocation the next of `answers` and checks its signature."""

    def __init__(self, *answers):
        self.answers, self.requests, self.faults = list(answers), [], []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        self.faults += sigv4.faults(request, {ACCESS_KEY: SECRET_KEY}, REGION, "lambda", SESSION_TOKEN)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_signs_invocations_and_names_the_function(file):
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:ingest:live"
    with Lambda((200, {}, b"{}")) as server:
        done = pushgw("send", file(numbered(2)), "--function-name", arn, "--endpoint-url", server.url, AWS_REGION=None,
                      AWS_DEFAULT_REGION=None)
        assert done.returncode == 0, done.stdout + done.stderr
        [request] = server.requests
        assert server.faults == []
    assert request.method == "POST"
    assert request.path == f"/2015-03-31/functions/{arn.replace(':', '%3A')}/invocations"
    assert request.header("X-Amz-Invocation-Type") == "RequestResponse"
    assert len(json.loads(request.body)) == 2


@pytest.mark.parametrize("answers, calls, status, said", [
    ([(429, {}, b'{"message": "Rate Exceeded."}'), (502, {}, b""), (200, {}, b"{}")], 3, 0, "sent 2 of 2"),
    ([(404, {"x-amzn-errortype": "ResourceNotFoundException"}, b'{"Message": "Function not found"}')], 1, 1,
     "Lambda answered 404 ResourceNotFoundException: Function not found"),
    ([(403, {}, b'{"Message": "no permission"}')], 1, 1, "Lambda answered 403: no permission"),
    ([(500, {}, b"")], 6, 1, "Lambda answered 500"),
], ids=["passes", "not-there", "forbidden", "fails"])
def test_retries_an_error_of_lambda_that_may_pass(file, answers, calls, status, said):
    with Lambda(*answers) as server:
        done = pushgw("send", file(numbered(2)), "--function-name", "f", "--endpoint-url", server.url)
        assert len(server.requests) == calls
    assert done.returncode == status
    assert said in done.stdout


def test_ends_with_the_first_request_that_no_retry_would_change(file):
    path = file(numbered(1200))
    with Lambda((404, {}, b'{"Message": "Function not found"}')) as server:
        done = pushgw("send", path, "--function-name", "f", "--endpoint-url", server.url)
        assert len(server.requests) == 1
    assert done.returncode == 1 and f"not sent: 1200, from {path}:1 on: Lambda answered 404" in done.stdout
    asked = []
    for path in path, file(numbered(1), "one"):
        with Lambda((404, {}, b"no credentials here")) as source, Lambda((200, {}, b"{}")) as server:
            none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{source.url}/credentials"}
            done = pushgw("send", path, "--function-name", "f", "--endpoint-url", server.url, **none)
            assert server.requests == []
        assert done.returncode == 1 and "no credentials to sign with" in done.stdout
        asked.append(len(source.requests))
    assert asked[0] == asked[1] > 0, "the source was asked once for each request"


def test_reports_a_missing_region_or_missing_credentials(file):
    path = file([event()])
    done = pushgw("send", path, "--function-name", "f", AWS_REGION=None, AWS_DEFAULT_REGION=None)
    assert done.returncode == 2 and "AWS_REGION" in done.stderr
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None}
    done = pushgw("send", path, "--function-name", "f", "--endpoint-url", "http://127.0.0.1:9", **none)
    assert done.returncode == 1 and "no credentials to sign with" in done.stdout


# --- directly to a receiver ------------------------------------------------------------------------------------------

def test_writes_to_a_receiver_through_the_handler(receiver, file):
    done = pushgw("send", file(numbered(700)), "--remote-write-url", receiver.remote_write_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sent 700 of 700" in done.stdout
    assert sorted(acknowledged_values(receiver)) == list(range(700))
    assert len(receiver.writes) == 2


def test_reports_a_receiver_that_cannot_be_reached(receiver, file):
    receiver.answer_with(lambda write: Answer(404, "no such workspace"))
    path = file(numbered(2))
    done = pushgw("send", path, "--remote-write-url", receiver.remote_write_url)
    assert done.returncode == 1
    assert f"not sent: 2, from {path}:1 on" in done.stdout and "404" in done.stdout


# --- usage -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    [], ["-"], ["--queue-url", "http://h/1/q"], ["-", "--queue-url", "http://h/1/q", "--function-name", "f"],
    ["-", "--metric", "a=1", "--queue-url", "http://h/1/q"], ["--metric", "a", "--queue-url", "http://h/1/q"],
    ["--label", "a=1", "--queue-url", "http://h/1/q"], ["-", "--queue-url", "no-url"],
    ["-", "--function-name", "f", "--group-id", "g"], ["-", "--queue-url", "http://h/1/q", "--asynchronous"],
    ["missing.jsonl", "--queue-url", "http://127.0.0.1:9/1/q"],
], ids=" ".join)
def test_exits_with_2_for_wrong_usage(arguments):
    done = pushgw("send", *arguments)
    assert done.returncode == 2
    assert done.stderr and done.stdout == ""
