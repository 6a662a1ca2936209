"""``python -m fakes``: serve until the input ends.

Covers: the command line. Does not cover: switches (``switches``), control while it runs (``server``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from fakes.server import Fake
from fakes.switches import NoSuchSwitch


def _switch(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fakes", description="Fakes of Gemini's and OpenAI's endpoints.")
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0: one that is free (the default)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="from a question to its answer")
    parser.add_argument("--answer", default="canned", help="canned, hearing, extract")
    parser.add_argument("--episode", action="append", default=[], metavar="FOLDER", help="of fakes.episode; repeatable")
    parser.add_argument("--folder", type=Path, help="where uploads lie; a new one in the temporary folder otherwise")
    parser.add_argument("--set", type=_switch, action="append", default=[], metavar="NAME=JSON", help="any switch")
    return parser.parse_args()


async def _serve(args: argparse.Namespace, folder: Path) -> None:
    fake = Fake(folder)
    given = {"latency_s": args.latency, "answer": args.answer, "episodes": args.episode}
    fake.change({**given, **dict(args.set)})
    await fake.server.start(args.port)
    print(json.dumps({"url": fake.url}), flush=True)
    ended = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            ended.set()

    asyncio.get_running_loop().add_reader(sys.stdin, read)
    await ended.wait()
    await fake.server.close()


def main() -> None:
    args = _arguments()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    with tempfile.TemporaryDirectory(prefix="fakes-", dir=args.folder) as folder:
        try:
            asyncio.run(_serve(args, Path(folder) / "store"))
        except NoSuchSwitch as error:
            sys.exit(f"fakes: {error}")
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
