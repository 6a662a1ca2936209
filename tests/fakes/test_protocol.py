"""What the clients of the vendors do not do: wrong offsets, lost answers, keys in addresses, wrong switches, crowds."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.running import TESTS, EngineServer, running

MIB = 1 << 20
KEY = {"x-goog-api-key": "a-key"}
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
QUESTION = {"contents": [{"parts": [{"text": "What floats?"}]}]}


class Wire:
    """Plain HTTP to a server."""

    def __init__(self, server: EngineServer) -> None:
        self._host = urlsplit(server.url).netloc

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers in lower case, and the JSON of the answer (or its bytes)."""
        connection = http.client.HTTPConnection(self._host, timeout=20)
        with contextlib.closing(connection):
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, data, {**KEY, **named})
            answer = connection.getresponse()
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
        with contextlib.suppress(ValueError):
            return answer.status, found, json.loads(content)
        return answer.status, found, content

    def start(self, **file: Any) -> str:
        """Begin an upload; the path for its chunks."""
        length = {"X_Goog_Upload_Header_Content_Length": str(file.pop("length"))} if "length" in file else {}
        headers = {"X_Goog_Upload_Protocol": "resumable", "X_Goog_Upload_Command": "start", **length}
        _, found, _ = self("POST", "/upload/v1beta/files", {"file": file}, **headers)
        url = urlsplit(found["x-goog-upload-url"])
        return f"{url.path}?{url.query}"

    def chunk(self, path: str, data: bytes, offset: int, command: str = "upload") -> tuple[int, dict[str, str], Any]:
        return self("POST", path, data, X_Goog_Upload_Command=command, X_Goog_Upload_Offset=str(offset))


@pytest.fixture
def wire(engine_server: EngineServer) -> Wire:
    return Wire(engine_server)


# -- uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_goes_on_where_it_is(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(granularity=1000)
    content = hashlib.shake_256(b"x").digest(2500)
    path = wire.start(name="files/f", length=2500)
    assert wire.chunk(path, content[:1000], 0)[0] == 200
    status, headers, error = wire.chunk(path, content[:1000], 0)
    assert (status, error["error"]["status"], headers["x-goog-upload-size-received"]) == (
        400,
        "INVALID_ARGUMENT",
        "1000",
    )
    _, headers, _ = wire("POST", path, b"", X_Goog_Upload_Command="query")
    assert (headers["x-goog-upload-status"], headers["x-goog-upload-size-received"]) == ("active", "1000")
    assert wire.chunk(path, content[1000:1900], 1000)[0] == 400, "not a multiple of the granularity"
    status, headers, answer = wire.chunk(path, content[1000:], 1000, "upload, finalize")
    assert (status, headers["x-goog-upload-status"], answer["file"]["sizeBytes"]) == (200, "final", "2500")
    assert engine_server.files()[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert wire.chunk(path, b"more", 2500, "upload, finalize")[0] == 404


def test_a_chunk_that_is_cut_on_the_way_leaves_nothing(wire: Wire, engine_server: EngineServer) -> None:
    path = wire.start(name="files/f")
    with socket.create_connection(("127.0.0.1", urlsplit(engine_server.url).port or 0)) as raw:
        head = f"POST {path} HTTP/1.1\r\nX-Goog-Upload-Command: upload, finalize\r\nX-Goog-Upload-Offset: 0\r\n"
        raw.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + bytes(5000))
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1000) == b""
    assert engine_server.log("upload_chunk")[0]["outcome"] == "gone"
    _, headers, _ = wire("POST", path, b"", X_Goog_Upload_Command="query")
    assert headers["x-goog-upload-size-received"] == "0"
    assert wire.chunk(path, b"all", 0, "upload, finalize")[0] == 200
    assert engine_server.files()[0]["size"] == 3


def test_an_upload_may_be_cancelled_or_too_short_or_too_late(wire: Wire, engine_server: EngineServer) -> None:
    path = wire.start(name="files/f")
    assert wire("POST", path, b"", X_Goog_Upload_Command="cancel")[0] == 200
    assert wire.chunk(path, b"x", 0, "upload, finalize")[0] == 404
    assert wire.chunk(wire.start(name="files/short", length=5), b"x", 0, "upload, finalize")[0] == 400
    first, second = wire.start(name="files/same"), wire.start(name="files/same")
    assert wire.chunk(first, b"x", 0, "upload, finalize")[0] == 200
    assert wire.chunk(second, b"x", 0, "upload, finalize")[0] == 409
    assert [file["name"] for file in engine_server.files()] == ["files/same"]


