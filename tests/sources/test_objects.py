"""Objects of stores: what a store may do, and what becomes of it. Each of the three kinds where it matters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Request, Scratch
from object_store import BUCKET, DATE, Store, error, etag, send, store

from narrowboat.errors import FetchError, Interrupted, NarrowboatError, SourceError, TooLarge

pytest.importorskip("obstore")
from narrowboat.sources.object_settings import _profile, opened
from narrowboat.sources.objects import MOST_LISTED, fetch, listed, validate

__all__ = ["store"]
BODY = bytes(range(256)) * 4000
#: Of an answer that declares all of it.
HEAD: dict[str, object] = {"Content-Length": len(BODY), "ETag": etag(BODY), "Last-Modified": DATE}
SCHEMES = pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
Settle = Callable[[str], None]


@pytest.fixture
def settle(store: Store, monkeypatch: pytest.MonkeyPatch) -> Settle:
    """Sets the variables that lead to the store."""

    def settled(scheme: str) -> None:
        for name, value in store.environment(scheme).items():
            monkeypatch.setenv(name, value)

    return settled


def ask(scheme: str = "s3", key: str = "a/talk.mp3", **inputs: Any) -> dict[str, Any]:
    return {"url": f"{scheme}://{BUCKET}/{key}", "stall_s": 5, "backoff_s": 0.01, "deadline_s": 20, **inputs}


def gets(store: Store) -> list[str | None]:
    asked = [request.headers for request in store.requests if request.method == "GET"]
    return [headers.get("range") or headers.get("x-ms-range") for headers in asked]


@SCHEMES
def test_a_whole_object(store: Store, settle: Settle, scratch: Scratch, scheme: str) -> None:
    settle(scheme)
    store.objects["a/My talk?.MP3"] = BODY
    said = validate(ask(scheme, "a/My talk?.MP3"))
    assert said == {"validator": etag(BODY).strip('"'), "bytes": len(BODY), "type": None}
    got = fetch(ask(scheme, "a/My talk?.MP3"))
    assert Path(got["path"]).read_bytes() == BODY
    assert (got["bytes"], got["validator"]) == (len(BODY), etag(BODY))
    assert scratch.names() == ["source.mp3"]
    assert scratch.progress[-1] == {
        "fraction": 1.0,
        "stage": "fetch",
        "bytes_done": len(BODY),
        "bytes_total": len(BODY),
    }


@SCHEMES
def test_a_cut_transfer_goes_on(store: Store, settle: Settle, scratch: Scratch, scheme: str) -> None:
    settle(scheme)
    store.objects["a/talk.mp3"] = BODY

    def cut(request: Request) -> bool:
        if request.number > 1:
            return False
        send(
            request,
            "200 OK",
            BODY[:300_000],
            **{"Content-Length": len(BODY), "ETag": etag(BODY), "Last-Modified": DATE},
        )
        return True

    store.fault = cut
    assert Path(fetch(ask(scheme))["path"]).read_bytes() == BODY
    assert gets(store) == [None, "bytes=300000-"] or gets(store) == [None, f"bytes=300000-{(1 << 64) - 1}"]
    assert "was cut, or stalled; next try in" in scratch.log[0]


@pytest.mark.parametrize("changed", [False, True])
def test_a_later_attempt_goes_on(store: Store, settle: Settle, scratch: Scratch, changed: bool) -> None:
    settle("s3")
    store.objects["a/talk.mp3"] = BODY

    def cut(request: Request) -> bool:
        if request.number == 1:
            send(
                request,
                "200 OK",
                BODY[:1000],
                **{"Content-Length": len(BODY), "ETag": etag(BODY), "Last-Modified": DATE},
            )
        else:
            send(request, "503 Busy", error("SlowDown"))
        return True

    store.fault = cut
    with pytest.raises(FetchError, match=r"answered 503 SlowDown; given up after \d tries"):
        fetch(ask())
    assert scratch.names() == ["source.part", "source.part.json"]
    store.fault = lambda _: False
    store.requests.clear()
    new = BODY[::-1] if changed else BODY
    store.objects["a/talk.mp3"] = new
    assert Path(fetch(ask())["path"]).read_bytes() == new
    assert [request.headers.get("if-match") for request in store.requests] == (
        [etag(BODY), None] if changed else [etag(BODY)]
    )


def test_what_was_complete_is_used(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")
    store.objects["a/talk.mp3"] = BODY
    fetch(ask(max_bytes=None))
    (scratch.path / "source.mp3").rename(scratch.path / "source.part")
    note = '{"url": "%s", "validator": "x", "total": %d, "type": null}'
    import hashlib

    digest = hashlib.sha256(f"s3://{BUCKET}/a/talk.mp3".encode()).hexdigest()
    (scratch.path / "source.part.json").write_text(note % (digest, len(BODY)))
    asked = len(store.requests)
    assert Path(fetch(ask())["path"]).read_bytes() == BODY
    assert len(store.requests) == asked


def test_above_the_cap(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")
    store.objects["a/talk.mp3"] = BODY
    with pytest.raises(TooLarge, match=r"s3://pods/a/talk.mp3 is 1000 KiB, more than the 97.7 KiB allowed"):
        fetch(ask(max_bytes=100_000))
    assert scratch.names() == []


def test_a_stall_and_a_drip(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")

    def stall(request: Request) -> bool:
        send(request, "200 OK", BODY[:1000], **HEAD)
        threading.Event().wait(0.5)
        return True

    store.fault = stall
    with pytest.raises(FetchError, match=r"(was cut, or stalled|can't be had in parts); given up after \d+ tries"):
        fetch(ask(stall_s=0.1))

    def drip(request: Request) -> bool:
        send(request, "200 OK", b"", **HEAD)
        while not request.closing.wait(0.02):
            request.conn.sendall(b"x")
        return True

    store.fault = drip
    with pytest.raises(FetchError, match=r"not finished within 0.4 s"):
        fetch(ask(deadline_s=0.4))


def test_asked_to_stop(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")

    def answer(request: Request) -> bool:
        send(request, "200 OK", BODY[:1000], **HEAD)
        scratch.context.stopping = True
        request.conn.sendall(BODY[1000:])
        return True

    store.fault = answer
    with pytest.raises(Interrupted):
        fetch(ask())


def test_a_web_page_in_its_place(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")
    store.objects["a/talk.mp3"] = b"<!doctype html>" + bytes(5000)
    with pytest.raises(SourceError, match="sent a web page in the place of a file"):
        fetch(ask())


@pytest.mark.parametrize(
    ("scheme", "status", "body", "said", "hint"),
    [
        ("s3", "404 x", error("NoSuchKey"), "there is no such object in the bucket pods", "check the name"),
        ("s3", "404 x", error("NoSuchBucket"), "there is no bucket pods", "check the name"),
        ("az", "404 x", error("ContainerNotFound"), "there is no container pods", "check the name"),
        ("gs", "404 x", b"", "there is no such object, or no bucket pods", "check the name"),
        ("s3", "403 x", error("AccessDenied"), "these credentials may not read it (AccessDenied)", "ask for leave"),
        ("s3", "403 x", error("SignatureDoesNotMatch"), "the credentials are not accepted (Sig", "AWS_ACCESS_KEY_ID"),
        ("s3", "400 x", error("ExpiredToken"), "its store answered 400 ExpiredToken", "variables of the store"),
        ("az", "403 x", error("AuthenticationFailed"), "the credentials are not accepted", "AZURE_STORAGE_CONNECTION"),
        ("gs", "401 x", b"no", "the credentials are not accepted", "GOOGLE_APPLICATION_CREDENTIALS"),
        (
            "s3",
            "400 x",
            error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            "its bucket is in eu-west-1",
            "set AWS_REGION=eu-west-1",
        ),
        ("s3", "301 x", b"", "its bucket is in another region than is asked", "set AWS_REGION"),
    ],
)
def test_what_is_final_in_one_sentence(
    store: Store, settle: Settle, scratch: Scratch, scheme: str, status: str, body: bytes, said: str, hint: str
) -> None:
    settle(scheme)

    def answer(request: Request) -> bool:
        send(request, status, body)
        return True

    store.fault = answer
    with pytest.raises(SourceError) as caught:
        fetch(ask(scheme))
    assert (
        caught.value.message
        == f"{scheme}://{BUCKET}/a/talk.mp3 can't be read: " + caught.value.message.partition("can't be read: ")[2]
    )
    assert said in caught.value.message and hint in str(caught.value.hint)
    assert len(store.requests) == 1
    assert "sesame" not in str(caught.value.to_json())


@pytest.mark.parametrize("status", ["500 x", "503 x", "429 x"])
def test_what_may_pass_is_tried_again(store: Store, settle: Settle, scratch: Scratch, status: str) -> None:
    settle("s3")
    store.objects["a/talk.mp3"] = BODY

    def answer(request: Request) -> bool:
        if request.number < 3:
            send(request, status, error("SlowDown"))
        return request.number < 3

    store.fault = answer
    assert fetch(ask())["bytes"] == len(BODY)
    assert f"can't be read now: its store answered {status[:3]} SlowDown; next try in" in scratch.log[0]


@SCHEMES
def test_nobody_is_there(store: Store, settle: Settle, scratch: Scratch, scheme: str) -> None:
    settle(scheme)
    store.server.close()
    with pytest.raises(FetchError, match="can't be reached: its store does not answer; given up after 4 tries"):
        fetch(ask(scheme))


def test_no_credentials(store: Store, scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", store.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    with pytest.raises(SourceError, match="there are no credentials for it") as caught:
        fetch(ask())
    assert "AWS_SKIP_SIGNATURE" in str(caught.value.hint)
    with pytest.raises(SourceError, match="no storage account is named"):
        fetch(ask("az"))
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    store.objects["a/talk.mp3"] = BODY
    assert fetch(ask())["bytes"] == len(BODY)
    assert "authorization" not in store.requests[-1].headers


def test_settings_that_make_no_sense(store: Store, settle: Settle, scratch: Scratch, monkeypatch: Any) -> None:
    settle("s3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(SourceError, match="the settings of its store make no sense"):
        fetch(ask())


def test_the_profile_of_amazon_s_files(store: Store, scratch: Scratch, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
        "[pods]\naws_access_key_id = mine\naws_secret_access_key = open-sesame\naws_session_token = t\n"
    )
    (tmp_path / "config").write_text(f"[profile pods]\nregion = eu-west-3\nendpoint_url = {store.url}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert _profile()["access_key_id"] == "other"
    monkeypatch.setenv("AWS_PROFILE", "pods")
    store.objects["a/talk.mp3"] = BODY
    assert fetch(ask())["bytes"] == len(BODY)
    headers = store.requests[-1].headers
    assert "Credential=mine/" in headers["authorization"] and "/eu-west-3/s3/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "t"
    (tmp_path / "credentials").write_bytes(b"\xff[no ini")
    assert "secret_access_key" not in _profile()


@SCHEMES
def test_a_folder_and_a_pattern(store: Store, settle: Settle, scratch: Scratch, scheme: str) -> None:
    settle(scheme)
    for key in ("2024/a.mp3", "2024/b c.wav", "2024/x/d.mp3", "20245/e.mp3", "f.mp3"):
        store.objects[key] = key.encode() * 10
    store.objects["2024/"] = store.objects["2024/empty.mp3"] = b""

    def found(key: str) -> list[str]:
        return [address.removeprefix(f"{scheme}://{BUCKET}/") for address, _, _ in listed(ask(scheme, key))["objects"]]

    assert found("2024/") == ["2024/a.mp3", "2024/b c.wav", "2024/x/d.mp3"]
    assert found("2024/*.mp3") == ["2024/a.mp3"]
    assert found("*/*.mp3") == ["2024/a.mp3", "20245/e.mp3"]
    assert len(found("")) == 5
    (first,) = listed(ask(scheme, "2024/a*"))["objects"]
    assert first[1:] == (validate(ask(scheme, "2024/a.mp3"))["validator"], len(store.objects["2024/a.mp3"]))
    with pytest.raises(SourceError, match="there is no object like"):
        found("2023/")


def test_too_many(store: Store, settle: Settle, scratch: Scratch) -> None:
    settle("s3")
    store.objects = dict.fromkeys(map(str, range(MOST_LISTED + 1)), b"x")
    with pytest.raises(SourceError, match="s3://pods/ means more than 10000 objects, too many for one name"):
        listed(ask(key=""))


@SCHEMES
def test_nothing_secret_is_ever_said(
    store: Store, settle: Settle, scratch: Scratch, scheme: str, monkeypatch: Any
) -> None:
    """Whatever the store answers: its errors have the whole request in them, and what is below them too."""
    settle(scheme)
    if scheme == "az":
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "boats")
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=open-sesame")
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", store.url)
    if scheme == "gs":
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "open-sesame")
    said = []
    for status in ("200 OK", "206 x", "302 x", "400 x", "401 x", "403 x", "404 x", "409 x", "412 x", "416 x", "500 x"):
        store.fault = lambda request, status=status: send(request, status, error("open-sesame")) is None  # type: ignore[misc]
        with pytest.raises(NarrowboatError) as caught:
            fetch(ask(scheme, deadline_s=1))
        said.append(caught.value.to_json())
    assert store.requests
    assert "sesame" not in str(said) + str(scratch.log)


def test_a_store_is_not_asked_before_it_is_used(store: Store, settle: Settle) -> None:
    from narrowboat.sources.object_names import object_name

    settle("s3")
    opened(object_name("s3://pods/a"), connect_s=1, stall_s=1, within_s=1)
    assert store.requests == []
