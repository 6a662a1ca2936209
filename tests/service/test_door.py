"""The door: keys, other sites, hostile requests. Nothing outside scratch is touched, nothing leaks, nothing hangs."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from service_harness import BOUNDARY, Served, form

NO_SOUND = b"this is no sound\n" * 50
KEY = "a-long-key-of-the-tests"


def _raw(served: Served, head: str, body: bytes = b"", *, close: bool = False) -> bytes:
    """What is answered to bytes as they are; ``close`` ends our side after them."""
    parts = urlsplit(served.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        if close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
            if b"\r\n\r\n" in answer and not close:
                return answer
        return answer


def _files(home: Path) -> set[Path]:
    """Everything in the home but the journal's own files."""
    return {path for path in home.rglob("*") if path.is_file() and not path.name.startswith(("journal.", "supervisor"))}


# -- keys -----------------------------------------------------------------------------------------------------------


def test_every_operation_but_the_open_ones_needs_a_key(start: Callable[..., Served]) -> None:
    served = start(NARROWBOAT_KEYS=KEY)
    for path, operations in served.get("/openapi.json").json["paths"].items():
        for method, operation in operations.items():
            asked = path.replace("{", "").replace("}", "")
            status = served.ask(method.upper(), asked).status
            if operation.get("security") == []:
                assert status != 401, (method, path)
            else:
                assert status == 401, (method, path)
    served.key = KEY
    assert served.get("/v1/jobs").status == 200
    served.key = KEY + "x"
    refused = served.get("/v1/jobs")
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    signed_in = served.ask("POST", "/session", json_={"key": KEY})
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    served.key = None
    assert served.get("/v1/jobs", cookie=cookie.partition(";")[0]).status == 200


def test_a_key_counts_as_soon_as_it_is_made_and_no_longer_than_until_it_is_revoked(
    start: Callable[..., Served],
) -> None:
    def keys(*args: str) -> str:
        command = [sys.executable, "-m", "narrowboat", "keys", "--home", str(served.home), "--json", *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    served = start(NARROWBOAT_KEYS=KEY)
    made = json.loads(keys("--add", "phone"))["key"]
    assert made not in (served.home / "keys.json").read_text()
    assert (served.home / "keys.json").stat().st_mode & 0o077 == 0
    served.key = made
    assert served.get("/v1/jobs").status == 200
    keys("--revoke", "phone")
    assert served.get("/v1/jobs").status == 401
    assert made not in "".join(json.dumps(line) for line in served.lines)
    assert KEY not in "".join(json.dumps(line) for line in served.lines)


def test_without_a_key_it_listens_on_loopback_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "narrowboat", "serve", "--host", "0.0.0.0", "--home", str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "narrowboat keys --add" in done.stderr


# -- other sites ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
    ],
)
def test_another_site_s_page_changes_nothing(service: Served, headers: dict[str, str]) -> None:
    body, kind = form(NO_SOUND + json.dumps(headers).encode())
    total = service.get("/v1/jobs").json["total"]
    answer = service.ask("POST", "/v1/jobs", body, {**kind, **headers})
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert service.get("/v1/jobs").json["total"] == total
    assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_leads_here_reads_nothing(service: Served) -> None:
    assert service.get("/v1/jobs", host="evil.example").status == 403
    assert service.get("/health/live", host="evil.example").status == 403


def test_every_answer_keeps_a_browser_from_mischief(service: Served) -> None:
    for path in ("/", "/page/app.js", "/v1/jobs", "/nothing", "/health"):
        headers = service.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"


# -- forms ------------------------------------------------------------------------------------------------------------

