"""Objects by key in a folder: written whole or not at all, read as files.

Keys are the server's own (`tenant/kind/uuid`), never a user's words. Parts of unfinished uploads live beside them and
are no objects. Knows no database and no HTTP.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class Storage:
    """Objects and parts below one folder on one disk."""

    def __init__(self, folder: Path) -> None:
        self._objects, self._parts = folder / "objects", folder / "parts"
        for made in (self._objects, self._parts):
            made.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where an object is or would be. Raises ValueError for what is no key."""
        if not _KEY.fullmatch(key) or ".." in key:
            raise ValueError(f"not an object key: {key!r}")
        return self._objects / key

    def part(self, key: str) -> Path:
        """The unfinished bytes of an upload."""
        return self._parts / self.path(key).relative_to(self._objects).as_posix().replace("/", "~")

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def size(self, key: str) -> int:
        return self.path(key).stat().st_size

    def commit(self, part: Path, key: str) -> None:
        """Make finished bytes an object: flushed to the disk, then renamed."""
        with part.open("rb") as file:
            os.fsync(file.fileno())
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    @contextmanager
    def workshop(self, owner: str) -> Iterator[Path]:
        """A fresh folder on the same disk for what will become objects, gone at the end with all that is left in it.

        `owner` is who may die before that: then `clear_workshops` removes it.
        """
        place = self._parts / f"work-{owner}" / os.urandom(8).hex()
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
        for place in self._parts.glob("work-*"):
            if place.name.removeprefix("work-") not in keep:
                shutil.rmtree(place, ignore_errors=True)

    def delete(self, key: str) -> None:
        """Remove an object and its part; gone already is fine."""
        for path in (self.path(key), self.part(key)):
            path.unlink(missing_ok=True)

    def delete_below(self, prefix: str) -> None:
        """Remove all objects whose key begins with `prefix` + "/"."""
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def writable(self) -> bool:
        """Whether a byte can be written now."""
        probe = self._parts / f"probe-{os.urandom(6).hex()}"
        try:
            probe.write_bytes(b".")
            probe.unlink()
        except OSError:
            return False
        return True
