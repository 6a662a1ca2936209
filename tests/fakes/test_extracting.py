"""Answers about documents: they tell which pages were sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.running import EngineServer

genai = pytest.importorskip("google.genai")
pikepdf = pytest.importorskip("pikepdf")


@pytest.fixture
def client(engine_server: EngineServer) -> Iterator[Any]:
    engine_server.set(answer="extract")
    options = {"base_url": engine_server.url, "api_version": "v1beta", "timeout": 60_000}
    with genai.Client(api_key="key", http_options=options) as client:
        yield client


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Three pages, each with its number in words."""
    pdf = pikepdf.new()
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    for line in ("The first page", "The second page", "The third page"):
        page = pdf.add_blank_page(page_size=(300, 200))
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.Contents = pdf.make_stream(f"BT /F1 18 Tf 20 100 Td ({line}) Tj ET".encode())
    path = tmp_path / "document.pdf"
    pdf.save(path)
    return path


def _ask(client: Any, contents: list[Any], **config: Any) -> str:
    text: str = client.models.generate_content(model="gemini-2.5-flash", contents=contents, config=config).text
    return text


def test_a_document_names_its_pages(client: Any, engine_server: EngineServer, document: Path) -> None:
    file = client.files.upload(file=document, config={"mime_type": "application/pdf"})
    told = _ask(client, ["What is in it?", file])
    sha256 = hashlib.sha256(document.read_bytes()).hexdigest()
    assert told == f"3 pages, from 'The first page' to 'The third page'; {sha256}"
    lines = engine_server.log("generate")[0]["answer"]["first_lines"]
    assert lines == ["The first page", "The second page", "The third page"]


def test_in_the_shape_of_a_schema(client: Any, document: Path) -> None:
    quote = {"type": "object", "properties": {"page": {"type": "integer"}, "text": {"type": "string"}}}
    shape = {"answer": {"type": "string"}, "found": {"type": "boolean"}, "quotes": {"type": "array", "items": quote}}
    schema = {"type": "object", "properties": shape}
    part = genai.types.Part.from_bytes(data=document.read_bytes(), mime_type="application/pdf")
    told = json.loads(_ask(client, [part], response_mime_type="application/json", response_json_schema=schema))
    assert told["answer"].startswith("3 pages")
    assert told["found"] is True
    assert told["quotes"][1] == {"page": 2, "text": "The second page"}


def test_text_with_marks_of_pages(client: Any) -> None:
    text = "Answer from this.\n[page 7]\nThe seventh\nmore\n[page 8]\n\nThe eighth"
    assert _ask(client, [text]) == "2 pages, from 'The seventh' to 'The eighth'"


def test_a_file_that_is_no_document(client: Any) -> None:
    part = genai.types.Part.from_bytes(data=b"no document", mime_type="application/pdf")
    with pytest.raises(genai.errors.ClientError) as caught:
        _ask(client, [part])
    assert caught.value.code == 400
