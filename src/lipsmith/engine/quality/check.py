"""The judge's whole verdict on a dub: is it still the same file, the same picture, and do lips and sound go together?

Takes two files, gives a `Verdict`. Composes `files`, `fidelity`, `sync` and `syncnet`; measures nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lipsmith.engine.faces.track import Nets, torch_device
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.quality import fidelity, sync, syncnet
from lipsmith.engine.quality.fidelity import Fidelity, Seen
from lipsmith.engine.quality.files import FileVerdict, check_files
from lipsmith.engine.quality.sync import SyncReport
from lipsmith.engine.quality.syncnet import LipSync
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.features import Listener, listen, load_listener
from lipsmith.errors import BrokenMedia
from lipsmith.weights import WeightStore


@dataclass(frozen=True)
class Verdict(FileVerdict):
    """What there is to say about a dub."""

    fidelity: Fidelity
    sync_source: SyncReport | None  # None where there is no sound or no face
    sync_dub: SyncReport | None
    lip_sync: LipSync | None  # of the dub, by the SyncNet weights that were given
    warnings: tuple[str, ...]


def check(
    source: Path,
    dub: Path,
    *,
    store: WeightStore,
    device: str = "auto",
    threads: int = 2,
    syncnet_weights: Path | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Compare two files. `syncnet_weights`: the user's own. Raises the InputErrors of reading them, WeightsError."""
    files = check_files(source, dub, threads=threads, progress=progress)
    where = torch_device(device)
    expert = None if syncnet_weights is None else syncnet.load(syncnet_weights, where)
    specs = probe(source), probe(dub)
    before, after = fidelity.look_at_both(specs, Nets(store, where), threads=threads, progress=progress)
    pairs = fidelity.same_places(before, after)
    found = fidelity.compare(specs, before, pairs, threads=threads, progress=progress)
    speaker = _speaker(found, pairs)
    listener = load_listener(store, where)
    sounds = [_sound(spec) for spec in specs]
    synced = [_sync(spec, seen, sound, listener) for spec, seen, sound in zip(specs, speaker, sounds, strict=True)]
    lip_sync = None
    if expert is not None and speaker[1] is not None and sounds[1] is not None:
        lip_sync = syncnet.measure(expert, specs[1], speaker[1], sounds[1])
    return Verdict(
        source=source,
        dub=dub,
        passed=files.passed,
        differences=files.differences,
        pictures=files.pictures,
        fidelity=found,
        sync_source=synced[0],
        sync_dub=synced[1],
        lip_sync=lip_sync,
        warnings=found.warnings,
    )


def _speaker(found: Fidelity, pairs: tuple[tuple[Seen, Seen], ...]) -> tuple[Seen | None, Seen | None]:
    """The dubbed face with the most screen time, in both files; without a dubbed one, any."""
    edited = {actor.actor for actor in found.edited}
    chosen = [pair for pair in pairs if pair[0].actor in edited] or list(pairs)
    return chosen[0] if chosen else (None, None)


def _sound(spec: MediaSpec) -> audio.Waveform | None:
    """From the first picture on; None where there is nothing to hear."""
    if not spec.audio:
        return None
    video = require_video(spec)
    origin_seconds = float(video.start_pts * video.time_base)
    sound = decode.audio(spec.path, None, audio.SAMPLE_RATE, "mono", origin_seconds=origin_seconds)
    try:
        waveform = audio.gather(sound)
    except BrokenMedia:  # a sound track that cannot be decoded; probe has warned of it
        return None
    return None if waveform.silent else waveform


def _sync(spec: MediaSpec, seen: Seen | None, sound: audio.Waveform | None, listener: Listener) -> SyncReport | None:
    if seen is None or sound is None:
        return None
    ear = sync.ear()
    for piece in listen(sound, listener):
        ear.push(piece.values)
    best = sync.score(ear.finish(), seen.measured, seen.seconds)
    if best is sync.NOTHING:
        return None
    rate = float(require_video(spec).frame_rate)
    return SyncReport(best.frames(rate), best.offset_seconds, best.correlation, best.confidence)
