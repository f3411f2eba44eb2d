"""P1-P4 as far as this machine can say: time and memory of prepare + train and render, as shares of the clip's length.

Each run is a fresh process, so that its peak memory is its own. Encoding alone (decode, encode with the same settings,
nothing painted) is measured beside it in the same run: speeds are to be read as ratios.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks import clips, table, talker
from lipsmith.engine.dub import dub
from lipsmith.engine.media import decode, mux
from lipsmith.engine.media.probe import probe
from lipsmith.engine.rehearsal import DubOptions, VoiceFor
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.speaking import Speech

CLIPS = ("mead_W015", "bill_cafe", "latentsync_woman", "opendubbing")
LOOPED, TIMES = "bill_cafe", 10
VOICE = "en_librivox_dickens_104s.mp3"
VOICE_SECONDS = 600


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [_measured(clips.clip(name), Path(folder)) for name in CLIPS]
        long = Path(folder) / "long.mp4"
        loop(clips.clip(LOOPED), long, TIMES)
        rows.append(_measured(long, Path(folder)))
    short = next(row for row in rows if str(row["clip"]).startswith(LOOPED))
    summary = {
        "prepare + train / length, worst (bar 2)": max(float(r["prepare_train"]) for r in rows),  # type: ignore[arg-type]
        "render / length, worst (bar 2)": max(float(r["render"]) for r in rows),  # type: ignore[arg-type]
        "peak memory MiB, worst (bar 1536)": max(float(r["peak_mib"]) for r in rows),  # type: ignore[arg-type]
        "peak memory, ten times as long / once (bar 0.85-1.15)": float(rows[-1]["peak_mib"]) / float(short["peak_mib"]),  # type: ignore[arg-type]
    }
    table.report("speed", rows, {**summary, **_motion()})


def _motion() -> dict[str, float]:
    """The mouth of a ten-minute voice, in a process of its own; loading the networks is in it."""
    command = [sys.executable, "-m", "benchmarks.speed", "motion"]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {
        "motion of a ten-minute voice, seconds (bar 20)": facts["seconds"],
        "motion of a ten-minute voice, peak MiB (bar 1024)": facts["peak_mib"],
    }


def _voice() -> None:
    once = audio.load(clips.voice(VOICE)).samples
    waveform = audio.Waveform(np.resize(once, VOICE_SECONDS * audio.SAMPLE_RATE))
    start = time.monotonic()
    torch.set_num_threads(2)
    path = Speech(talker.store(), torch.device("cpu")).path(waveform, np.arange(0, VOICE_SECONDS, 0.04))
    assert len(path) == VOICE_SECONDS * 25
    peak = table.peak_mib()
    print(json.dumps({"seconds": time.monotonic() - start, "peak_mib": peak}))


def _measured(clip: Path, folder: Path) -> dict[str, object]:
    out = folder / f"out{clip.suffix}"
    command = [sys.executable, "-m", "benchmarks.speed", str(clip), str(out)]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    length = facts["seconds"]
    stages = facts["stages"]
    return {
        "clip": clip.name[:30],
        "size": facts["size"],
        "codec": facts["codec"],
        "seconds": length,
        "prepare_train": (stages["prepare"] + stages["train"]) / length,
        "motion": stages["motion"] / length,
        "render": stages["render"] / length,
        "render_of_codec": stages["render"] / facts["codec_seconds"],
        "engine_ms_per_frame": 1000 * (stages["render"] - facts["codec_seconds"]) / facts["frames"],
        "peak_mib": facts["peak_mib"],
    }


def _child(clip: Path, out: Path) -> None:
    result = dub(clip, out, DubOptions((VoiceFor(clips.voice(VOICE)),)), store=talker.store())
    peak = table.peak_mib()
    spec = probe(clip)
    assert spec.video is not None
    start = time.monotonic()
    mux.rewrite(spec, out, decode.frames(spec), None)
    codec = time.monotonic() - start
    facts = {
        "seconds": spec.video.duration_seconds_from_content,
        "frames": result.frames_total,
        "size": f"{spec.video.width}x{spec.video.height}",
        "codec": spec.video.codec,
        "stages": result.stage_seconds,
        "codec_seconds": codec,
        "peak_mib": peak,
    }
    print(json.dumps(facts))


def loop(source: Path, out: Path, times: int) -> None:
    """The source's packets written `times` times one after another."""
    with av.open(str(out), "w") as target:
        streams: dict[int, av.stream.Stream] = {}
        shift = end = Fraction(0)
        for _ in range(times):
            with av.open(str(source)) as container:
                for stream in (*container.streams.video[:1], *container.streams.audio[:1]):
                    streams.setdefault(stream.index, target.add_stream_from_template(stream))
                for packet in container.demux(*(container.streams[i] for i in streams)):
                    if packet.dts is None:
                        continue
                    ticks = round(shift / packet.time_base)
                    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    end = max(end, (max(packet.pts, packet.dts) + (packet.duration or 0)) * packet.time_base)
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
            shift = end + Fraction(1, 10)  # first packets may be stamped a little before 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _child(Path(sys.argv[1]), Path(sys.argv[2]))
    elif sys.argv[1:] == ["motion"]:
        _voice()
    else:
        run()
