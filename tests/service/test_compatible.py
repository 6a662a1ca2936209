"""Routes of earlier systems: the names of their fields, their words for states, storage ids."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes.running import EngineServer
from service_harness import Served, deadline

pikepdf = pytest.importorskip("pikepdf")
PAGES = [
    "The lock keeper opens the lower gate at seven.",
    "Coal was carried to the mills.",
    "The tunnel is closed in June.",
]


def _pdf(path: Path) -> Path:
    """A page for each text."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for text in PAGES:
        content = pikepdf.Stream(pdf, f"BT /F1 18 Tf 40 200 Td ({text}) Tj ET".encode())
        pdf.add_blank_page(page_size=(600, 300))
        page = pdf.pages[-1]
        page.Contents = pdf.make_indirect(content)
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
    with pdf.open_outline() as outline:
        outline.root.extend([pikepdf.OutlineItem("Gates", 0), pikepdf.OutlineItem("The tunnel", 2)])
    pdf.save(path)
    return path


class _Storage(BaseHTTPRequestHandler):
    """A file for those who have the key, under any id of the bucket."""

    def __init__(self, content: bytes, *args: object) -> None:
        self._content = content
        super().__init__(*args)  # type: ignore[arg-type]

    def _answer(self) -> None:
        known = self.path == "/bucket/books%20and%20more/lock.pdf" and self.headers.get("apikey") == "open sesame"
        self.send_response(200 if known else 403)
        self.send_header("content-length", str(len(self._content) if known else 0))
        self.send_header("etag", '"one"')
        self.end_headers()
        if known and self.command == "GET":
            self.wfile.write(self._content)

    do_GET = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[str]:
    content = _pdf(tmp_path / "lock.pdf").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Storage, content))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/bucket"
    server.shutdown()
    thread.join()
    server.server_close()


def stored(storage: str) -> dict[str, str]:
    return {"NARROWBOAT_STORAGE_URL": f"{storage}/{{id}}", "NARROWBOAT_STORAGE_HEADERS": "apikey: open sesame"}


@pytest.fixture
def served(start: Callable[..., Served], storage: str) -> Served:
    return start("--allow-networks", "127.0.0.0/8", **stored(storage))


def test_extract_split_and_analyze_answer_with_their_own_names(served: Served) -> None:
    file_id = "books and more/lock.pdf"
    sections = [{"section_name": "Gates/1", "page_range": "1-2"}, {"section_name": "Gates/1", "page_range": "9"}]
    prompt = {"id": 7, "prompt_name": "when", "prompt_text": "When does the keeper open the gate?"}
    asked = {"storage_file_id": file_id, "file_name": "lock.pdf", "sections": sections, "prompt": prompt}
    found = served.ask("POST", "/extract", json_=asked)
    assert found.status == 200, (found.body, served.lines)
    assert found.json["success"] is False
    assert "1 of 2 sections failed" in found.json["error"]
    first, second = found.json["sections"]
    assert (first["success"], first["section_name"]) == (True, "Gates/1")
    assert "opens the lower gate at seven" in first["prompts"][0]["result"]
    assert first["prompts"][0]["id"] == 7
    assert (second["success"], second["result"]) == (False, None)
    assert "3 pages" in second["error"]

    cut = served.ask("POST", "/split", json_={"storage_file_id": file_id, "sections": sections[:1]})
    assert cut.status == 200, cut.body
    assert cut.json["success"] is True
    part = served.get(cut.json["sections"][0]["file"])
    assert part.headers["content-type"] == "application/pdf"
    assert part.body.startswith(b"%PDF-")

    seen = served.ask("POST", "/analyze", json_={"file_id": file_id, "prompt_text": "chapters"})
    assert seen.status == 200, seen.body
    assert seen.json["success"] is True
    assert [(one["section_name"], one["page_range"]) for one in seen.json["sections"]] == [
        ("Gates", "1-2"),
        ("The tunnel", "3"),
    ]
    assert "open sesame" not in "".join(map(str, served.lines))
    assert b"open sesame" not in b"".join(p.read_bytes() for p in served.home.glob("journal.db*"))
    assert served.ask("DELETE", f"/v1/jobs/{cut.json['job_id']}").status == 204
    assert not list((served.home / "outputs").rglob("*.pdf"))


@pytest.mark.parametrize("file_id", ["../keys.json", "a/../../b", "/etc/passwd", "a//b", "."])
def test_an_id_never_leaves_its_storage(served: Served, file_id: str) -> None:
    refused = served.ask("POST", "/analyze", json_={"file_id": file_id})
    assert (refused.status, refused.json["code"]) == (400, "usage")


def test_poses_by_the_routes_of_before(service: Served, shared_data: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    video = (shared_data / "video" / "pose2sim_single_cam01.mp4").read_bytes()
    taken = service.upload(video, "walk.mp4", "/api/upload")
    assert taken.status == 202, taken.body
    job_id = taken.json["job_id"]
    for _ in deadline():
        status = service.get(f"/api/status/{job_id}").json
        assert status["status"] in ("pending", "processing", "completed"), status
        if status["progress"] > 0:
            break
    assert service.ask("POST", f"/api/cancel/{job_id}").json["status"] in ("cancelled", "completed")
    wrong = service.upload(b"this is no video", "a.mp4", "/api/upload").json["job_id"]
    service.until_ended(wrong)
    failed = service.get(f"/api/status/{wrong}").json
    assert failed["status"] == "failed"
    assert failed["error"]
    assert service.get(f"/api/download/{wrong}/csv").status == 404
    assert service.get(f"/api/download/{wrong}/keys").status == 404


def test_who_runs_the_service_names_the_engine_of_extract(
    start: Callable[..., Served], storage: str, engine_server: EngineServer
) -> None:
    engine_server.set(answer="extract")
    model = f"openai:small@{engine_server.openai_url}"
    networks = ("--allow-networks", "127.0.0.0/8")
    served = start(*networks, "--language-model", model, OPENAI_API_KEY="none", **stored(storage))
    sections = [{"section_name": "Gates", "page_range": "1"}]
    asked = {
        "storage_file_id": "books and more/lock.pdf",
        "sections": sections,
        "prompt": {"prompt_name": "when", "prompt_text": "When?"},
    }
    found = served.ask("POST", "/extract", json_=asked)
    assert found.status == 200, found.body
    assert found.json["success"] is True
    assert len(engine_server.log("chat")) == 1
