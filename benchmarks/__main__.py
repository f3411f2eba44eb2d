"""All benchmarks, one after another: `python -m benchmarks [NAME ...]`."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks import table

ALL = (
    "motion",
    "languages",
    "sync",
    "asymmetry",
    "persons",
    "render",
    "dub",
    "listeners",
    "occluders",
    "speed",
    "media",
    "fidelity",
    "mutations",
    "service",
)

for name in sys.argv[1:] or ALL:
    import_module(f"benchmarks.{name}").run()
table.write_page((*ALL, "cluster"))
