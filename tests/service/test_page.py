"""The page in a real browser: handing in, watching, reading, cancelling, errors, by keyboard, on a phone.

Needs Chromium and the Python package playwright; skipped where one is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_harness import Served, repeated

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, service: Served, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, opened; it asked nobody else for anything, and nothing went wrong in it."""
    context = browser.new_context(**getattr(request, "param", {}))
    context.set_default_timeout(PATIENCE_MS)
    made = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    made.on("request", lambda one: asked.append(one.url))
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    made.goto(service.url)
    made.wait_for_selector(".list")
    yield made
    context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((service.url, "blob:"))] == []


def _row(page: Any, name: str) -> Any:
    return page.locator(".jobs .job", has=page.get_by_role("link", name=name, exact=True)).first


def _tiny(page: Any) -> None:
    page.get_by_label("Model").select_option("local:whisper-tiny.en")


def test_a_recording_is_handed_in_watched_and_read(page: Any, speech: Path) -> None:
    _tiny(page)
    page.set_input_files("#file", {"name": "cities.wav", "mimeType": "audio/wav", "buffer": speech.read_bytes()})
    page.get_by_role("button", name="Start").click()
    row = _row(page, "cities.wav")
    row.locator(".chip.done").wait_for()
    row.get_by_role("link", name="cities.wav").click()
    first = page.locator(".segment").first
    assert "best of times" in first.inner_text()
    page.get_by_label("Search the transcript").fill("worst")
    assert page.locator(".segment:visible").count() == 1
    assert page.locator("mark").first.inner_text() == "worst"
    assert page.get_by_text("1 place", exact=True).is_visible()
    page.get_by_label("Search the transcript").fill("")
    third = page.locator(".segment").nth(2)
    third.get_by_role("button").click()
    assert page.locator("audio").evaluate("audio => audio.currentTime") > 3  # the file is still in the browser
    assert "now" in (third.get_attribute("class") or "")
    with page.expect_download() as download:
        page.get_by_role("link", name="cities.srt").click()
    assert " --> " in Path(download.value.path()).read_text()


def test_a_job_under_way_shows_its_memory_and_is_cancelled(page: Any, speech: Path) -> None:
    _tiny(page)
    page.set_input_files("#file", {"name": "long.wav", "mimeType": "audio/wav", "buffer": repeated(speech, 4)})
    page.get_by_role("button", name="Start").click()
    row = _row(page, "long.wav")
    row.locator(".told", has_text="listening").wait_for()
    assert "MiB of" in row.locator(".told").inner_text()
    page.locator(".part.job").first.wait_for()
    assert "1 running" in page.locator(".figures").inner_text()
    row.get_by_role("button", name="Cancel long.wav").click()
    row.locator(".chip.cancelled").wait_for()
    row.get_by_role("button", name="Delete long.wav").click()
    row.wait_for(state="detached")


def test_what_went_wrong_is_a_sentence(page: Any) -> None:
    page.set_input_files("#file", {"name": "a.mp3", "mimeType": "audio/mpeg", "buffer": b"this is no sound\n" * 9})
    page.get_by_role("button", name="Start").click()
    row = _row(page, "a.mp3")
    row.locator(".chip.failed").wait_for()
    assert row.locator(".told").inner_text().startswith("a.mp3 is not media")
    page.set_input_files("#file", {"name": "b.mp3", "mimeType": "audio/mpeg", "buffer": bytes(25 << 20)})
    page.get_by_role("button", name="Start").click()
    page.get_by_role("alert").filter(has_text="may have 20.0 MiB").wait_for()
    page.get_by_role("button", name="Start").click()
    assert page.get_by_role("alert").inner_text() == "Choose a file, or give an address."
    page.get_by_label("Or an address").fill("file:///etc/passwd")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("alert").filter(has_text="http").wait_for()


def test_the_keyboard_is_enough(page: Any) -> None:
    address = page.get_by_label("Or an address")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        page.keyboard.press("Tab")
        if address.evaluate("field => field === document.activeElement"):
            break
    page.keyboard.type("http://10.0.0.1/keyboard.mp3")
    page.keyboard.press("Enter")
    row = _row(page, "http://10.0.0.1/keyboard.mp3")
    row.locator(".chip.failed").wait_for()
    row.get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.locator(".one .error").wait_for()
    assert "private address" in page.locator(".one .error").inner_text()
    page.get_by_role("link", name="All jobs").focus()
    page.keyboard.press("Enter")
    page.locator(".list").wait_for()


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_it_fits_a_phone(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input:not(.unseen):not([type=checkbox])')]"
        ".filter(one => one.offsetParent && one.getBoundingClientRect().height < 32).map(one => one.outerHTML)"
    )
    assert small == []


def test_a_key_is_asked_for_once(browser: Any, start: Any) -> None:
    served = start(NARROWBOAT_KEYS="a-long-key-of-the-tests")
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(served.url)
    page.get_by_label("Key").fill("wrong")
    page.get_by_role("button", name="Enter").click()
    page.get_by_role("alert").filter(has_text="no such key").wait_for()
    page.get_by_label("Key").fill("a-long-key-of-the-tests")
    page.get_by_role("button", name="Enter").click()
    page.locator(".list").wait_for()
    page.reload()
    page.locator(".list").wait_for()
    assert page.evaluate("document.cookie") == "", "a script could read the key"
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Key").wait_for()
    context.close()
