"""Files that customers have us fetch: a source URL of an upload, and renders by URL. The contract's E1 and §5.4.

Takes rows, leaves objects and completed uploads. Every connection goes to an address that was checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import httpx_secure

from lipsmith.service import events, probing, renders
from lipsmith.service.addresses import address_allowed, host_allowed, refused
from lipsmith.service.context import Context
from lipsmith.service.formats import FORMATS, Kind, bare
from lipsmith.service.refusals import Refusal
from lipsmith.service.tables import Actor, Ingest, Project, Scene, Shot, Upload, now, reading, transaction
from lipsmith.service.uploads import complete
from lipsmith.worker.shots import Bench

NOT_FETCHED, NOT_DISPATCHED, TIMED_OUT = "asset download failed", "render dispatch failed", "request timed out"
_MOST_REDIRECTS = 5
_IDLE_SECONDS = 30.0  # without a byte
_BLOCK_BYTES = 1024 * 1024
_RAW = ("application/octet-stream", "binary/octet-stream")


class NotFetched(Exception):
    """A sentence; never an address of our network."""


@contextlib.asynccontextmanager
async def checked_client(allow: tuple[str, ...], timeout_seconds: float) -> AsyncIterator[httpx.AsyncClient]:
    """A client that connects to checked addresses alone, follows nothing, and knows no proxy of the environment."""

    def fine(host: str, address: Any, port: int) -> bool:
        return host_allowed(host, port, allow) or address_allowed(address, allow)

    client = httpx.AsyncClient(timeout=timeout_seconds, follow_redirects=False, trust_env=False)
    async with httpx_secure.httpx_ssrf_protection(
        client, check_globally_reachable=False, custom_validator=fine, dns_cache_size=0, dns_cache_ttl=0
    ):
        yield client


def fetch_upload(bench: Bench, upload_id: str) -> None:
    """Fetch a source URL and complete its upload; failures are written into it."""
    here = bench.here
    with reading(here.engine) as session:
        upload = session.get_one(Upload, upload_id)
    if upload.status != "uploading":
        return
    found = _fetched(bench, upload, here.settings.ingest_timeout)
    with transaction(here.engine) as session:
        row = session.get_one(Upload, upload_id, with_for_update=True)
        if row.status == "uploading" and row.deleted_at is None:
            row.received_bytes = upload.received_bytes
            complete(session, here, row, found)


def _fetched(bench: Bench, upload: Upload, seconds: float) -> probing.Found | str:
    """Facts of the file that was fetched, or a sentence."""
    with bench.here.storage.workshop(bench.executor_id) as folder:
        part = folder / "part"
        try:
            asyncio.run(download(upload.source_url or "", part, bench.here, seconds))
        except (NotFetched, TimeoutError) as error:
            return str(error) or TIMED_OUT
        with part.open("rb") as file:
            found = probing.look(file, _kind(upload))
        if not isinstance(found, str):
            upload.received_bytes = part.stat().st_size
            bench.here.storage.commit(part, upload.object_key)
        return found


def _kind(upload: Upload) -> Kind:
    return "video" if upload.kind == "video" else "audio"


async def download(url: str, part: Path, here: Context, seconds: float) -> None:
    """The file behind a URL into `part`. Raises NotFetched, TimeoutError."""
    allow, most = here.settings.url_allow_hosts, here.settings.max_video_bytes
    async with asyncio.timeout(seconds), checked_client(allow, _IDLE_SECONDS) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            if reason := await asyncio.to_thread(refused, url, allow, schemes=("http", "https")):
                raise NotFetched(f"{_host(url)}: {reason}")
            try:
                async with client.stream("GET", url) as answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("location", ""))
                        continue
                    await _save(answer, url, part, most)
                    return
            except (httpx.HTTPError, httpx_secure.SSRFProtectionError, httpx.InvalidURL) as error:
                raise NotFetched(f"{_host(url)}: the file could not be fetched ({type(error).__name__})") from error
        raise NotFetched(f"{_host(url)}: more than {_MOST_REDIRECTS} redirects")


async def _save(answer: httpx.Response, url: str, part: Path, most: int) -> None:
    if answer.status_code != 200:
        raise NotFetched(f"{_host(url)}: answered with status {answer.status_code}")
    kind = bare(answer.headers.get("content-type", _RAW[0]))
    known = {name for table in FORMATS.values() for types in table.values() for name in types}
    if kind not in known and kind not in _RAW:
        raise NotFetched(f"{_host(url)}: sent {kind[:80]!r}, which is no video and no audio")
    size = 0
    with part.open("wb") as file:
        async for block in answer.aiter_bytes(_BLOCK_BYTES):
            size += len(block)
            if size > most:
                raise NotFetched(f"{_host(url)}: the file is larger than {most} bytes")
            await asyncio.to_thread(file.write, block)
    if not size:
        raise NotFetched(f"{_host(url)}: the file is empty")


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the URL"


def ingest(bench: Bench, ingest_id: str) -> None:
    """Fetch what a render by URL names, make shot, audio and job."""
    here = bench.here
    with reading(here.engine) as session:
        row = session.get_one(Ingest, ingest_id)
    if row.status in ("dispatched", "failed"):
        return
    left = row.created_at + timedelta(seconds=here.settings.ingest_timeout) - now()
    deadline = time.monotonic() + left.total_seconds()
    uploads: dict[str, tuple[Upload, probing.Found]] = {}
    for kind in ("video", "audio"):
        if not (url := row.request.get(f"{kind}_url")):
            continue
        upload = _upload(row, kind, url, here)
        found = _fetched(bench, upload, max(0.001, deadline - time.monotonic()))
        if isinstance(found, str):
            _failed(here, ingest_id, TIMED_OUT if time.monotonic() >= deadline else NOT_FETCHED)
            return
        uploads[kind] = upload, found
    _say(here, ingest_id, "dispatching")
    try:
        _dispatch(here, ingest_id, uploads)
    except Refusal:
        for upload, _ in uploads.values():
            here.storage.delete(upload.object_key)
        _failed(here, ingest_id, NOT_DISPATCHED)


def _upload(row: Ingest, kind: str, url: str, here: Context) -> Upload:
    """Not in the database yet: nothing is left of an ingest that fails. Repeated, it is the same object."""
    identity = str(uuid.uuid5(uuid.UUID(row.id), kind))
    name = row.request["output_filename"] if kind == "video" else f"{row.request['output_filename']} (audio)"
    return Upload(
        id=identity,
        tenant_id=row.tenant_id,
        kind=kind,
        status="uploading",
        file_name=name[:255],
        content_type=next(iter(FORMATS[kind].values()))[0],
        limit_bytes=here.settings.max_video_bytes,
        source_url=url,
        object_key=f"{row.tenant_id}/{kind}/{identity}",
        expires_at=now() + timedelta(seconds=here.settings.upload_url_ttl),
    )


def _dispatch(here: Context, ingest_id: str, uploads: dict[str, tuple[Upload, probing.Found]]) -> None:
    """Everything in one transaction. Raises Refusal where credit is gone or what an id named is."""
    with transaction(here.engine) as session:
        row = session.get_one(Ingest, ingest_id, with_for_update=True)
        if row.status in ("dispatched", "failed"):
            return
        shot_id, audio_id = row.request.get("video_id"), row.request.get("audio_id")
        for kind, (upload, found) in uploads.items():
            session.add(upload)
            if kind == "video":
                _scene(session, row, upload)
            else:
                audio_id = upload.id
            made = complete(session, here, upload, found)
            shot_id = made if kind == "video" else shot_id
        shot = session.get(Shot, shot_id, with_for_update=True)  # else the end of its training could be missed
        audio = session.get(Upload, audio_id)
        if shot is None or shot.deleted_at is not None or audio is None or audio.deleted_at is not None:
            raise Refusal(404, {})
        job = renders.render_job(session, here, shot, audio.id, row.request, row.id)
        row.status, row.job_id = "dispatched", job.id


def _scene(session: Any, row: Ingest, upload: Upload) -> None:
    name = row.request["output_filename"]
    project = Project(tenant_id=row.tenant_id, user_id=row.user_id, name=name)
    session.add(project)
    session.flush()
    scene, actor = Scene(project_id=project.id, name=name), Actor(tenant_id=row.tenant_id, name=name)
    session.add_all([scene, actor])
    session.flush()
    upload.project_id, upload.scene_id, upload.actor_id = project.id, scene.id, actor.id
    session.flush()


def _say(here: Context, ingest_id: str, status: str) -> None:
    with transaction(here.engine) as session:
        row = session.get_one(Ingest, ingest_id)
        if row.status not in ("dispatched", "failed"):
            row.status = status


def _failed(here: Context, ingest_id: str, why: str) -> None:
    with transaction(here.engine) as session:
        row = session.get_one(Ingest, ingest_id, with_for_update=True)
        if row.status != "failed":
            row.status, row.failure_reason = "failed", why
            events.ingest_failed(session, here.queue, row.tenant_id, row.id, row.request, why)
