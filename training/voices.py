"""The same words from another throat, in another room, down another line: augmentation of a training voice.

Takes a waveform, gives a waveform and how its time was stretched. Lips are not touched: what moves them stays said.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from scipy.signal import fftconvolve, resample_poly

from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.engine.speech.features import ROWS_PER_SECOND, Listener, SpeechFeatures, extract

_TEMPI = (0.85, 0.92, 1.0, 1.0, 1.08, 1.18)  # faster speech with the same voice
_THROATS = (0.84, 0.9, 0.95, 1.0, 1.05, 1.12, 1.2)  # pitch and formants together: a smaller or larger speaker
_LINES = (
    ("libmp3lame", 32_000, 16_000),
    ("aac", 24_000, 16_000),
    ("libopus", 12_000, 16_000),
    ("libmp3lame", 16_000, 8_000),
)
_BANDS_HERTZ = (0, 200, 500, 1000, 2000, 3500, 6000, 8000)
_EQUALISER_DB = 4.0  # deviation of each band


@dataclass(frozen=True)
class Voice:
    """An altered voice."""

    samples: np.ndarray  # (N,) float32 mono at SAMPLE_RATE
    speed: float  # a moment t of the original is heard at t / speed


@dataclass(frozen=True)
class Heard:
    """A voice that says what a talker says, as the nets hear it."""

    features: SpeechFeatures
    moments: np.ndarray  # (T,) seconds of the talker's own sound that each row says
    sure: np.ndarray  # (T,) bool, whether it does

    def __len__(self) -> int:
        return len(self.features)

    def cut(self, start: int, count: int) -> Heard:
        """At most `count` rows from row `start`."""
        rows = slice(start, start + count)
        f = self.features
        part = SpeechFeatures(f.values[rows], f.spoken[rows], f.closing[rows])
        return Heard(part, self.moments[rows], self.sure[rows])

    def lips(self, seconds: np.ndarray, did: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What lips seen at (N,) `seconds` of the own sound did: (T, K) at the rows, (T,) whether that is known."""
        path = np.stack([np.interp(self.moments, seconds, column) for column in did.T], 1)
        known = np.interp(self.moments, seconds, seen.astype(float)) > 0.99
        return path, known & self.sure & (self.moments >= seconds[0]) & (self.moments <= seconds[-1])


def heard_in_copies(waveform: Waveform, copies: int, listener: Listener, rng: np.random.Generator) -> list[Heard]:
    """The voice itself, then altered copies of it."""
    voices = [Voice(waveform.samples, 1.0), *(altered(waveform.samples, rng) for _ in range(copies))]
    heard = []
    for voice in voices:
        features = extract(Waveform(voice.samples), listener)
        moments = np.arange(len(features)) * voice.speed / ROWS_PER_SECOND
        heard.append(Heard(features, moments, np.ones(len(features), bool)))
    return heard


def altered(samples: np.ndarray, rng: np.random.Generator) -> Voice:
    """One random voice, room and line."""
    tempo, throat = float(rng.choice(_TEMPI)), float(rng.choice(_THROATS))
    x = somewhere(_throat(at_tempo(samples, tempo / throat), throat), rng)
    x = np.clip(x * 10 ** (rng.uniform(-8, 6) / 20), -1, 1)
    if rng.random() < 0.3:
        x = _down_a_line(x, *_LINES[rng.integers(len(_LINES))])
    return Voice(x.astype(np.float32), tempo)


