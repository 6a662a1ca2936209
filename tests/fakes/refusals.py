"""Refusals in the shapes of the vendors: google.rpc.Status with its details, and OpenAI's error object.

Covers: one refusal, its body and headers for either vendor.
Does not cover: who refuses, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from fakes.http import Response, json_response

RPC = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
RPC |= {409: "ALREADY_EXISTS", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
RPC |= {503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}

MESSAGES = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials.",
    403: "The caller does not have permission.",
    404: "Requested entity was not found.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry.",
    503: "The model is overloaded. Please try again later.",
    504: "The request timed out. Please try again.",
}


@dataclass
class Refusal(Exception):
    """A request that is not served.

    Attributes:
        status: of HTTP.
        message: what the vendor would say; empty: the usual words for the status.
        reason: Gemini's ErrorInfo (``API_KEY_INVALID``), OpenAI's code (``model_not_found``).
        param: the field that OpenAI names.
        wait_s: when to come back, in seconds; None: nothing is said.
        quota: of 429: calls in a window, and ``Minute`` or ``Day``.
        model: that was asked.
        rpc: Gemini's word for the status, where it is not the usual one.
    """

    status: int
    message: str = ""
    reason: str | None = None
    param: str | None = None
    wait_s: float | None = None
    quota: tuple[int, str] = (10, "Minute")
    model: str = ""
    rpc: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def gemini_error(refusal: Refusal) -> Response:
    """As Gemini says it."""
    message = refusal.message or MESSAGES.get(refusal.status, "Something went wrong.")
    details: list[dict[str, Any]] = []
    if refusal.reason:
        about = {"reason": refusal.reason, "domain": "googleapis.com"}
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **about})
    if refusal.status == 429:
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [_violation(refusal)]})
    if refusal.wait_s is not None:
        message += f"\nPlease retry in {refusal.wait_s}s."
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{refusal.wait_s:g}s"})
    status = refusal.rpc or RPC.get(refusal.status, "UNKNOWN")
    error: dict[str, Any] = {"code": refusal.status, "message": message, "status": status}
    if details:
        error["details"] = details
    response = json_response({"error": error}, refusal.status)
    response.headers.update(refusal.headers)
    return response


def _violation(refusal: Refusal) -> dict[str, Any]:
    most, window = refusal.quota
    return {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": f"GenerateRequestsPer{window}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": refusal.model},
        "quotaValue": str(most),
    }


_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "requests"}


def openai_error(refusal: Refusal) -> Response:
    """As OpenAI says it."""
    kind = _TYPES.get(refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error")
    message, code = refusal.message or MESSAGES.get(refusal.status, "Something went wrong."), refusal.reason
    if refusal.status == 429 and code is None:
        code = "rate_limit_exceeded"
        message = f"Rate limit reached for {refusal.model} on requests per min (RPM): Limit {refusal.quota[0]}."
    if code == "insufficient_quota":
        kind = code
    error = {"message": message, "type": kind, "param": refusal.param, "code": code}
    response = json_response({"error": error}, refusal.status)
    response.headers.update(refusal.headers)
    if refusal.wait_s is not None:
        response.headers["retry-after"] = str(math.ceil(refusal.wait_s))
        response.headers["retry-after-ms"] = str(math.ceil(refusal.wait_s * 1000))
    return response
