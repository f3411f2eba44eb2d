"""Damaged files, and what the media layer makes of each: an error in words or a whole dub of what is still there.

`python -m tests.mutations FOLDER FIRST COUNT` puts COUNT mutations of the files in FOLDER through the layer, one JSON
line before and one behind each, so that whoever started the process can tell a crash or a hang, and where it happened.
"""

from __future__ import annotations

import json
import resource
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests import matrix

from lipsmith.engine.media import decode, mux, splice
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.quality.files import check_files
from lipsmith.errors import InputError, LipsmithError

ROOT = Path(__file__).parent.parent
SECONDS = 60.0  # for one file; the slowest sound one takes two
_MEMORY_BYTES = 8 << 30
Mutation = Callable[[bytearray, np.random.Generator], bytearray]


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged file."""

    file: str  # "0042 flip_bits a.mp4"
    kind: str  # "error", "dub", "crash" or "hang"
    fault: str  # what is wrong with that; "" where nothing is


def cut_off(data: bytearray, chance: np.random.Generator) -> bytearray:
    return data[: int(chance.integers(1, len(data)))]


def flip_bits(data: bytearray, chance: np.random.Generator) -> bytearray:
    for at in chance.integers(0, len(data), int(chance.integers(1, 30))):
        data[at] ^= 1 << int(chance.integers(8))
    return data


def spoil_head(data: bytearray, chance: np.random.Generator) -> bytearray:
    for at in chance.integers(0, min(len(data), 2048), 8):
        data[at] = int(chance.integers(256))
    return data


def spoil_tail(data: bytearray, chance: np.random.Generator) -> bytearray:
    for at in chance.integers(max(0, len(data) - 4096), len(data), 8):
        data[at] = int(chance.integers(256))
    return data


def blank(data: bytearray, chance: np.random.Generator) -> bytearray:
    start, size = _block(data, chance)
    data[start : start + size] = bytes(size)
    return data


def rustle(data: bytearray, chance: np.random.Generator) -> bytearray:
    start, size = _block(data, chance)
    data[start : start + size] = chance.bytes(size)
    return data


def leave_out(data: bytearray, chance: np.random.Generator) -> bytearray:
    start, size = _block(data, chance)
    return data[:start] + data[start + size :]


def repeat(data: bytearray, chance: np.random.Generator) -> bytearray:
    start, size = _block(data, chance)
    return data[: start + size] + data[start:]


MUTATIONS: tuple[Mutation, ...] = (cut_off, flip_bits, spoil_head, spoil_tail, blank, rustle, leave_out, repeat)


def _block(data: bytearray, chance: np.random.Generator) -> tuple[int, int]:
    size = int(chance.integers(1, max(len(data) // 6, 2)))
    return int(chance.integers(0, max(len(data) - size, 1))), size


def mutant(sources: list[Path], number: int, folder: Path) -> Path:
    """The same file for the same number, always."""
    chance = np.random.default_rng(number)
    source = sources[number % len(sources)]
    mutation = MUTATIONS[number // len(sources) % len(MUTATIONS)]
    path = folder / f"{number:04} {mutation.__name__} {source.name}"
    path.write_bytes(mutation(bytearray(source.read_bytes()), chance))
    return path


def outcome(path: Path, voice: Voice) -> str:
    """ "error: …" in our own words, or "dub: …" with what is wrong with it; empty after the colon: nothing."""
    out = path.with_name(f"dub {path.name}")
    try:
        spec = probe(path)
        stamps = np.array([frame.pts for frame in decode.frames(spec)])
        plan = mux.plan_splice(spec, out, stamps, np.arange(min(2, len(stamps))))
        excerpt = plan.excerpt if isinstance(plan, splice.SplicePlan) else None
        around = NewTrack(own_before=True, own_after=True)
        report = mux.rewrite(spec, out, decode.frames(spec, excerpt), [voice], splice=plan, sound=around)
    except LipsmithError as error:
        left = [other.name for other in path.parent.iterdir() if other.name.startswith(".")]
        known = isinstance(error, InputError) and str(error).strip() and not left and not out.exists()
        return f"error: {'' if known else f'{type(error).__name__} {error}, left behind {left}'}"
    shown = sum(1 for _ in decode.frames(probe(out)))
    told = bool(report.differences or spec.warnings)
    if shown != len(stamps):
        return f"dub: {shown} frames instead of {len(stamps)}"
    if len(stamps) < require_video(spec).frame_count_from_content and not told:
        return "dub: nothing was said of frames that cannot be decoded"
    seen = check_files(path, out).pictures
    copied = report.frames - report.frames_encoded
    if seen is not None and seen.packets_identical < copied - 1:  # an end of sequence may be counted to a packet
        return f"dub: {seen.packets_identical} packets are the source's instead of {copied}"
    return "dub: "


def outcomes(folder: Path, first: int, count: int) -> Iterator[Outcome]:
    """Of so many mutations, made of the files in `folder` by other processes: they may crash or hang."""
    number = first
    while number < first + count:
        for told in _told(folder, number, first + count - number):
            number += 1
            yield told


def _told(folder: Path, first: int, count: int) -> Iterator[Outcome]:
    """Up to the end of one process, its own or ours."""
    command = [sys.executable, "-m", "tests.mutations", str(folder), str(first), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        begun = f"{first:04}"
        while True:
            if not select.select([process.stdout], [], [], SECONDS)[0]:
                process.kill()
                yield Outcome(begun, "hang", f"nothing for {SECONDS:g} s")
                return
            line = process.stdout.readline()
            if not line:
                if process.wait():
                    yield Outcome(begun, "crash", f"exit code {process.returncode}")
                return
            name, said = json.loads(line)
            begun = name
            if said is not None:
                kind, _, fault = said.partition(":")
                yield Outcome(name, kind, fault.strip())


def _run(folder: Path, first: int, count: int) -> Iterator[tuple[str, str | None]]:
    """(file, None) before each and (file, outcome) behind it."""
    sources = sorted(path for path in folder.iterdir() if path.is_file())
    work = Path(tempfile.mkdtemp(dir=folder))
    voice = Voice(matrix.synthetic.wav(work / "voice.wav", matrix.synthetic.tone(0.5)), start_seconds=1.5)
    for number in range(first, first + count):
        path = mutant(sources, number, work)
        yield path.name, None
        yield path.name, outcome(path, voice)
        for left in work.glob(f"*{number:04} *"):
            left.unlink()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in _run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        print(json.dumps(line), flush=True)