def test_an_answer_may_be_lost_after_the_work(wire: Wire, engine_server: EngineServer) -> None:
    late = [{"kind": "503", "op": "upload_chunk", "late": True}, {"kind": "cut", "op": "file_delete", "nth": 1}]
    engine_server.set(faults=[*late, {"kind": "cut", "op": "file_delete", "nth": 2, "late": True}])
    assert wire.chunk(wire.start(name="files/f"), b"x", 0, "upload, finalize")[0] == 503
    assert [file["name"] for file in engine_server.files()] == ["files/f"]
    with pytest.raises(http.client.RemoteDisconnected):
        wire("DELETE", "/v1beta/files/f")
    assert len(engine_server.files()) == 1
    with pytest.raises(http.client.RemoteDisconnected):
        wire("DELETE", "/v1beta/files/f")
    assert engine_server.files() == []
    assert wire("DELETE", "/v1beta/files/f")[0] == 403


def test_only_hashes_may_be_kept(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(keep_files=False)
    wire.chunk(wire.start(name="files/f"), b"words", 0, "upload, finalize")
    assert engine_server.files()[0]["sha256"] == hashlib.sha256(b"words").hexdigest()


# -- questions --------------------------------------------------------------------------------------------------------


def test_a_key_in_the_address_works_and_is_flagged(engine_server: EngineServer) -> None:
    host = urlsplit(engine_server.url).netloc
    with contextlib.closing(http.client.HTTPConnection(host, timeout=20)) as connection:
        connection.request("POST", f"{GENERATE}?key=secret-in-the-address", json.dumps(QUESTION))
        assert connection.getresponse().status == 200
    assert engine_server.log()[0]["key_in_url"]
    assert "secret-in-the-address" not in json.dumps(engine_server.log())
    with contextlib.closing(http.client.HTTPConnection(host, timeout=20)) as connection:
        connection.request("POST", GENERATE, json.dumps(QUESTION))
        assert connection.getresponse().status == 403


def test_each_key_has_its_quota(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(quota=1)
    keys = ["one", "two", "one"]
    seen = [wire("POST", GENERATE, QUESTION, **{"x-goog-api-key": key})[0] for key in keys]
    assert seen == [200, 200, 429]


def test_at_most_so_many_at_once(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(at_once=2, latency_s=600)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wire, "POST", GENERATE, QUESTION) for _ in range(2)]
        while engine_server.state()["paid"]["now"] < 2:
            pass
        assert wire("POST", GENERATE, QUESTION)[0] == 429
        assert engine_server.state()["paid"]["most"] == 3
        engine_server.reset()
        assert {type(one.exception(20)) for one in waiting} == {http.client.RemoteDisconnected}


def test_a_client_that_leaves_is_seen(engine_server: EngineServer) -> None:
    engine_server.set(latency_s=1)
    body = json.dumps(QUESTION).encode()
    with socket.create_connection(("127.0.0.1", urlsplit(engine_server.url).port or 0)) as raw:
        raw.sendall(
            f"POST {GENERATE} HTTP/1.1\r\nx-goog-api-key: k\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1000) == b""
    assert engine_server.log()[0]["outcome"] == "gone"
    assert engine_server.state()["paid"] == {"now": 0, "most": 1, "all": 1, "answered": 0}


def test_the_same_seed_gives_the_same_faults(wire: Wire, engine_server: EngineServer) -> None:
    runs = []
    for _ in range(2):
        engine_server.set(seed=7)
        engine_server.set(faults=[{"kind": "503", "share": 0.5}])
        runs.append([wire("POST", GENERATE, QUESTION)[0] for _ in range(12)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


def test_rules_are_about_what_they_name(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(faults=[{"kind": "500", "match": "lesson 7", "times": 1}, {"kind": "503", "every": 3}])
    texts = ["lesson 7", "lesson 8", "lesson 7", "lesson 9"]
    asked = [{"contents": [{"parts": [{"text": text}]}]} for text in texts]
    assert [wire("POST", GENERATE, one)[0] for one in asked] == [500, 200, 503, 200]


def test_answers_one_after_the_other(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(answer={"script": ["first", {"then": 2}]})
    found = [wire("POST", GENERATE, QUESTION)[2]["candidates"][0]["content"]["parts"][0]["text"] for _ in range(3)]
    assert found == ["first", '{"then": 2}', '{"then": 2}']


def test_a_question_that_is_too_large(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(most_inline=1000)
    status, _, error = wire("POST", GENERATE, {"contents": [{"parts": [{"text": "x" * 1000}]}]})
    assert (status, error["error"]["message"]) == (400, "Request payload size exceeds the limit: 1000 bytes.")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"contents": []}', b'{"contents": [{"parts": [{}]}]}'])
def test_questions_that_are_none(wire: Wire, body: bytes) -> None:
    assert wire("POST", GENERATE, body)[0] == 400


def test_what_is_not_there(wire: Wire) -> None:
    assert wire("GET", "/v1beta/nothing")[0] == 404
    assert wire("POST", "/upload/v1beta/files", b"raw bytes")[0] == 400


# -- switches and the command -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"latency": 1},
        {"answer": "poetry"},
        {"answer": {"json": 1, "text": "x"}},
        {"faults": ["503", "no such fault"]},
        {"faults": [{"kind": "503", "op": "no such operation"}]},
        {"faults": [{"kind": "503", "often": 3}]},
        {"faults": "503"},
    ],
)
def test_wrong_switches_are_refused_and_change_nothing(wire: Wire, engine_server: EngineServer, switches: Any) -> None:
    with pytest.raises(ValueError, match=r"there is no|answer is|has no|are a list"):
        engine_server.set(quota=0, **switches)
    assert wire("POST", GENERATE, QUESTION)[0] == 200


def test_a_reset_ends_what_hangs(wire: Wire, engine_server: EngineServer) -> None:
    engine_server.set(faults=["hang"], answer={"text": "x"})
    ended: list[type[Exception]] = []

    def ask() -> None:
        try:
            wire("POST", GENERATE, QUESTION)
        except OSError as error:
            ended.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    while not engine_server.log("generate"):
        pass
    engine_server.reset()
    thread.join(20)
    assert ended == [http.client.RemoteDisconnected]
    assert engine_server.log() == []
    text = wire("POST", GENERATE, QUESTION)[2]["candidates"][0]["content"]["parts"][0]["text"]
    assert text == "This is a canned answer."


def test_the_command(tmp_path: Any) -> None:
    wrong = [sys.executable, "-m", "fakes", "--set", "quota_of=1"]
    done = subprocess.run(wrong, cwd=TESTS, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stderr.startswith("fakes: there is no switch quota_of; there are answer, ")
    with running("--folder", str(tmp_path), "--set", 'faults=["500"]', "--set", "models=[]") as server:
        assert Wire(server)("POST", GENERATE, QUESTION)[0] == 404
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


# -- crowds -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quiet() -> Iterator[EngineServer]:
    """A server of its own, whose peak nobody else has raised."""
    with running() as server:
        yield server


def test_a_crowd_costs_it_little(quiet: EngineServer) -> None:
    quiet.set(latency_s=0.5)
    wire, content = Wire(quiet), bytes(2 * MIB)
    idle = [socket.create_connection(("127.0.0.1", urlsplit(quiet.url).port or 0)) for _ in range(300)]
    before = quiet.state()

    def use(number: int) -> int:
        wire.chunk(wire.start(name=f"files/f{number}"), content, 0, "upload, finalize")
        part = {"fileData": {"fileUri": f"files/f{number}"}}
        status, _, _ = wire("POST", GENERATE, {"contents": [{"parts": [part]}]})
        wire("DELETE", f"/v1beta/files/f{number}")
        return status

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(use, range(80))) == {200}
    state = quiet.state()
    for connection in idle:
        connection.close()
    assert before["connections"] >= 300
    assert state["paid"]["most"] > 10
    assert (state["files"]["now"], state["bytes_taken"]) == (0, 160 * MIB)
    assert state["peak_rss_mib"] < 60
