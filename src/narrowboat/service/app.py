"""The application: all operations behind one door.

Covers: which operations there are, in the order of the document.
Does not cover: serving it (``server``).
"""

from __future__ import annotations

from narrowboat.service import (
    batches,
    events,
    feeds_api,
    health,
    jobs,
    openai_api,
    openapi,
    outputs,
    page,
    pipelines_api,
    poses_api,
    sections_api,
)
from narrowboat.service.door import Door
from narrowboat.service.operations import Operation
from narrowboat.service.routes import Routes
from narrowboat.service.service import Service
from narrowboat.service.shapes import SCHEMAS

OPERATIONS: list[Operation] = [
    *jobs.OPERATIONS,
    *outputs.OPERATIONS,
    *batches.OPERATIONS,
    *pipelines_api.OPERATIONS,
    *events.OPERATIONS,
    *feeds_api.OPERATIONS,
    *openai_api.OPERATIONS,
    *poses_api.OPERATIONS,
    *sections_api.OPERATIONS,
    *health.OPERATIONS,
    *page.OPERATIONS,
]


def application(service: Service) -> Door:
    """What a server serves."""
    service.document = openapi.document(OPERATIONS, SCHEMAS, unlocked=service.settings.open)
    return Door(service, Routes(OPERATIONS))
