"""One attempt to deliver an event, signed after Standard Webhooks; then the next attempt or the next event of its line.

Takes a delivery's id; what came of it is in its row. The contract's §5.3.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import httpx
import httpx_secure
from sqlalchemy import select
from sqlalchemy.orm import Session
from standardwebhooks import Webhook

from lipsmith import __version__
from lipsmith.service.addresses import refused
from lipsmith.service.context import Context
from lipsmith.service.events import same_origin
from lipsmith.service.tables import Delivery, Tenant, now, reading, take_turn, transaction
from lipsmith.worker.fetching import checked_client
from lipsmith.worker.shots import Bench

_MOST_READ_BYTES = 64 * 1024
_JITTER = 0.2  # of a delay, to either side


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to; `status` None: no answer."""

    status: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def deliver(bench: Bench, delivery_id: str) -> None:
    """Try once and write it down."""
    here = bench.here
    with reading(here.engine) as session:
        row = session.get(Delivery, delivery_id)
        if row is None or row.state != "pending":
            return
        tenant = session.get_one(Tenant, row.tenant_id)
    outcome = asyncio.run(attempt(here, row, tenant))
    with transaction(here.engine) as session:
        row = session.get_one(Delivery, delivery_id, with_for_update=True)
        if row.state == "pending":
            _written(session, here, row, outcome)


def headers_of(row: Delivery, tenant: Tenant) -> dict[str, str]:
    """Headers of an attempt made now."""
    moment = now()
    secrets = [tenant.secret]
    if tenant.old_secret and tenant.old_secret_until and tenant.old_secret_until > moment:
        secrets.append(tenant.old_secret)
    headers = {
        "content-type": "application/json",
        "user-agent": f"lipsmith/{__version__}",
        "x-lipdub-event": row.event,
        "webhook-id": row.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(row.id, moment, row.body) for secret in secrets),
    }
    if row.with_bearer and tenant.webhook_bearer and same_origin(row.url, tenant.webhook_url):
        headers["authorization"] = f"Bearer {tenant.webhook_bearer}"
    return headers


async def attempt(here: Context, row: Delivery, tenant: Tenant) -> Outcome:
    """Send it once, now."""
    settings, headers = here.settings, headers_of(row, tenant)
    if reason := refused(row.url, settings.url_allow_hosts, schemes=("https",)):
        return Outcome(None, reason)
    try:
        async with (
            asyncio.timeout(settings.webhook_timeout),
            checked_client(settings.url_allow_hosts, settings.webhook_timeout) as client,
            client.stream("POST", row.url, content=row.body.encode(), headers=headers) as answer,
        ):
            read = 0
            async for block in answer.aiter_raw():
                read += len(block)
                if read > _MOST_READ_BYTES:
                    break
            return Outcome(answer.status_code, None)
    except TimeoutError:
        return Outcome(None, f"no answer within {settings.webhook_timeout:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, httpx_secure.SSRFProtectionError, OSError) as error:
        return Outcome(None, type(error).__name__)


def _written(session: Session, here: Context, row: Delivery, outcome: Outcome) -> None:
    delays = here.settings.webhook_retry_delays
    row.attempts += 1
    row.last_status, row.last_error = outcome.status, outcome.error
    tries = row.attempts % (len(delays) + 1)  # a dead one that is replayed gets as many again
    if not outcome.delivered and tries:
        delay = delays[tries - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
        here.queue.deliver(session, row.id, row.attempts, delay)
        return
    take_turn(session, row.line)
    row.state, row.ended_at = ("delivered" if outcome.delivered else "dead"), now()
    session.flush()
    query = select(Delivery).where(Delivery.line == row.line, Delivery.state == "pending").order_by(Delivery.number)
    if (following := session.scalars(query.limit(1)).first()) is not None:
        here.queue.deliver(session, following.id, following.attempts)
