"""The store that is a bucket: S3 and what speaks it, Google Cloud Storage, Azure. Any number of machines share it.

Every request moves at most a few MiB, so that memory stays flat and a request that fails is repeated cheaply. Bytes of
an upload are kept block by block as objects of their own: a multipart upload cannot be continued by another process.
"""

from __future__ import annotations

import contextlib
import io
import logging
import mimetypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeVar, cast
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from lipsmith.errors import RequestError
from lipsmith.service.cache import Cache
from lipsmith.service.storage import Storage, StoreAway, Stored, Unfinished, checked

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, RetryConfig, S3Config

log = logging.getLogger("lipsmith.service")
T = TypeVar("T")
_BLOCK_BYTES = 8 * 1024 * 1024
_AT_ONCE = 2  # parts of a multipart upload on their way
_TIMES: ClientConfig = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=60)}
_TRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 5.0


class Bucket(Storage):
    """Objects below a prefix of a bucket. `scratch` holds what is made and copied on this machine.

    `patient`: a store that is away is waited for, instead of raising StoreAway.
    """

    def __init__(
        self, url: str, endpoint: str | None, scratch: Path, cache_bytes: int, *, patient: bool = False
    ) -> None:
        self._store = _open(url, endpoint)
        self._scratch, self._patient = scratch, patient
        self._cache = Cache(scratch / "copies", cache_bytes)
        scratch.mkdir(parents=True, exist_ok=True)

    @property
    def benches(self) -> Path:
        return self._scratch

    def look(self, key: str) -> Stored | None:
        try:
            found = self._asked(lambda: obstore.head(self._store, _object(key)))
        except FileNotFoundError:
            return None
        return Stored(found["size"], (found["e_tag"] or found["last_modified"].isoformat()).strip('"'))

    def open(self, key: str) -> BinaryIO:
        size = self.size(key)
        return cast(BinaryIO, io.BufferedReader(_Reader(self, key, size), _BLOCK_BYTES))

    def piece(self, key: str, start: int, end: int) -> bytes:
        return self._asked(lambda: obstore.get_range(self._store, _object(key), start=start, end=end)).to_bytes()

    @contextmanager
    def at_hand(self, key: str) -> Iterator[Path]:
        found = self.look(key)
        if found is None:
            raise FileNotFoundError(key)

        def fetch(file: BinaryIO) -> None:
            for start in range(0, found.size, _BLOCK_BYTES):
                file.write(self.piece(key, start, min(start + _BLOCK_BYTES, found.size)))

        with self._cache.copy(key, found.version, fetch) as path:
            yield path

    def commit(self, made: Path, key: str, content_type: str = "", name: str = "") -> None:
        kind = content_type or mimetypes.guess_type(key)[0]
        attributes: Attributes = {"Content-Type": kind} if kind else {}
        if name:
            attributes["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        self._asked(
            lambda: obstore.put(
                self._store,
                _object(key),
                made,
                attributes=attributes,
                chunk_size=_BLOCK_BYTES,
                max_concurrency=_AT_ONCE,
            )
        )
        made.unlink()

    def keys_below(self, prefix: str) -> list[str]:
        return [path.removeprefix("objects/") for path, _ in self._listed(_object(prefix))]

    def delete(self, key: str) -> None:
        self._remove([_object(key)])
        self.unfinished(key).clear()

    def delete_below(self, prefix: str) -> None:
        self._remove([path for path, _ in self._listed(_object(prefix))])

    def unfinished(self, key: str) -> Unfinished:
        return _Blocks(self, key)

    def writable(self) -> bool:
        try:
            obstore.put(self._store, "probe", b".")
        except (BaseError, OSError):
            return False
        return True

    def forget_deleted(self) -> None:
        for key in self._cache.originals():
            if not self.exists(key):
                self._cache.forget(key)

    def url(self, method: Literal["GET", "PUT"], key: str, seconds: int) -> str:
        return self._asked(lambda: obstore.sign(self._store, method, _object(key), timedelta(seconds=seconds)))

    def _listed(self, prefix: str) -> list[tuple[str, int]]:
        """(path, size) of all below a prefix, in order."""
        rows = self._asked(lambda: [row for page in obstore.list(self._store, prefix) for row in page])
        return sorted((row["path"], row["size"]) for row in rows)

    def _remove(self, paths: list[str]) -> None:
        if paths:
            with contextlib.suppress(FileNotFoundError):
                self._asked(lambda: obstore.delete(self._store, paths))

    def _asked(self, ask: Callable[[], T]) -> T:
        """What a request gives. Raises FileNotFoundError, StoreAway."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return ask()
            except FileNotFoundError:
                raise
            except (BaseError, OSError) as error:
                told = str(error).partition("\n")[0]
                if not self._patient:
                    raise StoreAway(told) from error
                log.warning("the store is away", extra={"error": told})
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class _Reader(io.RawIOBase):
    """An object as a file that is read here and there, a request each."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket, self._key, self._size, self._at = bucket, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, into) -> int:  # type: ignore[no-untyped-def]
        end = min(self._at + len(into), self._size)
        if end <= self._at:
            return 0
        piece = self._bucket.piece(self._key, self._at, end)
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class _Blocks(Unfinished):
    """Blocks named by where they begin. Two that begin at the same byte are of one file: the last one stays."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._prefix = f"unfinished/{checked(key).replace('/', '~')}"
        self._note = f"{self._prefix}/total"

    def _contiguous(self) -> list[tuple[str, int]]:
        """(path, size) of the blocks that follow one another without a gap."""
        found, end = [], 0
        for path, size in self._bucket._listed(self._prefix):
            if path != self._note and int(path.rpartition("/")[2]) == end:
                found.append((path, size))
                end += size
        return found

    def size(self) -> int:
        return sum(size for _, size in self._contiguous())

    def total(self) -> int | None:
        try:
            note = self._bucket._asked(lambda: obstore.get(self._bucket._store, self._note).bytes())
        except FileNotFoundError:
            return None
        return int(note.to_bytes())

    def announce(self, total: int) -> None:
        self._bucket._asked(lambda: obstore.put(self._bucket._store, self._note, str(total).encode()))

    def add(self, block: bytes, at: int) -> None:
        path = f"{self._prefix}/{at:020}"
        self._bucket._asked(lambda: obstore.put(self._bucket._store, path, block, use_multipart=False))

    def clear(self) -> None:
        self._bucket._remove([path for path, _ in self._bucket._listed(self._prefix)])

    def finish(self) -> None:
        """Block after block through this process: the store cannot join them by itself."""
        blocks = self._contiguous()
        if blocks:
            self._bucket._asked(lambda: self._join([path for path, _ in blocks]))
        self.clear()

    def _join(self, paths: list[str]) -> None:
        store = self._bucket._store
        with obstore.open_writer(
            store, _object(self._key), buffer_size=_BLOCK_BYTES, max_concurrency=_AT_ONCE
        ) as target:
            for path in paths:
                target.write(obstore.get(store, path).bytes())


def _object(key: str) -> str:
    return f"objects/{checked(key)}"


def _open(url: str, endpoint: str | None) -> S3Store | GCSStore | AzureStore:
    """Credentials come from the usual variables of each kind of store. Raises RequestError."""
    options: S3Config = {"endpoint": endpoint} if endpoint else {}
    client: ClientConfig = {"allow_http": (endpoint or "").startswith("http://"), **_TIMES}
    try:
        return cast(
            S3Store | GCSStore | AzureStore, from_url(url, config=options, client_options=client, retry_config=_TRIES)
        )
    except BaseError as error:
        told = str(error).partition("\n")[0]
        raise RequestError(f"LIPSMITH_STORE_URL is {url!r}: the store cannot be opened ({told}).") from error
