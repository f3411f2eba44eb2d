"""From one machine to several: what a server has in its data folder, into the database and the store of the settings.

Takes the old data folder and the parts of the new server, gives what was moved. The old folder stays as it is.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Table as Rows
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lipsmith.engine.progress import Progress, silent
from lipsmith.errors import FileMissing, RequestError
from lipsmith.service.context import Context, make_context
from lipsmith.service.migrate import migrate
from lipsmith.service.presence import alive
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.storage import Storage
from lipsmith.service.tables import (
    JOB_ENDS,
    Delivery,
    Ingest,
    Job,
    Lease,
    Secret,
    Shot,
    Table,
    Tenant,
    Upload,
    reading,
    transaction,
)

_BATCH = 500  # rows in one statement
_OWN = {Lease.__tablename__, Secret.__tablename__}  # true of the old server alone


@dataclass(frozen=True)
class Moved:
    """How much went over."""

    rows: int
    objects: int
    object_bytes: int


def move(folder: Path, here: Context, progress: Progress = silent) -> Moved:
    """Copy the server of data folder `folder` to `here`: keys, shots, jobs, their numbers, and all objects.

    Objects first, then all rows in one transaction: broken off, it is begun again, and what is there already is not
    sent twice. Raises FileMissing where `folder` has no database, RequestError where that server runs or has work
    left, and where `here` is no PostgreSQL or has users.
    """
    old = _opened(folder, here)
    _require_at_rest(old)
    with reading(here.engine) as session:
        if session.scalar(select(func.count()).select_from(Tenant)):
            raise RequestError("LIPSMITH_DATABASE_URL: this database has users already; move into an empty one.")
    sizes = list(_objects(old, here.storage, progress))
    return Moved(_rows(old, here), len(sizes), sum(sizes))


def _opened(folder: Path, here: Context) -> Context:
    settings = replace(ServiceSettings(), data_folder=folder)
    if not (folder / "lipsmith.db").is_file():
        raise FileMissing(f"{folder}: no server's data folder (there is no lipsmith.db in it).")
    if here.engine.dialect.name == "sqlite":
        raise RequestError("LIPSMITH_DATABASE_URL is not set: name the PostgreSQL that the server shall move to.")
    old = make_context(settings)
    migrate(old.engine)
    return old


def _require_at_rest(old: Context) -> None:
    """Raises RequestError for a server that runs, or whose work is not done: the queue itself does not move."""
    folder = old.settings.data_folder
    if alive(old):
        raise RequestError(f"{folder}: a server is running on it; stop it first.")
    brought = (Shot.deleted_at.is_(None)) & (Upload.status == "completed")
    learnt = Shot.training_status.in_(("finished", "failed")) | (Shot.status == "failed")
    counts = {
        "jobs": select(func.count()).where(Job.status.not_in(JOB_ENDS)),
        "shots": select(func.count())
        .select_from(Shot)
        .join(Upload, Upload.id == Shot.video_id)
        .where(brought, ~learnt),
        "renders by URL": select(func.count()).where(Ingest.status.in_(("ingesting", "dispatching"))),
        "webhooks": select(func.count()).where(Delivery.state == "pending"),
    }
    with reading(old.engine) as session:
        left = {what: count for what, query in counts.items() if (count := session.scalar(query))}
    if left:
        told = ", ".join(f"{count} {what}" for what, count in left.items())
        raise RequestError(f"{folder}: not all work is done ({told}). Start that server again and let it finish.")


def _objects(old: Context, store: Storage, progress: Progress) -> Iterator[int]:
    """The size of each object, as it goes over."""
    with reading(old.engine) as session:
        tenants = session.scalars(select(Tenant.id)).all()
        uploads = session.execute(select(Upload.object_key, Upload.content_type, Upload.file_name)).tuples().all()
        outputs = session.execute(select(Job.output_key, Job.output_type, Job.output_name)).tuples().all()
    kinds = {key: (content_type or "", name or "") for key, content_type, name in (*uploads, *outputs)}
    keys = [key for tenant in tenants for key in old.storage.keys_below(str(tenant))]
    for number, key in enumerate(keys, 1):
        size = old.storage.size(key)
        there = store.look(key)
        if there is None or there.size != size:
            with (
                store.workshop(f"move-{socket.gethostname()}-{os.getpid()}") as bench,
                old.storage.at_hand(key) as path,
            ):
                copy = Path(shutil.copyfile(path, bench / "copy"))
                store.commit(copy, key, *kinds.get(key, ("", "")))
        progress("objects", number, len(keys))
        yield size


def _rows(old: Context, here: Context) -> int:
    """Tables in the order of their references; numbers go on where they were, so that none is given twice."""
    count = 0
    with reading(old.engine) as source, transaction(here.engine) as target:
        last: dict[str, int] = dict(source.execute(text("SELECT name, seq FROM sqlite_sequence")).tuples().all())
        for table in Table.metadata.sorted_tables:
            if table.name in _OWN:
                continue
            found = source.execute(select(table)).mappings()
            for batch in found.partitions(_BATCH):
                target.execute(table.insert(), [dict(row) for row in batch])
                count += len(batch)
            if table.name in last:
                _go_on(target, table, last[table.name])
    return count


def _go_on(target: Session, table: Rows, last: int) -> None:
    """Let the table's next number be the one after `last`."""
    (column,) = table.primary_key.columns
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    target.execute(select(func.setval(sequence, last)))
