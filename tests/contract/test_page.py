"""The page of the door in a real browser."""
import re

import pytest

from support.browser import browsing
from support.door import door
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
