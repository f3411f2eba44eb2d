"""What every route works with: settings, database, store, signer, queue. Made once per process."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from lipsmith.service.jobs import JobQueue
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.signing import Signer
from lipsmith.service.storage import Folder, Storage
from lipsmith.service.tables import Secret, connect, insert_into, transaction

SECRET_FILE = "signing.key"
_SECRET_ROW = "signing"


@dataclass(frozen=True)
class Context:
    """One server's parts."""

    settings: ServiceSettings
    engine: Engine
    storage: Storage
    signer: Signer
    queue: JobQueue


def make_context(settings: ServiceSettings, *, patient: bool = False) -> Context:
    """Open everything; the data folder is made where it is missing. `patient`: wait for a store that is away."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    engine = connect(settings.database)
    return Context(
        settings,
        engine,
        _storage(settings, patient),
        Signer(_secret(settings, engine)),
        JobQueue(settings.database),
    )


def _storage(settings: ServiceSettings, patient: bool) -> Storage:
    if settings.store_url is None:
        return Folder(settings.objects_folder)
    from lipsmith.service.bucket import Bucket

    return Bucket(settings.store_url, settings.store_endpoint, settings.scratch, settings.cache_bytes, patient=patient)


def _secret(settings: ServiceSettings, engine: Engine) -> Callable[[], bytes]:
    """Where the signing secret is found: the setting, or what is kept beside the database for all its processes."""
    if settings.signing_secret:
        return settings.signing_secret.encode
    if engine.dialect.name == "sqlite":
        return lambda: _secret_of_file(settings.data_folder / SECRET_FILE)
    return lambda: _secret_of_row(engine)


def _secret_of_row(engine: Engine) -> bytes:
    with transaction(engine) as session:
        new = insert_into(session, Secret).values(name=_SECRET_ROW, value=secrets.token_hex(32))
        session.execute(new.on_conflict_do_nothing())
        return session.get_one(Secret, _SECRET_ROW).value.encode()


def _secret_of_file(path: Path) -> bytes:
    """Made at the first start; readable by its owner alone."""
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
