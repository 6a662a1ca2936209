"""Telling somebody something: one POST, through the address guard.

Covers: a body that is sent as it is, and whether it was taken. Redirects are not followed: what is told is not for
others.
Does not cover: what is told, and when it is tried again (``service/webhooks``). Loads in workers only.
"""

from __future__ import annotations

import time
from typing import Any

import urllib3

from narrowboat import context
from narrowboat.errors import FetchError, SourceError
from narrowboat.shown import safe_url
from narrowboat.sources.address_guard import AddressGuard
from narrowboat.sources.client import Passing, explain
from narrowboat.sources.connections import Pace, pool_manager

_CONNECT_S, _ALL_S = 10.0, 20.0


def notify(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step. Inputs: ``url``, ``body`` (text), ``headers``.

    Returns ``status``, which is below 300.

    Raises:
        FetchError: it was not taken this time. SourceError, AddressRefused: it never will be.
    """
    url, shown = inputs["url"], safe_url(inputs["url"])
    pace = Pace(_ALL_S, time.monotonic() + _ALL_S)
    manager = pool_manager(AddressGuard.of(context.allowed_networks()), pace, _CONNECT_S)
    try:
        response = manager.request(
            "POST", url, body=inputs["body"].encode(), headers=inputs["headers"], redirect=False, preload_content=False
        )
        response.close()
    except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
        problem = explain(error, shown)
        raise FetchError(problem.message) if isinstance(problem, Passing) else problem from None
    if response.status == 410:
        raise SourceError(f"{shown} answered 410 Gone", status=410)
    if response.status >= 300:
        raise FetchError(f"{shown} answered {response.status}", status=response.status)
    return {"status": response.status}
