"""A real Prometheus with the remote-write receiver on, and functions to query it."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from . import components
from .http_server import closed_port

_CONFIG = """\
storage:
  tsdb:
    out_of_order_time_window: {window}
"""

_SCRAPE = """\
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
      - targets: ["{target}"]
"""

_REMOTE_READ = """\
remote_read:
  - url: {url}
    read_recent: true
"""


_FORWARD = """\
remote_write:
  - url: {url}
    protobuf_message: io.prometheus.write.v2.Request
    send_native_histograms: true
    queue_config:
      batch_send_deadline: 100ms
"""


class Prometheus:
    """One server with its own empty storage. `remote_write_url` is the URL of its receiver. It reads from the URL `remote_read`, too,
    and scrapes the Pushgateway at `scrape`, if they are given. It sends all that it gets to `forward`, as 2.0 with metadata."""

    def __init__(self, out_of_order_window="2h", remote_read=None, scrape=None, forward=None):
        self._features = "native-histograms" + (",metadata-wal-records" if forward else "")
        self.directory = tempfile.mkdtemp(prefix="prometheus-")
        config = os.path.join(self.directory, "prometheus.yml")
        with open(config, "w") as file:
            file.write(_CONFIG.format(window=out_of_order_window))
            if remote_read:
                file.write(_REMOTE_READ.format(url=remote_read))
            if scrape:
                file.write(_SCRAPE.format(target=scrape))
            if forward:
                file.write(_FORWARD.format(url=forward))
        for _ in range(5):  # another process may take the port between the choice and the bind
            self._start(config, closed_port())
            if self._ready():
                return
        text = self.log()
        self.close()
        raise AssertionError(f"Prometheus did not become ready:\n{text}")

    def _start(self, config, port):
        self.url = f"http://127.0.0.1:{port}"
        self.remote_write_url = self.url + "/api/v1/write"
        self._log = os.path.join(self.directory, "log")
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [components.prometheus(), f"--config.file={config}", f"--storage.tsdb.path={self.directory}/tsdb",
                 f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=warn",
                 f"--enable-feature={self._features}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    def _ready(self, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/-/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)  # between two tries at a starting server
        return False

    def log(self):
        """Returns the log of Prometheus."""
        with open(self._log, errors="replace") as log:
            return log.read()

    def api(self, path, **parameters):
        """Calls the HTTP API and returns the `data` of its answer."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def samples(self, selector, window="3h"):
        """Returns {((label, value), ...): [(timestamp in ms, value as text)]} of all raw samples of the last hours. Labels are sorted
        and without `__name__`."""
        data = self.api("query", query=f"{selector}[{window}]", time=time.time() + 60)
        found = {}
        for series in data["result"]:
            labels = tuple(sorted(pair for pair in series["metric"].items() if pair[0] != "__name__"))
            found[labels] = [(round(when * 1000), value) for when, value in series["values"]]
        return found

    def value(self, query):
        """Returns the one number of an instant query."""
        result = self.api("query", query=query)["result"]
        assert len(result) == 1, f"{query}: {result}"
        return float(result[0]["value"][1])

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
