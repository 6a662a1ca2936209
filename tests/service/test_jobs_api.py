"""Jobs over HTTP: from an upload to its outputs, and what is said when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from service_harness import TINY, Answer, Served, deadline, form, repeated, sound

NO_SOUND = b"this is no sound\n" * 50


def test_an_upload_becomes_a_transcript(service: Served, speech: Path) -> None:
    taken = service.upload(speech.read_bytes(), "two cities.wav", options=TINY, formats="txt,srt,json", label="first")
    assert taken.status == 201, taken.body
    assert taken.headers["location"] == f"/v1/jobs/{taken.json['id']}"
    job = service.until_ended(taken.json["id"])
    assert job["state"] == "done"
    assert job["source"] == "two cities.wav"
    assert job["label"] == "first"
    assert {output["name"] for output in job["outputs"]} == {"two cities.txt", "two cities.srt", "two cities.json"}
    text = next(output for output in job["outputs"] if output["format"] == "txt")
    found = service.get(text["href"])
    assert found.status == 200
    assert "best of times" in found.body.decode()
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert int(found.headers["content-length"]) == text["bytes"]
    assert service.leftovers() == []

    again = service.upload(speech.read_bytes(), "same.wav", options=TINY, formats="txt,srt,json")
    assert again.json["id"] == job["id"], "the same content is the same job"
    assert service.until_ended(job["id"])["state"] == "done"
    assert service.leftovers() == []


def test_no_sound_fails_with_a_reason_that_names_no_place(service: Served) -> None:
    taken = service.upload(NO_SOUND, "notes.txt")
    job = service.until_ended(taken.json["id"])
    assert job["state"] == "failed"
    assert job["reason"]["code"] == "source"
    assert "notes.txt" in job["reason"]["detail"]
    assert str(service.home) not in json.dumps(job)
    assert service.leftovers() == []


def test_a_running_job_is_cancelled_and_deleted(service: Served, speech: Path) -> None:
    taken = service.upload(repeated(speech, 4), options=TINY).json
    with service.events(f"/v1/jobs/{taken['id']}/events") as events:
        for name, data in events:
            if name == "progress" and data["fraction"]:
                break
        cancelled = service.ask("POST", f"/v1/jobs/{taken['id']}/cancel")
        assert cancelled.status == 200
        assert cancelled.json["state"] == "cancelled"
        last = [data["state"] for name, data in events if name == "job"]
    assert last[-1] == "cancelled"
    assert service.leftovers() == []
    again = service.ask("POST", f"/v1/jobs/{taken['id']}/cancel")
    assert (again.status, again.json["code"]) == (409, "conflict")
    assert service.ask("DELETE", f"/v1/jobs/{taken['id']}").status == 204
    assert service.get(f"/v1/jobs/{taken['id']}").status == 404


def test_an_upload_that_was_at_fault_is_gone_and_may_come_again(service: Served) -> None:
    taken = service.upload(NO_SOUND + b"1").json
    service.until_ended(taken["id"])
    retried = service.ask("POST", f"/v1/jobs/{taken['id']}/retry")
    assert retried.status == 200
    job = service.until_ended(taken["id"])
    assert job["state"] == "failed"
    assert "is not kept any more" in job["reason"]["detail"]
    assert job["reason"]["hint"] == "send it again"
    assert service.upload(NO_SOUND + b"1").json["id"] == taken["id"]
    assert "is not kept" not in service.until_ended(taken["id"])["reason"]["detail"]


def test_a_key_of_a_request_stands_for_one_job(service: Served) -> None:
    body, headers = form(NO_SOUND + b"key")
    first = service.ask("POST", "/v1/jobs", body, {**headers, "idempotency-key": "one"})
    again = service.ask("POST", "/v1/jobs", body, {**headers, "idempotency-key": "one"})
    assert first.json["id"] == again.json["id"]
    other, _ = form(NO_SOUND + b"other")
    refused = service.ask("POST", "/v1/jobs", other, {**headers, "idempotency-key": "one"})
    assert refused.status == 409
    assert refused.json["code"] == "conflict"


def test_jobs_are_listed_page_by_page(service: Served) -> None:
    ids = [service.upload(NO_SOUND + f"page {n}".encode(), label="pages").json["id"] for n in range(5)]
    seen, address = [], "/v1/jobs?label=pages&limit=2"
    while address:
        page = service.get(address).json
        assert page["total"] == 5
        seen += [job["id"] for job in page["jobs"]]
        address = page["next"]
    assert seen == ids[::-1]
    for job_id in ids:
        service.until_ended(job_id)
    assert service.get("/v1/jobs?label=pages&state=queued,running").json["jobs"] == []
    assert len(service.get("/v1/jobs?label=pages&state=failed").json["jobs"]) == 5
    batch = service.get("/v1/batches/pages").json
    assert (batch["total"], batch["counts"]["failed"], batch["progress"]) == (5, 5, 1.0)


@pytest.mark.parametrize(
    ("method", "path", "json_", "status", "code", "said"),
    [
        ("POST", "/v1/jobs", {}, 400, "usage", "no 'source'"),
        ("POST", "/v1/jobs", {"source": "/etc/passwd"}, 400, "usage", "source"),
        ("POST", "/v1/jobs", {"source": "file:///etc/passwd"}, 400, "usage", "source"),
        ("POST", "/v1/jobs", {"source": "https://x.example/a", "formats": ["exe"]}, 400, "usage", "formats"),
        ("POST", "/v1/jobs", {"source": "https://x.example/a", "surprise": 1}, 400, "usage", "surprise"),
        ("POST", "/v1/jobs", {"source": "https://x.example/a", "pipeline": "nothing"}, 400, "usage", "transcribe"),
        ("POST", "/v1/jobs", {"source": "https://x.example/a", "options": {"model": "/etc"}}, 400, "usage", "model"),
        (
            "POST",
            "/v1/jobs",
            {"source": "https://x.example/a", "options": {"model": "openai:m@http://evil.example"}},
            400,
            "usage",
            "model",
        ),
        (
            "POST",
            "/v1/jobs",
            {"source": "https://x.example/a", "formats": ["summary"]},
            400,
            "usage",
            "formats: summary needs options.summary",
        ),
        (
            "POST",
            "/v1/jobs",
            {"pipeline": "outline", "source": "https://x.example/a", "options": {"model": "extractive"}},
            400,
            "usage",
            "without options.model",
        ),
        ("GET", "/v1/jobs?stat=done", None, 400, "usage", "stat"),
        ("GET", "/v1/jobs?state=gone", None, 400, "usage", "state"),
        ("GET", "/v1/jobs?limit=0", None, 400, "usage", "limit"),
        ("GET", "/v1/jobs?before=j9999", None, 404, "not_found", "j9999"),
        ("GET", "/v1/jobs/j9999", None, 404, "not_found", "j9999"),
        ("GET", "/v1/jobs/j", None, 404, "not_found", "job"),
        ("DELETE", "/v1/jobs/j9999", None, 404, "not_found", "j9999"),
        ("GET", "/v1/batches/none", None, 404, "not_found", "none"),
        ("PUT", "/v1/jobs", None, 405, "not_allowed", "PUT"),
        ("GET", "/nothing", None, 404, "not_found", "/nothing"),
    ],
)
def test_what_makes_no_sense_is_said(
    service: Served, method: str, path: str, json_: object, status: int, code: str, said: str
) -> None:
    answer = service.ask(method, path, json_=json_)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert said in answer.json["detail"] + str(answer.json["hint"])


def test_an_address_inside_is_refused_by_the_guard(service: Served) -> None:
    taken = service.ask("POST", "/v1/jobs", json_={"source": "http://169.254.169.254/latest/meta-data"})
    job = service.until_ended(taken.json["id"])
    assert (job["state"], job["reason"]["code"]) == ("failed", "address_refused")


def test_a_batch_of_addresses_is_cancelled_as_one(service: Served) -> None:
    sources = [f"http://10.0.0.{n}/a.mp3" for n in range(4)]
    taken = service.ask("POST", "/v1/batches", json_={"sources": sources, "label": "inside"})
    assert taken.status == 201
    assert [one["source"] for one in taken.json["taken"]] == sources
    for one in taken.json["taken"]:
        assert service.until_ended(one["job"])["reason"]["code"] == "address_refused"
    retried = service.ask("POST", "/v1/batches/inside/retry")
    assert retried.json["total"] == 4
    for one in taken.json["taken"]:
        service.until_ended(one["job"])
    assert service.ask("POST", "/v1/batches/inside/cancel").json["counts"]["failed"] == 4


def test_outputs_come_in_parts_and_not_again(service: Served, speech: Path) -> None:
    job = service.until_ended(service.upload(speech.read_bytes(), options=TINY).json["id"])
    address = f"/v1/jobs/{job['id']}/outputs/txt"
    whole = service.get(address)
    part = service.get(address, range="bytes=4-9")
    assert (part.status, part.body) == (206, whole.body[4:10])
    assert part.headers["content-range"] == f"bytes 4-9/{len(whole.body)}"
    assert service.get(address, range="bytes=-5").body == whole.body[-5:]
    assert service.get(address, range="bytes=9999999-").status == 416
    assert service.get(address, range="bytes=nonsense").status == 200
    assert service.get(address, if_none_match=whole.headers["etag"]).status == 304
    assert service.get(address, range="bytes=0-1", if_range='"other"').status == 200
    head = service.ask("HEAD", address)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    for wrong in ("../journal.db", "%2e%2e%2fjournal.db", "..%2f..%2fetc%2fpasswd", "nothing.txt"):
        assert service.get(f"/v1/jobs/{job['id']}/outputs/{wrong}").status == 404


def test_a_service_that_is_killed_goes_on_with_what_it_had(start: Callable[..., Served], speech: Path) -> None:
    served = start()
    ids = [served.upload(file, options=TINY).json["id"] for file in (speech.read_bytes(), repeated(speech, 1, 6))]
    with served.events(f"/v1/jobs/{ids[0]}/events") as events:
        next(name for name, data in events if name == "progress" and data["fraction"])
        served.kill()
    served.start()
    assert served.wait_for("listening")["resumed"] >= 1  # the short one may have ended before
    jobs = [served.until_ended(job_id) for job_id in ids]
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert served.leftovers() == []


def test_a_signal_drains(start: Callable[..., Served], speech: Path) -> None:
    served = start("--drain", "60s")
    taken = served.upload(speech.read_bytes(), options=TINY).json
    with served.events("/v1/events") as events:
        next(name for name, data in events if name == "job" and data["state"] == "running")
        served.process.terminate()
        served.wait_for("ending")
        refused = served.upload(sound(1))
        assert refused.status == 503
        assert refused.headers["retry-after"]
        assert served.get("/health").status == 503
        assert served.get("/health/live").status == 200
        assert [data["state"] for name, data in events if name == "job"][-1] == "done"
    assert served.process.wait(60) == 0
    served.start()
    assert served.get(f"/v1/jobs/{taken['id']}").json["state"] == "done"


def test_what_was_kept_long_enough_goes(start: Callable[..., Served]) -> None:
    served = start("--keep", "0s")
    taken = served.upload(NO_SOUND).json
    served.wait_for("job ended")
    served.end()
    served.start()
    served.wait_for("job deleted", job=taken["id"])
    for _ in deadline():
        if served.get(f"/v1/jobs/{taken['id']}").status == 404:
            break


def test_many_who_ask_for_the_same_at_once_get_the_same_job(service: Served) -> None:
    def at_once(ask: Callable[[], Answer]) -> list[Answer]:
        with ThreadPoolExecutor(8) as pool:
            return [one.result() for one in [pool.submit(ask) for _ in range(8)]]

    taken = at_once(lambda: service.upload(NO_SOUND + b"crowd"))
    assert [answer.status for answer in taken] == [201] * 8
    assert len({answer.json["id"] for answer in taken}) == 1
    address = {"source": "http://10.9.8.7/crowd.mp3"}
    taken = at_once(lambda: service.ask("POST", "/v1/jobs", json_=address))
    (job_id,) = {answer.json["id"] for answer in taken}
    for _ in range(3):
        service.until_ended(job_id)
        retried = at_once(lambda: service.ask("POST", f"/v1/jobs/{job_id}/retry"))
        assert {answer.status for answer in retried} <= {200, 409}
    job = service.until_ended(job_id)
    assert (job["state"], job["reason"]["code"]) == ("failed", "address_refused")
    assert service.get("/health").json["queued"] == 0
    assert service.leftovers() == []
