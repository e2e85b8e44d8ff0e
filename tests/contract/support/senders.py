"""Agents that send remote write, as processes: they get samples over HTTP and relay them.

    with Vmagent(door_url) as sender:
        sender.feed([Sample("load", (("series", "1"),), 1676398017000, 6.5)])
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import namedtuple

from .clients import ENV, needed
from .command_line import environment
from .http_server import closed_port
from .recorder import Recorder

Sample = namedtuple("Sample", "name labels time value")

VMAGENT = ENV / "vmagent/usr/bin/vmagent"
COLLECTOR = ENV / "senders/collector"
TELEGRAF = ENV / "senders/telegraf"


class Outage(Recorder):
    """A receiver that passes requests on, or answers 503 while it is `away`."""

    def __init__(self, url):
        self.away = False
        super().__init__(url)

    def respond(self, request):
        if self.away:
            return 503, {"Retry-After": "1"}, b"try later"
        return super().respond(request)


class Sender:
    """A process that listens on `self.port` and writes to the door at `url`."""

    #: False if the agent keeps only the last sample of a series that it sends at once.
    several_samples_of_a_series = True
    #: Labels that it adds to each series.
    own_labels = ()

    def __init__(self, url):
        self.port = closed_port()
        self.directory = tempfile.mkdtemp(prefix="sender-")
        with open(self._path("log"), "wb") as log:
            self.process = subprocess.Popen([str(part) for part in self.command(url)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, env=environment())

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, name, text):
        with open(self._path(name), "w") as file:
            file.write(text)
        return self._path(name)

    def log(self):
        with open(self._path("log"), errors="replace") as log:
            return log.read()

    def post(self, path, body, content_type="text/plain"):
        """Posts to the agent, which may still be starting."""
        end = time.monotonic() + 20
        while True:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body.encode(), {"Content-Type": content_type})
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{error}: {error.read()}") from None
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.log()
                time.sleep(0.05)

    def stop(self):
        """Ends the agent as its user does. It sends first what it holds."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Vmagent(Sender):
    """vmagent, with the requests that it sends by default: zstd first."""

    def command(self, url):
        return (needed(VMAGENT), f"-httpListenAddr=127.0.0.1:{self.port}", f"-remoteWrite.url={url}/api/v1/write",
                f"-remoteWrite.tmpDataPath={self.directory}/data", "-remoteWrite.flushInterval=200ms",
                "-remoteWrite.retryMinInterval=100ms", "-remoteWrite.retryMaxTime=1s", "-loggerLevel=WARN")

    def feed(self, samples):
        lines = (f"{one.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in one.labels)}}} {one.value!r} {one.time}\n"
                 for one in samples)
        self.post("/api/v1/import/prometheus", "".join(lines))


class Collector(Sender):
    """An OpenTelemetry Collector that gets OTLP and exports remote write."""

    own_labels = ("otel_scope_name", "otel_scope_version", "otel_scope_schema_url")
    exporter, endpoint = "prometheusremotewrite", "endpoint: {url}/api/v1/write"

    def command(self, url):
        config = self._write("collector.yaml", f"""\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{self.port}"}}}}}}}}
exporters:
  {self.exporter}:
    {self.endpoint.format(url=url)}
    retry_on_failure: {{initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines: {{metrics: {{receivers: [otlp], exporters: [{self.exporter}]}}}}
""")
        return needed(COLLECTOR), f"--config=file:{config}"

    def feed(self, samples):
        def text(key, value):
            return {"key": key, "value": {"stringValue": value}}
        metrics = {}
        for one in samples:
            metrics.setdefault(one.name, []).append({"attributes": [text(*pair) for pair in one.labels],
                                                     "timeUnixNano": str(one.time * 1_000_000), "asDouble": one.value})
        request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": name, "gauge": {"dataPoints": points}}
                                                                      for name, points in metrics.items()]}]}]}
        self.post("/v1/metrics", json.dumps(request), "application/json")


class OtlpCollector(Collector):
    """The same, with an exporter of OTLP in protobuf."""

    own_labels = ()
    exporter, endpoint = "otlp_http", "metrics_endpoint: {url}/v1/metrics"


class Telegraf(Sender):
    """Telegraf that gets Influx lines and sends remote write with its HTTP output."""

    several_samples_of_a_series = False

    def command(self, url):
        config = self._write("telegraf.conf", f"""\
[agent]
  interval = "1s"
  flush_interval = "300ms"
  omit_hostname = true
[[inputs.http_listener_v2]]
  service_address = "tcp://127.0.0.1:{self.port}"
  paths = ["/write"]
  methods = ["POST"]
  data_format = "influx"
[[outputs.http]]
  url = "{url}/api/v1/write"
  data_format = "prometheusremotewrite"
  [outputs.http.headers]
    Content-Type = "application/x-protobuf"
    Content-Encoding = "snappy"
    X-Prometheus-Remote-Write-Version = "0.1.0"
""")
        return needed(TELEGRAF), config

    def feed(self, samples):
        lines = []
        for one in samples:
            # Telegraf makes a metric's name of both.
            measurement, field = one.name.split("_", 1)
            tags = "".join(f",{name}={value}" for name, value in one.labels)
            lines.append(f"{measurement}{tags} {field}={one.value!r} {one.time * 1_000_000}\n")
        self.post("/write", "".join(lines))
