"""The service among many who want nothing of it: what each costs, and whether it still answers.

    python bench/crowd.py --json figures.json

Covers: idle event streams, downloads that nobody reads, uploads that come a byte at a time, a flood of polls; of each
the memory of the supervisor and how long a look at a job takes meanwhile.
Does not cover: work (``service``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import options
from facts import machine
from service import BOUNDARY, Served, milliseconds, until_ended
from service_files import MIB, File, document

STEP_S = 5.0
FLOOD = 100


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def opened(served: Served, head: str) -> socket.socket:
    """A connection on which so much was said; it reads no more than fits its small buffer."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((served.url.hostname or "", served.url.port or 0))
    made.sendall(f"{head}\r\nhost: 127.0.0.1\r\n".encode())
    return made


def stream(served: Served, _: str) -> socket.socket:
    """One who follows all events."""
    made = opened(served, "GET /v1/events HTTP/1.1")
    made.sendall(b"\r\n")
    return made


def download(served: Served, href: str) -> socket.socket:
    """One who asks for an output and does not read it."""
    made = opened(served, f"GET {href} HTTP/1.1")
    made.sendall(b"\r\n")
    return made


def slow_upload(served: Served, _: str) -> socket.socket:
    """One whose upload has begun."""
    made = opened(served, "POST /v1/jobs HTTP/1.1")
    made.sendall(f"content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: 900000\r\n\r\n".encode())
    made.sendall(f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'.encode())
    return made


def looked(served: Served, job_id: str, seconds: float) -> tuple[list[float], set[int]]:
    """How long looks at a job took, one after another, and how they were answered."""
    took, statuses, end = [], set(), time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        statuses.add(served.ask("GET", f"/v1/jobs/{job_id}")[0])
        took.append(time.perf_counter() - began)
    return took, statuses


def crowd(
    served: Served, job_id: str, count: int, join: Callable[[Served, str], socket.socket], href: str = ""
) -> dict[str, Any]:
    """So many of one sort at once: memory before and while they are there, and looks meanwhile."""
    before = resident(served.pid)
    there = [join(served, href) for _ in range(count)]
    try:
        took, statuses = looked(served, job_id, STEP_S)
        if join is slow_upload:
            for one in there:
                with contextlib.suppress(OSError):
                    one.sendall(b"x")
        held = resident(served.pid) - before
    finally:
        for one in there:
            one.close()
    return {"count": count, "more_mib": round(held / MIB, 2), **_looks(took, statuses)}


def _looks(took: list[float], statuses: set[int]) -> dict[str, Any]:
    return {
        "looks": len(took),
        "statuses": sorted(statuses),
        "p50_ms": milliseconds(took, 0.5),
        "p99_ms": milliseconds(took, 0.99),
    }


async def flood(served: Served, job_id: str) -> dict[str, Any]:
    """As many polls as are answered, each after the last, on connections that stay open."""
    before, took, statuses = resident(served.pid), [], set()
    request = f"GET /v1/jobs/{job_id} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
    end = time.perf_counter() + STEP_S

    async def poll() -> None:
        reader, writer = await asyncio.open_connection(served.url.hostname, served.url.port)
        while (began := time.perf_counter()) < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
            statuses.add(int(head.split()[1]))
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(poll() for _ in range(FLOOD)))
    held = resident(served.pid) - before
    return {"connections": FLOOD, "more_mib": round(held / MIB, 2), **_looks(took, statuses)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add(parser, "--memory", "--json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="narrowboat-bench-") as folder:
        work = Path(folder)
        book = document(work / "book.pdf", 32 * MIB, 4)
        served = Served(work / "home", given.memory)
        _, job = served.send(File("book.pdf", "split", {"sections": "pages:4"}, book, b""))
        job = until_ended(served, [job["id"]])[job["id"]]
        href = max(job["outputs"], key=lambda output: int(output["bytes"]))["href"]
        figures: dict[str, Any] = {
            "machine": machine(),
            "memory": given.memory,
            "nobody": _looks(*looked(served, job["id"], STEP_S)),
            "event_streams": crowd(served, job["id"], 200, stream),
            "downloads_not_read": crowd(served, job["id"], 100, download, href),
            "slow_uploads": crowd(served, job["id"], 32, slow_upload),
            "flood": asyncio.run(flood(served, job["id"])),
            "supervisor_mib": round(resident(served.pid) / MIB, 1),
        }
        served.end(signal.SIGTERM)
        figures["left_in_scratch"] = len([path for path in (served.home / "scratch").rglob("*") if path.is_file()])
        figures["kernel_kills"] = [box["kernel_kills"] for box in served.boxes]
    text = json.dumps(figures, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
