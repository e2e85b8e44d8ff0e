"""Client libraries of Prometheus as programs, and what a Prometheus must answer after a push of each.

The programs are in tests/contract/clients; its README.md has their arguments and the table of all clients.
"""
import os
import shutil
import sys
from dataclasses import dataclass, field

from .command_line import run
from .components import ENV, HOW, ROOT, MissingComponent

CONTRACT = ROOT / "tests/contract"
FOLDER = CONTRACT / "clients"
#: `tests/run` installs and builds the clients here.
BUILT = ENV / "clients"
DEBIAN = BUILT / "debian"

TEXT = "text/plain; version=0.0.4; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
#: Values of a grouping key that clients escape, each in its own way.
AWKWARD = {"path": "/var/tmp", "place": "Köln Süd", "rate": "50%+1", "instance": ""}


def needed(path):
    """Returns the path of a program or folder that `tests/run` makes."""
    if not path or not os.path.exists(path):
        raise MissingComponent(f"{path} is missing: {HOW}")
    return str(path)


def node():
    """Returns Node.js: of PATH, or the one that `tests/run` installed."""
    return needed(shutil.which("node") or ENV / "node/bin/node")


@dataclass(frozen=True)
class Client:
    """One library with one way to push."""

    name: str
    #: The library's version: (file under tests/contract or in Debian's packages, text in it).
    pinned: tuple
    #: Returns the command without its arguments.
    command: object
    #: The Content-Type of a push; None if it sends none.
    content_type: str | None
    #: The methods of push, pushadd and delete.
    methods: tuple = ("PUT", "POST", "DELETE")
    #: A space in a value without a slash, as the library sends it. Pushgateway and the door keep `+`.
    space: str = " "
    job: str = "nightly / Köln"
    group: dict = field(default_factory=lambda: AWKWARD)
    #: True if it is tested with HTTP basic authentication.
    basic: bool = False
    #: False if the library has none, or cannot push it.
    histogram: bool = True
    summary: bool = True
    #: Quantiles of the summary, {quantile: value}, as the library estimates them.
    quantiles: dict = field(default_factory=dict)
    #: Metrics with the time at which they were made.
    created: tuple = ()
    #: Series that only this library makes: {(metric, ((label, value), ...)): value}; of a native histogram it is (count, sum).
    more: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)

    @property
    def verbs(self):
        return ("push", "pushadd", "delete")[:len(self.methods)]

    def run(self, verb, url, job, orders=0, **env):
        """Runs the client, which pushes its metrics with `orders` as the value of the counter."""
        pairs = [f"{name}={value}" for name, value in self.group.items()]
        return run(*self.command(), verb, url, job, orders, *pairs, LC_ALL="C.UTF-8", **{**self.env, **env})

    def push(self, verb, url, job, orders=0, **env):
        """Runs the client. The library must report success."""
        done = self.run(verb, url, job, orders, **env)
        assert done.returncode == 0, f"{self.name} {verb}: {done.stdout}{done.stderr}"

    def pinned_in(self):
        """Returns the text of the file that has the version."""
        [path] = [*CONTRACT.glob(self.pinned[0]), *DEBIAN.glob(self.pinned[0])]
        return path.read_text()

    def kept(self, value):
        """Returns a value of the grouping key as Prometheus gets it."""
        return value if "/" in value else value.replace(" ", self.space)

    def series(self, orders):
        """Returns {(metric, ((label, value), ...)): value} of a push."""
        made = {("client_orders_total", (("kind", "new"),)): orders, ("client_temperature_celsius", ()): -12.5}
        if self.histogram:
            # Four measurements: 0.0625, 0.5 twice, and 7. Prometheus 3 writes whole bounds as 1.0.
            for bound, count in ("0.1", 1), ("1.0", 3), ("5.0", 3), ("+Inf", 4):
                made["client_latency_seconds_bucket", (("le", bound),)] = count
            made |= {("client_latency_seconds_sum", ()): 8.0625, ("client_latency_seconds_count", ()): 4}
        if self.summary:
            # Three sizes: 10, 20 and 30.
            made |= {("client_size_bytes_sum", ()): 60, ("client_size_bytes_count", ()): 3}
            for quantile, value in self.quantiles.items():
                made["client_size_bytes", (("quantile", quantile),)] = value
        return {**made, **self.more}


def _python():
    return sys.executable, FOLDER / "push.py"


def _node():
    return node(), FOLDER / "node/push.js"


def _go():
    return (needed(BUILT / "go/push"),)


def _java(library):
    return lambda: (needed(shutil.which("java")), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
                    f"{needed(BUILT / 'java/jars')}/*:{needed(BUILT / 'java/classes')}", "Push", library)


def _rust(library):
    return lambda: (needed(BUILT / "rust/debug/pushing-client"), library)


def _cpp():
    return (needed(DEBIAN / "push"),)


def _ruby():
    return needed(DEBIAN / "usr/bin/ruby3.1"), FOLDER / "push.rb"


def _perl(library):
    return lambda: (needed(shutil.which("perl")), FOLDER / "push.pl", library)


def _unpacked(pattern):
    """Returns the folders of Debian's packages that fit, as a search path."""
    return ":".join(map(str, sorted(DEBIAN.glob(pattern))))


