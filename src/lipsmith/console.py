"""What the user sees: the result on stdout, everything on the way to it on stderr.

Takes values and progress calls, gives text, bars or one JSON object. Knows nothing of video.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from lipsmith.engine.progress import Progress, silent

LINE_EVERY_PERCENT = 10  # without a terminal


class Terminal:
    """Where one command talks to: a person, a log or a program that reads JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def say(self, sentence: str, style: str = "") -> None:
        """A remark on the way; silent where only JSON is wanted."""
        if not self.as_json:
            self._err.print(sentence, style=style)

    def line(self, text: str, style: str = "") -> None:
        """A line of the result, for people."""
        self._out.print(text, style=style)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of the result, for people."""
        table = Table(
            title=title,
            title_justify="left",
            show_header=any(columns),
            header_style="bold",
            box=None,
            padding=(0, 2, 0, 0),
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._out.print(table, soft_wrap=False)

    def json(self, value: object) -> None:
        """The one object that a program reads."""
        sys.stdout.write(json.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")

    def error(self, code: str, message: str) -> None:
        """One sentence, with its stable code."""
        if self.as_json:
            self.json({"error": {"code": code, "message": message}})
        else:
            self._err.print(Text.assemble((f"error[{code}]: ", "bold red"), message))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A Progress for the engine: bars on a terminal, a line per ten percent in a log, nothing beside JSON."""
        if self.as_json:
            yield silent
        elif self._err.is_terminal:
            with _Bars(self._err) as bars:
                yield bars
        else:
            yield _Lines(self._err)


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


class _Bars:
    """One bar per stage; a stage that comes back goes on with its bar."""

    def __init__(self, console: Console) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


class _Lines:
    """A plain line whenever a stage has done another ten percent."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[str, tuple[float, int]] = {}  # stage: (start in seconds, next percent to tell)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        started, next_percent = self._stages.setdefault(stage, (time.monotonic(), 0))
        percent = 100 * done // total if total else 0
        if percent < next_percent or (total is None and next_percent):
            return
        self._stages[stage] = (started, percent // LINE_EVERY_PERCENT * LINE_EVERY_PERCENT + LINE_EVERY_PERCENT)
        self._console.print(_progress_line(stage, done, total, time.monotonic() - started))


def _progress_line(stage: str, done: int, total: int | None, elapsed_seconds: float) -> str:
    if not total:
        return f"{stage}: started"
    rate = done / elapsed_seconds if elapsed_seconds > 0.05 else 0.0
    pace = f", {rate:.1f}/s, {(total - done) / rate:.0f} s left" if rate else ""
    return f"{stage}: {100 * done // total} % ({done}/{total}{pace})"


def to_json(value: Any) -> Any:
    """`value` in JSON's own types: dataclasses by field, paths as text, fractions as "30000/1001"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    if isinstance(value, (Path, Fraction)):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return to_json(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None  # JSON has no such number
    return value
