"""The service under load, and killed under load.

    python bench/service.py --json figures.json            # 20 clients, 50 uploads, in a box of 512M
    python bench/service.py --kills 20 --json figures.json  # kill -9 in the middle, again and again

Covers: what becomes of every upload (some are no recordings on purpose: exactly these have to fail, and for their
source), kernel kills, answers 5xx, how long a look at a job takes while workers compute,
whether the page is alive, memory of the idle service with its fork server; after kills: every job that was taken in
ends, none twice, nothing is left in scratch. Exits 1 when one of these does not hold.
Does not cover: single requests (``tests/service``).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from facts import machine
from service_files import MIB, File, mixed

BOX = Path(__file__).parent / "box.py"
ENDED = ("done", "failed", "cancelled")
BOUNDARY = "narrowboat-benchmark"
IDLE_S = 5.0


class Served:
    """A service in a box, started again as often as asked."""

    def __init__(self, home: Path, memory: str) -> None:
        self.home, self.memory = home, memory
        self.boxes: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        log = self.home.parent / f"service-{len(self.boxes)}.log"
        serve = f'exec "{sys.executable}" -m narrowboat serve --port 0 --home "{self.home}" --log json 2> "{log}"'
        command = [sys.executable, str(BOX), self.memory, "--", "sh", "-c", serve]
        self.box = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while True:
            found = [json.loads(line) for line in (log.read_text() if log.exists() else "").splitlines()]
            up = next((line for line in found if line.get("event") == "listening"), None)
            if up is not None:
                break
            if self.box.poll() is not None:
                raise SystemExit(f"the service did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
        self.url, self.pid = urlsplit(up["address"]), up["pid"]

    def end(self, number: int) -> None:
        os.kill(self.pid, number)
        out, _ = self.box.communicate()
        self.boxes.append(json.loads(out.strip().splitlines()[-1]))

    def ask(self, method: str, path: str, *, timeout: float = 120) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.url.hostname or "", self.url.port, timeout=timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def send(self, file: File) -> tuple[int, Any]:
        head = "".join(
            f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (("pipeline", file.pipeline), ("options", json.dumps(file.options)))
        )
        head += f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        end = f"\r\n--{BOUNDARY}--\r\n"
        connection = http.client.HTTPConnection(self.url.hostname or "", self.url.port, timeout=600)
        try:
            connection.putrequest("POST", "/v1/jobs")
            connection.putheader("content-type", f"multipart/form-data; boundary={BOUNDARY}")
            connection.putheader("content-length", str(len(head) + file.size + len(end)))
            connection.endheaders()
            connection.send(head.encode())
            for piece in file.pieces():
                connection.send(piece)
            connection.send(end.encode())
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Looks:
    """Looks at jobs and at the page, from a thread of its own, and how long each takes."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.ids: list[str] = []
        self.seconds: list[float] = []
        self.page: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            if self.ids:
                self.seconds.append(self._look(f"/v1/jobs/{random.choice(self.ids)}"))
            if len(self.seconds) % 20 == 0:
                self.page.append(self._look("/"))

    def _look(self, path: str) -> float:
        began = time.perf_counter()
        status, _ = self._served.ask("GET", path)
        self.statuses[status] += 1
        return time.perf_counter() - began

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def load(served: Served, files: list[File], clients: int) -> dict[str, Any]:
    """All files by so many clients at once, until every job has ended."""
    todo: queue.SimpleQueue[File] = queue.SimpleQueue()
    for file in files:
        todo.put(file)
    statuses: Counter[int] = Counter()
    taken: dict[str, File] = {}
    looks = Looks(served)
    began = time.perf_counter()

    def client() -> None:
        while True:
            try:
                file = todo.get_nowait()
            except queue.Empty:
                return
            while True:
                status, answer = served.send(file)
                statuses[status] += 1
                if status == 201:
                    taken[answer["id"]] = file
                    looks.ids.append(answer["id"])
                if status != 429:
                    break
                time.sleep(min(5, answer["facts"].get("retry_after_s", 5)))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent_s = time.perf_counter() - began
    ended = until_ended(served, list(taken))
    looks.end()
    return {
        "uploads": len(files),
        "taken": len(taken),
        "upload_statuses": {str(status): number for status, number in sorted(statuses.items())},
        **ends(taken, ended),
        "sent_s": round(sent_s, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "looks": len(looks.seconds),
        "look_statuses": {str(status): number for status, number in sorted(looks.statuses.items())},
        "look_p50_ms": milliseconds(looks.seconds, 0.5),
        "look_p99_ms": milliseconds(looks.seconds, 0.99),
        "look_max_ms": milliseconds(looks.seconds, 1.0),
        "page_p99_ms": milliseconds(looks.page, 0.99),
    }


def ends(taken: dict[str, File], ended: dict[str, Any]) -> dict[str, Any]:
    """How the jobs of each kind of file had to end and did, and those that ended otherwise."""
    kinds: dict[str, dict[str, Any]] = {}
    wrong = []
    for job_id, file in taken.items():
        job = ended[job_id]
        end = job["reason"]["code"] if job["state"] == "failed" else job["state"]
        kind = kinds.setdefault(file.path.name, {"jobs": 0, "has_to_end": file.end, "ended": Counter()})
        kind["jobs"] += 1
        kind["ended"][end] += 1
        if end != file.end:
            wrong.append({"id": job_id, "file": file.name, "state": job["state"], "reason": job["reason"]})
    return {"kinds": kinds, "ended_otherwise": wrong}


def milliseconds(seconds: list[float], part: float) -> float:
    """The so-manieth part of them, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)


def until_ended(served: Served, ids: list[str]) -> dict[str, Any]:
    """The jobs, once all have ended."""
    found: dict[str, Any] = {}
    while len(found) < len(ids):
        for job_id in ids:
            if job_id not in found:
                job = json.loads(served.ask("GET", f"/v1/jobs/{job_id}")[1])
                if job["state"] in ENDED:
                    found[job_id] = job
        time.sleep(1)
    return found


def kills(served: Served, files: list[File], count: int, seed: int) -> dict[str, Any]:
    """Send files and kill the supervisor in the middle, so many times; then let it end."""
    chance = random.Random(seed)
    taken: dict[str, File] = {}
    todo = list(files)
    for _ in range(count):
        sending = threading.Thread(target=_send_some, args=(served, todo, taken, chance.randint(1, 3)))
        sending.start()
        time.sleep(chance.uniform(0.1, 3.0))
        served.end(signal.SIGKILL)
        sending.join()
        served.start()
    while todo:
        _send_some(served, todo, taken, len(todo))
    ended = until_ended(served, sorted(taken))
    listed = json.loads(served.ask("GET", "/v1/jobs?limit=200")[1])
    return {
        "kills": count,
        "taken": len(taken),
        "jobs": listed["total"],
        "jobs_of_files": len(files),
        **ends(taken, ended),
        "outputs_twice": sum(
            len(job["outputs"]) != len({out["name"] for out in job["outputs"]}) for job in ended.values()
        ),
    }


def _send_some(served: Served, todo: list[File], taken: dict[str, File], count: int) -> None:
    for _ in range(min(count, len(todo))):
        file = todo[0]
        try:
            status, answer = served.send(file)
        except (OSError, http.client.HTTPException, ValueError):
            return  # it was killed; the file is sent again
        if status == 201:
            taken[answer["id"]] = file
            todo.pop(0)


def idle(served: Served) -> dict[str, float]:
    """MiB that a service that has nothing to do uses with its fork server, as it says itself after a while."""
    time.sleep(IDLE_S)
    memory = json.loads(served.ask("GET", "/health/memory")[1])
    return {
        "idle_used_mib": round(memory["used_bytes"] / MIB, 1),
        "idle_peak_mib": round(memory["peak_used_bytes"] / MIB, 1),
    }


def failings(figures: dict[str, Any]) -> list[str]:
    """What has to hold and does not, in words."""
    answers = [*figures.get("upload_statuses", {}), *figures.get("look_statuses", {})]
    checks = {
        "jobs ended otherwise than they had to": figures["ended_otherwise"],
        "files are left in scratch": figures["left_in_scratch"],
        "the kernel killed": any(figures["kernel_kills"]),
        "answers 5xx": any(status.startswith("5") for status in answers),
        "some jobs are there twice": figures.get("outputs_twice")
        or figures.get("jobs") != figures.get("jobs_of_files"),
    }
    return [said for said, failed in checks.items() if failed]


def packs() -> tuple[Path, Path]:
    """The samples; the models are fetched too."""
    wanted = ["whisper-tiny.en", "pose", "sample-two-cities", "sample-walk"]
    command = [sys.executable, "-m", "narrowboat", "models", "pull", *wanted, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    paths = {pack["name"]: Path(pack["path"]) for pack in json.loads(done.stdout)["packs"]}
    return paths["sample-two-cities"] / "two_cities.wav", next(paths["sample-walk"].glob("*.mp4"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", default="512M")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--hour", type=float, default=3600.0, help="seconds of the long recordings")
    parser.add_argument("--pdf", type=int, default=180, help="MiB of a document")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    speech, walk = packs()
    with tempfile.TemporaryDirectory(prefix="narrowboat-bench-") as folder:
        work = Path(folder)
        files = mixed(work, speech, walk, hour_s=given.hour, count=given.uploads, pdf_bytes=given.pdf * MIB)
        served = Served(work / "home", given.memory)
        figures: dict[str, Any] = {"machine": machine(), "memory": given.memory, "seed": given.seed, **idle(served)}
        if given.kills:
            figures |= kills(served, files, given.kills, given.seed)
        else:
            figures |= load(served, files, given.clients)
        served.end(signal.SIGTERM)
        figures["left_in_scratch"] = len([path for path in (served.home / "scratch").rglob("*") if path.is_file()])
        for name in ("enforced", "kernel_kills", "peak_used"):
            figures[name] = [box[name] for box in served.boxes]
        figures["failings"] = failings(figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")
    return 1 if figures["failings"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
