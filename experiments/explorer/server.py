"""A server for one page and one question, which this machine alone can reach.

    GET  /          the page
    POST /restore   a request as JSON → an answer as JSON (`experiments.explorer.messages`)

It listens on 127.0.0.1 only. Other pages in the same browser can reach that too, so

    Host       must be this address: a foreign name that was made to point here is refused
    Origin     where there is one, must be this page
    the body   must be declared as JSON, which no foreign page may send unasked, and be small

No URL is ever made into the name of a file. What is refused gets one line of plain text.
"""

import json
import signal
import socketserver
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any

from experiments.explorer.page import policy

LARGEST = 2**16  # bytes of a request's body
_ADDRESS = "127.0.0.1"
_PAUSE = 0.1  # seconds between looks whether to end
_PATIENCE = 30  # seconds to wait for the rest of a request
_LINE = 200  # characters of what is said to be wrong
_METHODS = {"/": "GET", "/restore": "POST"}


class RequestError(Exception):
    """A request that is not answered; the message says why in one line."""

    def __init__(self, status: HTTPStatus, line: str, **headers: str) -> None:
        super().__init__(line)
        self.status, self.headers = status, headers


class Server(ThreadingHTTPServer):
    """Gives a page, and answers its requests one at a time; port 0 is any that is free.

    `answer` takes what was asked and raises `TypeError` or `ValueError` for what is wrong. Raises
    `OSError` for a port that cannot be had.
    """

    def __init__(self, port: int, page: str, answer: Callable[[Any], Any]) -> None:
        self.page, self.policy, self.answer = page.encode(), policy(page), answer
        self.one_at_a_time = threading.Lock()
        super().__init__((_ADDRESS, port), _Handler)
        names = (_ADDRESS, "localhost")
        self.hosts = {f"{name}:{self.server_port}" for name in names}
        if self.server_port == 80:  # which browsers leave out
            self.hosts |= set(names)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{_ADDRESS}:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind, and look up no name: the usual way would ask a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def until_interrupted(self) -> None:
        """Say where the page is; answer until Ctrl-C, SIGTERM or SIGHUP, and close."""

        def end(number: int, frame: FrameType | None) -> None:
            threading.Thread(target=self.shutdown).start()  # it waits for the loop below

        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(which) != signal.SIG_IGN:  # nohup means what it says
                signal.signal(which, end)
        print(f"{self.url} (Ctrl-C ends it)", flush=True)
        with self:
            self.serve_forever(_PAUSE)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE
    server_version, sys_version = "minuddm", ""

    def _respond(self) -> None:
        """Answer one request, whatever its method."""
        try:
            kind, content = self._content()
        except RequestError as refused:
            self._send(refused.status, "text/plain", f"{refused}\n".encode(), refused.headers)
        else:
            self._send(HTTPStatus.OK, kind, content, {})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _respond  # noqa: N815

    def _content(self) -> tuple[str, bytes]:
        """Return the kind of the answer, and the answer; raise `RequestError`."""
        if self.headers.get_all("Host", []) not in [[name] for name in self.server.hosts]:
            raise RequestError(HTTPStatus.FORBIDDEN, f"the page is at {self.server.url} only")
        if self.headers.get("Origin") not in (None, *(f"http://{n}" for n in self.server.hosts)):
            raise RequestError(HTTPStatus.FORBIDDEN, "other pages get no answers")
        if self.path not in _METHODS:
            raise RequestError(
                HTTPStatus.NOT_FOUND, f"there is nothing but {' and '.join(_METHODS)}"
            )
        method = _METHODS[self.path]
        if self.command != method:
            line = f"{self.path} takes {method}, got {self.command}"
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, line, Allow=method)
        if method == "GET":
            return "text/html", self.server.page
        return "application/json", self._answer(self._body())

    def _body(self) -> bytes:
        """Return the body of a request that is declared as JSON and not too large."""
        if self.headers.get_content_type() != "application/json":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a request must be application/json"
            )
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "a request must say how long it is")
        if len(length) > len(str(LARGEST)) or int(length) > LARGEST:
            line = f"a request may have {LARGEST} bytes, got {length[:20]}"
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, line)
        return self.rfile.read(int(length))

    def _answer(self, body: bytes) -> bytes:
        """Return the answer to a request. What is wrong with it is said in one line."""
        try:
            with self.server.one_at_a_time:
                return json.dumps(self.server.answer(json.loads(body)), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            line = " ".join(str(error).split())[:_LINE]
            raise RequestError(HTTPStatus.BAD_REQUEST, line) from None

    def _send(self, status: HTTPStatus, kind: str, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        headers = headers | {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": f"{self.server.policy}; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request in one line as well."""
        status = HTTPStatus(code)
        self._send(status, "text/plain", f"{status.phrase.lower()}\n".encode(), {})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the page says what happens."""
