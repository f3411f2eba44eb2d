"""Files of this machine that are copies of objects in a bucket, up to a size: those used longest ago go first.

Any number of processes share the folder. Whoever uses a copy holds a lock on it, which dies with him; what nobody
holds may go. Knows no store: it is told how to fetch.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

_SLASH = "~"  # in no key


class Cache:
    """Copies below `folder`, at most `limit_bytes` of them besides those in use."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes

    @contextmanager
    def copy(self, key: str, version: str, fetch: Callable[[BinaryIO], None]) -> Iterator[Path]:
        """The copy of an object's version, fetched where it is not there; it stays until the end of the block.

        It is named as the object is: what the engine says about a file names it.
        """
        place = f"{key.replace('/', _SLASH)}{_SLASH}{hashlib.sha256(version.encode()).hexdigest()[:16]}"
        path = self._folder / place / key.rpartition("/")[2]
        while (held := _held(path, "rb")) is None:
            self._fetch(path, fetch)
        with held:
            os.utime(path)
            yield path

    def originals(self) -> set[str]:
        """The keys of the objects that there are copies of."""
        return {place.name.rpartition(_SLASH)[0].replace(_SLASH, "/") for place in self._folder.glob("*")}

    def forget(self, key: str) -> None:
        """Remove the copies of an object, but those in use."""
        for place in self._folder.glob(f"{key.replace('/', _SLASH)}{_SLASH}*"):
            for path in list(place.iterdir()):
                _removed(path)

    def _fetch(self, path: Path, fetch: Callable[[BinaryIO], None]) -> None:
        """Under another name until it is whole. Two that fetch the same thing at once do it twice; one copy stays.

        A copy that is there already is never replaced: whoever holds it would hold what is there no more.
        """
        part = path.with_name(f"{path.name}.{os.urandom(6).hex()}.part")
        try:
            while (held := _held(part, "wb")) is None:
                with contextlib.suppress(FileExistsError):  # it was there, and was removed before it was looked at
                    part.parent.mkdir(parents=True, exist_ok=True)
            with held:
                fetch(held)
                held.flush()
                with _alone_in(self._folder):
                    if not path.exists():
                        part.replace(path)
                self._make_room()
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self) -> None:
        found = []
        for folder, _, names in os.walk(self._folder):  # unlike a glob it does not mind what goes meanwhile
            for path in (Path(folder) / name for name in names):
                with contextlib.suppress(FileNotFoundError):
                    told = path.stat()
                    found.append((told.st_mtime, told.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            if _removed(path):
                total -= size


def _held(path: Path, mode: Literal["rb", "wb"]) -> BinaryIO | None:
    """The file, held as long as it is open; None where it or its folder is not there, or not any more."""
    try:
        file = path.open(mode)
    except FileNotFoundError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    if _is_at(path, file):
        return file
    file.close()  # removed before it was held
    return None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Nobody else is within this block; a file can only be renamed onto nothing if nobody else does it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_at(path: Path, file: BinaryIO) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    return False


def _removed(path: Path) -> bool:
    """False where somebody holds it."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, file):
            return False  # another one has removed it, and perhaps a new copy is there
        path.unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return True
    return False
