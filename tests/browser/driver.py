"""A browser, by the WebDriver protocol: headless Chromium as Debian packages it."""

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.kafka import free_port
from tests.system.processes import Process

START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
# Headless, as root in a container, and without Chromium's own calls home.
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One window."""

    def __init__(self, url: str, session: str, http: httpx.Client) -> None:
        self._url = f"{url}/session/{session}"
        self._http = http

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self._http.request(method, self._url + path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        assert answer.status_code == httpx.codes.OK, value
        return value

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._ask("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns in the page."""
        return self._ask("POST", "/execute/sync", script=script, args=list(arguments))

    def run_slowly(self, script: str) -> Any:
        """What a script hands to its last argument, a function."""
        return self._ask("POST", "/execute/async", script=script, args=[])

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Ask Chromium for what WebDriver has no word for."""
        return self._ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def look(self, width: int, height: int, *, dark: bool) -> None:
        """Be a screen of this size that prefers light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < height}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of what is seen, or of the whole page."""
        shown = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shown["data"]))

    def text(self, selector: str) -> str:
        """The text of the first such element, as it is seen."""
        # What is not rendered has a text all the same; an element of a picture has no `innerText`.
        script = """
            const at = document.querySelector(arguments[0]);
            return at?.checkVisibility() ? at.innerText ?? at.textContent : "";
        """
        return str(self.run(script, selector))

    def complaints(self) -> list[str]:
        """What the console has said since this was asked last."""
        return [str(line["message"]) for line in self._ask("POST", "/se/log", type="browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since this was asked last, Chromium's own pages left out."""
        lines = self._ask("POST", "/se/log", type="performance")
        events = [json.loads(line["message"])["message"] for line in lines]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        urls = [str(event["params"]["request"]["url"]) for event in sent]
        return [url for url in urls if not url.startswith(("chrome:", "data:"))]


def missing() -> str | None:
    """What is not installed, if anything."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed (apt-get install chromium chromium-driver)" if absent else None


@contextmanager
def browser(log: Path) -> Iterator[Browser]:
    """A new browser with a profile of its own; gone at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        tempfile.TemporaryDirectory(prefix="tolokad-browser-") as profile,
        Process(["chromedriver", f"--port={port}"], log, {}) as driver,
        httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as http,
    ):
        driver.start()
        _await(driver, http, url)
        options = {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": shutil.which("chromium"),
                "args": [*FLAGS, f"--user-data-dir={profile}"],
            },
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = http.post(f"{url}/session", json={"capabilities": {"alwaysMatch": options}}).json()["value"]
        session = answer.get("sessionId")
        assert session, answer
        try:
            yield Browser(url, session, http)
        finally:
            http.delete(f"{url}/session/{session}")


def _await(driver: Process, http: httpx.Client, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert driver.running, driver.output()
        assert time.monotonic() < deadline, driver.output()
        try:
            if http.get(f"{url}/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
