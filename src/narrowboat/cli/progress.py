"""Words for how far a job is, the same on a terminal and in plain lines.

Covers: stage, fraction, speed and memory of a job's status, the counts of many jobs.
Does not cover: where they are put (``display``, ``live``).
"""

from __future__ import annotations

from narrowboat.runner.status import JobStatus
from narrowboat.sizes import format_size


def fraction(job: JobStatus) -> float | None:
    """How far the job is, or its stage before the main one; None when that is not known."""
    if job.fraction is not None:
        return job.fraction
    found = job.facts.get("step_fraction")
    return float(found) if isinstance(found, int | float) else None


def speed(job: JobStatus) -> str:
    """``12.3×`` for a recognition, ``99 frames, 56.7 fps`` for a video, ``12 of 40`` for parts, ``3.1 MiB of 40 MiB``
    for a download, else nothing.
    """
    done, rate = job.facts.get("bytes_done"), job.facts.get("speed")
    if "parts" in job.facts:
        return f"{job.facts['parts_done']} of {job.facts['parts']}"
    if isinstance(rate, int | float):
        return f"{rate:.1f}×"
    frames, fps = job.facts.get("frames"), job.facts.get("rate")
    if isinstance(frames, int):
        return f"{frames} frames" + (f", {fps:.1f} fps" if isinstance(fps, int | float) else "")
    if isinstance(done, int | float):
        total = job.facts.get("bytes_total")
        return format_size(done) + (f" of {format_size(total)}" if total else "")
    return ""


def memory(job: JobStatus) -> str:
    """``290 MiB of 330 MiB``: used and reserved."""
    return f"{format_size(job.used_bytes)} of {format_size(job.reserved_bytes)}" if job.used_bytes else ""


def stage(job: JobStatus) -> str:
    """What the job does."""
    return f"waiting for room: {job.stage}" if job.waiting else job.stage


def counted(counts: dict[str, int]) -> str:
    """``12/50 done · 3 failed · 2 running``: how far many jobs are."""
    total = sum(counts.values())
    others = [f"{counts[state]} {state}" for state in ("failed", "cancelled", "running") if counts[state]]
    return " · ".join([f"{counts['done']}/{total} done", *others])