_PYTHON = "requirements.txt", "prometheus-client==0.26.0"
_NODE = "clients/node/package.json", '"prom-client": "15.1.3"'
_CREATED = ("client_orders_created", "client_latency_seconds_created", "client_size_bytes_created")
_OF_NODE = {"job": "nightly Köln", "group": {"place": "Köln Süd", "rate": "50%+1", "instance": ""}, "quantiles": {"0.5": 20},
            "env": {"NODE_PATH": BUILT / "node/node_modules"}}
_GO = "clients/go/go.mod", "github.com/prometheus/client_golang v1.25.0"
#: In text the native histogram of the program is one with a single bucket.
_OF_GO = {"space": "+", "quantiles": {"0.5": 20}, "more": {
    ("client_native_seconds_bucket", (("le", "+Inf"),)): 4, ("client_native_seconds_sum", ()): 8.0625,
    ("client_native_seconds_count", ()): 4}}
_OF_JAVA = {"space": "+", "quantiles": {"0.5": 20}}
_OF_PERL = {"PERL5LIB": _unpacked("usr/share/perl5") + ":" + _unpacked("usr/lib/*/perl5/*")}

#: The clients of each run of the tests.
CLIENTS = [
    Client("prometheus_client", _PYTHON, _python, TEXT, created=_CREATED, basic=True),
    Client("prometheus_client, gzip", _PYTHON, _python, TEXT, created=_CREATED, env={"PUSH_COMPRESSION": "gzip"}),
    Client("prometheus_client, snappy", _PYTHON, _python, TEXT, created=_CREATED, env={"PUSH_COMPRESSION": "snappy"}),
    Client("prom-client", _NODE, _node, None, **_OF_NODE, basic=True),
    Client("prom-client, gzip", _NODE, _node, None, **{**_OF_NODE, "env": {**_OF_NODE["env"], "PUSH_COMPRESSION": "gzip"}}),
    Client("client_golang", _GO, _go, PROTOBUF, **{**_OF_GO, "more": {("client_native_seconds", ()): (4, 8.0625)}}, basic=True),
    Client("client_golang, text", _GO, _go, "text/plain; version=0.0.4; charset=utf-8", **_OF_GO,
           env={"PUSH_FORMAT": "text"}, basic=True),
    Client("client_java", ("clients/java/pom.xml", "<version>1.5.1</version>"), _java("client_java"), PROTOBUF, **_OF_JAVA, basic=True),
    Client("client_java, text", ("clients/java/pom.xml", "<version>1.5.1</version>"), _java("client_java"),
           "text/plain; version=0.0.4; charset=utf-8", **_OF_JAVA, env={"PUSH_FORMAT": "text"}, basic=True),
    Client("simpleclient", ("clients/java/pom.xml", "<version>0.16.0</version>"), _java("simpleclient"),
           "text/plain; version=0.0.4; charset=utf-8", **_OF_JAVA, created=_CREATED, basic=True),
    Client("prometheus-client-mmap", ("usr/lib/ruby/vendor_ruby/prometheus/client/version.rb", "VERSION = '0.16.2'"), _ruby, "text/plain; version=0.0.4", job="nightly Köln", group={"instance": "50%+1 Köln"},
           histogram=False, summary=False, env={
               "LD_LIBRARY_PATH": _unpacked("usr/lib/*-linux-gnu*"),
               "RUBYLIB": ":".join(map(_unpacked, ("usr/lib/ruby/vendor_ruby", "usr/lib/*/ruby/vendor_ruby/3.*", "usr/lib/ruby/3.*",
                                                   "usr/lib/*/ruby/3.*")))}, basic=True),
    Client("Net::Prometheus", ("usr/lib/*/perl5/*/Net/Prometheus.pm", "0.12"), _perl("net"), "application/octet-stream", env=_OF_PERL),
    Client("Prometheus::Tiny", ("usr/share/perl5/Prometheus/Tiny.pm", "VERSION = '0.010'"), _perl("tiny"), "application/octet-stream", summary=False, env=_OF_PERL),
    Client("prometheus-cpp", ("usr/lib/*/pkgconfig/prometheus-cpp-push.pc", "Version: 1.0.1"), _cpp, "text/plain; version=0.0.4; charset=utf-8", methods=("POST", "PUT", "DELETE"),
           job="nightly", group={"instance": "db-1"}, quantiles={"0.5": 10}, basic=True),
]

#: The clients of `bash tests/run --peers`.
PEERS = [
    Client("prometheus", ("clients/rust/Cargo.toml", 'prometheus = { version = "=0.14.0"'), _rust("prometheus"), PROTOBUF,
           methods=("PUT", "POST"), job="nightly Köln", group={"place": "Köln Süd"}, summary=False, basic=True),
    Client("metrics-exporter-prometheus", ("clients/rust/Cargo.toml", 'metrics-exporter-prometheus = { version = "=0.18.3"'),
           _rust("metrics"), None, methods=("PUT", "POST"), job="nightly", group={"instance": "db-1"}, summary=False, basic=True),
]

#: It never writes the `# EOF` that OpenMetrics demands.
OPENMETRICS_OF_GO = Client("client_golang, OpenMetrics", _GO, _go, None, env={"PUSH_FORMAT": "openmetrics"})
