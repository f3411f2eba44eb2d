"""What is deleted by itself: outputs older than the setting, deliveries and answers nobody will ask for again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from lipsmith.service.context import Context
from lipsmith.service.previews import prefix_of_job
from lipsmith.service.tables import Delivery, Job, Upload, now, take_turn, transaction

_DELIVERIES_KEPT = timedelta(days=30)


def expire(here: Context) -> int:
    """Delete what is due; how many outputs."""
    days = here.settings.retention_days
    with transaction(here.engine) as session:
        take_turn(session, "retention")
        session.execute(delete(Delivery).where(Delivery.ended_at < now() - _DELIVERIES_KEPT))
        abandoned = session.scalars(
            select(Upload).where(Upload.status.in_(("uploading", "failed")), Upload.expires_at < now())
        ).all()
        for upload in abandoned:
            if upload.status == "uploading" and upload.source_url is None:
                upload.status, upload.failure_reason = "failed", "the upload URL expired"
            here.storage.delete(upload.object_key)
        if not days:
            return 0
        due = (Job.ended_at < now() - timedelta(days=days)) & Job.deleted_at.is_(None) & Job.output_key.is_not(None)
        old = session.scalars(select(Job).where(due)).all()
        for job in old:
            job.deleted_at = now()
            here.storage.delete_below(prefix_of_job(job))
        return len(old)
