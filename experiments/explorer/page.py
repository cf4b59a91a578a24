"""The page with its data: one file of HTML, CSS and JavaScript that loads nothing from anywhere.

Its Content-Security-Policy says so to the browser: style and script are those of the file, by their
SHA-256, and it may speak to who served it and to nobody else. What is in the data cannot become
markup: no `<` is left in it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("page.html")


def page(data: Mapping[str, Any]) -> str:
    """Return the page with its data."""
    template = TEMPLATE.read_text("utf-8")
    known = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("{{policy}}", policy(template)).replace("{{data}}", known)


def policy(page: str) -> str:
    """Return the Content-Security-Policy of a page; its data are no script and change nothing."""
    script, style = (_digests(page, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digests(page: str, tag: str) -> str:
    """Return the digests of all that stands between `<tag>` and `</tag>`."""
    inside = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inside)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
