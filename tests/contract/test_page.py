"""The page of the door in a real browser."""
import json
import re

import pytest

from support.browser import browsing
from support.command_line import eventually
from support.door import door
from support.serve import request, serving
from support.table import state_table

HISTOGRAM = """# HELP request_duration_seconds How long a request took, from the first byte to the last one.
# TYPE request_duration_seconds histogram
request_duration_seconds_bucket{path="/api/orders",le="0.1"} 3
request_duration_seconds_bucket{path="/api/orders",le="0.5"} 40
request_duration_seconds_bucket{path="/api/orders",le="+Inf"} 42
request_duration_seconds_sum{path="/api/orders"} 17.25
request_duration_seconds_count{path="/api/orders"} 42
"""
ATTACKS = ["<script>document.title='owned'</script>", "\" onmouseover=\"document.title='owned'\" x=\"", "</style><img src=x onerror=alert(1)>",
           "</script><svg onload=alert(1)>", "javascript:alert(1)", "\u202egpj.exe", "'-alert(1)-'", "a" * 2_000]


def escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@pytest.fixture(scope="module")
def browser():
    with browsing() as one:
        yield one


@pytest.fixture(scope="module")
def gateway(sqs):
    with door(HTTP_ADMIN="on", **state_table(sqs.endpoint)) as one:
        yield one


@pytest.fixture(autouse=True)
def pushed(gateway, browser):
    gateway.request("PUT", "/api/v1/admin/wipe")
    gateway.put("/metrics/job/backup/instance/db-1", "# HELP rows Rows of the last backup.\n# TYPE rows gauge\n"
                + "".join(f'rows{{table="{table}"}} {i * 1234567}\n' for i, table in enumerate(["orders", "customers", "audit_log"])),
                **{"X-Push-TTL": "15m"})
    gateway.put("/metrics/job/nightly-report/instance/worker-7.eu-central-1.compute.internal/team/billing", HISTOGRAM)
    gateway.put("/metrics/job/nightly-report/instance/worker-7.eu-central-1.compute.internal/team/billing", "a 1\na 2\n")
    browser.requests.clear()
    browser.problems.clear()


def attack(gateway):
    lines = ["# HELP hostile " + escaped(ATTACKS[2])]
    lines += [f'hostile{{l="{escaped(text)}"}} {i}' for i, text in enumerate(ATTACKS)]
    lines += [f'{{"{escaped(text[:200])}"}} 1' for text in ATTACKS[:4]]
    assert gateway.put("/metrics/job/%3Cscript%3Ealert(1)", "\n".join(lines) + "\n").status == 202


def open_all(browser):
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_is_readable_on_any_screen_and_asks_for_nothing_else(gateway, browser, width, scheme, tmp_path):
    attack(gateway)
    browser.look(width, 740, scheme)
    browser.open(gateway.url + "/")
    assert browser.run("document.documentElement.scrollWidth") <= width
    open_all(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    browser.screenshot(tmp_path / f"page-{width}-{scheme}.png")
    assert all(url.startswith((gateway.url, "data:")) for _, url in browser.requests), browser.requests
    assert browser.problems == []
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(re.search(r"\d+", ground)[0]) < 128) == (scheme == "dark")


def test_shows_hostile_text_as_text(gateway, browser):
    attack(gateway)
    browser.open(gateway.url + "/")
    open_all(browser)
    assert browser.run("document.title") == "amp-push-gateway"
    shown = browser.run("document.body.innerText")
    for text in ATTACKS[:2] + ATTACKS[3:5]:
        assert text in shown, text
    assert "\u202e" not in shown and "‹202e›gpj.exe" in shown
    elements = browser.run("[document.scripts.length, document.images.length, document.querySelectorAll('[onmouseover],[onload],[onerror],svg').length]")
    assert elements == [1, 0, 0] and browser.problems == []


def test_the_last_push_that_failed_stands_first(gateway, browser):
    browser.open(gateway.url + "/")
    first = browser.run("document.querySelector('.group').innerText")
    assert "nightly-report" in first and "push failed" in first
    assert "1 failing" in browser.run("document.querySelector('.figures').innerText")


def test_finds_and_sorts_groups(gateway, browser):
    browser.open(gateway.url + "/")
    browser.run("(f => { f.value = 'BACKUP'; f.dispatchEvent(new Event('input')) })(document.getElementById('find'))")
    assert browser.run("[...document.querySelectorAll('.group')].filter(g => !g.hidden).length") == 1
    browser.run("(o => { o.value = 'labels'; o.dispatchEvent(new Event('change')) })(document.getElementById('order'))")
    assert "backup" in browser.run("document.querySelector('.group .key').textContent")
    browser.run("(o => { o.value = 'expires'; o.dispatchEvent(new Event('change')) })(document.getElementById('order'))")
    assert "backup" in browser.run("document.querySelector('.group .key').textContent")


