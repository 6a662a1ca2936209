"""Memory and time of ``narrowboat split`` and ``extract`` on large PDFs, and of the old ways beside them.

    python bench/sections.py --quick
    python bench/sections.py --json figures.json

Covers: the peak of cutting 180 MB into 40 sections in each of the four kinds of document that ``sections_pdf.py``
makes, and the bytes of the sections against what they need; the same with all sections in memory, and with the whole
file again for each; 280 sections asked of a fake engine that answers in 10 s, inside 192M, against one at a time;
10,000 pages and 2 GB. Does not cover: what real engines answer, text (``--model extractive``) of real documents.

The old ways are pypdf's, where it is installed, as the systems did it that Narrowboat is to replace; else pikepdf's.
Each run is the installed command in a process of its own with a fresh home. ``bench/README.md`` says how to read it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import box
import sections_pdf
from facts import machine
from figures import Figure, enforced, exit_code, figure, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from fakes.running import EngineServer, running  # type: ignore[import-not-found]

MIB = 1 << 20
PARTS = ("split", "old", "calls", "huge")
PAGES, SIZE, SECTIONS = 400, 180 * MIB, 40
#: Of the fake engine, and how many sections it is asked about.
ANSWER_S, ASKED, ONE_BY_ONE = 10.0, 280, 3
#: Bytes that 10,000 pages may take: 40 MiB and 12 KiB a page.
HUGE_PAGES, HUGE_SIZE = 10_000, 2 << 30
OLD_WAYS = {
    "all sections in memory": "held = [written(source, *bounds) for bounds in sections]",
    "the whole file again for each": "for bounds in sections: written(whole(), *bounds)",
}
_OLD = """
import io, json, pathlib, sys
path, sections = sys.argv[1], json.loads(sys.argv[2])
def whole():
    return io.BytesIO(pathlib.Path(path).read_bytes())
try:
    from pypdf import PdfReader, PdfWriter
    def written(source, first, last):
        writer, out = PdfWriter(), io.BytesIO()
        reader = source if isinstance(source, PdfReader) else PdfReader(source)
        for number in range(first - 1, last):
            writer.add_page(reader.pages[number])
        writer.write(out)
        return out
    source = PdfReader(whole())
except ImportError:
    import pikepdf
    def written(source, first, last):
        document, out = pikepdf.new(), io.BytesIO()
        known = source if isinstance(source, pikepdf.Pdf) else pikepdf.open(source)
        document.pages.extend(known.pages[first - 1 : last])
        document.save(out)
        return out
    source = pikepdf.open(whole())
