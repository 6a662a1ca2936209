"""``narrowboat doctor``: what this machine allows, and what to change.

Covers: saying what was found, and advice.
Does not cover: finding it out (``runner/survey``), what was learned of steps (``cli/estimates``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from typing import Any

from narrowboat import extras
from narrowboat.cli import estimates
from narrowboat.cli.command import Command
from narrowboat.cli.options import CORES, GUARD, MEMORY, Option, folder
from narrowboat.cli.output import Output, table
from narrowboat.cli.session import where
from narrowboat.config import CAPS, caps, default_cache, pack_folder
from narrowboat.engines.catalogue import PACKS, packs, speech_demand, speech_model
from narrowboat.memory.refusal import GROWS
from narrowboat.pipelines.transcribe.workflow import PIPELINE
from narrowboat.runner.survey import survey
from narrowboat.sizes import MIB, format_size

_LITTLE_DISK = 1 << 30
_FOR_RESERVE = 16 * MIB


def run(values: argparse.Namespace, out: Output) -> int:
    """Look, tell, advise; always 0."""
    if values.estimates or values.plot is not None:
        return estimates.run(values, out)
    found = asyncio.run(survey(values.home, values.memory, values.cores, PIPELINE.preload, values.guard))
    cache = default_cache().expanduser().absolute()
    found["packs"] = {pack.name: pack_folder(pack.name, cache).is_dir() for pack in packs()}
    found["cache"] = str(cache)
    found["caps"] = _caps()
    found["extras"] = {extra: extras.missing(extra) for extra in extras.EXTRAS}
    found["models"] = {pack.name: _demand(pack.name) for pack in packs() if pack.kind == "speech model"}
    found["advice"] = list(advice(found))
    out.data({"version": 1, **found})
    if not out.json:
        for line in _lines(found):
            out.line(line)
    return 0


def _caps() -> dict[str, int]:
    """The caps that are set, by variable; a size in bytes."""
    values = {name: getattr(caps(), field) for name, field in CAPS.items()}
    return {name: value for name, value in values.items() if value is not None}


def _demand(name: str) -> int:
    return speech_demand(speech_model(f"local:{name}"), {}, 1).bytes


def advice(found: dict[str, Any]) -> Iterator[str]:
    """What to change, as sentences."""
    budget, limit = found["budget"], found["limit_bytes"]
    for name, needed in sorted(found["models"].items(), key=lambda pair: -pair[1]):
        short = needed - budget["bytes"]
        if short <= 0:
            break
        smaller = [other for other, size in found["models"].items() if size <= budget["bytes"]]
        instead = f", or use --model local:{smaller[0]}" if smaller else ""
        yield (
            f"{name} needs a budget of {format_size(needed)} and there are {format_size(max(0, budget['bytes']))}:"
            f" give it a limit of {_rounded(limit + short)}{instead}"
        )
    if budget["bound_by"] != found["limit_source"]:
        yield (
            f"the limit is {format_size(limit)}, but {format_size(budget['room_bytes'])} is all that"
            f" {_bound(budget['bound_by'])} has left: what others use there counts"
        )
    if found["worker_error"] is not None:
        yield f"a first worker could not run: {found['worker_error']['message']}"
    if found["scratch"]["in_memory"]:
        yield f"scratch lies in memory ({found['scratch']['file_system']}): use --home on a disk"
    elif found["scratch"]["free_bytes"] < _LITTLE_DISK:
        yield f"only {format_size(found['scratch']['free_bytes'])} free for scratch: downloads may not fit"
    if found["home"]["reserve_bytes"] == 0 and found["scratch"]["free_bytes"] < _FOR_RESERVE:
        yield "the disk has no room for the journal's reserve: free some before it is full"
    if found["home"]["error"]:
        yield f"the home can't be used: {found['home']['error']}; choose another with --home"
    for tier in found["guard"]:
        if tier["name"] == "memory.oom.group off":
            yield f"memory.oom.group is {tier['detail']}: turn it off for this container"
    if missing := found["extras"]["speech"]:
        yield f"speech is not installed ({', '.join(missing)}): pip install 'narrowboat[speech]'"


def _rounded(size: int) -> str:
    """A size that can be typed: rounded up to 16 MiB, with some room for a supervisor that grows as it works."""
    return f"{-(-(size + GROWS) // (16 * MIB)) * 16}M"


def _bound(source: str) -> str:
    return "the machine" if source == "machine" else source


def _lines(found: dict[str, Any]) -> Iterator[str]:
    budget, scratch, home = found["budget"], found["scratch"], found["home"]
    yield f"limit     {format_size(found['limit_bytes'])}, {_found_in(found['limit_source'])}"
    for group in found["groups"]:
        if group["limit_bytes"] is not None:
            used = format_size(group["used_bytes"]) if group["used_bytes"] is not None else "an unknown amount"
            name = f"cgroup v{group['version']} {group['name']}"
            yield f"          {name}: {format_size(group['limit_bytes'])}, {used} used"
    yield f"budget    {format_size(max(0, budget['bytes']))} for jobs: {_sum(budget)}"
    yield f"cores     {found['cores']}"
    yield f"swap      {format_size(found['swap_bytes']) if found['swap_bytes'] else 'none'}"
    stalls = "told by the kernel" if found["pressure_stall_information"] else "not told by this kernel"
    yield f"pressure  {stalls}"
    yield "guard"
    yes = {True: "in force", False: "not in force"}
    yield from table([(f"  {tier['name']}", yes[tier["in_force"]], tier["detail"]) for tier in found["guard"]])
    confined = found["readers_confined"]
    why = confined["why_not"] or "steps that read foreign files have no network, no new privileges and no secrets"
    yield f"readers   {'confined' if confined['in_force'] else 'not confined'}: {why}"
    kind = f"{scratch['file_system'] or 'unknown file system'}{', in memory' if scratch['in_memory'] else ''}"
    space = f"{format_size(scratch['free_bytes'])} free, of which {format_size(scratch['floor_bytes'])} stay free"
    yield f"scratch   {scratch['path']} ({kind}, {space})"
    held = f"held by process {home['held_by']}" if home["held_by"] else "free"
    yield f"home      {home['path']} ({home['error'] or (held if home['exists'] else 'not made yet')})"
    if home["reserve_bytes"] is not None:
        kept = format_size(home["reserve_bytes"]) if home["reserve_bytes"] else "nothing yet"
        yield f"journal   {kept} in reserve for a full disk"
    yield f"packs     in {found['cache']}"
    for name, present in found["packs"].items():
        yield f"          {name}: {'present' if present else f'not yet, {format_size(PACKS[name].size)} to download'}"
    absent = {extra: missing for extra, missing in found["extras"].items() if missing}
    yield f"extras    {', '.join(extra for extra in found['extras'] if extra not in absent) or 'none'}"
    for extra, missing in absent.items():
        yield f"          {extra} is not installed (without {', '.join(missing)}): pip install 'narrowboat[{extra}]'"
    for name, value in found["caps"].items():
        yield f"cap       {name}: {format_size(value) if CAPS[name] == 'file_bytes' else value}"
    if found["advice"]:
        yield "to change"
        for text in found["advice"]:
            yield f"  {text}"
    else:
        yield "all is well: nothing to change"


def _found_in(source: str) -> str:
    names = {"--memory": "as --memory says", "machine": "the machine's memory"}
    return names.get(source, f"the container's ({source})" if where(source) == "container" else source)


def _sum(budget: dict[str, Any]) -> str:
    taken = [
        (budget["own_bytes"], "for the supervisor and the fork server"),
        (budget["headroom_bytes"], "headroom"),
    ]
    less = ", ".join(f"{format_size(size)} {what}" for size, what in taken)
    others = f" ({format_size(budget['others_bytes'])} used by others)" if budget["others_bytes"] else ""
    return f"{format_size(budget['room_bytes'])} left{others} less {less}"


COMMAND = Command(
    "doctor",
    "what this machine allows, and what to change",
    "Tells the memory limit and where it was found, the budget and how it comes about, which means of the guard are"
    "\nin force, where scratch lies, which packs are here, and what to change.",
    """\
narrowboat doctor
narrowboat doctor --memory 512M
narrowboat doctor --json
narrowboat doctor --estimates --plot peaks.svg
""",
    run,
    (
        Option(
            "--estimates",
            "in its place: what was learned of the memory that steps need, by step and engine",
            scope="doctor",
        ),
        Option("--plot", "with --estimates: draw it, as SVG, in this file", folder, "FILE", scope="doctor"),
        MEMORY,
        CORES,
        GUARD,
    ),
)
