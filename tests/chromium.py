"""A headless Chromium, spoken to over a pipe: opens a page from disk, clicks, and tells what it asked the network for."""

import json
import os
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found():
    """Where a browser is; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page.  ``events`` has all that the browser told so far."""

    def __init__(self, path, seconds=60):
        self.deadline = time.monotonic() + seconds
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.events, self.number, self.rest = [], 0, b""
        to_read, self.to_write = os.pipe()
        self.to_read, to_write = os.pipe()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        arguments += ["--remote-debugging-pipe", f"--user-data-dir={self.folder.name}"]
        # the browser reads from its file 3 and writes to its file 4; the ends are first moved out of the way of these numbers
        script = f'exec 3<&{to_read} 4>&{to_write}; exec "$0" "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", script, path, *arguments],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    session = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        os.close(self.to_read)
        os.close(self.to_write)
        self.folder.cleanup()

    def receive(self):
        while b"\0" not in self.rest:
            if time.monotonic() > self.deadline:
                raise TimeoutError("the browser did not answer in time")
            read = os.read(self.to_read, 1 << 20)
            if not read:
                raise ConnectionError("the browser went away")
            self.rest += read
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        """Go to a page and wait until it is loaded."""
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def evaluate(self, expression):
        """The value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def requests(self):
        """Addresses that were asked for, but for files and data that the page itself has."""
        urls = [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("file:", "data:", "about:"))]

    def complaints(self):
        """Errors and warnings on the console."""
        found = [event for event in self.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        calls = [event for event in self.events if event["method"] == "Runtime.consoleAPICalled"]
        return found + [event for event in calls if event["params"]["type"] in ("error", "warning", "assert")]
