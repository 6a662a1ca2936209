"""Objects of stores as sources of the command: one, a folder of them, and what is kept of their secrets."""

from __future__ import annotations

from command_harness import Cli
from object_store import Store, error, send, store

__all__ = ["store"]
TINY = ("--model", "local:whisper-tiny.en")


def test_one_and_a_folder(cli: Cli, store: Store) -> None:
    env = store.environment("s3")
    store.objects |= {
        f"2024/{name}": f"{name} is no sound\n".encode() * 500 for name in ("one.mp3", "two?.mp3", "x/3.mp3")
    }
    one = cli.run("transcribe", "s3://pods/2024/one.mp3", *TINY, **env)
    assert one.code == 1
    assert "✗ s3://pods/2024/one.mp3: s3://pods/2024/one.mp3" in one.err and "is not media" in one.err

    asked = len(store.requests)
    all_of_them = cli.run("transcribe", "s3://pods/2024/", *TINY, **env)
    assert "s3://pods/2024/: 3 objects, 2 of them new" in all_of_them.err
    assert [request.method for request in store.requests[asked:]].count("HEAD") == 0  # the list told enough
    assert sorted(job["source"] for job in cli.jobs().values()) == [
        "s3://pods/2024/one.mp3",
        "s3://pods/2024/two?…",
        "s3://pods/2024/x/3.mp3",
    ]
    none = cli.run("transcribe", "s3://pods/2023/*.mp3", *TINY, **env)
    assert none.code == 1
    assert "there is no object like s3://pods/2023/*.mp3" in none.err

    store.objects["2024/one.mp3"] = b"now it is another one, no sound either" * 100
    cli.run("transcribe", "s3://pods/2024/one.mp3", *TINY, **env)
    assert [job["source"] for job in cli.jobs().values()].count("s3://pods/2024/one.mp3") == 2  # another content


def test_what_is_not_there_rests_and_no_secret_is_kept(cli: Cli, store: Store) -> None:
    env = {**store.environment("az"), **store.environment("s3")}
    store.fault = lambda request: send(request, "403 x", error("AccessDenied")) is None
    denied = cli.run("transcribe", "az://pods/a.mp3", "s3://pods/a.mp3", *TINY, "--report", "report.json", **env)
    assert denied.code == 1
    assert "s3://pods/a.mp3 can't be read: these credentials may not read it (AccessDenied)" in denied.err
    store.fault = lambda _: False
    for _ in range(2):
        gone = cli.run("transcribe", "s3://pods/gone.mp3", *TINY, **env)
    assert "s3://pods/gone.mp3 failed and is left alone" in gone.err
    assert len(cli.run("sources", "--json").json["sources"]) == 3
    for file in [*cli.home.rglob("*"), cli.folder / "report.json"]:
        if file.is_file():
            assert b"sesame" not in file.read_bytes(), file
    assert "sesame" not in denied.out + denied.err + gone.err + cli.run("show", "j1").out