"""


@dataclass
class Bench:
    """Makes documents, runs commands, keeps what comes of it."""

    work: Path
    figures: list[Figure] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, name: str, value: float, unit: str, bound: float | None = None, *, least: bool = False) -> None:
        """Add a figure; it should be at most ``bound``, or at least with ``least``."""
        self.figures.append(figure(name, value, unit, bound, least=least))

    def run(
        self, name: str, *args: str, limit: int | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[box.Measured, Path]:
        """Run a command of Narrowboat, in a box of ``limit`` MiB; what was measured, and the folder of its outputs.

        Raises:
            SystemExit: it failed; its output has been shown.
        """
        print(f"... {name}", file=sys.stderr, flush=True)
        folder = Path(tempfile.mkdtemp(dir=self.work))
        command = [sys.executable, "-m", "narrowboat", *args, "--out", str(folder / "out"), "--quiet"]
        command += ["--home", str(folder / "home"), "--report", str(folder / "report.json")]
        command += ["--memory", f"{limit}M"] if limit and not enforced() else []
        measured = box.run(command, limit * MIB if limit else None, env)
        if measured.rc:
            sys.exit(f"{name}: the command ended with {measured.rc}: {' '.join(command)}")
        report = json.loads((folder / "report.json").read_text("utf-8"))
        self.runs.append({"name": name, "measured": asdict(measured), "report": report})
        return measured, folder / "out"


def split(bench: Bench, quick: bool) -> None:
    """Forty sections of 180 MB, in each kind of document."""
    for kind in sections_pdf.KINDS:
        book = bench.work / f"{kind}.pdf"
        made = sections_pdf.make(book, PAGES, SIZE, kind)
        measured, out = bench.run(f"split, {kind}", "split", str(book), "--sections", f"pages:{PAGES // SECTIONS}")
        sizes = [path.stat().st_size for path in out.rglob("*.pdf")]
        bench.tell(f"peak used, {SECTIONS} sections, {kind}", measured.peak_used / MIB, "MiB", 60)
        bench.tell(f"bytes of the sections ÷ what they need, {kind}", sum(sizes) / made.ideal(len(sizes)), "", 1.05)
        bench.tell(f"wall, {kind}", measured.wall_s, "s")
        shutil.rmtree(out)
        book.unlink()


def old(bench: Bench, quick: bool) -> None:
    """The ways of the systems that are to be replaced."""
    book = bench.work / "old.pdf"
    chapters = sections_pdf.make(book, PAGES, SIZE, "plain").chapters
    library = "pypdf" if importlib.util.find_spec("pypdf") else "pikepdf"
    for name, way in OLD_WAYS.items():
        print(f"... {name}", file=sys.stderr, flush=True)
        measured = box.run([sys.executable, "-c", _OLD + way, str(book), json.dumps(chapters)])
        bench.tell(f"peak used, old: {name} ({library})", measured.peak_used / MIB, "MiB")
        bench.tell(f"wall, old: {name}", measured.wall_s, "s")
    book.unlink()


def calls(bench: Bench, quick: bool) -> None:
    """Sections asked of an engine that takes its time, in a small box."""
    book, file = bench.work / "asked.pdf", bench.work / "asked.json"
    sections_pdf.make(book, PAGES, SIZE, "destinations")
    answer_s, count = (2.0, 120) if quick else (ANSWER_S, ASKED)
    with running("--latency", str(answer_s)) as server:
        _asked(bench, "one at a time", server, book, _sections(file, ONE_BY_ONE), one=True)
        seen = server.log()
        each = (seen[-1]["at_s"] + seen[-1]["took_s"] - seen[0]["at_s"]) / ONE_BY_ONE  # without starting the command
        measured, out = _asked(bench, f"{count} sections", server, book, _sections(file, count), limit=192)
        left = server.files()
    answers = json.loads((out / "asked.answers.json").read_text("utf-8"))
    there = sum(section["status"] == "answered" for section in answers["sections"])
    bench.tell(f"{count} sections, answered", there, "", count, least=True)
    bench.tell(f"{count} sections, times as fast as one at a time", count * each / measured.wall_s, "×", 20, least=True)
    bench.tell("seconds of a section, one at a time", each, "s")
    bench.tell(f"{count} sections, wall", measured.wall_s, "s")
    bench.tell(f"{count} sections, peak used in a 192M box", measured.peak_used / MIB, "MiB")
    if measured.kernel_kills is not None:
        bench.tell(f"{count} sections, kernel kills in a 192M box", measured.kernel_kills, "", 0)
    bench.tell("files left in the remote store", len(left), "", 0)
    book.unlink()


def _sections(file: Path, count: int) -> Path:
    """A section file with so many, which overlap where there are more than pages."""
    each = [{"name": f"Part {n + 1}", "pages": str(n * PAGES // count + 1)} for n in range(count)]
    file.write_text(json.dumps(each))
    return file


def _asked(
    bench: Bench,
    name: str,
    server: EngineServer,
    book: Path,
    sections: Path,
    *,
    one: bool = False,
    limit: int | None = None,
) -> tuple[box.Measured, Path]:
    env = {"GEMINI_API_KEY": "of-the-benchmark", **({"CHUNK_CONCURRENCY": "1"} if one else {})}
    model = ("--model", f"gemini:fake@{server.url}", "--prompt", "What is on this page?")
    return bench.run(name, "extract", str(book), "--sections", str(sections), *model, limit=limit, env=env)


def huge(bench: Bench, quick: bool) -> None:
    """10,000 pages and 2 GB."""
    pages, size = (2000, 64 * MIB) if quick else (HUGE_PAGES, HUGE_SIZE)
    book = bench.work / "huge.pdf"
    sections_pdf.make(book, pages, size, "plain")
    measured, out = bench.run(f"split, {pages} pages", "split", str(book), "--sections", f"pages:{pages // 100}")
    bound = 40 + 12 * pages / 1024
    bench.tell(f"peak used, {pages} pages, {size / MIB:.0f} MiB", measured.peak_used / MIB, "MiB", round(bound, 1))
    bench.tell(f"wall, {pages} pages, 100 sections", measured.wall_s, "s")
    shutil.rmtree(out)
    book.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a shorter wait for answers, a smaller largest document")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, the runs and the machine there")
    parser.add_argument("--only", metavar="PART,…", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args()
    parts: dict[str, Callable[[Bench, bool], None]] = {"split": split, "old": old, "calls": calls, "huge": huge}
    facts = {**machine("pikepdf", "pypdfium2"), "boxes_enforced": enforced()}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="narrowboat-bench-", dir=os.environ.get("TMPDIR")) as work:
        bench = Bench(Path(work))
        for part in given.only.split(","):
            parts[part](bench, given.quick)
    print(f"{facts['cores']} cores of {facts['cpu']}, Python {facts['python']}, {time.monotonic() - began:.0f} s")
    print(
        "" if facts["boxes_enforced"] else "no memory cgroup can be made here: boxes are told, not enforced\n", end=""
    )
    print(table(bench.figures))
    if given.json:
        made = {"machine": facts, "figures": [asdict(f) for f in bench.figures], "runs": bench.runs}
        given.json.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return exit_code(bench.figures)


if __name__ == "__main__":
    sys.exit(main())