NAMES = [
    "../../../../tmp/out",
    "/etc/cron.d/out",
    "..\\..\\out.mp3",
    "out.mp3\0.sh",
    ".ssh",
    "..",
    "a/b/c.mp3",
    "-rf",
    "con.mp3",
    "x" * 5000 + ".mp3",
    "\u202egpj.exe",
    "a\nb.mp3",
    "%2e%2e%2fout.mp3",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_a_name_never_leads_out_of_its_folder(service: Served, name: str) -> None:
    before = _files(service.home)
    taken = service.upload(NO_SOUND + name.encode(), name.replace("\n", "%0A"))
    assert taken.status in (201, 400), taken.body
    if taken.status == 201:
        job = service.until_ended(taken.json["id"])
        assert "/" not in job["source"].replace("%2f", "")
        assert job["state"] == "failed"
    assert _files(service.home) == before
    assert not Path("/tmp/out").exists()


def _form(*parts: str, end: str = "--\r\n") -> bytes:
    return "".join(f"--{BOUNDARY}\r\n{part}\r\n" for part in parts).encode() + f"--{BOUNDARY}{end}".encode()


FILE = 'content-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nno sound'
WRONG_FORMS = {
    "10,000 parts": _form(*(f'content-disposition: form-data; name="f{n}"\r\n\r\nx' for n in range(10_000))),
    "two files": _form(FILE, FILE),
    "no file": _form('content-disposition: form-data; name="label"\r\n\r\nx'),
    "empty file": _form('content-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'),
    "no name": _form("content-disposition: form-data\r\n\r\nx"),
    "no disposition": _form("content-type: text/plain\r\n\r\nx"),
    "huge header": _form("x-much: " + "y" * 100_000 + "\r\n\r\nx"),
    "huge field": _form('content-disposition: form-data; name="label"\r\n\r\n' + "y" * 2_000_000),
    "unknown field": _form('content-disposition: form-data; name="surprise"\r\n\r\nx', FILE),
    "no UTF-8": _form('content-disposition: form-data; name="label"\r\n\r\n').replace(
        b"\r\n\r\n", b"\r\n\r\n\xff\xfe", 1
    ),
    "options no JSON": _form('content-disposition: form-data; name="options"\r\n\r\n{', FILE),
    "options deep": _form('content-disposition: form-data; name="options"\r\n\r\n' + "[" * 100_000, FILE),
    "cut": _form(FILE)[:-20],
    "no end": _form(FILE, end=""),
    "no form": b"nothing of the kind",
    "nothing": b"",
}


@pytest.mark.parametrize("body", WRONG_FORMS.values(), ids=WRONG_FORMS.keys())
def test_a_form_that_is_wrong_is_refused_and_leaves_nothing(service: Served, body: bytes) -> None:
    total = service.get("/v1/jobs").json["total"]
    answer = service.ask("POST", "/v1/jobs", body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
    assert answer.status in (400, 413, 422), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.leftovers() == []
    assert service.get("/v1/jobs").json["total"] == total


def test_an_upload_is_capped_while_it_comes(service: Served) -> None:
    body, headers = form(bytes(21 << 20))
    connection = service.connection()
    connection.putrequest("POST", "/v1/jobs")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    sent = 0
    try:
        for at in range(0, len(body), 1 << 20):
            piece = body[at : at + (1 << 20)]
            connection.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent += len(piece)
        connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has said enough
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["facts"]["limit_bytes"] == 20 << 20
    connection.close()
    declared = _raw(
        service,
        f"POST /v1/jobs HTTP/1.1\nHost: localhost\nContent-Length: {1 << 40}\nContent-Type: {headers['content-type']}",
    )
    assert declared.startswith(b"HTTP/1.1 413")
    assert service.leftovers() == []


def test_a_client_that_leaves_in_the_middle_leaves_nothing(service: Served) -> None:
    body, headers = form(bytes(1 << 20))
    head = (
        f"POST /v1/jobs HTTP/1.1\nHost: localhost\nContent-Length: {len(body)}\nContent-Type: {headers['content-type']}"
    )
    for part in (10, 200, len(body) // 2, len(body) - 5):
        _raw(service, head, body[:part], close=True)
    assert service.get("/health").json["queued"] == 0
    assert service.leftovers() == []


# -- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "GET /" + "a" * 100_000 + " HTTP/1.1\nHost: localhost",
        "GET / HTTP/1.1\nHost: localhost\nX-Much: " + "a" * 400_000,
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\nHost: localhost\nHost: evil.example",
        "NONSENSE\x01 / HTTP/1.1\nHost: localhost",
        "POST /v1/jobs HTTP/1.1\nHost: localhost\nContent-Length: 5\nContent-Length: 6",
        "POST /v1/jobs HTTP/1.1\nHost: localhost\nContent-Length: -1",
        "POST /v1/jobs HTTP/1.1\nHost: localhost\nTransfer-Encoding: gzip, chunked",
        "GET /../../etc/passwd HTTP/1.1\nHost: localhost",
        "GET /page/..%2f..%2fkeys.json HTTP/1.1\nHost: localhost",
        "GET /page/%2e%2e/keys.json HTTP/1.1\nHost: localhost",
        "GET /v1/jobs/..%2f..%2fetc%2fpasswd HTTP/1.1\nHost: localhost",
        "GET /v1/jobs/%00 HTTP/1.1\nHost: localhost",
        "GET /v1/jobs/%ff%fe HTTP/1.1\nHost: localhost",
        "CONNECT evil.example:443 HTTP/1.1\nHost: localhost",
        "TRACE / HTTP/1.1\nHost: localhost",
        "OPTIONS * HTTP/1.1\nHost: localhost",
        "GET http://169.254.169.254/ HTTP/1.1\nHost: localhost",
    ],
    ids=range(18),
)
def test_a_head_that_is_wrong_is_refused(service: Served, head: str) -> None:
    answer = _raw(service, head)
    assert answer[9:12] in (b"400", b"403", b"404", b"405", b"414", b"431"), answer[:200]
    assert b"root:" not in answer
    assert str(service.home).encode() not in answer


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 200_000, 400),
        ("application/json", b'{"source": NaN}', 400),
        ("application/json", b'{"source": "https://x.example/' + b"a" * 5000 + b'"}', 400),
        ("application/json", b'{"source": "https://x.example/a", "label": "' + b"a" * 2_000_000 + b'"}', 413),
        ("application/json", b'{"source": "https://x.example/a", "label": "\\u0000"}', 400),
        ("application/json", b'{"source": "https://x.example/a", "again": "yes"}', 400),
        ("application/json", b'{"source": 1}', 400),
        ("application/json", b"[]", 400),
    ],
)
def test_a_body_that_is_wrong_is_refused(service: Served, kind: str, body: bytes, status: int) -> None:
    answer = service.ask("POST", "/v1/jobs", body, {"content-type": kind} if kind else {})
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"


