"""A resumable step with part files, in a pipeline of one's own: the commonest words of a text of any size.

    python examples/stream.py TEXT --home DIR

Stop it with Ctrl-C, or kill it, and start it again with the same home: it goes on after the last block that was
committed, and no committed block is counted again.

Each block's counts go to a part file in the job's scratch folder, since they are bulk; the item names the file and
stays small. The cursor is the byte at which the next block begins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat import Item, Job, Pipeline, Runner, Step, context

BLOCK = 256 << 10  # bytes


def count(given: dict[str, Any], cursor: Any) -> Iterator[Item]:
    """Blocks of the text in order, from the cursor on: how many words, and the part file with the counts."""
    start = cursor or 0
    size = Path(given["path"]).stat().st_size
    with Path(given["path"]).open("rb") as text:
        text.seek(start)
        while block := text.read(BLOCK) + text.readline():
            words = Counter(re.findall(r"[^\W\d_]+", block.decode("utf-8", "replace").lower()))
            part = f"part-{start:015}.json"
            (context.scratch() / part).write_text(json.dumps(words), "utf-8")
            start += len(block)
            context.progress(start / size)
            yield Item({"words": words.total(), "part": part}, cursor=start)


def merge(given: dict[str, Any]) -> list[list[Any]]:
    """The commonest words of all parts, one part in memory at a time."""
    total: Counter[str] = Counter()
    for part in sorted(context.scratch().glob("part-*.json")):
        total.update(json.loads(part.read_text("utf-8")))
    return [list(pair) for pair in total.most_common(given["top"])]


COUNT = Step(count, memory="64M")
MERGE = Step(merge, memory="128M")


async def workflow(job: Job) -> None:
    path = await job.fetch()
    words = blocks = 0
    async for block in job.stream(COUNT, {}, at={"path": path}):
        words, blocks = words + block.value["words"], blocks + 1
        print(f"block {blocks} {'counted' if block.new else 'from the journal'}: {words} words so far", flush=True)
    for word, times in await job.run(MERGE, {"top": 5}):
        print(f"{times:>9}  {word}")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", nargs="?", default=__file__)
    parser.add_argument("--home", help="where the journal is kept; a temporary folder when not given")
    arguments = parser.parse_args()
    async with Runner(memory="256M", home=arguments.home) as runner:
        await runner.submit(Pipeline("words", workflow), arguments.text)
        await runner.wait()
        for entry in runner.entries:
            print(
                f"{entry.state}, {entry.items_resumed} blocks from the journal"
                + (f": {entry.error}" if entry.error else "")
            )


if __name__ == "__main__":
    asyncio.run(main())
