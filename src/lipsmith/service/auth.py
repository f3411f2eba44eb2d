"""Who is calling: an API key in either header becomes a `Caller`. Keys are stored as hashes.

A key is 256 random bits, so one SHA-256 is as safe as a slow password hash and costs nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from lipsmith.service.tables import Key, Tenant, User, glancing, now, take_turn, transaction

_MOST_CHARACTERS = 128
_PREFIX = 10  # characters shown in lists


@dataclass(frozen=True)
class Caller:
    """A user behind a valid key."""

    user_id: int
    tenant_id: int
    email: str


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request shows: `x-api-key` decides, else a Bearer. Header names in lower case."""
    given = headers.get("x-api-key")
    if given is None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
    given = given.strip()
    printable = all(33 <= ord(c) <= 126 for c in given)
    return given if printable and 1 <= len(given) <= _MOST_CHARACTERS else None


def caller_of(engine: Engine, key: str) -> Caller | None:
    query = (
        select(User.id, User.tenant_id, User.email)
        .join(Key, Key.user_id == User.id)
        .where(Key.sha256 == _hash(key), Key.revoked_at.is_(None))
    )
    with glancing(engine) as session:
        row = session.execute(query).first()
    return Caller(*row) if row else None


def create_key(session: Session, email: str) -> str:
    """A new key for the user with this address; he and his tenant are made where they are new. Shown once."""
    key = f"lsk_{secrets.token_urlsafe(32)}"
    take_turn(session, f"user {email}")
    user = session.scalar(select(User).where(User.email == email)) or _new_user(session, email)
    session.add(Key(user_id=user.id, prefix=key[:_PREFIX], sha256=_hash(key)))
    return key


def revoke_key(engine: Engine, prefix: str) -> int:
    """Revoke all keys whose beginning is given; how many."""
    begins = func.substr(Key.prefix, 1, len(prefix)) == prefix  # LIKE is not the same on every database
    with transaction(engine) as session:
        found = session.scalars(select(Key).where(begins, Key.revoked_at.is_(None))).all()
        for key in found:
            key.revoked_at = now()
        return len(found)


def _new_user(session: Session, email: str) -> User:
    tenant = Tenant(secret=new_secret())
    session.add(tenant)
    session.flush()
    user = User(tenant_id=tenant.id, email=email)
    session.add(user)
    session.flush()
    return user


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    import base64

    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