def test_too_many_jobs_are_told_when_to_come_again(start: Callable[..., Served], speech: Path) -> None:
    served = start("--max-queue", "1")
    with served.events("/v1/events") as events:
        taken = served.upload(speech.read_bytes())
        next(name for name, data in events if name == "job" and data["state"] == "running")
        refused = served.upload(NO_SOUND)
        assert (refused.status, refused.json["code"]) == (429, "queue_full")
        assert 1 <= int(refused.headers["retry-after"]) <= 600
        assert served.ask("POST", f"/v1/jobs/{taken.json['id']}/cancel").status == 200
    assert served.upload(NO_SOUND).status == 201


def test_what_can_never_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    served = Served(tmp_path / "home", "--memory", "200M")
    try:
        refused = served.upload(NO_SOUND, options=json.dumps({"model": "local:whisper-base"}))
        assert (refused.status, refused.json["code"]) == (422, "cannot_fit")
        assert refused.json["facts"]["demand_bytes"] > refused.json["facts"]["budget_bytes"]
        assert served.leftovers() == []
    finally:
        served.close()


def test_the_connection_of_a_slow_reader_is_not_everybody_s(service: Served) -> None:
    streams = []
    for _ in range(50):
        connection = service.connection()
        connection.request("GET", "/v1/events")
        streams.append((connection, connection.getresponse()))
    assert all(answer.status == 200 for _, answer in streams)
    assert service.get("/v1/jobs").status == 200
    for connection, _ in streams:
        connection.close()


def test_metrics_are_read_by_prometheus_own_parser(service: Served) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    found = {family.name for family in parser.text_string_to_metric_families(service.get("/metrics").body.decode())}
    assert {"narrowboat_used_bytes", "narrowboat_jobs", "narrowboat_requests", "narrowboat_request_seconds"} <= found
    assert isinstance(service.connection(), http.client.HTTPConnection)
