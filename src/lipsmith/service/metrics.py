"""Counters of one process, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """What a server counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("lipsmith_requests", "Requests.", ["method", "status"], registry=self.registry)
        self._seconds = Histogram("lipsmith_request_seconds", "Time to answer.", registry=self.registry)
        self._jobs = Gauge("lipsmith_jobs", "Jobs by status.", ["status"], registry=self.registry)

    def request(self, method: str, status: int, seconds: float) -> None:
        self._requests.labels(method, str(status)).inc()
        self._seconds.observe(seconds)

    def text(self, jobs_by_status: dict[str, int]) -> bytes:
        for status, count in jobs_by_status.items():
            self._jobs.labels(status).set(count)
        return generate_latest(self.registry)
