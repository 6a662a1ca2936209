"""The address guard: where an address, a redirect or a name may lead, by real requests."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Request, Scratch, Server

from narrowboat.errors import AddressRefused, FetchError, NarrowboatError
from narrowboat.networks import parse_networks
from narrowboat.sources.address_guard import AddressGuard
from narrowboat.sources.client import Client, Passing
from narrowboat.sources.connections import Pace
from narrowboat.sources.http import fetch, validate

Serve = Callable[..., Server]
BODY = bytes(range(256)) * 8


class Trap:
    """Listens at every address of this machine, both kinds, and counts who connects."""

    def __init__(self) -> None:
        try:
            self._listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            self._listener = socket.create_server(("0.0.0.0", 0))
        self.port = self._listener.getsockname()[1]
        self.caught = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self._listener.accept()
                self.caught += 1
                with conn, contextlib.suppress(OSError):
                    conn.recv(4096)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


def client(*allowed: str, resolve: Callable[..., Any] = socket.getaddrinfo, guarded: bool = True) -> Client:
    guard = AddressGuard(parse_networks(allowed), resolve) if guarded else None
    return Client(Pace(5, time.monotonic() + 20), 2, guard)


def answers(*texts: str) -> Callable[..., list[tuple[Any, ...]]]:
    """A resolver that has the same addresses for every name."""

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        found = []
        for text in texts:
            if ":" in text:
                found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0)))
            else:
                found.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)))
        return found

    return resolve


#: What follows ``http://`` and comes before the path; ``{port}`` is the trap's.
HOSTILE = [
    # as they are
    "127.0.0.1:{port}",
    "127.8.9.10:{port}",
    "0.0.0.0:{port}",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]:{port}",
    "[::]:{port}",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    # an address inside an address
    "[::ffff:127.0.0.1]:{port}",
    "[::ffff:7f00:1]:{port}",
    "[::127.0.0.1]:{port}",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    # odd spellings: of loopback, and of a public address too, since nobody writes one so in good faith
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0x7F.0.0.1:{port}",
    "017700000001:{port}",
    "0177.0.0.1:{port}",
    "127.1:{port}",
    "127.0.1:{port}",
    "127.0.0.1.:{port}",
    "127.0.0.0x1:{port}",
    "0:{port}",
    "134744072",
    "0x08080808",
    "8.8.8.8.",
    "8.8.2056",
    # zones, users, brackets
    "[fe80::1%25eth0]",
    "[::1%25lo]:{port}",
    "example.org@127.0.0.1:{port}",
    "example.org:80@127.0.0.1:{port}",
    "8.8.8.8%40@127.0.0.1:{port}",
    "127.0.0.1:{port}#@example.org",
    "127.0.0.1:{port}?@example.org",
    # no names at all
    "exa_mple..org",
    "a-.org",
    # ports that are not the web's
    "8.8.8.8:22",
    "8.8.8.8:25",
    "8.8.8.8:0",
    "[2606:4700::1111]:53",
]


#: Names that are known only inside.
NAMES = [
    "localhost:{port}",
    "LOCALHOST:{port}",
    "localhost.:{port}",
    "a.localhost:{port}",
    "localhost.localdomain:{port}",
    "ip6-localhost:{port}",
    "metadata.google.internal",
    "metadata.google.internal.",
    "metadata",
    "router.local",
    "nas.lan",
    "wiki.corp",
    "printer.home.arpa",
    "1.0.0.127.in-addr.arpa",
]


@pytest.mark.parametrize("host", [*HOSTILE, *NAMES])
def test_hostile_addresses_are_refused(host: str, trap: Trap) -> None:
    before = trap.caught
    with pytest.raises(AddressRefused) as caught:
        client().open("GET", f"http://{host.format(port=trap.port)}/latest/meta-data").close()
    assert "the address guard lets only public addresses through" in caught.value.message
    assert trap.caught == before


#: Digits, dots and letters that are mapped to plain ones: not let through, whether the mapping is installed or not.
UNICODE = ["①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhoſt", "loc\u00adalhost", "127.0.0.1\uff0e"]


@pytest.mark.parametrize("host", UNICODE)
def test_letters_that_stand_for_others_lead_nowhere(host: str, trap: Trap) -> None:
    before = trap.caught
    with pytest.raises(NarrowboatError):
        client().open("GET", f"http://{host}:{trap.port}/").close()
    assert trap.caught == before


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "x@127.0.0.1"])
def test_without_a_guard_they_would_be_reached(host: str, trap: Trap) -> None:
    before = trap.caught
    client(guarded=False).open("GET", f"http://{host}:{trap.port}/").close()
    assert trap.caught == before + 1


@pytest.mark.parametrize("host", HOSTILE)
def test_hostile_redirects_are_refused(host: str, serve: Serve, scratch: Scratch, trap: Trap) -> None:
    """From a server that is let through: the redirect leads to what is not."""
    scratch.context.allowed_networks = ["127.77.0.1/32"]
    before = trap.caught
    target = f"http://{host.format(port=trap.port)}/latest/meta-data"
    server = serve(lambda r: r.send("302 Found", Location=target), host="127.77.0.1")
    with pytest.raises(AddressRefused):
        fetch({"url": server.url(), "backoff_s": 0})
    assert {request.method for request in server.requests} == {"GET"}
    assert trap.caught == before
    assert scratch.names() == []


@pytest.mark.parametrize("host", NAMES)
def test_redirects_to_names_of_inside_are_refused(host: str, serve: Serve, trap: Trap) -> None:
    """They are looked up where a network is let through, and lead to that alone."""
    before = trap.caught
    target = f"http://{host.format(port=trap.port)}/latest/meta-data"
    server = serve(lambda r: r.send("302 Found", Location=target), host="127.77.0.1")

    def resolve(host: str, port: int, **given: Any) -> list[tuple[Any, ...]]:
        return answers(host if host == "127.77.0.1" else "127.0.0.1")(host, port, **given)

    with pytest.raises(AddressRefused, match="known only inside a network"):
        client("127.77.0.1/32", resolve=resolve).open("GET", server.url()).close()
    assert (len(server.requests), trap.caught) == (1, before)


def test_a_redirect_at_the_end_of_many(serve: Serve, scratch: Scratch, trap: Trap) -> None:
    scratch.context.allowed_networks = ["127.0.0.1/32"]
    before = trap.caught

    def answer(request: Request) -> None:
        far = request.number > 5
        request.send("307 On", Location=f"http://127.0.0.2:{trap.port}/" if far else f"/{request.number}")

    server = serve(answer)
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2 leads to a loopback address"):
        fetch({"url": server.url()})
    with pytest.raises(AddressRefused):
        validate({"url": server.url(), "backoff_s": 0})
    server.requests.clear()
    with pytest.raises(AddressRefused):
        fetch({"url": server.url()})
    assert (len(server.requests), trap.caught) == (6, before)


@pytest.mark.parametrize(
    "found",
    [
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("8.8.8.8", "127.0.0.1"),  # one that is inside among others is enough
        ("2606:4700::1111", "fd00::1"),
        ("fe80::1%eth0",),
    ],
)
def test_a_name_with_an_address_inside_is_refused(found: tuple[str, ...], trap: Trap) -> None:
    before = trap.caught
    with pytest.raises(AddressRefused, match=r"cdn\.example\.org leads to"):
        client(resolve=answers(*found)).open("GET", f"http://cdn.example.org:{trap.port}/")
    assert trap.caught == before


def test_an_answer_that_changes_after_the_check(serve: Serve, trap: Trap) -> None:
    """What was checked is what is connected to; the next connection is checked anew."""
    server = serve(lambda r: r.send("200 OK", BODY))
    port = server.url().rpartition(":")[2].partition("/")[0]
    asked = []

    def changing(host: str, port: int, **given: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return answers("127.0.0.1" if len(asked) == 1 else "127.0.0.9")(host, port, **given)

    opened = client("127.0.0.1/32", resolve=changing)
    with contextlib.closing(opened.open("GET", f"http://rebound.example.org:{port}/a")) as answer:
        assert answer.read() == BODY
    assert asked == ["rebound.example.org"]  # once: nobody else asks for the name
    assert server.requests[0].headers["host"] == f"rebound.example.org:{port}"
    with pytest.raises(AddressRefused, match=r"rebound\.example\.org leads to a loopback address"):
        opened.open("GET", f"http://rebound.example.org:{port}/a")
    assert len(asked) == 2 and len(server.requests) == 1


def test_an_answer_that_changes_between_tries(serve: Serve, trap: Trap) -> None:
    server = serve(lambda r: r.send("302 Found", Location=r.path + "x"))
    port = server.url().rpartition(":")[2].partition("/")[0]
    asked: list[str] = []

    def changing(host: str, port: int, **given: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return answers("127.0.0.1" if len(asked) < 4 else "192.168.0.1")(host, port, **given)

    with pytest.raises(AddressRefused):
        client("127.0.0.1/32", resolve=changing).open("GET", f"http://rebound.example.org:{port}/a")
    assert (len(asked), len(server.requests)) == (4, 3)


def test_the_next_address_is_tried_where_one_does_not_answer(serve: Serve) -> None:
    server = serve(lambda r: r.send("200 OK", BODY))
    port = server.url().rpartition(":")[2].partition("/")[0]
    opened = client("127.0.0.0/8", resolve=answers("127.0.0.3", "127.0.0.1"))
    with contextlib.closing(opened.open("GET", f"http://cdn.example.org:{port}/a")) as answer:
        assert answer.read() == BODY


def test_a_name_of_inside_leads_to_what_is_allowed_and_no_further(serve: Serve) -> None:
    server = serve(lambda r: r.send("200 OK", BODY))
    port = server.url().rpartition(":")[2].partition("/")[0]
    url = f"http://media.corp:{port}/a"
    client("127.0.0.1/32", resolve=answers("127.0.0.1")).open("GET", url).close()
    with pytest.raises(AddressRefused, match="only inside"):
        client("127.0.0.1/32", resolve=answers("8.8.8.8")).open("GET", url)


def test_what_is_allowed_works_and_its_neighbour_does_not(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY))
    scratch.context.allowed_networks = ["127.0.0.1/32"]
    assert Path(fetch({"url": server.url()})["path"]).read_bytes() == BODY
    with pytest.raises(AddressRefused):
        fetch({"url": server.url().replace("127.0.0.1", "127.0.0.2")})


def test_ipv6_that_is_allowed_works() -> None:
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        except OSError:
            pytest.skip("needs IPv6 on loopback")
        port = listener.getsockname()[1]

        def serve_one() -> None:
            conn, _ = listener.accept()
            with conn:
                conn.recv(4096)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        thread = threading.Thread(target=serve_one)
        thread.start()
        with contextlib.closing(client("::1/128").open("GET", f"http://[::1]:{port}/")) as answer:
            assert answer.read() == b"ok"
        thread.join(5)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_is_still_of_the_name(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is of the name: an address that was checked and shows another one's is not trusted."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -addext subjectAltName=DNS:cdn.example.org"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], capture_output=True, check=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = serve(lambda r: r.send("200 OK", BODY), tls)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    port = server.url().rpartition(":")[2].partition("/")[0]
    opened = client("127.0.0.1/32", resolve=answers("127.0.0.1"))
    with contextlib.closing(opened.open("GET", f"https://cdn.example.org:{port}/")) as answer:
        assert answer.read() == BODY
    assert server.requests[0].headers["host"] == f"cdn.example.org:{port}"
    with pytest.raises(NarrowboatError, match="shows a certificate that is not trusted"):
        opened.open("GET", f"https://www.example.org:{port}/")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_is_used(
    serve: Serve, scratch: Scratch, trap: Trap, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{trap.port}")
    before = trap.caught
    scratch.context.allowed_networks = ["127.0.0.1/32"]
    fetch({"url": serve(lambda r: r.send("200 OK", BODY)).url()})
    assert trap.caught == before


def test_nobody_there_and_no_such_name(scratch: Scratch, serve: Serve) -> None:
    server = serve(lambda r: None)
    server.close()
    scratch.context.allowed_networks = ["127.0.0.1/32"]
    with pytest.raises(FetchError, match="can't be reached: Connection refused"):
        fetch({"url": server.url(), "backoff_s": 0})

    def unknown(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Passing, match="its name is not known here"):
        client(resolve=unknown).open("GET", "http://nowhere.example.org/")
    with pytest.raises(Passing, match="its name is not known here"):
        client(resolve=answers()).open("GET", "http://nowhere.example.org/")


def test_public_addresses_pass_the_check() -> None:
    """Without connecting: the check of a name whose addresses are public says nothing."""
    reached = []

    class Stopped(Exception):
        pass

    def resolve(host: str, port: int, **given: Any) -> list[tuple[Any, ...]]:
        reached.append(host)
        raise Stopped

    for host in (
        "example.org",
        "EXAMPLE.org.",
        "xn--bcher-kva.example.com",
        "1.1.1.1",
        "[2606:4700::1111]",
        "1e100.net",
    ):
        with pytest.raises(Stopped):
            client(resolve=resolve).open("GET", f"http://{host}:8080/a.mp3")
    assert len(reached) == 6
