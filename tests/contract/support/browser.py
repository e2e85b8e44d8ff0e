"""A real Chromium, driven over its debugging pipe: no port, no driver and no library."""
import base64
import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time

from . import components

#: Chromium on a loaded machine takes seconds to start.
PATIENCE = 60


class Browser:
    """One Chromium with one tab. It notes every request, every line of the console and every error."""

    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        command = [components.chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
                   "--force-device-scale-factor=1", f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", "about:blank"]
        wrapper = ["bash", "-c", f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"', "bash", *command]
        self._process = subprocess.Popen(wrapper, pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._messages = queue.Queue()
        self._number = 0
        self._answers = {}
        self._events = []
        self.requests, self.problems = [], []
        threading.Thread(target=self._read, daemon=True).start()
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = None
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _read(self):
        rest = b""
        while chunk := os.read(self._from, 1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            for message in messages:
                self._messages.put(json.loads(message))

    def _call(self, method, **params):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while number not in self._answers:
            self._take(end)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _take(self, end):
        message = self._messages.get(timeout=max(0.01, end - time.monotonic()))
        if "id" in message:
            self._answers[message["id"]] = message
            return
        method, params = message["method"], message.get("params", {})
        self._events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append((params["request"]["method"], params["request"]["url"]))
        elif method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str([argument.get("value") for argument in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])

    def wait_for(self, event):
        end = time.monotonic() + PATIENCE
        while event not in self._events:
            self._take(end)

    def look(self, width=1280, height=900, scheme="light"):
        """Sets the size of the window and the colours that the user prefers."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self._events.clear()
        self._call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def do(self, action):
        """Does what loads the page anew, and waits for it."""
        self._events.clear()
        action()
        self.wait_for("Page.loadEventFired")

    def run(self, script):
        """Returns the value of a JavaScript expression in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector):
        """Clicks with the mouse in the middle of the first element that the selector finds."""
        box = self.run(f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
                       f" return [b.x + b.width / 2, b.y + b.height / 2] }})(document.querySelector({json.dumps(selector)}))")
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screenshot(self, path, whole=True):
        picture = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self._process.kill()
        self._process.wait()
        for descriptor in (self._to, self._from):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._profile.cleanup()


@contextlib.contextmanager
def browsing():
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()
