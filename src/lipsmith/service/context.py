"""What every route works with: settings, database, store, signer, queue. Made once per process."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from lipsmith.service.jobs import JobQueue
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.signing import Signer
from lipsmith.service.storage import Storage
from lipsmith.service.tables import connect

SECRET_FILE = "signing.key"


@dataclass(frozen=True)
class Context:
    """One server's parts."""

    settings: ServiceSettings
    engine: Engine
    storage: Storage
    signer: Signer
    queue: JobQueue


def make_context(settings: ServiceSettings) -> Context:
    """Open everything; the data folder is made where it is missing."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    engine = connect(settings.database)
    return Context(
        settings,
        engine,
        Storage(settings.objects_folder),
        Signer(_secret(settings.data_folder / SECRET_FILE)),
        JobQueue(settings.database),
    )


def _secret(path: Path) -> bytes:
    """The signing secret of this data folder, made at the first start; readable by its owner alone."""
    if not path.exists():
        part = path.with_suffix(f".{secrets.token_hex(6)}")
        part.touch(mode=0o600)
        part.write_bytes(secrets.token_bytes(32))
        try:
            path.hardlink_to(part)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_bytes()
