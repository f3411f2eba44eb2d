"""Brings the database to this version's tables, ours and the queue's. Safe to call at every start, of many at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from lipsmith.service.tables import take_turn


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def migrate(engine: Engine, revision: str = "head") -> None:
    """Up (or, with an older revision, down)."""
    config = configuration()
    with engine.connect() as connection:
        take_turn(Session(connection), "migrations")
        config.attributes["connection"] = connection
        if revision == "base":
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
        connection.commit()


def migrate_queue(database_url: str) -> None:
    """The queue's own tables, in the same database."""
    from dbos import DBOS

    DBOS.migrate(database_url, schema="dbos")
