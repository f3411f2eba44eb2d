"""The part of `service` that several machines are measured by, alone."""

from __future__ import annotations

from benchmarks.service import on_cluster as run

__all__ = ["run"]
