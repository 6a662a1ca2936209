"""What a worker that reads foreign bytes can't do any more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from narrowboat.workers.confinement import reads_foreign_bytes, why_not

WHY = why_not()
needs_filter = pytest.mark.skipif(WHY is not None, reason=f"needs seccomp filters: {WHY}")
CONFINED = """
import ctypes, os, socket, subprocess, sys, threading
go, done = threading.Event(), []
def other():
    go.wait()
    try:
        socket.socket(); done.append("reached")
    except PermissionError:
        done.append("refused")
thread = threading.Thread(target=other); thread.start()  # one that runs before, as a worker's listener does
from narrowboat.workers.confinement import confine
assert confine()
go.set(); thread.join()
"""


def _confined(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_filter
def test_no_network_in_any_thread_nor_in_what_it_starts() -> None:
    code = """
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    try:
        socket.socket(family); done.append("reached")
    except PermissionError:
        done.append("refused")
child = "import socket\\ntry: socket.socket(); print('reached')\\nexcept PermissionError: print('refused')"
done.append(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
one, other = socket.socketpair(); one.send(b"x"); done.append(other.recv(1).decode())
print(*done)
"""
    assert _confined(code) == "refused refused refused refused refused refused x"


@needs_filter
def test_secrets_are_gone_from_the_environment_and_from_where_it_lay() -> None:
    code = """
shown = open("/proc/self/environ", "rb").read()
print("hush" in str(os.environ), b"hush" in shown, os.environ["PLAIN"], b"PLAIN=yes" in shown)
"""
    secrets = {"GEMINI_API_KEY": "hush", "NARROWBOAT_KEYS": "hush", "NARROWBOAT_WEBHOOK_SECRET": "hush"}
    assert _confined(code, **secrets, AWS_SESSION_TOKEN="hush", PLAIN="yes") == "False False yes True"


@needs_filter
def test_no_new_privileges_and_no_way_around() -> None:
    code = """
libc = ctypes.CDLL(None, use_errno=True)
told = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("NoNewPrivs", "Seccomp:"))]
told.append(libc.syscall(425, 1, 0)); told.append(ctypes.get_errno())
told.append(libc.ptrace(16, os.getppid(), 0, 0))
print(*told)
"""
    assert _confined(code) == "1 2 -1 38 -1"


@pytest.mark.parametrize(
    ("function", "confined"),
    [
        ("narrowboat.media.probe:probe", True),
        ("narrowboat.pipelines.pose.steps:follow", True),
        ("narrowboat.pipelines.extract.finding:find", True),
        ("narrowboat.sources.feed:read", True),
        ("narrowboat.sources.http:fetch", False),
        ("narrowboat.sources.feed_document:get", False),
        ("narrowboat.pipelines.extract.asking:ask", False),
        ("narrowboat.engines.speech.remote:listen", False),
        ("somebody.elses:step", False),
    ],
)
def test_who_reads_and_who_talks(function: str, confined: bool) -> None:
    assert reads_foreign_bytes(function) is confined
