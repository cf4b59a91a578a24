"""A browser without a screen, driven through its driver's own protocol (W3C WebDriver).

`chromedriver` speaks HTTP and JSON, so the standard library is enough. It runs in a profile of its
own, with nothing of the network that a page did not ask for.
"""

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
]
TAB, ENTER, SPACE, LEFT, RIGHT = "\ue004", "\ue007", " ", "\ue012", "\ue014"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = None if BROWSER and DRIVER else "needs chromium and chromium-driver"


class Browser:
    """One window."""

    def __init__(self, driver: str, profile: Path) -> None:
        options = {"binary": BROWSER, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}  # fmt: skip
        self._url = f"{driver}/session"
        started = self._ask("", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/{started['sessionId']}"

    def _ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        self._ask("/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self._ask("/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        script = """const [condition, done] = arguments;
            const check = new Function("return " + condition);
            const wait = () => check() ? done(true) : setTimeout(wait, 20); wait();"""
        self._ask("/execute/async", {"script": script, "args": [condition]})

    def press(self, keys: str) -> None:
        """Type on the keyboard, whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self._ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def width(self, pixels: int, height: int = 900) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=pixels, height=height,
                 deviceScaleFactor=1, mobile=False)  # fmt: skip

    def prefer(self, **features: str) -> None:
        """Set media features: prefers_color_scheme="dark"."""
        listed = [{"name": name.replace("_", "-"), "value": v} for name, v in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=listed)

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(shot["data"]))

    def said(self) -> list[str]:
        """Return what stood in the console since the last time: errors and warnings."""
        return [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})]

    def requested(self) -> list[str]:
        """Return the URLs that were asked for since the last time."""
        entries = [json.loads(e["message"])["message"]
                   for e in self._ask("/se/log", {"type": "performance"})]  # fmt: skip
        return [e["params"]["request"]["url"] for e in entries
                if e["method"] == "Network.requestWillBeSent"]  # fmt: skip

    def legibility(self) -> dict[str, Any]:
        """Return the smallest letters in pixels and the least contrast of what is in <main>."""
        return self.run(_LEGIBILITY)

    def violated(self, tag: str, attribute: str) -> str:
        """Return what a page's policy says to an element that points outside, or to a fetch."""
        return self.run(_VIOLATED, tag, attribute)

    def close(self) -> None:
        self._ask("", method="DELETE")


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[Browser]:
    """Give a browser with an empty profile in a folder, and close it."""
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            line = next(line for line in process.stdout if "successfully on port" in line)
            browser = Browser(f"http://127.0.0.1:{line.split()[-1].rstrip('.')}", profile)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()


_LEGIBILITY = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
  .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
  .reduce((sum, c, k) => sum + c * [.2126, .7152, .0722][k], 0);
const behind = (it) => {
  const colour = parse(getComputedStyle(it).backgroundColor);
  return colour.length === 4 && colour[3] === 0 ? behind(it.parentElement) : colour;
};
let found = { smallest: Infinity, contrast: Infinity };
for (const it of document.querySelectorAll("main *")) {
  const own = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || it.disabled || !it.checkVisibility()) continue;
  const style = getComputedStyle(it), one = light(parse(style.color)), other = light(behind(it));
  const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  if (contrast < found.contrast) Object.assign(found, { contrast, of: it.outerHTML.slice(0, 80) });
  found.smallest = Math.min(found.smallest, parseFloat(style.fontSize));
}
return found;
"""

_VIOLATED = """
const [tag, attribute] = arguments;
return new Promise((done) => {
  document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
  if (tag === "fetch") fetch("https://example.org/").catch(() => {});
  else {
    const made = document.createElement(tag);
    made.setAttribute(attribute, "https://example.org/");
    if (tag === "script") made.removeAttribute("src"), made.textContent = "window.intruder = 1";
    document.body.append(made);
    if (tag === "form") made.submit();
  }
});
"""
