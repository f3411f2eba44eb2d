"""Bytes in and out through signed URLs: streamed, resumable, with ranges. The contract's §6.

No API key: the URL is the permission. Memory does not depend on a file's size.
"""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from lipsmith.service import ranges
from lipsmith.service.context import Context
from lipsmith.service.formats import same
from lipsmith.service.handling import Here
from lipsmith.service.refusals import Refusal, conflict, not_found, too_large
from lipsmith.service.signing import Permission
from lipsmith.service.storage import Folder, Unfinished
from lipsmith.service.tables import Upload, transaction

router = APIRouter(prefix="/files")
_BLOCK_BYTES = 8 * 1024 * 1024  # written at once
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Content-Range, Range, If-Range",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Accept-Ranges, ETag, Range, x-request-id",
}
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


@router.options("/{token}")
@router.options("/{token}/{name}")
def options(token: str, name: str = "") -> Response:
    return Response(status_code=204, headers=_CORS)


@router.get("/{token}")
@router.get("/{token}/{name}")
def download(token: str, request: Request, here: Here, name: str = "") -> Response:
    """The object: whole, a range or several."""
    permission = _permission(token, "GET", here)
    storage, key, kind = here.storage, permission.key, permission.content_type
    if (stored := storage.look(key)) is None:
        raise _said(not_found())
    headers = dict(_CORS)
    if permission.name:
        headers["Content-Disposition"] = disposition(permission.name)
    if isinstance(storage, Folder):
        return FileResponse(storage.path(key), media_type=kind, headers=headers)
    return ranges.answer(request, stored, lambda start, end: storage.piece(key, start, end), kind, headers)


@router.put("/{token}")
@router.put("/{token}/{name}")
async def upload(token: str, request: Request, here: Here, name: str = "") -> Response:
    """The bytes of an upload, at once or in parts."""
    permission = _permission(token, "PUT", here)
    chunk = _chunk(request.headers.get("content-range"))
    query = chunk is not None and chunk.first is None
    if not query and not same(request.headers.get("content-type", ""), permission.content_type):
        raise _said(Refusal(403, {"detail": "The content type is not the one this URL was signed for"}))
    await anyio.to_thread.run_sync(_require_open, here, permission)
    total = chunk.total if chunk else int(request.headers.get("content-length") or 0)
    if total > permission.limit_bytes:
        raise _said(too_large(f"At most {permission.limit_bytes} bytes are allowed here"))
    try:
        return await _received(request, here, permission, chunk)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _said(Refusal(507, {"detail": "The storage is full"})) from error
        raise


@dataclass(frozen=True)
class _Chunk:
    """A Content-Range; `first` None: only asks what is there."""

    first: int | None
    last: int
    total: int


def _chunk(header: str | None) -> _Chunk | None:
    if header is None:
        return None
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        raise _said(Refusal(400, {"detail": "Content-Range is malformed"}))
    total = int(found[3])
    if found[1] is None:
        return _Chunk(None, 0, total)
    first, last = int(found[1]), int(found[2])
    if first > last or last >= total:
        raise _said(Refusal(400, {"detail": "Content-Range is malformed"}))
    return _Chunk(first, last, total)


async def _received(request: Request, here: Context, permission: Permission, chunk: _Chunk | None) -> Response:
    there = here.storage.unfinished(permission.key)
    if chunk is None:
        await anyio.to_thread.run_sync(_begin_again, there, request.headers.get("content-length"))
        await _add(request.stream(), there, permission.limit_bytes, at=0, skip=0, most=None)
        return await anyio.to_thread.run_sync(_finish, here, permission)
    stored = await anyio.to_thread.run_sync(_stored, here, permission, there, chunk.total)
    if chunk.first is not None and chunk.first <= stored:
        if not stored:
            await anyio.to_thread.run_sync(there.announce, chunk.total)
        length = chunk.last + 1 - chunk.first
        skip = stored - chunk.first
        stored = await _add(request.stream(), there, permission.limit_bytes, at=stored, skip=skip, most=length)
    if stored == chunk.total:
        return await anyio.to_thread.run_sync(_finish, here, permission)
    return Response(status_code=308, headers={**_CORS, **({"Range": f"bytes=0-{stored - 1}"} if stored else {})})


def _begin_again(there: Unfinished, announced: str | None) -> None:
    there.clear()
    if announced:
        there.announce(int(announced))


def _stored(here: Context, permission: Permission, there: Unfinished, total: int) -> int:
    """Bytes that are there. Raises Refusal 400 for another total than before."""
    size = there.size()
    if not size and (whole := here.storage.look(permission.key)) is not None and whole.size == total:
        return total
    if there.total() not in (None, total):
        raise _said(Refusal(400, {"detail": "the total differs from the one given before"}))
    return size


async def _add(
    stream: AsyncIterator[bytes], there: Unfinished, limit: int, *, at: int, skip: int, most: int | None
) -> int:
    """Keep a stream from byte `at` on, leaving out its first `skip` bytes; how many there are then.

    Raises Refusal 400, 413.
    """
    waiting, taken = bytearray(), 0

    async def keep() -> None:
        nonlocal at
        await anyio.to_thread.run_sync(there.add, bytes(waiting), at)
        at += len(waiting)
        waiting.clear()

    try:
        async for block in stream:
            taken += len(block)
            if most is not None and taken > most:
                raise _said(Refusal(400, {"detail": "the body is longer than its Content-Range"}))
            dropped = min(skip, len(block))
            skip -= dropped
            waiting += block[dropped:]
            if at + len(waiting) > limit:
                waiting.clear()
                await anyio.to_thread.run_sync(there.clear)
                raise _said(too_large(f"At most {limit} bytes are allowed here"))
            if len(waiting) >= _BLOCK_BYTES:
                await keep()
    finally:
        if waiting:  # also of a body that was cut off: it is resumed from here
            await keep()
    return at


def _finish(here: Context, permission: Permission) -> Response:
    """What is there becomes the object, if the upload is still open."""
    there = here.storage.unfinished(permission.key)
    _require_open(here, permission)
    quick = isinstance(here.storage, Folder)
    if not quick:
        there.finish()  # takes its time: no transaction is to wait for it
    with transaction(here.engine) as session:
        row = session.get(Upload, permission.upload_id, with_for_update=True)
        _require_uploading(row)
        assert row is not None
        if quick:
            there.finish()
        row.received_bytes = here.storage.size(permission.key)  # also where a crash came between the two
    return Response(status_code=200, headers=_CORS)


def _require_open(here: Context, permission: Permission) -> None:
    with transaction(here.engine) as session:
        _require_uploading(session.get(Upload, permission.upload_id))


def _require_uploading(row: Upload | None) -> None:
    if row is None or row.deleted_at is not None:
        raise _said(not_found())
    if row.status != "uploading":
        raise _said(conflict(f"This upload is {row.status} already"))


def _permission(token: str, method: str, here: Context) -> Permission:
    """Raises Refusal 403 for what is tampered, expired or of another method."""
    permission = here.signer.permission(token)
    if permission is None or permission.method != method:
        raise _said(Refusal(403, {"detail": "This URL is not valid here"}))
    if permission.expired:
        raise _said(Refusal(403, {"detail": "This URL has expired"}))
    return permission


def _said(refusal: Refusal) -> Refusal:
    """A refusal that a browser page of any origin may read."""
    refusal.headers.update(_CORS)
    return refusal


def disposition(name: str) -> str:
    """Content-Disposition of a download (RFC 6266): plain ASCII, and the real name in UTF-8."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
