"""A reload, a server that goes away and comes back, an upload that is cut off."""

from __future__ import annotations

import re
from pathlib import Path

from tests.service.conftest import Server
from tests.web.conftest import Visit, sign_in

PIECE = 8 * 1024 * 1024


def test_a_reload_keeps_place_and_key(visit: Visit, server: Server) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/voices")
    page.reload()
    page.get_by_role("heading", name="Voices").wait_for()
    kept = page.evaluate("[localStorage.getItem('lipsmith-key'), sessionStorage.getItem('lipsmith-key')]")
    assert kept == [None, server.key]
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    assert page.evaluate("sessionStorage.getItem('lipsmith-key')") is None


def test_a_cut_upload_goes_on_where_it_was(visit: Visit, server: Server, tmp_path: Path) -> None:
    page, asked = visit.page, []
    big = tmp_path / "not-a-film.mp4"
    big.write_bytes(bytes(3 * PIECE // 2))
    sign_in(visit, server.key)

    def cut_once(route: object) -> None:
        if route.request.method != "PUT":
            route.continue_()
            return
        asked.append(route.request.headers["content-range"])
        cut = sum(f"bytes {PIECE}-" in one for one in asked) == 1 and asked[-1].startswith(f"bytes {PIECE}-")
        route.abort() if cut else route.continue_()

    page.route(re.compile("/files/"), cut_once)
    page.locator(".newshot input[type=file]").set_input_files(big)
    alert = page.get_by_role("alert")
    alert.wait_for(timeout=30_000)
    assert "readable video" in alert.inner_text() and "Request id" in alert.inner_text()
    begun = [int(one.split()[1].split("-")[0]) for one in asked if "*" not in one]
    assert begun == [0, PIECE, PIECE], "what had arrived was not sent again"


def test_an_upload_goes_on_after_a_reload(visit: Visit, server: Server, tmp_path: Path) -> None:
    page, asked = visit.page, []
    big = tmp_path / "long.mp4"
    big.write_bytes(bytes(2 * PIECE))
    sign_in(visit, server.key)
    page.route(re.compile("/files/"), lambda route: _note_or_cut(route, asked))
    page.locator(".newshot input[type=file]").set_input_files(big)
    page.get_by_text("of 16.8 MB").wait_for()
    _wait(page, lambda: len(asked) >= 3)
    page.reload()
    page.get_by_text("was interrupted").wait_for()
    page.unroute(re.compile("/files/"))
    again: list[str] = []
    page.on("request", lambda one: again.append(one.headers["content-range"]) if one.method == "PUT" else None)
    page.locator(".newshot input[type=file]").set_input_files(big)
    page.get_by_role("alert").wait_for(timeout=30_000)
    assert again[0].startswith("bytes */") and again[1].startswith(f"bytes {PIECE}-"), again


def test_the_page_outlives_the_server(visit: Visit, server: Server) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/takes")
    page.get_by_role("heading", name="Takes").wait_for()
    server.stop()
    page.get_by_role("link", name="Projects").click()
    page.get_by_text("The server does not answer").wait_for()
    server.start()
    page.get_by_text("The server does not answer").wait_for(state="hidden", timeout=30_000)
    page.get_by_role("alert").wait_for(state="hidden")


def _note_or_cut(route: object, asked: list[str]) -> None:
    """Let the question and the first piece through, then cut every other off."""
    if route.request.method != "PUT":
        route.continue_()
        return
    asked.append(route.request.headers["content-range"])
    route.continue_() if len(asked) <= 2 else route.abort()


def _wait(page: object, fine: object) -> None:
    for _ in range(100):
        if fine():
            return
        page.wait_for_timeout(100)
    raise AssertionError("not in time")
