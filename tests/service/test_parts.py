"""Parts of the service by themselves: settings, migrations, signing, timecode, storage, retention, leases, secrets."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from datetime import timedelta
from fractions import Fraction
from inspect import signature
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect
from starlette.requests import Request
from tests.service.cluster import Cluster
from tests.service.conftest import Ready, Server

from lipsmith.engine.media.clock import frame_of_label
from lipsmith.errors import BadRange, RequestError
from lipsmith.service import logs, presence
from lipsmith.service.context import make_context
from lipsmith.service.files import disposition
from lipsmith.service.handling import base_url
from lipsmith.service.migrate import migrate, migrate_queue
from lipsmith.service.presence import refuse_second_machine
from lipsmith.service.retention import expire
from lipsmith.service.settings import RateLimit, ServiceSettings
from lipsmith.service.signing import Permission, Signer
from lipsmith.service.storage import Folder
from lipsmith.service.tables import (
    Job,
    Lease,
    Project,
    Scene,
    Shot,
    Table,
    Tenant,
    Upload,
    User,
    connect,
    now,
    transaction,
)
from lipsmith.service.timecode import ShotClock, read_ranges


@pytest.mark.parametrize(
    ("label", "rate", "frame"),
    [
        ("00:00:10:00", Fraction(25), 250),
        ("00:00:10:00", Fraction(24000, 1001), 240),
        ("00:01:00:00", Fraction(30000, 1001), 1800),
        ("00:01:00;02", Fraction(30000, 1001), 1800),
        ("00:10:00;00", Fraction(30000, 1001), 17982),
        ("00:01:00;04", Fraction(60000, 1001), 3600),
    ],
)
def test_labels_of_the_contract(label: str, rate: Fraction, frame: int) -> None:
    assert frame_of_label(label, rate) == frame


def test_a_label_that_does_not_exist() -> None:
    with pytest.raises(BadRange, match="dropped"):
        frame_of_label("00:01:00;00", Fraction(30000, 1001))


@given(st.integers(0, 2_000_000))
def test_drop_frame_labels_count_every_frame_once(number: int) -> None:
    """The inverse after SMPTE 12M, written another way round: minutes are walked, not computed."""
    tens, rest = divmod(number, 17982)
    minute, frame = (0, rest) if rest < 1800 else (1 + (rest - 1800) // 1798, (rest - 1800) % 1798 + 2)
    total = 10 * tens + minute
    hours, minutes = divmod(total, 60)
    seconds, frames = divmod(frame, 30)
    if hours < 24:
        label = f"{hours:02}:{minutes:02}:{seconds:02};{frames:02}"
        assert frame_of_label(label, Fraction(30000, 1001)) == number


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=2, max_size=12, unique=True))
def test_ranges_come_back_in_order(ends: list[float]) -> None:
    ends = sorted(ends)[: len(ends) // 2 * 2]
    pairs: list[list[object]] = [[a, b] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    found = read_ranges(pairs[::-1], ShotClock(Fraction(25), None, constant_rate=True))
    assert [list(pair) for pair in found] == pairs


def test_settings_are_read_and_refused() -> None:
    told = ServiceSettings.from_environment(
        {
            "LIPSMITH_RATE_LIMIT_UPLOADS": "10/hour",
            "LIPSMITH_URL_ALLOW_HOSTS": "a, 10.0.0.0/8",
            "LIPSMITH_MEASURE": "off",
        }
    )
    assert told.rate_limit_uploads == RateLimit(10, 3600)
    assert told.url_allow_hosts == ("a", "10.0.0.0/8")
    assert told.measure is False
    for name, value in {
        "PORT": "x",
        "RATE_LIMIT_UPLOADS": "ten",
        "FINISHED_WORD": "done",
        "PUBLIC_BASE_URL": "dub.example.com",
        "QUOTA_MINUTES": "-1",
        "WEBHOOK_RETRY_DELAYS": "1,x",
        "MEASURE": "maybe",
        "TRUSTED_PROXIES": "nginx",
    }.items():
        with pytest.raises(RequestError, match=f"LIPSMITH_{name}"):
            ServiceSettings.from_environment({f"LIPSMITH_{name}": value})


@pytest.mark.parametrize(
    ("client", "base"),
    [
        ("10.1.2.3", "https://dub.example"),
        ("::1", "https://dub.example"),
        ("11.1.2.3", "http://inside"),
        ("testclient", "http://inside"),
    ],
)
def test_a_proxy_is_believed_only_where_it_is_named(tmp_path: Path, client: str, base: str) -> None:
    environment = {"LIPSMITH_DATA_FOLDER": str(tmp_path), "LIPSMITH_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}
    told = {"host": "inside", "x-forwarded-proto": "https", "x-forwarded-host": "dub.example"}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    scope = {"type": "http", "scheme": "http", "path": "/", "headers": headers, "client": (client, 1)}
    here = make_context(ServiceSettings.from_environment(environment))
    assert base_url(Request(scope), here) == base


def test_every_setting_stands_in_the_docs() -> None:
    from dataclasses import fields

    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    missing = [f.name for f in fields(ServiceSettings) if f"LIPSMITH_{f.name.upper()}" not in page]
    assert not missing


def test_migrations_make_the_tables_and_go_back(backend: Cluster | None, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}" if backend is None else backend.postgres.database()
    engine = connect(url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    migrate(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
    migrate(engine)
    engine.dispose()


@given(st.binary(min_size=1, max_size=40), st.integers(0, 400))
def test_a_token_that_was_changed_is_no_token(noise: bytes, at: int) -> None:
    signer = Signer(lambda: b"secret")
    token = signer.token(Permission("GET", "1/video/x", 9_999_999_999, "video/mp4"))
    assert signer.permission(token) is not None
    changed = token[:at] + noise.hex() + token[at + len(noise) :]
    assert changed == token or signer.permission(changed) is None
    assert Signer(lambda: b"other").permission(token) is None


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../b", "", "a//b", "a b", ".x", "a/\x00"])
def test_what_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        Folder(tmp_path).path(key)


def test_names_in_headers() -> None:
    told = disposition('a"\r\nSet-Cookie: x=1;é.mp4')
    assert "\r" not in told
    assert "\n" not in told
    assert told.endswith("%C3%A9.mp4")


def test_old_outputs_and_abandoned_uploads_go(tmp_path: Path) -> None:
    here = make_context(ServiceSettings(data_folder=tmp_path, retention_days=2))
    migrate(here.engine)
    with transaction(here.engine) as session:
        session.add(tenant := Tenant(secret="x"))
        session.flush()
        session.add(user := User(tenant_id=tenant.id, email="a@b"))
        session.flush()
        session.add(project := Project(tenant_id=tenant.id, user_id=user.id, name="p"))
        session.flush()
        session.add(scene := Scene(project_id=project.id, name="s"))
        session.add(
            upload := Upload(
                id="u", tenant_id=1, kind="video", file_name="f", content_type="video/mp4", limit_bytes=1,
                object_key="1/video/u", expires_at=now() - timedelta(days=1),
            )
        )  # fmt: skip
        session.flush()
        session.add(
            shot := Shot(
                tenant_id=1, project_id=1, scene_id=scene.id, video_id=upload.id, label="f", rate_numerator=25,
                rate_denominator=1,
            )
        )  # fmt: skip
        session.flush()
        for number, days in enumerate((1, 3), 1):
            key = f"1/job/{number}/1.mp4"
            here.storage.commit_text("x", key, "nobody")
            session.add(
                Job(
                    tenant_id=1, shot_id=shot.id, status="finished", options={}, output_filename="x", output_key=key,
                    ended_at=now() - timedelta(days=days),
                )
            )  # fmt: skip
    assert expire(here) == 1
    assert here.storage.exists("1/job/1/1.mp4")
    assert not here.storage.exists("1/job/2/1.mp4")
    with transaction(here.engine) as session:
        assert session.get_one(Upload, "u").status == "failed"
    here.engine.dispose()


def test_the_queue_still_has_what_leases_and_places_need(tmp_path: Path) -> None:
    """Internal calls of DBOS: should a new version lose it, this fails before a worker does."""
    from dbos import DBOS
    from dbos._core import ActiveWorkflowById

    assert list(signature(DBOS._recover_pending_workflows).parameters) == ["executor_ids"]
    assert list(signature(ActiveWorkflowById.count_for_queue).parameters) == ["self", "queue_name"]
    worker = DBOS(config={"name": "lipsmith", "system_database_url": f"sqlite:///{tmp_path / 'q.db'}"})
    assert isinstance(worker._active_workflows_set, ActiveWorkflowById)
    DBOS.destroy()
    migrate_queue(f"sqlite:///{tmp_path / 'q.db'}")


def test_another_machine_on_sqlite_is_refused(tmp_path: Path) -> None:
    here = make_context(ServiceSettings(data_folder=tmp_path, lease_seconds=2.0))
    migrate(here.engine)
    refuse_second_machine(here)  # nobody is there

    def live(machine: str, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            with transaction(here.engine) as session:
                session.merge(Lease(executor_id="x", role="api", machine=machine, beat=now()))

    for machine, refused in (("elsewhere", True), (presence.machine(), False)):
        ended = threading.Event()
        other = threading.Thread(target=live, args=(machine, ended))
        other.start()
        time.sleep(0.5)
        try:
            with pytest.raises(RequestError, match="PostgreSQL") if refused else contextlib.nullcontext():
                refuse_second_machine(here)
        finally:
            ended.set()
            other.join()
    with transaction(here.engine) as session:  # left behind by a machine that went down
        session.merge(Lease(executor_id="x", role="api", machine="elsewhere", beat=now()))
    refuse_second_machine(here)
    here.engine.dispose()


def test_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.makeLogRecord({"msg": "request %s", "args": ("x",), "name": "lipsmith", "request_id": "r1"})
    told = json.loads(logs.JsonLines().format(record))
    assert told["message"] == "request x"
    assert told["request_id"] == "r1"


def test_no_secret_is_logged(server: Server, api: httpx.Client, finished: int, ready: Ready) -> None:
    url = api.get(f"/v1/renders/{finished}/download").json()["data"]["download_url"]
    httpx.get(url)
    httpx.get(url.replace("/files/", "/files/x"))
    log = server.log.read_text()
    assert '"path": "/files/…"' in log
    assert server.key not in log
    assert url.partition("/files/")[2][:40] not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line.get("job_id") == finished for line in lines)


def test_a_translation_plug_in(server: Server, api: httpx.Client, ready: Ready, tmp_path: Path) -> None:
    """Installed beside the server, it makes the call work; here one that says what it always says."""
    from tests.service.conftest import await_job

    package = tmp_path / "shouting.dist-info"
    package.mkdir()
    package.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    package.joinpath("entry_points.txt").write_text("[lipsmith.translators]\nshouting = shouting:translate\n")
    voice = tmp_path / "voice"
    voice.write_bytes(httpx.get(api.get(f"/api/audio/{ready.audio_id}/media").json()["data"]["url"]).content)
    tmp_path.joinpath("shouting.py").write_text(
        "import shutil\n"
        "def translate(shot, voice, source_language, target_language):\n"
        "    assert (source_language, target_language) == ('English', 'Loud')\n"
        f"    shutil.copy({str(voice)!r}, voice)\n"
    )
    server.stop()
    server.settings["PYTHONPATH"] = str(tmp_path)
    server.start()
    path = f"/v1/shots/{ready.shot_id}/translate"
    assert api.post(path, json={"target_language": "Loud"}).status_code == 422
    told = api.post(path, json={"source_language": "English", "target_language": "Loud"})
    assert told.status_code == 201, told.text
    assert told.json()["data"]["translation_id"] == told.json()["generate_id"]
    assert await_job(api, told.json()["generate_id"])["output_filename"] == "speaker-Loud.mp4"
    server.stop()
    server.settings.clear()
    server.start()
