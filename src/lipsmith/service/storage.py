"""Objects by key: written whole or not at all. What every store offers, and the store that is a folder.

Keys are the server's own (`tenant/kind/uuid`), never a user's words. The unfinished bytes of uploads lie beside the
objects and are none. Knows no database and no HTTP. The other store is `bucket`.
"""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class StoreAway(Exception):
    """The store does not answer, or refuses to. What was to be done may be tried again."""


@dataclass(frozen=True)
class Stored:
    """What is known of an object; `version` changes with its content."""

    size: int
    version: str


class Storage(ABC):
    """Objects, and the unfinished bytes of uploads. Every call may raise StoreAway; ValueError for what is no key."""

    @abstractmethod
    def look(self, key: str) -> Stored | None:
        """None: there is no such object."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """An object to be read here and there. Raises FileNotFoundError."""

    @abstractmethod
    def piece(self, key: str, start: int, end: int) -> bytes:
        """Bytes from `start` until before `end`. Raises FileNotFoundError."""

    @abstractmethod
    def at_hand(self, key: str) -> AbstractContextManager[Path]:
        """An object as a file of this machine, as long as it is needed. Raises FileNotFoundError."""

    @abstractmethod
    def commit(self, made: Path, key: str, content_type: str = "", name: str = "") -> None:
        """Make a finished file an object; the file is gone afterwards. `name`: under which it will be saved."""

    @abstractmethod
    def keys_below(self, prefix: str) -> list[str]:
        """Of all objects whose key begins with `prefix` + "/"."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object and its unfinished bytes; gone already is fine."""

    @abstractmethod
    def delete_below(self, prefix: str) -> None:
        """Remove all objects whose key begins with `prefix` + "/"."""

    @abstractmethod
    def unfinished(self, key: str) -> Unfinished:
        """The bytes of an upload that are there so far."""

    @abstractmethod
    def writable(self) -> bool:
        """Whether a byte can be written now."""

    @property
    @abstractmethod
    def benches(self) -> Path:
        """The folder of this machine in which files are made that will become objects."""

    def url(self, method: Literal["GET", "PUT"], key: str, seconds: int) -> str:
        """A URL of the store itself that allows this for a time. The settings ask for none where there can be none."""
        raise NotImplementedError

    @abstractmethod
    def forget_deleted(self) -> None:
        """Remove what this machine still keeps of objects that are no more."""

    def exists(self, key: str) -> bool:
        return self.look(key) is not None

    def size(self, key: str) -> int:
        """Raises FileNotFoundError."""
        if (found := self.look(key)) is None:
            raise FileNotFoundError(key)
        return found.size

    def read(self, key: str) -> bytes:
        """A small object. Raises FileNotFoundError."""
        with self.open(key) as file:
            return file.read()

    @contextmanager
    def workshop(self, owner: str) -> Iterator[Path]:
        """A fresh folder for what will become objects, gone at the end with all that is left in it.

        `owner` is who may die before that: then `clear_workshops` removes it.
        """
        place = self.benches / f"work-{owner}" / os.urandom(8).hex()
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def commit_text(self, text: str, key: str, owner: str) -> None:
        """A few words as an object."""
        with self.workshop(owner) as folder:
            draft = folder / "draft"
            draft.write_text(text)
            self.commit(draft, key)

    def clear_workshops(self, keep: set[str]) -> None:
        """Remove the folders of all owners but these."""
        for place in self.benches.glob("work-*"):
            if place.name.removeprefix("work-") not in keep:
                shutil.rmtree(place, ignore_errors=True)


class Unfinished(ABC):
    """The bytes of one upload until it is whole. Any process may go on where another one stopped."""

    @abstractmethod
    def size(self) -> int:
        """How many bytes there are, counted from the first one without a gap."""

    @abstractmethod
    def total(self) -> int | None:
        """How many there will be, where that was announced."""

    @abstractmethod
    def announce(self, total: int) -> None: ...

    @abstractmethod
    def add(self, block: bytes, at: int) -> None:
        """Keep a block that begins `at` bytes after the first."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all of them."""

    @abstractmethod
    def finish(self) -> None:
        """Make them the object, where there are any."""


def checked(key: str) -> str:
    """Raises ValueError for what is no key."""
    if not _KEY.fullmatch(key) or ".." in key:
        raise ValueError(f"not an object key: {key!r}")
    return key


class Folder(Storage):
    """Objects below one folder on one disk: committing is renaming, and an object is at hand where it lies."""

    def __init__(self, folder: Path) -> None:
        self._objects, self._parts = folder / "objects", folder / "parts"
        for made in (self._objects, self._parts):
            made.mkdir(parents=True, exist_ok=True)

    @property
    def benches(self) -> Path:
        return self._parts

    def path(self, key: str) -> Path:
        """Where an object is or would be."""
        return self._objects / checked(key)

    def look(self, key: str) -> Stored | None:
        try:
            found = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stored(found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}")

    def open(self, key: str) -> BinaryIO:
        return self.path(key).open("rb")

    def piece(self, key: str, start: int, end: int) -> bytes:
        with self.open(key) as file:
            file.seek(start)
            return file.read(end - start)

    @contextmanager
    def at_hand(self, key: str) -> Iterator[Path]:
        path = self.path(key)
        if not path.is_file():
            raise FileNotFoundError(key)
        yield path

    def commit(self, made: Path, key: str, content_type: str = "", name: str = "") -> None:
        """Flushed to the disk, then renamed."""
        with made.open("rb") as file:
            os.fsync(file.fileno())
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)

    def keys_below(self, prefix: str) -> list[str]:
        found = os.walk(self.path(prefix))  # unlike a glob it does not mind what goes meanwhile
        return [(Path(at) / name).relative_to(self._objects).as_posix() for at, _, names in found for name in names]

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)
        self.unfinished(key).clear()

    def delete_below(self, prefix: str) -> None:
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def forget_deleted(self) -> None:
        pass  # nothing is kept twice

    def unfinished(self, key: str) -> Unfinished:
        return _Part(self, key, self._parts / checked(key).replace("/", "~"))

    def writable(self) -> bool:
        probe = self._parts / f"probe-{os.urandom(6).hex()}"
        try:
            probe.write_bytes(b".")
            probe.unlink()
        except OSError:
            return False
        return True


class _Part(Unfinished):
    """A file that grows, and a note of its announced size beside it."""

    def __init__(self, folder: Folder, key: str, path: Path) -> None:
        self._folder, self._key, self._path = folder, key, path
        self._note = path.with_name(path.name + ".total")

    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def total(self) -> int | None:
        return int(self._note.read_text()) if self._note.exists() else None

    def announce(self, total: int) -> None:
        self._note.write_text(str(total))

    def add(self, block: bytes, at: int) -> None:
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.seek(at)
            file.write(block)

    def clear(self) -> None:
        for path in (self._path, self._note):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        if self._path.exists():
            self._folder.commit(self._path, self._key)
        self._note.unlink(missing_ok=True)
