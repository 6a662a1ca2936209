"""``narrowboat keys``: who may use the service.

Covers: making, listing and revoking keys. A running service takes notice at once.
Does not cover: how they are kept (``service/keys``).
"""

from __future__ import annotations

import argparse
import time

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output, duration, table
from narrowboat.errors import UsageError
from narrowboat.service.keys import Keys


def run(values: argparse.Namespace, out: Output) -> int:
    """Do what is asked, or list the keys."""
    if values.add and values.revoke:
        raise UsageError("--add and --revoke don't go together", hint="one after the other")
    keys = Keys(values.home)
    if values.add:
        made = keys.add(values.add)
        out.line(f"the key {values.add}, which is shown this once:")
        out.line(made)
        out.data({"version": 1, "name": values.add, "key": made})
        return 0
    if values.revoke:
        keys.revoke(values.revoke)
        out.line(f"the key {values.revoke} lets nobody in any more")
        out.data({"version": 1, "revoked": values.revoke})
        return 0
    found = keys.all()
    out.data({"version": 1, "keys": [{"name": key.name, "created": key.created} for key in found]})
    if not out.json:
        rows = [(key.name, f"{duration(max(0.0, time.time() - key.created))} ago") for key in found]
        for line in table([("name", "made"), *rows]) if rows else ["no keys: `narrowboat keys --add NAME` makes one"]:
            out.line(line)
    return 0


COMMAND = Command(
    "keys",
    "keys of the service: make, list, revoke",
    "A key lets somebody use the service of this home. It is shown once, and only a hash of it is kept. A running"
    "\nservice takes notice at once.",
    """\
narrowboat keys
narrowboat keys --add phone
narrowboat keys --revoke phone
""",
    run,
    (
        Option("--add", "make a key of this name and show it", text, "NAME", scope="keys"),
        Option("--revoke", "let nobody in with the key of this name any more", text, "NAME", scope="keys"),
    ),
)
