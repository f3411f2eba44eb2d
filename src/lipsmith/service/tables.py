"""The database: one class a table. States are checked by the database; ids are never reused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

UPLOAD_WORDS = ("uploading", "completed", "failed")
SHOT_WORDS = ("not_started", "pending", "running", "finished", "failed")
TRAINING_WORDS = ("not_started", "running", "finished", "failed")
JOB_WORDS = ("not_started", "pending", "running", "finished", "failed", "cancelled", "skipped")
JOB_ENDS = ("finished", "failed", "cancelled", "skipped")
INGEST_WORDS = ("ingesting", "dispatching", "dispatched", "failed")
_CONNECTIONS = 20
_READS = "lipsmith_reads"
_PATIENCE = {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
DELIVERY_WORDS = ("pending", "delivered", "dead")


def now() -> datetime:
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """A time in UTC, also where the database keeps none of the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


# Bytes of a file: more than 32 bits, which SQLite's only kind of whole number has anyhow.
_BYTES = BigInteger().with_variant(Integer(), "sqlite")


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment(), dict[str, Any]: JSON(), list[Any]: JSON()}  # noqa: RUF012


def _words(column: str, words: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


_NEVER_REUSED = {"sqlite_autoincrement": True}


class Tenant(Table):
    """A customer; everything belongs to one."""

    __tablename__ = "tenants"
    __table_args__ = _NEVER_REUSED
    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    webhook_url: Mapped[str | None]
    webhook_bearer: Mapped[str | None]
    webhook_events: Mapped[list[Any]] = mapped_column(default=list)
    webhook_enabled: Mapped[bool] = mapped_column(default=True)
    secret: Mapped[str]
    old_secret: Mapped[str | None]
    old_secret_until: Mapped[datetime | None]
    minutes_charged: Mapped[float] = mapped_column(default=0.0)


class User(Table):
    """A person or program of a tenant."""

    __tablename__ = "users"
    __table_args__ = _NEVER_REUSED
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    email: Mapped[str]


class Key(Table):
    """An API key, by the hash of it."""

    __tablename__ = "keys"
    __table_args__ = _NEVER_REUSED
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    prefix: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]


class Project(Table):
    __tablename__ = "projects"
    __table_args__ = (Index(None, "tenant_id", "created_at"), _NEVER_REUSED)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Scene(Table):
    __tablename__ = "scenes"
    __table_args__ = _NEVER_REUSED
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]


class Upload(Table):
    """A file that a customer brings, video or audio."""

    __tablename__ = "uploads"
    __table_args__ = (_words("status", UPLOAD_WORDS), Index(None, "tenant_id", "kind", "created_at"))
    id: Mapped[str] = mapped_column(primary_key=True)  # UUID
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    kind: Mapped[str]  # video or audio
    status: Mapped[str] = mapped_column(default="uploading")
    file_name: Mapped[str]
    content_type: Mapped[str]
    size_bytes: Mapped[int | None] = mapped_column(_BYTES)
    limit_bytes: Mapped[int] = mapped_column(_BYTES)
    source_url: Mapped[str | None]
    object_key: Mapped[str]
    received_bytes: Mapped[int | None] = mapped_column(_BYTES)  # None: nothing whole is there
    sha256: Mapped[str | None]
    duration_seconds: Mapped[float | None]
    failure_reason: Mapped[str | None]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    scene_id: Mapped[int | None] = mapped_column(ForeignKey("scenes.id"))
    actor_id: Mapped[int | None]  # no foreign key: actors know shots, shots know uploads
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Actor(Table):
    """A person of a shot. `face` is the engine's number of him, by screen time."""

    __tablename__ = "actors"
    __table_args__ = _NEVER_REUSED
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    shot_id: Mapped[int | None] = mapped_column(ForeignKey("shots.id"), index=True)
    name: Mapped[str]
    face: Mapped[int | None]
    thumbnail_key: Mapped[str | None]


