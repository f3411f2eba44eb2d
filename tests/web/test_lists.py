"""Lists that stay fast with thousands, and deleting with a way back."""

from __future__ import annotations

import time
import uuid

import httpx
import pytest
from sqlalchemy.orm import Session
from tests.service.conftest import Server, until
from tests.web.conftest import Visit, sign_in

from lipsmith.service.tables import Actor, Job, Project, Scene, Shot, Upload, now, transaction

COUNT = 3000
PAGE = 24


@pytest.fixture(scope="module")
def crowd(server: Server) -> int:
    """Thousands of shots and takes, written straight into the server's database; the newest shot's number."""
    with server.database() as engine, transaction(engine) as session:
        for number in range(1, COUNT + 1):
            newest = _add(session, number)
    return newest


def _add(session: Session, number: int) -> int:
    """A shot with a take, both at their end; its number."""
    name, video = f"crowd-{number}.mp4", str(uuid.uuid4())
    project = Project(tenant_id=1, user_id=1, name=f"Film {number}")
    session.add(project)
    session.flush()
    scene = Scene(project_id=project.id, name="one")
    upload = Upload(id=video, tenant_id=1, kind="video", status="completed", file_name=name, content_type="video/mp4")
    upload.limit_bytes, upload.object_key, upload.expires_at = 1, f"1/video/{video}", now()
    session.add_all([scene, upload])
    session.flush()
    shot = Shot(tenant_id=1, project_id=project.id, scene_id=scene.id, video_id=video, label=name, progress=100)
    shot.status, shot.training_status, shot.rate_numerator, shot.rate_denominator = "finished", "finished", 25, 1
    session.add(shot)
    session.flush()
    session.add(Job(tenant_id=1, shot_id=shot.id, status="cancelled", options={"voices": []}, output_filename=name))
    return shot.id


def test_pages_of_thousands_are_small_and_deep_ones_cost_no_more(server: Server, crowd: int) -> None:
    """The best of five, as a ratio: a page deep down may take three times the first one's time."""
    with server.caller() as api:
        for path in ("/api/shots", "/api/jobs"):
            first, deep = (api.get(path, params={"page": page}).json() for page in (1, COUNT // PAGE))
            assert len(first["data"]) == len(deep["data"]) == PAGE and first["count"] >= COUNT
            near, far = (_best_seconds(api, path, page) for page in (1, COUNT // PAGE))
            assert far <= 3 * near


def _best_seconds(api: httpx.Client, path: str, page: int) -> float:
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        api.get(path, params={"page": page}).raise_for_status()
        spent.append(time.perf_counter() - began)
    return min(spent)


def test_search_pages_and_undo(visit: Visit, server: Server, crowd: int) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.get_by_text("Page 1 of").wait_for()
    assert page.locator(".card").count() == PAGE
    page.get_by_role("link", name="Older").click()
    page.get_by_text("Page 2 of").wait_for()
    page.get_by_role("searchbox").fill("crowd-2999")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="crowd-2999.mp4").first.wait_for()
    assert page.locator(".card").count() == 1
    path = f"{server.base}/api/shots/{crowd - 1}"
    with httpx.Client(headers={"x-api-key": server.key}) as api:
        page.get_by_role("button", name="Delete crowd-2999.mp4").click()
        page.locator(".card").wait_for(state="hidden")
        page.get_by_role("button", name="Undo").click()
        page.locator(".card").wait_for()
        assert api.get(path).status_code == 200
        page.get_by_role("button", name="Delete crowd-2999.mp4").click()
        page.goto(f"{visit.base}/takes")  # leaving the page means it
        until(lambda: api.get(path).status_code == 404, 15)


VOICES = 130


@pytest.fixture(scope="module")
def many_voices(server: Server, crowd: int) -> int:
    """More voices than a menu shows; gives a shot to use them on."""
    with server.database() as engine, transaction(engine) as session:
        for number in range(1, VOICES + 1):
            name, voice = f"line-{number:03}.wav", str(uuid.uuid4())
            upload = Upload(id=voice, tenant_id=1, kind="audio", status="completed", file_name=name)
            upload.content_type, upload.limit_bytes, upload.object_key = "audio/wav", 1, f"1/audio/{voice}"
            upload.expires_at, upload.created_at = now(), now()
            session.add(upload)
        session.add(Actor(tenant_id=1, shot_id=crowd, name="Ada", face=1))
    return crowd


def test_every_voice_can_be_chosen(visit: Visit, server: Server, many_voices: int) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/shots/{many_voices}")
    form = page.get_by_label("A new take")
    menu = form.get_by_role("combobox", name="Voice")
    form.get_by_text("1 to 50 of").wait_for()
    assert menu.get_by_role("option").count() == 51
    form.get_by_role("button", name="Older voices").click()
    form.get_by_text("51 to 100 of").wait_for()
    menu.select_option(label=f"line-{VOICES - 60:03}.wav")
    chosen = menu.input_value()
    form.get_by_role("searchbox").fill("line-007")
    form.get_by_text("1 to 1 of 1").wait_for()
    assert menu.input_value() == chosen, "what was chosen stays chosen, though another search is on"
    menu.select_option(label="line-007.wav")
    assert menu.input_value() not in ("", chosen)
    form.get_by_role("searchbox").fill("no such name")
    form.get_by_text("No voice has such a name").wait_for()


def test_voices_are_searched_by_name(visit: Visit, server: Server, many_voices: int) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/voices")
    page.get_by_text("Page 1 of").wait_for()
    page.get_by_role("searchbox").fill("LINE-099")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("line-099.wav").wait_for()
    assert page.locator(".take").count() == 1
    with server.caller() as api:
        assert api.get("/api/audio", params={"q": "line-%"}).json()["count"] == 0
        assert api.get("/api/audio", params={"q": "line-0", "per_page": 5}).json()["count"] == 99
