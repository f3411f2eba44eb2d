"""Rate limit and credit of a tenant; both off unless set."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lipsmith.service.auth import Caller
from lipsmith.service.context import Context
from lipsmith.service.refusals import no_credit, too_many
from lipsmith.service.tables import Tenant, Upload, now, take_turn, transaction


def count_upload(here: Context, who: Caller) -> None:
    """Raises Refusal 429 where the tenant has made too many uploads of late."""
    limit = here.settings.rate_limit_uploads
    if limit is None:
        return
    since = now() - timedelta(seconds=limit.seconds)
    mine = (Upload.tenant_id == who.tenant_id) & (Upload.created_at > since)
    with transaction(here.engine) as session:
        if (session.scalar(select(func.count()).where(mine)) or 0) < limit.count:
            return
        oldest = session.scalar(select(func.min(Upload.created_at)).where(mine))
    assert oldest is not None
    left = (oldest + timedelta(seconds=limit.seconds) - now()).total_seconds()
    raise too_many(max(1, round(left)))


def balance(session: Session, here: Context, tenant_id: int) -> float | None:
    """Credit left, in minutes, or None where there is no quota."""
    if here.settings.quota_minutes is None:
        return None
    return here.settings.quota_minutes - session.get_one(Tenant, tenant_id).minutes_charged


def require_credit(session: Session, here: Context, tenant_id: int) -> None:
    left = balance(session, here, tenant_id)
    if left is not None and left <= 0:
        raise no_credit()


def charge(session: Session, here: Context, tenant_id: int, seconds: float) -> None:
    """Raises Refusal 403 where credit is spent. Charged when a job is made, never returned."""
    if here.settings.quota_minutes is not None:
        take_turn(session, f"credit of {tenant_id}")
        tenant = session.get_one(Tenant, tenant_id, populate_existing=True)
        require_credit(session, here, tenant_id)
        tenant.minutes_charged += seconds / 60
