"""The address guard as a switch of the run: for every job of it, whenever it was submitted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from command_harness import Cli
from loopback import Server

TINY = ("--model", "local:whisper-tiny.en")
Serve = Callable[..., Server]


def test_off_on_and_with_a_network_let_through(cli: Cli, serve: Serve) -> None:
    server = serve(lambda request: request.send("200 OK", b"no sound at all" * 200))
    guarded = cli.run("transcribe", server.url(), *TINY, "--address-guard", "--json")
    assert (guarded.code, server.requests) == (1, [])
    (job,) = guarded.json["jobs"]
    assert job["reason"]["code"] == "address_refused"
    assert job["reason"]["message"].startswith("127.0.0.1 leads to a loopback address")

    again = cli.run("retry", job["id"], NARROWBOAT_ADDRESS_GUARD="1")  # the run's, not the job's
    assert (again.code, server.requests) == (1, [])
    allowed = cli.run("retry", job["id"], "--address-guard", "--allow-networks", "127.0.0.0/8,10.1.0.0/16")
    assert "is not media" in allowed.err
    assert len(server.requests) == 1

    server.requests.clear()
    cli.run("transcribe", server.url("/other.mp3"), *TINY)
    assert server.requests


@pytest.mark.parametrize("wrong", ["localhost", "10.0.0.1/8", "x"])
def test_what_is_no_network_is_told(cli: Cli, wrong: str) -> None:
    done = cli.run("transcribe", "a.mp3", "--address-guard", "--allow-networks", f"127.0.0.1/32,{wrong}")
    assert done.code == 2
    assert f"--allow-networks: '{wrong}' is no network (write it as 10.1.0.0/16 or fd12:3456::/48)" in done.err
    assert not (cli.home / "journal.db").exists()