def test_deletes_a_group_after_it_asked(gateway, browser):
    browser.look()
    browser.open(gateway.url + "/")
    open_all(browser)
    browser.click(".group:not(.failed) .delete")
    assert browser.run("document.getElementById('sure').open") and 'job="backup"' in browser.run("document.getElementById('which').textContent")
    browser.click("#sure [value=no]")
    assert not browser.run("document.getElementById('sure').open")
    assert "backup" in gateway.request("GET", "/metrics").text
    browser.click(".group:not(.failed) .delete")
    browser.do(lambda: browser.click("#sure [value=yes]"))
    assert "backup" not in browser.run("document.body.innerText")
    text = gateway.request("GET", "/metrics").text
    assert "backup" not in text and "nightly-report" in text
    assert [method for method, _ in browser.requests if method == "DELETE"] == ["DELETE"] and browser.problems == []


def test_a_page_of_another_site_cannot_delete(gateway):
    path = "/metrics/job/backup/instance/db-1"
    assert gateway.request("DELETE", path, headers={"Origin": "https://elsewhere.example"}).status == 403
    assert gateway.request("DELETE", path, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert "backup" in gateway.request("GET", "/metrics").text


def test_the_headers_of_the_page_forbid_all_that_it_does_not_need(gateway):
    headers = gateway.request("GET", "/").headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"


# --- on one machine: the workspace and the dead letters of this process -----------------------------------------------

TYPED = [
    {"type": "counter", "name": "orders_total", "value": 3, "labels": {"shop": "north"}, "help": "Orders that were paid."},
    {"type": "histogram", "name": "took_seconds", "value": [0.2, 0.7, 3], "buckets": [0.5, 1]},
    {"type": "summary", "name": "size_bytes", "value": [10, 20, 30]},
    {"type": "gauge", "name": "queue_length", "value": 12},
]


@pytest.fixture(scope="module")
def local():
    """A gateway with a state and a workspace in memory, which ticks each second."""
    with serving("--http", "127.0.0.1:0", "--tick", "1s", "--keep-dead-letters") as server:
        port = int(server.door.rsplit(":", 1)[1])

        def send(method, path, body=None):
            return request(port, method, path, body)

        def event(payload):
            # The Invoke API: it dead-letters, the door does not.
            return server.client().invoke(FunctionName="x", Payload=json.dumps(payload))

        event([{"dimensions": {"device": text[:200]}, "metrics": {"temperature": i}} for i, text in enumerate(ATTACKS)])
        event([{"dimensions": {"device": "tank-7"}, "metrics": {"temperature": value}, "timestamp": None} for value in [21]])
        event([*({"metrics": {"ph": text}} for text in ATTACKS[:4]), *TYPED])
        assert send("PUT", "/metrics/job/backup", "# TYPE rows gauge\nrows 7\n")[0] == 202
        eventually(lambda: b"orders_total" in send("GET", "/metrics")[2])
        yield server, send


def section(browser, name):
    return browser.run(f"document.getElementById('{name}').innerText")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_local_page_shows_the_workspace_and_the_dead_letters(local, browser, width, scheme, tmp_path):
    server, send = local
    browser.look(width, 740, scheme)
    # Two ticks, so that there is a line to draw.
    eventually(lambda: browser.open(server.door + "/") or len(browser.run(
        "[...document.querySelectorAll('#workspace tr')].find(r => r.innerText.includes('orders_total')).querySelector('path').getAttribute('d')")) > 30)
    open_all(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    browser.screenshot(tmp_path / f"local-{width}-{scheme}.png")
    assert all(url.startswith((server.door, "data:")) for _, url in browser.requests), browser.requests
    assert browser.problems == []
    workspace, letters = section(browser, "workspace"), section(browser, "letters")
    assert "orders_total" in workspace and "temperature" in workspace and 'device="tank-7"' in workspace
    assert "4 dead letters" in letters and "invalid_value" in letters and "is not a number" in letters
    stroke = browser.run("getComputedStyle(document.querySelector('svg.chart')).stroke")
    assert stroke not in ("none", ""), "the style of charts applies"


def test_the_local_page_shows_typed_series_with_their_help_and_the_last_tick(local, browser):
    server, _ = local
    browser.look()
    browser.open(server.door + "/")
    shown = browser.run("document.body.innerText")
    for text in "Orders that were paid.", "orders_total counter", "took_seconds histogram", "4 series", "count 3":
        assert text in shown, (text, shown)
    tick = section(browser, "tick")
    # Typed: a counter, three buckets with sum and count, three quantiles with sum and count, a gauge. The group has one, and two push times.
    assert "15 samples written" in tick and "4 typed series" in tick and "1 group" in tick and "not sent" not in tick


def test_the_local_page_shows_hostile_text_as_text(local, browser):
    server, _ = local
    browser.open(server.door + "/")
    assert browser.run("document.title") == "amp-push-gateway"
    workspace, letters = section(browser, "workspace"), section(browser, "letters")
    for text in ATTACKS[:2] + ATTACKS[3:5]:
        assert text in workspace, text
    assert "<script>document.title='owned'" in letters
    elements = browser.run("[document.scripts.length, document.images.length, document.querySelectorAll('[onmouseover],[onload],[onerror]').length]")
    assert elements == [1, 0, 0] and browser.problems == []


def test_without_a_state_the_local_page_says_so_and_shows_the_workspace(browser):
    with serving("--http", "127.0.0.1:0", "--state", "none") as server:
        browser.open(server.door + "/")
        shown = browser.run("document.body.innerText")
    assert "No table" in shown and "Workspace in this process" in shown and "Nothing is stored yet." in shown and "Dead letters" not in shown
