"""The official suites of prometheus/compliance: the one for receivers against the door, the one for senders against what the door relays.

The suite for receivers passes most cases for any 400, and reads nothing back. So each case that it calls valid must be answered 204, apart from
`REJECTED` and `TOO_OLD`, and what was answered 204 is queried.
"""
import json
import os
import platform
import re
import signal
import struct
import subprocess

import pytest

from support import components
from support.clients import BUILT, needed
from support.command_line import environment
from support.function_url import FunctionUrl
from support.prometheus import Prometheus
from support.recorder import Recorder
from support.remote_write import decode, decode_v2, snappy_block_decode
from support.runtime_api import Ingest
from support.serve import serving

pytestmark = pytest.mark.peers

SUITE = BUILT.parent / "compliance/receiver.test"
CASES = 205
#: Cases of which the suite says that they are valid.
VALID = 168
#: Valid cases that the suite runs once.
ALSO_VALID = re.compile(
    r"TestRW1BasicCompatibility|TestEdgeCaseCombinations/|Test(Exemplar|Metadata)Validation/(exemplar|metadata)_with_valid_name")
#: Valid cases whose names AMP does not take: dots and spaces.
REJECTED = re.compile(r"TestSingleMetric/.*/simple_metric_with_(dots|spaces)")
#: Valid cases with samples that are older than AMP takes.
TOO_OLD = re.compile(r"TestEdgeCaseCombinations/mixed_timestamp_data|TestExemplarTimestamps/")


def run(url, folder):
    """Runs the suite, and returns ({case: passed}, {case: status})."""
    config = folder / "config.yml"
    config.write_text(f"remote_write: [{{name: door, url: {url}/api/v1/write}}]\n")
    done = subprocess.run([needed(SUITE), "-test.v"], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=environment(PROMETHEUS_RW2_COMPLIANCE_CONFIG_FILE=str(config)))
    passed, statuses, case = {}, {}, None
    for line in done.stdout.splitlines():
        if found := re.match(r"=== RUN +(\S+)", line):
            case = found[1]
        elif found := re.search(r'Response code from "door": (\d+)', line):
            statuses[case] = int(found[1])
        elif found := re.match(r" *--- (PASS|FAIL): (\S+)", line):
            passed[found[2]] = found[1] == "PASS"
    return {case: passed[case] for case in statuses}, statuses


def taken(recorder):
    """Returns all samples that were answered with 204: {(labels without __name__, metric): {time in ms: bits}}, and the number of
    histograms of each series."""
    samples, histograms = {}, {}
    for request, status, headers, _ in recorder.exchanges:
        if status != 204:
            continue
        written = [int(headers.get(f"x-prometheus-remote-write-{kind}-written", 0)) for kind in ("samples", "histograms")]
        is_v2 = "v2.Request" in request.header("Content-Type")
        series = (decode_v2 if is_v2 else decode)(snappy_block_decode(request.body)).series
        if is_v2:
            assert written == [sum(len(one.samples) for one in series), sum(one.histograms for one in series)]
        for one in series:
            labels = tuple(sorted(pair for pair in one.labels if pair[1]))
            for when, bits in one.samples:
                samples.setdefault(labels, {})[when] = bits
            if one.histograms:
                histograms[labels] = histograms.get(labels, 0) + one.histograms
    return samples, histograms


def shown(bits):
    """Returns a value as a float that is equal to itself, also for NaN."""
    value = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return "NaN" if value != value else value


def selector_of(labels):
    """Returns a selector of the series with these labels, and of those with more."""
    return "{%s}" % ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels)


def check(passed, statuses, also_rejected=None):
    assert len(statuses) == CASES
    failed = [case for case, is_passed in passed.items() if not is_passed]
    assert failed == []
    # The suite runs each valid case twice, and wants 204 the first time.
    cases = list(statuses)
    valid = {case for before, case in zip(["", *cases], cases) if "_returns_204" in case or "_returns_204" in before}
    assert len(valid) == VALID
    for case, status in statuses.items():
        if REJECTED.match(case):
            assert status == 400, case
        elif also_rejected and also_rejected.match(case):
            assert status in (204, 400), case
        elif case in valid or ALSO_VALID.match(case):
            assert status == 204, case
        else:
            assert status in (400, 415), case


