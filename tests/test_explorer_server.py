"""The page is for this machine alone, knows where its networks come from, and ends when told to."""

import http.client
import json
import re
import socket
import threading
from http import HTTPStatus

import pytest

from experiments.explorer.page import page, policy
from experiments.explorer.server import LARGEST, Server
from tests.test_explorer import ALPHABET, MASKED, RIGHT, UNIFORM, answer, messages

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server():
    data = messages.data([UNIFORM, MASKED])
    with Server(0, page(data), answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    """Return status, body and headers of an answer; a header of None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in given.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None and "Content-Length" not in given:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    found = connection.getresponse()
    text = found.read().decode()
    connection.close()
    return found.status, text, found.headers


def post(server, body, **headers):
    return ask(
        server, "POST", "/restore", body, **{"Content_Type": JSON["Content-Type"], **headers}
    )


def refused(found, status, *words):
    """Assert that an answer is one line of plain text."""
    assert found[0] == status
    assert found[2].get_content_type() == "text/plain"
    assert found[1].count("\n") == 1
    assert all(word in found[1] for word in words), found[1]


# ---- who is answered ----------------------------------------------------------------------------


def test_the_page_comes_with_a_policy_that_forbids_all_but_itself(server):
    status, text, headers = ask(server, "GET", "/")
    assert status == 200
    assert text == server.page.decode()
    own = headers["Content-Security-Policy"]
    assert own.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in own
    assert "connect-src 'self'" in own
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert policy(text) in text


def test_a_question_is_answered(server):
    status, text, _ = post(server, json.dumps(RIGHT).encode())
    assert (status, json.loads(text)) == (200, json.loads(json.dumps(answer(RIGHT))))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None,
             "127.0.0.1:{port}.evil.example", "0.0.0.0:{port}"]
)  # fmt: skip
def test_a_foreign_host_is_refused(server, method, host):
    """A name of another's can be made to point here: that is DNS rebinding."""
    host = host and host.format(port=server.server_port)
    path = "/" if method == "GET" else "/restore"
    refused(ask(server, method, path, b"{}" if method == "POST" else None, Host=host), 403)


@pytest.mark.parametrize(
    ("words", "line"),
    [("GET / HTTP/1.1\r\n{host}Host: evil.example\r\n", "the page is at {url} only"),
     ("GET / HTTP/1.1\r\n", "the page is at {url} only"),
     ("GET /\r\n", "the page is at {url} only"),
     ("BREW / HTTP/1.1\r\n{host}", "not implemented"), ("what is this\r\n", "bad request"),
     ("GET / HTTP/9.9\r\n", "http version not supported"),
     ("GET /" + "a" * 70_000 + " HTTP/1.1\r\n", HTTPStatus.REQUEST_URI_TOO_LONG.phrase.lower())],
)  # fmt: skip
def test_what_is_no_request_is_refused(server, words, line):
    """Two hosts, no host, no such method, and so on."""
    with socket.create_connection(server.server_address) as connection:
        host = f"Host: 127.0.0.1:{server.server_port}\r\n"
        connection.sendall(f"{words}\r\n".format(host=host).encode())
        said = connection.makefile().read()
    assert said.splitlines()[-1] == line.format(url=server.url)
    assert "<" not in said


def test_localhost_is_this_machine(server):
    assert ask(server, "GET", "/", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_gets_no_answer(server, origin):
    refused(post(server, json.dumps(RIGHT).encode(), Origin=origin), 403)
    own = f"http://127.0.0.1:{server.server_port}"
    assert post(server, json.dumps(RIGHT).encode(), Origin=own)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/page.html",
     "/restore/../server.py", "/?", "/favicon.ico", "http://evil.example/", "*"],
)  # fmt: skip
def test_no_path_leads_to_a_file(server, path):
    own = f"127.0.0.1:{server.server_port}"
    refused(ask(server, "GET", path, Host=own), 404, "/restore")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/", "GET"), ("GET", "/restore", "POST"), ("PUT", "/restore", "POST"),
     ("DELETE", "/", "GET"), ("PATCH", "/", "GET"), ("OPTIONS", "/restore", "POST")],
)  # fmt: skip
def test_a_method_that_is_not_for_a_path_is_refused(server, method, path, allowed):
    found = ask(server, method, path)
    refused(found, 405, method, allowed)
    assert found[2]["Allow"] == allowed


def test_an_oversize_body_is_refused_before_it_is_read(server):
    refused(post(server, None, Content_Length=str(LARGEST + 1)), 413, str(LARGEST))
    refused(post(server, None, Content_Length="9" * 5000), 413)
    assert post(server, json.dumps(RIGHT).encode().ljust(LARGEST))[0] == 200


@pytest.mark.parametrize("length", [None, "-1", "1e3", "٣", "+5"])
def test_a_body_must_say_how_long_it_is(server, length):
    length = length and length.encode()
    refused(post(server, None, Content_Length=length), 411)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_must_be_declared_as_json(server, kind):
    """Which a foreign page may not do unasked."""
    refused(post(server, json.dumps(RIGHT).encode(), Content_Type=kind), 415)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b'{"t": ' + b"9" * 5000 + b"}", b"NaN", b"{}"]
)
def test_malformed_json_is_refused_with_one_line(server, body):
    refused(post(server, body), 400)


def test_what_is_wrong_in_a_question_is_named(server):
    for change, word in [({"t": 1.5}, "1.5"), ({"clean": [9] * 6}, "got 9"), ({"t": -1}, "-1")]:
        refused(post(server, json.dumps(RIGHT | change).encode()), 400, word)


def test_a_client_that_goes_away_is_not_mentioned(server, capfd):
    with socket.create_connection(server.server_address) as line:
        own = f"Host: 127.0.0.1:{server.server_port}\r\nContent-Type: application/json\r\n"
        line.sendall(f"POST /restore HTTP/1.1\r\n{own}Content-Length: 9\r\n\r\n".encode())
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    assert ask(server, "GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.server_port > 0  # 0 was asked for
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


# ---- the page as a file -------------------------------------------------------------------------


def test_no_data_can_become_markup():
    assert "<" in ALPHABET
    written = page(messages.data([UNIFORM]))
    [inside] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', written)
    assert "<" not in inside
    assert json.loads(inside)["runs"][0]["alphabet"] == list(ALPHABET)


def test_the_page_is_one_file_of_at_most_400_lines_that_names_no_other():
    written = page({"runs": []})
    assert len(written.splitlines()) <= 400
    assert re.findall(r"(?:src|href)=['\"]?([^'\" >]*)", written) == ["data:,"]
    assert set(re.findall(r"https?://[^\"' ]*", written)) == {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"
    }  # fmt: skip  # names of languages, which nobody fetches
    assert "{{" not in written
