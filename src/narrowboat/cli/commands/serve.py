"""``narrowboat serve``: the service, in the foreground.

Covers: options, what must be there before it starts.
Does not cover: serving (``service/server``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, one_of, port, seconds, size, text
from narrowboat.cli.output import Output
from narrowboat.config import caps, not_needed, served, service_keys, webhook_secret
from narrowboat.errors import UsageError
from narrowboat.pipelines.extract.models_workflow import asking_step, engine
from narrowboat.runner.runner import Runner
from narrowboat.sizes import parse_size

if TYPE_CHECKING:
    from narrowboat.service.service import Settings

_HOST, _PORT, _QUEUE, _UPLOAD = "127.0.0.1", 8000, 1000, parse_size("2G")
_KEEP_S, _DAY_S = 7 * 86400.0, 86400.0


def run(values: argparse.Namespace, out: Output) -> int:
    """Serve until SIGTERM or Ctrl-C; 0."""
    extras.require("service", "serving needs")
    usual = {"port": _PORT, "max_queue": _QUEUE, "max_upload": _UPLOAD, **served()}
    for name, value in usual.items():
        if getattr(values, name) is None:
            setattr(values, name, value)
    asyncio.run(_serve(values))
    return 0


async def _serve(values: argparse.Namespace) -> None:
    from narrowboat.service import server  # not before it is known that its extra is there
    from narrowboat.service.all_kinds import kinds
    from narrowboat.service.feeds_api import watch
    from narrowboat.service.keys import Keys
    from narrowboat.service.logs import Log
    from narrowboat.service.service import Service
    from narrowboat.service.webhooks import Hook, tell

    keys = Keys(values.home, service_keys())
    settings = _settings(values, unlocked=not keys.any)
    hook = None if values.webhook is None else Hook.of(values.webhook, webhook_secret())
    as_json = values.log[0] == "json" if values.log else not sys.stderr.isatty()
    preload = [module for kind in kinds().values() if kind.installed for module in kind.pipeline.preload]
    bound = server.bind(server.Address(values.host, values.port))
    async with Runner(
        values.memory,
        cores=values.cores,
        home=values.home,
        preload=list(dict.fromkeys(preload)),
        guard=values.guard,
        time_limit=values.time_limit,
        allowed_networks=values.allow_networks,
        caps=caps(),
    ) as runner:
        service = Service(runner, settings, keys, Log(as_json))
        for name, why in not_needed().items():
            service.log("variable not needed", name=name, why=why)
        beside = [] if hook is None else [tell(service, hook)]
        if values.watch:
            beside.append(watch(service, values.watch, values.watch_every, values.watch_keep))
        await server.serve(service, bound, drain_s=values.drain, beside=beside)


def _settings(values: argparse.Namespace, *, unlocked: bool) -> Settings:
    """How the service is to behave.

    Args:
        unlocked: there is no key.

    Raises:
        UsageError: others could come in without one; the storage's address makes no sense.
    """
    from narrowboat.service.server import Address
    from narrowboat.service.service import Settings
    from narrowboat.service.storage import checked

    if unlocked and not Address(values.host, values.port).loopback:
        raise UsageError(
            f"{values.host} can be reached from outside, and there is no key",
            hint="make one: narrowboat keys --add NAME; or set NARROWBOAT_KEYS",
        )
    return Settings(
        most_upload=values.max_upload,
        most_queued=values.max_queue,
        keep_s=values.keep,
        open=unlocked,
        hosts=("localhost", "127.0.0.1", "::1", values.host),
        storage=None if values.storage_url is None else checked(values.storage_url),
        language_model=None if values.language_model is None else _language_model(values.language_model),
        notices=values.webhook is not None,
    )


def _addresses(text: str) -> list[str]:
    """Addresses with spaces between."""
    return text.split()


def _language_model(text: str) -> str:
    """Its name; raises UsageError when it can't be asked here."""
    found = engine(text)
    asking_step(found)
    return found.name


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
        Option(
            "--port", f"port to listen on, 0 for any that is free (default: what PORT says, else {_PORT})", port, "PORT"
        ),
        Option("--max-upload", "refuse uploads larger than this (default: 2G)", size, "SIZE"),
        Option("--max-queue", f"jobs that may wait or run (default: {_QUEUE})", count, "N"),
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
            "--webhook",
            "address that is told how each job ended, signed with NARROWBOAT_WEBHOOK_SECRET (standardwebhooks.com)",
            text,
            "URL",
        ),
        Option(
            "--watch", "feeds to transcribe new episodes of, with spaces between", _addresses, "FEEDS", scope="serve"
        ),
        Option("--watch-every", "look at each feed so often (default: 24h)", seconds, "TIME", _DAY_S, scope="serve"),
        Option(
            "--watch-keep",
            "keep the outputs of each feed's newest N episodes, and take as many at the first look (default: all, 1)",
            count,
            "N",
            scope="serve",
        ),
        Option(
            "--log",
            "json or text (default: text on a terminal, else json)",
            one_of("json", "text"),
            "FORM",
            scope="serve",
        ),
    ),
    runs=True,
)
