"""Holds the README against the programs: its tables, examples, names and links."""
import json
import re
import subprocess

import pytest

from support.components import ROOT, pushgw
from support.events import event
from support.receiver import Answer
from support.runtime_api import exit_of
from support.sqs import event as batch
from support.sqs import record

README = (ROOT / "README.md").read_text()
LONG = {"MAX_SAMPLE_AGE": "3650d"}


def section(title):
    """Returns the text of one section."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S).group(1)


def rows(title):
    """Returns the rows of the first table of a section, as lists of cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_first_event_works_as_written(start, receiver):
    text = re.search(r"```json\n(.*?)\n```", README, re.S).group(1)
    answer = start(**LONG).invoke(text.encode()).json
    assert (answer["accepted"], answer["samples"]) == (1, 2)
    assert receiver.metric("temperature") and receiver.metric("ph")


def test_the_report_is_as_shown(start):
    shown = json.loads(re.search(r"The report: `(.*?)`", README).group(1))
    payload = [
        {"dimensions": {"d": "1"}, "metrics": {"ph": 6.7, "temperature": "14.3"}},
        {"dimensions": {"d": "2"}, "metrics": {"ph": "abc"}},
        {"dimensions": {"d": "3"}, "metrics": {"ph": 7}},
    ]
    assert start().invoke(payload).json == shown


def test_lists_the_settings_that_ingest_reads():
    told = {"REMOTE_WRITE_AUTH", "DEAD_LETTER_QUEUE_URL", "EXTERNAL_LABELS", "MAX_SAMPLE_AGE", "MAX_SAMPLE_LEAD",
            "LATE_SAMPLES", "RUST_LOG"}
    listed = {name for row in rows("Settings") for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[0])}
    assert listed == told | {"REMOTE_WRITE_URL", "AWS_PROMETHEUS_ENDPOINT", "SIGV4_REGION"}
    ended = exit_of({name: "!" for name in listed})
    assert ended.status != 0
    for name in told | {"REMOTE_WRITE_URL"}:
        assert f"{name}=!" in ended.text, name


def test_lists_the_numbers_of_the_metric_line(ingest):
    named = set(re.findall(r"`([a-z_]+)`", section("Watching it").split("A message that")[0])) - {"off"}
    line = ingest.invoke([{"metrics": {"a": 1}}]).metrics
    declared = {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert declared == named


def test_lists_every_reason():
    first_cells = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", section("What becomes of an event"), re.M)
    listed = {name for cell in first_cells for name in re.findall(r"`([a-z_]+)`", cell)}
    source = (ROOT / "src" / "model" / "outcome.rs").read_text()
    assert listed == set(re.findall(r'=> "([a-z_]+)"', source))


def test_queries_logs_for_lines_and_fields_that_exist(start, receiver, sqs, dead_letters):
    receiver.answer(Answer(404))
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    ingest.invoke(batch(record(event(), "m-1"), record("{", "m-2")), deadline_s=5)
    ingest.invoke(batch(record(event(), "m-3"), record("{", "m-4")), deadline_s=5)
    reported = start()
    reported.invoke([{"metrics": {}}])
    lines = [json.loads(line) for line in (ingest.log_text() + reported.log_text()).splitlines()]
    asked = section("Watching it")
    messages = {line["message"] for line in lines}
    for message in re.findall(r'"([a-z]+ [a-z, ]+|invocation)"', asked):
        assert message in messages, message
    fields = {field for line in lines for field in line}
    for named in re.findall(r"^\| fields @timestamp, (.*)$", asked, re.M):
        assert set(named.split(", ")) <= fields
    assert {"message_id", "answer", "errored", "rejected", "dropped"} <= fields


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"cargo run --release -- ([a-z]+)", README))))
def test_names_commands_that_exist(verb):
    assert subprocess.run([pushgw(), verb, "--help"], capture_output=True, check=False).returncode == 0


def test_names_files_that_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    paths = re.findall(r"(?:examples|tests)/[\w./-]+", README)
    for path in set(links + paths):
        if not path.startswith("tests/.env"):
            assert (ROOT / path.rstrip(".")).exists(), path
