"""``narrowboat serve``: the service, in the foreground.

Covers: options, what must be there before it starts.
Does not cover: serving (``service/server``).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, one_of, port, seconds, size, text
from narrowboat.cli.output import Output
from narrowboat.config import caps, service_keys
from narrowboat.errors import UsageError
from narrowboat.runner.runner import Runner
from narrowboat.sizes import parse_size

_NEEDED = ("prometheus_client", "python_multipart", "starlette", "uvicorn")
_HOST, _PORT, _QUEUE, _UPLOAD = "127.0.0.1", 8000, 1000, parse_size("2G")
_KEEP_S = 7 * 86400.0


def run(values: argparse.Namespace, out: Output) -> int:
    """Serve until SIGTERM or Ctrl-C; 0."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"serving needs {' and '.join(missing)}, which this Python has not",
            hint="pip install 'narrowboat[service]'",
        )
    asyncio.run(_serve(values))
    return 0


async def _serve(values: argparse.Namespace) -> None:
    from narrowboat.service import server  # not before it is known that its extra is there
    from narrowboat.service.all_kinds import kinds
    from narrowboat.service.keys import Keys
    from narrowboat.service.logs import Log
    from narrowboat.service.service import Settings
    from narrowboat.service.storage import checked

    address = server.Address(values.host, values.port)
    keys = Keys(values.home, service_keys())
    unlocked = not keys.any
    if unlocked and not address.loopback:
        raise UsageError(
            f"{values.host} can be reached from outside, and there is no key",
            hint="make one: narrowboat keys --add NAME; or set NARROWBOAT_KEYS",
        )
    settings = Settings(
        most_upload=values.max_upload,
        most_queued=values.max_queue,
        keep_s=values.keep,
        open=unlocked,
        hosts=("localhost", "127.0.0.1", "::1", values.host),
        storage=None if values.storage_url is None else checked(values.storage_url),
        language_model=values.language_model,
    )
    as_json = values.log[0] == "json" if values.log else not sys.stderr.isatty()
    preload = [module for kind in kinds().values() if kind.installed for module in kind.pipeline.preload]
    bound = server.bind(address)
    async with Runner(
        values.memory,
        cores=values.cores,
        home=values.home,
        preload=preload,
        guard=values.guard,
        time_limit=values.time_limit,
        allowed_networks=values.allow_networks,
        caps=caps(),
    ) as runner:
        await server.serve(runner, bound, settings, keys, Log(as_json), values.drain)


COMMAND = Command(
    "serve",
    "the service: an API and a page",
    "Takes jobs by HTTP, runs them as they fit, and shows them on a page at /. Jobs that were left are gone on with"
    "\nbefore anything is taken in. SIGTERM lets what runs end for --drain, then keeps the work and leaves."
    "\nWhere there is a key (`narrowboat keys`, or NARROWBOAT_KEYS with commas between), every request needs one;"
    "\nwithout any it listens on loopback only. The address guard is always on. NARROWBOAT_STORAGE_HEADERS"
    "\n(Name: value, with ; between) go with requests to --storage-url and to no other host.",
    """\
narrowboat serve
narrowboat serve --memory 512M --port 8080
narrowboat serve --host 0.0.0.0 --max-upload 500M --max-queue 100 --keep 1d
""",
    run,
    (
        Option("--host", f"address to listen on (default: {_HOST})", text, "HOST", _HOST),
        Option("--port", f"port to listen on, 0 for any that is free (default: {_PORT})", port, "PORT", _PORT),
        Option("--max-upload", "refuse uploads larger than this (default: 2G)", size, "SIZE", _UPLOAD),
        Option("--max-queue", f"jobs that may wait or run (default: {_QUEUE})", count, "N", _QUEUE),
        Option(
            "--keep", "delete jobs that ended so long ago, with their outputs (default: 7d)", seconds, "TIME", _KEEP_S
        ),
        Option(
            "--storage-url",
            "address of a file of your storage, with {id} in the place of its id; for /extract, /split and /analyze",
            text,
            "URL",
        ),
        Option("--language-model", "engine of /extract (default: extractive, which quotes)", text, "MODEL"),
        Option(
            "--log",
            "json or text (default: text on a terminal, else json)",
            one_of("json", "text"),
            "FORM",
            scope="serve",
        ),
    ),
)