def somewhere(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another microphone, perhaps a room, perhaps noise."""
    x = _equalised(x, rng)
    if rng.random() < 0.35:
        x = _in_a_room(x, rng)
    if rng.random() < 0.6:
        x = x + _noise(len(x), rng) * level(x) * 10 ** (-rng.uniform(6, 35) / 20)
    return x


def at_tempo(samples: np.ndarray, tempo: float) -> np.ndarray:
    """Faster by `tempo` at the same pitch (FFmpeg's atempo: waveform-similarity overlap-add)."""
    if abs(tempo - 1) < 1e-6:
        return samples
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=SAMPLE_RATE, layout="mono", time_base=Fraction(1, SAMPLE_RATE))
    stretch, sink = graph.add("atempo", f"{tempo:.6f}"), graph.add("abuffersink")
    source.link_to(stretch)
    stretch.link_to(sink)
    graph.configure()
    graph.push(_frame(samples))
    graph.push(None)
    out = []
    while True:
        try:
            pulled = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            break
        assert isinstance(pulled, av.AudioFrame)
        out.append(pulled.to_ndarray()[0])
    return _fitted(np.concatenate(out), round(len(samples) / tempo))


def _throat(samples: np.ndarray, factor: float) -> np.ndarray:
    """Played faster: everything `factor` times higher and shorter."""
    ratio = Fraction(factor).limit_denominator(50)
    return resample_poly(samples, ratio.denominator, ratio.numerator) if ratio != 1 else samples.astype(np.float64)


def _equalised(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another microphone; one in five a band-limited one."""
    spectrum = np.fft.rfft(x)
    hertz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    bends = np.interp(hertz, _BANDS_HERTZ, rng.normal(0, _EQUALISER_DB, len(_BANDS_HERTZ)))
    spectrum *= 10 ** (bends / 20)
    if rng.random() < 0.2:
        spectrum[hertz > rng.choice([3400, 5000])] = 0
    return np.fft.irfft(spectrum, len(x))


def _in_a_room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exponentially decaying noise as the room's answer (Polack 1988), the direct sound first."""
    length = int(rng.uniform(0.1, 0.5) * SAMPLE_RATE)
    answer = rng.normal(0, 1, length) * np.exp(-6.9 * np.arange(length) / length) * rng.uniform(0.02, 0.12)
    answer[0] = 1
    return fftconvolve(x, answer)[: len(x)]


def _noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Unit noise between white and brown: hiss, rooms, traffic."""
    spectrum = np.fft.rfft(rng.normal(0, 1, count))
    tilt = rng.uniform(0, 1)
    spectrum /= np.maximum(np.arange(len(spectrum)) / count * SAMPLE_RATE, 40.0) ** tilt
    noise = np.fft.irfft(spectrum, count)
    return noise / (noise.std() + 1e-9)


def _down_a_line(x: np.ndarray, codec: str, bit_rate: int, rate: int) -> np.ndarray:
    """Coded and decoded; sample-exact, since coder delay would move the words."""
    with io.BytesIO() as memory:
        with av.open(memory, "w", format="matroska") as out:
            stream = out.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = bit_rate
            resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
            for block in (*resampler.resample(_frame(x)), *resampler.resample(None)):
                for packet in stream.encode(block):
                    out.mux(packet)
            out.mux(stream.encode(None))
        memory.seek(0)
        with av.open(memory) as container:
            resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
            heard = [f.to_ndarray()[0] for g in container.decode(audio=0) for f in resampler.resample(g)]
            heard += [f.to_ndarray()[0] for f in resampler.resample(None)]
    return _aligned(np.concatenate(heard), x)


def _aligned(heard: np.ndarray, original: np.ndarray) -> np.ndarray:
    """`heard` moved to where it correlates best with the original, within 100 ms."""
    reach = SAMPLE_RATE // 10
    padded = np.pad(_fitted(heard, len(original) + reach), (reach, 0))
    fit = fftconvolve(padded, original[::-1], "valid")
    start = int(np.argmax(fit))
    return _fitted(padded[start:], len(original))


def _fitted(x: np.ndarray, count: int) -> np.ndarray:
    return np.pad(x, (0, max(0, count - len(x))))[:count]


def level(x: np.ndarray) -> float:
    """Root of the mean square, never 0."""
    return float(np.sqrt(np.mean(np.square(x)))) + 1e-6


def _frame(samples: np.ndarray) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], "flt", "mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    return frame
