#!/usr/bin/env python3
"""The sender that the official suite `remotewrite/sender` runs as its Prometheus: see README.md.

    adapter.py --config.file=FILE [--web.listen-address=...]

It scrapes the target of FILE each second, and sends what it finds as remote write 2.0, with metadata and exemplars. But it sends to the
HTTP door of `pushgw serve`, and the gateway relays to the receiver of FILE. So the suite sees what the gateway sends. It sends the first
scrape at once, and then every five seconds what it has, as Prometheus does. It repeats a request that is answered with 5xx, and drops one
that is answered with 4xx. It lives until SIGINT.

`PUSHGW_BIN` names the program. The log of `serve` stays in the folder `ADAPTER_LOGS`.
"""
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.remote_write import encode_v2, snappy_block_encode  # noqa: E402

SCRAPE_S, BATCH_S = 1, 5
TYPES = {"counter": 1, "gauge": 2, "histogram": 3, "gaugehistogram": 4, "summary": 5, "info": 6, "stateset": 7}
_LABEL = r'[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"'
_LABELS = rf"\{{((?:{_LABEL},?)*)\}}"
_SAMPLE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:{_LABELS})? +(\S+)(?: +(-?\d+))?(?: +# {_LABELS} (\S+)(?: (\S+))?)?")
_ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def labels(text):
    """Returns the labels of a text such as `a="b",c="d"`."""
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text or "")
    return [(name, re.sub(r"\\.", lambda found: _ESCAPED.get(found[0], found[0]), value)) for name, value in pairs]


def family_of(families, metric):
    """Returns (type, help, unit) of the family of a metric, if it has one."""
    names = [metric, *(metric.removesuffix(suffix) for suffix in ("_bucket", "_sum", "_count", "_total"))]
    return next((tuple(families[name]) for name in names if name in families), None)


def parse(body, target, now_ms):
    """Reads a scrape: [(labels, time, value, exemplar or None, metadata or None)]. One wrong line fails it, as in Prometheus."""
    families, found = {}, []
    for line in body.splitlines():
        if comment := re.fullmatch(r"# (TYPE|HELP|UNIT) (\S+) (.*)", line):
            family = families.setdefault(comment[2], [0, "", ""])
            place = ["TYPE", "HELP", "UNIT"].index(comment[1])
            family[place] = TYPES.get(comment[3], 0) if place == 0 else comment[3]
        elif line.strip() and not line.startswith("#"):
            sample = _SAMPLE.fullmatch(line.strip())
            if not sample:
                raise ValueError(f"a wrong line: {line!r}")
            pairs = sorted([("__name__", sample[1]), ("job", "test"), ("instance", target), *labels(sample[2])])
            when = int(sample[4]) if sample[4] else now_ms
            exemplar = sample[6] and (labels(sample[5]), float(sample[6]), int(float(sample[7] or now_ms / 1000) * 1000))
            found.append((pairs, when, float(sample[3]), exemplar, family_of(families, sample[1])))
    return found


def scrape(target):
    """Returns the samples of the target; none if the scrape fails."""
    asked = urllib.request.Request(f"http://{target}/metrics", headers={
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"})
    try:
        with urllib.request.urlopen(asked, timeout=SCRAPE_S) as answer:
            return parse(answer.read().decode(), target, int(time.time() * 1000))
    except (OSError, ValueError) as why:
        print("the scrape failed:", why, file=sys.stderr)
        return []


def send(door, samples):
    """Sends a request until it is answered with 2xx or 4xx."""
    body = snappy_block_encode(encode_v2(samples))
    headers = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding": "snappy",
               "X-Prometheus-Remote-Write-Version": "2.0.0", "User-Agent": "adapter/1.0"}
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{door}/api/v1/write", body, headers), timeout=60):
                return
        except urllib.error.HTTPError as answer:
            print(answer.code, answer.read().decode()[:300], file=sys.stderr)
            if answer.code < 500:
                return
            time.sleep(int(answer.headers["Retry-After"]))
        except OSError:
            return  # The gateway has ended.


def serve(receiver, running):
    """Starts `pushgw serve`, and returns the URL of its door; None if it does not take the URL of the receiver."""
    log = Path(os.environ["ADAPTER_LOGS"]) / f"{os.getpid()}.log"
    with log.open("wb") as output:
        running.append(subprocess.Popen(
            [os.environ["PUSHGW_BIN"], "serve", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--remote-write-url", receiver],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "REMOTE_WRITE_AUTH": "none", "REMOTE_WRITE_VERSION": "2.0"}))
    while running[0].poll() is None:
        if found := re.search(r'"http":"(http://127\.0\.0\.1:\d+)', log.read_text()):
            return found[1]
        time.sleep(0.02)
    return None


def run(text, running):
    """Sends until the process ends."""
    target = re.search(r"targets: \['([^']*)'\]", text)[1]
    door = serve(re.search(r"url: '([^']*)'", text)[1], running)
    waiting, lock = [], threading.Lock()

    def scrape_on():
        while True:
            begun = time.monotonic()
            found = scrape(target)
            with lock:
                waiting.extend(found)
            time.sleep(max(0, begun + SCRAPE_S - time.monotonic()))

    threading.Thread(target=scrape_on, daemon=True).start()
    while door:
        with lock:
            batch, waiting[:] = list(waiting), []
        if batch:
            begun = time.monotonic()
            send(door, batch)
            time.sleep(max(0, begun + BATCH_S - time.monotonic()))
        else:
            time.sleep(0.05)


def main():
    config = next(argument.partition("=")[2] for argument in sys.argv if argument.startswith("--config.file="))
    running = []

    def stop(*_):
        for process in running:
            process.kill()
        os._exit(0)  # The suite takes any other status for a failure.

    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=run, args=(Path(config).read_text(), running), daemon=True).start()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
