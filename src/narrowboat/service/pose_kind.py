"""Finding poses, in the words of a request.

Covers: its options and what they mean to the pipeline.
Does not cover: the pipeline (``pipelines/pose``), the routes of an earlier system (``poses_api``).
"""

from __future__ import annotations

from narrowboat.config import default_cache
from narrowboat.engines.pose_models import DEFAULT_POSE
from narrowboat.errors import UsageError
from narrowboat.pipelines.pose import workflow as pose
from narrowboat.service.kinds import Kind, Wanted, object_schema
from narrowboat.service.schema import Schema
from narrowboat.values import Json

_SECOND: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1_000_000}


def pose_kind() -> Kind:
    """A video to people's landmarks."""
    return Kind(
        name="pose",
        title="Find poses in a video",
        takes="video/*",
        pipeline=pose.PIPELINE,
        options=object_schema(
            people={"type": "integer", "minimum": 1, "maximum": 20, "default": 1},
            smooth={"type": "string", "enum": list(pose.SMOOTH), "default": "light"},
            every={"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1},
            trim={
                "type": "array",
                "items": _SECOND,
                "minItems": 2,
                "maxItems": 2,
                "default": [None, None],
                "description": "Only this part: seconds from and to; null for the beginning or the end.",
            },
        ),
        formats=pose.FORMATS,
        usual=("csv", "json"),
        build=_wanted,
        step=pose.largest_step,
        needs=("ai_edge_litert", "av", "numpy", "PIL"),
        extra="pose",
    )


def _wanted(options: dict[str, Json], formats: list[str]) -> Wanted:
    start, end = options.get("trim") or (None, None)
    if start is not None and end is not None and start >= end:
        raise UsageError(f"options.trim goes from {start} to {end}", hint="write the earlier one first")
    made = pose.options(
        model=DEFAULT_POSE,
        people=options.get("people", 1),
        smooth=options.get("smooth", "light"),
        every=options.get("every", 1),
        trim=[start, end],
        max_download=None,
        cache=default_cache().expanduser().absolute(),
    )
    return Wanted(made, formats)
