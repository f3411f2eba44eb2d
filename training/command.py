"""What both training commands ask for: clips, the speakers that are left out, a cache, threads."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).parents[1]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """With the options of both; the first line of `doc` says what the command does."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("clips", nargs="+", type=Path)
    made.add_argument("--held-out", type=Path, default=ROOT / "benchmarks/held_out.txt")
    made.add_argument("--development", type=Path, default=ROOT / "training/development.txt")
    made.add_argument("--skip", type=Path, default=ROOT / "training/skipped.txt")
    made.add_argument("--cache", type=Path, default=Path.home() / ".cache/lipsmith-training")
    made.add_argument("--threads", type=int, default=2)
    return made


def names(path: Path | None) -> tuple[str, ...]:
    """Name prefixes of clips, one a line; what begins with # is a remark."""
    lines = path.read_text().splitlines() if path else []
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
