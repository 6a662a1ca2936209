"""Media types of outputs, by how their names end.

Covers: what the pipelines write; the rest is bytes.
Does not cover: the content, which is not looked at.
"""

from __future__ import annotations

from pathlib import Path

_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown; charset=utf-8",
    ".mp4": "video/mp4",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".srt": "application/x-subrip",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".zip": "application/zip",
}


def media_type(name: str) -> str:
    """The media type of a file of that name."""
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