@pytest.mark.parametrize("kind", ["pushgw serve", "function URL"])
def test_a_receiver_behind_the_door_stores_what_the_suite_writes(kind, tmp_path):
    with Prometheus() as store:
        if kind == "pushgw serve":
            with serving("--http", "127.0.0.1:0", "--remote-write-url", store.remote_write_url, REMOTE_WRITE_AUTH="none") as server:
                with Recorder(server.door) as recorder:
                    passed, statuses = run(recorder.url, tmp_path)
        else:
            with Ingest({"REMOTE_WRITE_URL": store.remote_write_url, "HTTP_AUTH": "none"}) as ingest, FunctionUrl(ingest) as url:
                with Recorder(url.url) as recorder:
                    passed, statuses = run(recorder.url, tmp_path)
        check(passed, statuses)
        samples, histograms = taken(recorder)
        assert len(samples) > 50 and len(histograms) > 20
        for labels, expected in samples.items():
            selector = selector_of(labels)
            expected = {when: shown(bits) for when, bits in expected.items()}
            found = [found for others, found in store.samples(selector).items() if len(others) == len(labels) - 1]
            found = {when: "NaN" if value == "NaN" else float(value) for one in found for when, value in one}
            assert expected.items() <= found.items(), labels
        for labels, count in histograms.items():
            selector = selector_of(labels)
            found = [one for one in store.api("query", query=f"count_over_time({selector}[3h])")["result"]
                     if len(one["metric"]) == len(labels) - 1]
            assert sum(float(one["value"][1]) for one in found) == count, labels


def test_the_workspace_of_serve_stores_what_the_suite_writes(tmp_path):
    with serving("--json", "--http", "127.0.0.1:0") as server, Recorder(server.door) as recorder:
        passed, statuses = run(recorder.url, tmp_path)
        check(passed, statuses, TOO_OLD)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        stopped = json.loads(server.printed().splitlines()[-1])
    samples, _ = taken(recorder)
    stored = {tuple(sorted(one["labels"].items())): one["samples"] for one in stopped["series"]}
    for labels, expected in samples.items():
        assert len(expected) <= stored[labels], labels


# --- senders ---------------------------------------------------------------------------------------------------------

SENDER_SUITE = BUILT.parent / "compliance/sender.test"
SENDER_CASES = 157
#: Cases in which nothing is relayed to the end. Five scrapes have no samples or a wrong line. One receiver has no URL of HTTP, and one
#: does not answer.
SENDER_CASES_WITHOUT_A_REQUEST = 7


@pytest.mark.sender_suite
def test_the_relay_of_the_door_passes_the_suite_for_senders(tmp_path):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program, logs = tmp_path / f"bin/prometheus-3.8.0.linux-{machine}", tmp_path / "logs"
    program.parent.mkdir()
    logs.mkdir()
    os.symlink(components.ROOT / "tests/contract/compliance/adapter.py", program)
    done = subprocess.run([needed(SENDER_SUITE), "-test.v", "-test.parallel=8", "-test.timeout=25m"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=1600, env=environment(PUSHGW_BIN=components.pushgw(), ADAPTER_LOGS=logs))
    passed = {case: word == "PASS" for word, case in re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+/prometheus) ", done.stdout, re.M)}
    assert [case for case, is_passed in passed.items() if not is_passed] == [], done.stdout
    assert len(passed) == SENDER_CASES
    # The suite passes a case in which it gets no request.
    silent = [log for log in logs.glob("*.log") if '"event":"request"' not in log.read_text()]
    assert len(silent) <= SENDER_CASES_WITHOUT_A_REQUEST
