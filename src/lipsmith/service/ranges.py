"""An object of a bucket as an HTTP answer: whole or one range of it, with ETag and If-Range; a HEAD costs no bytes.

Several ranges at once are answered by the whole, as the protocol allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from lipsmith.service.storage import Stored

_PIECE_BYTES = 4 * 1024 * 1024
_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")
Piece = Callable[[int, int], bytes]  # bytes from a first one until before another


@dataclass(frozen=True)
class _Span:
    """Bytes from `start` until before `end`."""

    start: int
    end: int


def answer(request: Request, stored: Stored, piece: Piece, media_type: str, headers: dict[str, str]) -> Response:
    """What a GET or HEAD of an object gets."""
    told = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{stored.version}"'}
    wanted, status = _wanted(request, stored), 200
    if wanted is None:
        wanted = _Span(0, stored.size)
    elif wanted.start >= wanted.end:
        return Response(status_code=416, headers={**told, "Content-Range": f"bytes */{stored.size}"})
    else:
        status, told["Content-Range"] = 206, f"bytes {wanted.start}-{wanted.end - 1}/{stored.size}"
    told["Content-Length"] = str(wanted.end - wanted.start)
    if request.scope["state"]["head"]:
        return Response(status_code=status, headers=told, media_type=media_type)
    return StreamingResponse(_pieces(piece, wanted), status, told, media_type)


def _pieces(piece: Piece, span: _Span) -> Iterator[bytes]:
    for start in range(span.start, span.end, _PIECE_BYTES):
        yield piece(start, min(start + _PIECE_BYTES, span.end))


def _wanted(request: Request, stored: Stored) -> _Span | None:
    """The range asked for, empty where it lies beyond the end; None: everything."""
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if found is None or (condition is not None and condition != f'"{stored.version}"'):
        return None
    if found[3] is not None:
        return _Span(max(0, stored.size - int(found[3])), stored.size)
    first, last = int(found[1]), int(found[2]) if found[2] else stored.size
    return None if last < first and found[2] else _Span(first, min(last + 1, stored.size))