class Shot(Table):
    __tablename__ = "shots"
    __table_args__ = (
        _words("status", SHOT_WORDS),
        _words("training_status", TRAINING_WORDS),
        Index(None, "tenant_id", "created_at"),
        _NEVER_REUSED,
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    scene_id: Mapped[int] = mapped_column(ForeignKey("scenes.id"))
    video_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), unique=True)
    label: Mapped[str]
    status: Mapped[str] = mapped_column(default="not_started")
    training_status: Mapped[str] = mapped_column(default="not_started")
    failure_reason: Mapped[str | None]
    stage: Mapped[str | None]
    progress: Mapped[int] = mapped_column(default=0)
    eta_seconds: Mapped[float | None]
    frame_count: Mapped[int | None]
    rate_numerator: Mapped[int]
    rate_denominator: Mapped[int]
    duration_seconds: Mapped[float | None]
    constant_rate: Mapped[bool] = mapped_column(default=True)
    model_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class Job(Table):
    """One generate call."""

    __tablename__ = "jobs"
    __table_args__ = (_words("status", JOB_WORDS), Index(None, "tenant_id", "created_at"), _NEVER_REUSED)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    shot_id: Mapped[int] = mapped_column(ForeignKey("shots.id"), index=True)
    status: Mapped[str] = mapped_column(default="not_started")
    options: Mapped[dict[str, Any]]
    output_filename: Mapped[str]
    callback_url: Mapped[str | None]
    tracking_id: Mapped[str | None]
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    progress: Mapped[int] = mapped_column(default=0)
    eta_seconds: Mapped[float | None]
    stage: Mapped[str | None]
    failure_reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    output_key: Mapped[str | None]
    output_name: Mapped[str | None]
    output_type: Mapped[str | None]
    output_bytes: Mapped[int | None] = mapped_column(_BYTES)
    quality: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Ingest(Table):
    """A render asked for by URL, until its job exists."""

    __tablename__ = "ingests"
    __table_args__ = (_words("status", INGEST_WORDS),)
    id: Mapped[str] = mapped_column(primary_key=True)  # UUID
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str] = mapped_column(default="ingesting")
    failure_reason: Mapped[str | None]
    request: Mapped[dict[str, Any]]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Delivery(Table):
    """One event for one receiver; its attempts are counted in it."""

    __tablename__ = "deliveries"
    __table_args__ = (_words("state", DELIVERY_WORDS), Index(None, "tenant_id", "created_at"), Index(None, "line"))
    id: Mapped[str] = mapped_column(primary_key=True)  # msg_...
    number: Mapped[int]  # order within the line
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    line: Mapped[str]  # events of one job or shot go out in order
    event: Mapped[str]
    url: Mapped[str]
    with_bearer: Mapped[bool]
    body: Mapped[str]
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class Answer(Table):
    """What an Idempotency-Key was answered with; `status` None while the first request runs."""

    __tablename__ = "answers"
    tenant_id: Mapped[int] = mapped_column(primary_key=True)
    call: Mapped[str] = mapped_column(primary_key=True)  # method and path
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Stage(Table):
    """How often workers have done a stage, for how long, and how often it failed; since the first start."""

    __tablename__ = "stages"
    name: Mapped[str] = mapped_column(primary_key=True)
    times: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    failures: Mapped[int] = mapped_column(default=0)


class Lease(Table):
    """A process's proof of life, by the database's clock."""

    __tablename__ = "leases"
    executor_id: Mapped[str] = mapped_column(primary_key=True)
    beat: Mapped[datetime]
    role: Mapped[str]  # worker or api
    machine: Mapped[str]  # the same for all processes that see the same disk


class Share(Table):
    """How far a tenant has come in the order of a queue, within one priority; tenant 0: what was started last."""

    __tablename__ = "shares"
    queue: Mapped[str] = mapped_column(primary_key=True)
    priority: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag: Mapped[int] = mapped_column(_BYTES)


class Secret(Table):
    """What all processes on this database must know alike."""

    __tablename__ = "secrets"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


def connect(url: str) -> Engine:
    """The engine of a database. SQLite is put into write-ahead mode, so that workers and API share the file.

    A PostgreSQL that is away is noticed soon: a request is then refused instead of made to wait.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, pool_size=_CONNECTIONS)
        event.listen(engine, "connect", _pragmas)
        event.listen(engine, "begin", _begin)
        return engine
    return create_engine(url, pool_size=_CONNECTIONS, pool_pre_ping=True, pool_timeout=5, connect_args=_PATIENCE)


def _begin(connection: Connection) -> None:
    """A writer takes its turn at the start: one that read first and then wrote would be refused, not made to wait."""
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    for pragma in ("journal_mode=WAL", "busy_timeout=15000", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session that commits at the end, or not at all. Rows stay readable after it."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one state of the database and changes nothing; it waits for no writer."""
    options: dict[str, Any] = {_READS: True}
    if engine.dialect.name != "sqlite":  # there a transaction is like that by itself
        options["isolation_level"] = "REPEATABLE READ"
    with Session(engine.execution_options(**options), expire_on_commit=False, autoflush=False) as session:
        yield session


@contextmanager
def glancing(engine: Engine) -> Iterator[Session]:
    """A session for one statement, which needs no transaction around it: two trips to PostgreSQL instead of five."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as session:
            yield session
        return
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False) as session:
        yield session


def moment_of(session: Session) -> datetime:
    """Now, by the one clock that all processes on this database share."""
    if session.get_bind().dialect.name == "sqlite":
        return now()
    return session.execute(select(func.clock_timestamp())).scalar_one()


def take_turn(session: Session, subject: str) -> None:
    """Go on alone until the transaction ends: another one that names this subject waits here.

    On SQLite one transaction writes at a time anyhow.
    """
    if session.get_bind().dialect.name != "sqlite":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(subject, 0))))


def insert_into(session: Session, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say what to do where the row is there already."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table)
