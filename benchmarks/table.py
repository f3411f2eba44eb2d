"""A result as a table on the screen and as JSON beside it, with the machine and the date."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
Row = Mapping[str, object]


def report(name: str, rows: Sequence[Row], summary: Row) -> None:
    """Print rows and summary; write results/NAME.json."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    print(f"\n## {name}")
    for line in [columns, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print("\n".join(f"{key}: {_text(value)}" for key, value in summary.items()), flush=True)
    RESULTS.mkdir(exist_ok=True)
    facts = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, {_cores()} cores",
        "summary": dict(summary),
        "rows": [dict(row) for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(facts, indent=1, default=_plain) + "\n")


def peak_mib() -> float:
    """This process's peak memory. Not ru_maxrss: a process starts with the peak of the one that started it."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def write_page(names: Sequence[str]) -> None:
    """RESULTS.md of the JSON files: every summary, then every row."""
    parts = [
        "# Results\n\nWritten by `python -m benchmarks`; what each figure means stands at the top of its module.\n"
    ]
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(_section(json.loads(path.read_text())))
    (RESULTS.parent / "RESULTS.md").write_text("\n".join(parts))


def _section(facts: dict[str, object]) -> str:
    summary, rows = facts["summary"], facts["rows"]
    assert isinstance(summary, dict) and isinstance(rows, list)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"## {facts['benchmark']}\n\n{facts['date']}, {facts['machine']}\n"]
    lines += [f"- {key}: **{_text(value)}**" for key, value in summary.items()]
    lines += ["", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_text(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def said(row: dict[str, object]) -> dict[str, object]:
    """The row, told on the way: long benchmarks should show that they live."""
    print("  ".join(f"{key} {_text(value)}" for key, value in row.items()), flush=True)
    return row


def mean(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([float(row[key]) for row in rows]))  # type: ignore[arg-type]


def weighted(rows: Sequence[Row], key: str, by: str) -> float:
    """Mean of a figure over what `by` counts; rows that count none are left out."""
    counted = [row for row in rows if row[by]]
    return float(np.average([float(r[key]) for r in counted], weights=[float(r[by]) for r in counted]))  # type: ignore[arg-type]


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


def _cores() -> int:
    import os

    return os.cpu_count() or 1
