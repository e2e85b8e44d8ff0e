"""Holds the README against the programs: its tables, examples, names and links. The log queries are those of infra/operate.md."""
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
OPERATE = (ROOT / "infra" / "operate.md").read_text()
LONG = {"MAX_SAMPLE_AGE": "3650d"}


def section(title, page=README):
    """Returns the text of one section."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.M | re.S).group(1)


def rows(title):
    """Returns the rows of the first table of a section, as lists of cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_first_event_works_as_written(start, receiver):
    text = re.search(r"```json\n(.*?)\n```", README, re.S).group(1)
    answer = start(**LONG).invoke(text.encode()).json
    assert (answer["accepted"], answer["samples"]) == (1, 2)
    assert receiver.metric("temperature") and receiver.metric("ph")


def test_the_demo_prints_the_output_that_the_page_shows():
    """A line that is only an ellipsis stands for any number of lines. The time that the demo took may differ."""
    def lines_of(text):
        return [re.sub(r" in \d+(\.\d+)? m?s$", " in a moment", line.rstrip()) for line in text.splitlines()]

    shown = lines_of(re.search(r"```sh\ncargo run --release -- demo\n```\n\n```text\n(.*?)```", README, re.S)[1])
    printed = iter(lines_of(subprocess.run([pushgw(), "demo"], capture_output=True, text=True, check=True).stdout))
    for line in shown:
        if line.strip() != "…":
            # Line by line, in this order. The columns after the one that is shown may go on.
            assert any(one == line or one.startswith(line + "  ") for one in printed), line


def test_the_report_is_as_shown(start):
    shown = json.loads(re.search(r"The report: `(.*?)`", README).group(1))
    payload = [
        {"dimensions": {"d": "1"}, "metrics": {"ph": 6.7, "temperature": "14.3"}},
        {"dimensions": {"d": "2"}, "metrics": {"ph": "abc"}},
        {"dimensions": {"d": "3"}, "metrics": {"ph": 7}},
    ]
    assert start().invoke(payload).json == shown


def test_lists_the_settings_that_ingest_reads():
    told = {"REMOTE_WRITE_AUTH", "REMOTE_WRITE_VERSION", "READ_URL", "DEAD_LETTER_QUEUE_URL", "EXTERNAL_LABELS", "MAX_SAMPLE_AGE", "MAX_SAMPLE_LEAD",
            "LATE_SAMPLES", "METRICS", "RUST_LOG", "HTTP_AUTH", "HTTP_AUTH_SECRET", "HTTP_PATH_PREFIX", "HTTP_DEADLINE",
            "HTTP_READ", "HTTP_ADMIN", "STATE_TABLE", "STATE_SHARDS", "GROUP_TTL", "SERIES_TTL", "MAX_SERIES", "SUMMARY_WINDOW",
            "OTLP_PROMOTE_ATTRIBUTES", "OTLP_SCOPE_LABELS"}
    of_serve = {"HTTP_AUTH_USERNAME", "HTTP_AUTH_PASSWORD", "HTTP_AUTH_TOKEN"}
    listed = {name for row in rows("Settings") for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[0])}
    assert listed == told | of_serve | {"REMOTE_WRITE_URL", "AWS_PROMETHEUS_ENDPOINT", "SIGV4_REGION"}
    ended = exit_of({name: "!" for name in listed})
    assert ended.status != 0
    for name in told | {"REMOTE_WRITE_URL"}:
        assert f"{name}=!" in ended.text, name
    for name in of_serve:
        assert f"{name}: it is for `pushgw serve` only" in ended.text


def embedded(ingest):
    line = ingest.invoke([{"metrics": {"a": 1}}]).metrics
    return {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def test_lists_the_numbers_of_the_metric_line(start):
    text = section("Watching it").split("A message that")[0]
    line, metrics = text.split("CloudWatch bills")
    assert embedded(start(METRICS="all")) == set(re.findall(r"`([a-z_]+)`", line)) - {"off"}
    assert embedded(start()) == set(re.findall(r"`([a-z_]+)`", metrics))


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
    asked = section("Watching it") + section("Log queries", OPERATE)
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


def anchors(text):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_names_files_and_headings_that_exist(page):
    text = (ROOT / page).read_text()
    for link in set(re.findall(r"\]\(([^)]+)\)", text)):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = ROOT / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link
    for path in set(re.findall(r"(?:src|infra|examples|tests)/[\w./-]+", re.sub(r"\w+://\S+", "", text))):
        assert (ROOT / path.rstrip(".")).exists(), path
