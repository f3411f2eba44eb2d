"""Counters of one process, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lipsmith.service.tables import JOB_WORDS, Stage


class Metrics:
    """What a server counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("lipsmith_requests", "Requests.", ["method", "status"], registry=self.registry)
        self._seconds = Histogram("lipsmith_request_seconds", "Time to answer.", registry=self.registry)
        self._jobs = Gauge("lipsmith_jobs", "Jobs by status; pending is the queue.", ["status"], registry=self.registry)
        self._times = Gauge("lipsmith_stage_times", "Stages done by workers.", ["stage"], registry=self.registry)
        self._spent = Gauge("lipsmith_stage_seconds", "Seconds they took.", ["stage"], registry=self.registry)
        self._failures = Gauge("lipsmith_stage_failures", "Those that failed.", ["stage"], registry=self.registry)

    def request(self, method: str, status: int, seconds: float) -> None:
        self._requests.labels(method, str(status)).inc()
        self._seconds.observe(seconds)

    def text(self, jobs_by_status: dict[str, int], stages: Sequence[Stage]) -> bytes:
        """Everything, with what the database knows of jobs and stages."""
        for status in JOB_WORDS:
            self._jobs.labels(status).set(jobs_by_status.get(status, 0))
        for stage in stages:
            self._times.labels(stage.name).set(stage.times)
            self._spent.labels(stage.name).set(stage.seconds)
            self._failures.labels(stage.name).set(stage.failures)
        return generate_latest(self.registry)
