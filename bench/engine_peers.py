"""The engines against fakes that are not ours, and our fakes against a client that is not the vendors'.

    python bench/engine_peers.py [--folder build/peers] [--json FILE]

Covers: an environment of its own with litellm and llmock, and aimock where npm is; litellm drives the fakes of
``tests/fakes`` (``litellm_on_fakes.py``); our clients ask llmock and aimock, which speak generateContent and
chat/completions, answers and failures. The exit code is 0 only when every check held; a peer that can't be had is
named. Does not cover: the vendors' own clients on the fakes (``tests/fakes``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from facts import machine

from narrowboat.engines import gemini, openai_compatible
from narrowboat.engines.answers import Answer
from narrowboat.engines.remote import RemoteModel, remote_model
from narrowboat.errors import RemoteError

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
PYTHON_PEERS = ["litellm==1.110.2", "llmock==0.2.2"]
NODE_PEERS = ["@copilotkit/aimock@1.43.0"]
START_S = 60
#: Where each peer has Gemini; OpenAI is under /v1.
GEMINI_AT = {"llmock": "/gemini/v1beta", "aimock": "/v1beta"}

Check = dict[str, Any]


def prepared(folder: Path) -> Path:
    """An environment with the peers; its folder of commands."""
    if not (folder / "bin" / "llmock").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PYTHON_PEERS], check=True)
    if not (folder / "node_modules").exists() and (npm := shutil.which("npm")):
        subprocess.run([npm, "install", "--silent", "--prefix", str(folder), *NODE_PEERS], check=False)
    return folder / "bin"


# -- litellm on our fakes ---------------------------------------------------------------------------------------------


def litellm_on_fakes(commands: Path) -> list[Check]:
    """What litellm makes of the fakes, check by check."""
    command = [str(commands / "python"), str(HERE / "litellm_on_fakes.py"), str(TESTS)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return [{"peer": "litellm", "check": "it runs", "held": False, "seen": done.stderr[-500:]}]
    return [{"peer": "litellm", **check} for check in json.loads(done.stdout.splitlines()[-1])]


# -- our engines on fakes of others -----------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """A peer's server on loopback; its address."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not serve")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def llmock(commands: Path) -> list[Check]:
    """Our engines on llmock: an answer, and each failure that it can be told to make."""
    found = []
    for status in (None, 429, 500, 503):
        port = _free_port()
        command = [str(commands / "llmock"), "serve", "--port", str(port), "--log-level", "error"]
        faults = ["--error-rate", f"{status}=1"] if status else []
        with serving([*command, *faults], port) as url:
            found += _asked("llmock", url, status)
    return found


def aimock(folder: Path) -> list[Check]:
    """Our engines on aimock: an answer, a rate limit, malformed JSON, a connection that is cut."""
    binary = folder / "node_modules" / ".bin" / "llmock"
    if not binary.exists():
        return [{"peer": "aimock", "check": "it is there", "held": False, "seen": "npm could not install it"}]
    fixtures = folder / "fixtures"
    fixtures.mkdir(exist_ok=True)
    answer = {"match": {"userMessage": "What floats?"}, "response": {"content": "A boat floats."}}
    (fixtures / "boat.json").write_text(json.dumps({"fixtures": [answer]}))
    found = []
    for chaos in (None, "ratelimit", "malformed", "disconnect"):
        port = _free_port()
        faults = [f"--chaos-{chaos}", "1"] if chaos else []
        command = [str(binary), "--port", str(port), "--fixtures", str(fixtures), "--log-level", "silent"]
        with serving([*command, *faults], port) as url:
            found += _asked("aimock", url, {"ratelimit": 429}.get(chaos or ""), fails=chaos is not None)
    return found


def _asked(peer: str, url: str, status: int | None, *, fails: bool = False) -> list[Check]:
    """Ask a peer through both of our clients; it is to answer, or to fail for now as told."""
    clients: dict[str, tuple[str, Callable[..., Answer]]] = {
        "gemini": (f"gemini:gemini-2.5-flash@{url}{GEMINI_AT[peer]}", gemini.generate),
        "openai": (f"openai:gpt-4o-mini@{url}/v1", openai_compatible.chat),
    }
    found = []
    for vendor, (name, ask) in clients.items():
        model = remote_model(name)
        assert model is not None
        seen, held = _outcome(ask, model, status, fails or status is not None)
        what = f"{vendor}: {f'status {status}' if status else 'a failure' if fails else 'an answer'}"
        found.append({"peer": peer, "check": what, "held": held, "seen": seen})
    return found


def _outcome(ask: Callable[..., Answer], model: RemoteModel, status: int | None, fails: bool) -> tuple[str, bool]:
    try:
        answer = ask(model, ["What floats?"])
    except RemoteError as error:
        return f"{type(error).__name__}: {error.message} {error.facts}", fails and error.facts.get("status") == status
    except Exception as error:
        return f"{type(error).__name__}: {error}", False
    return f"{answer.finish}: {answer.text[:60]}", not fails and bool(answer.text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "peers", help="for the environment")
    parser.add_argument("--json", type=Path, help="write what was seen to this file")
    values = parser.parse_args()
    os.environ |= {"GEMINI_API_KEY": "a-key-of-the-bench", "OPENAI_API_KEY": "a-key-of-the-bench"}
    commands = prepared(values.folder)
    checks = [*litellm_on_fakes(commands), *llmock(commands), *aimock(values.folder)]
    for check in checks:
        print(
            f"{'held' if check['held'] else 'FAILED':<7} {check['peer']:<8} {check['check']:<42} {check['seen'][:110]}"
        )
    if values.json:
        versions = [*PYTHON_PEERS, *NODE_PEERS]
        found = {"machine": machine("google-genai", "openai"), "peers": versions, "checks": checks}
        values.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(0 if all(check["held"] for check in checks) else 1)


if __name__ == "__main__":
    main()
