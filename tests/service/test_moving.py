"""A server that outgrows its machine: its data folder moves into PostgreSQL and a bucket. With `--backend cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from tests.service.cluster import Cluster
from tests.service.conftest import Material, Ready, Server, await_job, await_shot, bring, generate


@pytest.fixture(scope="module", autouse=True)
def several(backend: Cluster | None) -> Cluster:
    if backend is None:
        pytest.skip("one machine alone")
    return backend


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("laptop") / "data")
    server.start()
    yield server
    if server.process is not None:
        server.stop()


def moved(server: Server, laptop: Server) -> str:
    return server.lipsmith("move", str(laptop.data))


def test_keys_and_objects_move(several: Cluster, material: Material, tmp_path: Path) -> None:
    laptop = Server(tmp_path / "laptop")
    laptop.start("--no-worker", ready=False)
    with laptop.caller() as api:
        voice = bring(api, "audio", material.voice, "audio/wav")["audio_id"]
    laptop.stop()
    server = Server(tmp_path / "data", {}, several, key=laptop.key)
    assert "moved" in moved(server, laptop)
    server.start("--no-worker", ready=False)
    try:
        with server.caller() as api:
            assert [row["audio_id"] for row in api.get("/v1/audio").json()["data"]] == [voice]
            url = httpx.URL(api.get(f"/api/audio/{voice}/media").json()["data"]["url"])
            assert httpx.get(url).content == material.voice.read_bytes()
        made = server.lipsmith("keys", "create", "anna@example.com")
        assert made.startswith("lsk_")  # its number is none of those that moved
    finally:
        server.stop()


@pytest.mark.slow
def test_shots_takes_and_keys_move_and_numbers_go_on(
    laptop: Server, several: Cluster, material: Material, tmp_path: Path
) -> None:
    with laptop.caller() as api:
        shot = bring(api, "video", material.video, "video/mp4")
        voice = bring(api, "audio", material.voice, "audio/wav")
        await_shot(api, shot["shot_id"], laptop)
        ready = Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])
        first, deleted = generate(api, ready), generate(api, ready)
        await_job(api, first)
        await_job(api, deleted)
        before = content(api, first)
    server = Server(tmp_path / "several" / "data", {}, several, key=laptop.key)
    assert "a server is running on it" in moved(server, laptop)
    laptop.stop()
    with laptop.database() as engine, engine.begin() as rows:  # as if the last job had been forgotten altogether
        rows.execute(text(f"DELETE FROM jobs WHERE id = {deleted}"))
    assert "moved" in moved(server, laptop)
    server.start()
    try:
        with server.caller() as api:
            assert [row["shot_id"] for row in api.get("/v1/shots").json()["data"]] == [ready.shot_id]
            assert content(api, first) == before
            again = generate(api, ready)
            assert again == deleted + 1  # a number that was given is not given again
            await_job(api, again)
            assert content(api, again)
        assert "has users already" in moved(server, laptop)
    finally:
        server.stop()


def content(api: httpx.Client, job_id: int) -> bytes:
    return httpx.get(api.get(f"/v1/renders/{job_id}/download").json()["data"]["download_url"]).content


def test_what_is_no_data_folder_is_named(several: Cluster, tmp_path: Path) -> None:
    server = Server(tmp_path / "data", {}, several)
    assert "there is no lipsmith.db in it" in moved(server, Server(tmp_path / "nothing"))


def test_unfinished_work_stays_where_it_is(several: Cluster, material: Material, tmp_path: Path) -> None:
    laptop = Server(tmp_path / "laptop")
    laptop.start("--no-worker", ready=False)
    with laptop.caller() as api:
        bring(api, "video", material.video, "video/mp4")
    laptop.stop()
    told = moved(Server(tmp_path / "data", {}, several), laptop)
    assert "not all work is done (1 shots)" in told
