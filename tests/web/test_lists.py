"""Lists that stay fast with thousands, and deleting with a way back."""

from __future__ import annotations

import time
import uuid

import httpx
import pytest
from sqlalchemy.orm import Session
from tests.service.conftest import Server, until
from tests.web.conftest import Visit, sign_in

from lipsmith.service.tables import Job, Project, Scene, Shot, Upload, connect, now, transaction

COUNT = 3000
PAGE = 24


@pytest.fixture(scope="module")
def crowd(server: Server) -> int:
    """Thousands of shots and takes, written straight into the server's database; the newest shot's number."""
    engine = connect(f"sqlite:///{server.data / 'lipsmith.db'}")
    with transaction(engine) as session:
        for number in range(1, COUNT + 1):
            newest = _add(session, number)
    engine.dispose()
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
