"""Webhooks that come signed, again and in spite of a kill; feeds that are watched."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

from loopback import Request, Server, serve
from service_harness import Served, deadline, sound

__all__ = ["serve"]
SECRET = "a-secret-of-the-tests"
NO_SOUND = b"this is no sound\n" * 50


def _signed(request: Request) -> bool:
    headers = request.headers
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    made = base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{made}"


def test_a_notice_comes_signed_and_once(start: Callable[..., Served], serve: Callable[..., Server]) -> None:
    taken: list[dict[str, str]] = []

    def answer(request: Request) -> None:
        assert _signed(request)
        taken.append(json.loads(request.body))
        request.send("204 No Content")

    server = serve(answer)
    served = start(
        "--webhook", server.url("/told?token=hush"), "--allow-networks", "127.0.0.0/8", NARROWBOAT_WEBHOOK_SECRET=SECRET
    )
    job = served.upload(NO_SOUND).json
    served.wait_for("notice taken", job=job["id"])
    assert [(one["type"], one["data"]["id"]) for one in taken] == [("job.failed", job["id"])]  # type: ignore[index]
    assert "hush" not in str(served.lines)


def test_a_notice_that_is_not_taken_comes_again_after_a_kill(
    start: Callable[..., Served], serve: Callable[..., Server]
) -> None:
    works: list[bool] = []
    ids: list[str] = []

    def answer(request: Request) -> None:
        ids.append(request.headers["webhook-id"])
        request.send("204 No Content" if works else "500 Internal Server Error")

    server = serve(answer)
    served = start(
        "--webhook", server.url("/told"), "--allow-networks", "127.0.0.0/8", NARROWBOAT_WEBHOOK_SECRET=SECRET
    )
    job = served.upload(NO_SOUND).json
    served.wait_for("notice not taken", job=job["id"])
    served.kill()
    works.append(True)
    served.start()
    served.wait_for("notice taken", job=job["id"])
    assert len(set(ids)) == 1, "the same notice has the same id"


def test_a_feed_is_watched(start: Callable[..., Served], serve: Callable[..., Server]) -> None:
    episode = sound(1)

    def answer(request: Request) -> None:
        if request.path != "/feed.xml":
            request.send("200 OK", episode, Content_Type="audio/wav", ETag='"1"')
            return
        enclosure = f'<enclosure url="{server.url("/one.wav")}" type="audio/wav"/>'
        item = f"<item><guid>one</guid><title>One</title>{enclosure}</item>"
        feed = f'<rss version="2.0"><channel><title>A feed</title>{item}</channel></rss>'
        request.send("200 OK", feed.encode(), Content_Type="application/rss+xml", ETag='"2"')

    server = serve(answer)
    served = start("--watch", server.url("/feed.xml"), "--allow-networks", "127.0.0.0/8")
    served.wait_for("feed looked at", new=1)
    found = served.get("/v1/feeds").json
    assert [(feed["title"], feed["new"], feed["problem"]) for feed in found["feeds"]] == [("A feed", 1, None)]
    for _ in deadline():
        jobs = served.get("/v1/jobs?label=feeds").json["jobs"]
        if jobs:
            break
    assert served.until_ended(jobs[0]["id"])["source"]
