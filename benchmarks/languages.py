"""Motion by language, from sound alone: does the mouth do what each class of phonemes needs?

Voices of shared/clips/audio, none of which anything was trained on; phonemes and their times from the phoneme net.
Scores at the moments of each class, mouths of unit range, face widths: share of p, b and m that are shut (gap below 3 %
within 40 ms); opening at f and v, at open and at close vowels; width at rounded less width at spread vowels (below 0:
rounding). The classes come from the net that also helps to drive the mouth: this shows languages side by side, not
truth.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import clips, table, talker
from lipsmith.engine import mouth
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.features import ROWS_PER_SECOND
from lipsmith.engine.speech.speaking import Speech

LANGUAGES = ("en", "zh", "de", "fr", "es", "ja", "it", "ko")
LEFT_OUT = ("singing", "song", "noisy", "two_speakers", "apollo")  # not plain speech
LONGEST_SECONDS = 30.0
SURE = 0.35
LATE_ROWS = 4  # the net's peaks come 80 ms after what they name (docs/log.md)
CLOSED = 0.03  # face widths
# Tokens of the phoneme net (g2p_vocab.json of hama 1.7.0).
CLASSES = {
    "shut": (10, 31, 35, 36, 37, 82),  # b m p pʰ p͈ ɓ
    "lip to teeth": (17, 49, 108, 124),  # f v ɱ ʋ
    "open": (7, 8, 9, 22, 51, 64, 66, 79, 80, 81),  # a aɪ aʊ ja wa ä æ ɐ ɑ ɒ
    "close": (20, 23, 48, 56, 100, 101, 105, 123, 127),  # i je u y ɨ ɪ ɯ ʊ ʏ
    "rounded": (33, 34, 48, 50, 56, 72, 76, 83, 98, 123),  # o oʊ u w y ø œ ɔ ɥ ʊ
    "spread": (14, 16, 20, 66, 91, 101),  # e eɪ i æ ɛ ɪ
}


def run() -> None:
    speech, basis = Speech(talker.store(), torch.device("cpu")), MouthBasis.load()
    rows = [row for language in LANGUAGES if (row := _language(language, speech, basis))]
    wider = sum(float(row["open"]) > float(row["close"]) for row in rows)  # type: ignore[arg-type]
    rounder = sum(float(row["rounding"]) < 0 for row in rows)  # type: ignore[arg-type]
    summary = {
        "p, b, m shut, mean of languages": table.mean(rows, "shut"),
        "languages whose open vowels open more than close ones": f"{wider} of {len(rows)}",
        "languages whose rounded vowels are narrower": f"{rounder} of {len(rows)}",
    }
    table.report("languages", rows, summary)


def _language(language: str, speech: Speech, basis: MouthBasis) -> dict[str, object] | None:
    found: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    seconds = 0.0
    for path in sorted((clips.folder() / "audio").glob(f"{language}_*")):
        if any(word in path.name for word in LEFT_OUT):
            continue
        waveform = audio.load(path)
        waveform = waveform.cut(0, min(waveform.seconds, LONGEST_SECONDS))
        seconds += waveform.seconds
        heard = _phonemes(waveform)
        at = np.arange(len(heard)) / ROWS_PER_SECOND
        moved = basis.displacements(speech.path(waveform, at).coefficients)
        measures = np.stack([mouth.gap(moved), mouth.width(moved)], 1)
        for name, tokens in CLASSES.items():
            found[name].append(_around(measures, heard, tokens))
    if not seconds:
        return None
    by_class = {name: np.concatenate(parts) for name, parts in found.items()}
    opening = {name: float(part[..., 0].mean()) for name, part in by_class.items()}
    return {
        "language": language,
        "seconds": seconds,
        "closures": len(by_class["shut"]),
        "shut": float((by_class["shut"][..., 0].min(1) < CLOSED).mean()),
        "lip_to_teeth": opening["lip to teeth"],
        "open": opening["open"],
        "close": opening["close"],
        "rounding": float(by_class["rounded"][..., 1].mean() - by_class["spread"][..., 1].mean()),
    }


def _phonemes(waveform: audio.Waveform) -> np.ndarray:
    """(T, 191) probabilities of a voice of at most half a minute."""
    with torch.inference_mode():
        _, heard = talker.listener().phonemes(torch.from_numpy(waveform.samples)[None])
    return heard[0].numpy()


def _around(measures: np.ndarray, heard: np.ndarray, tokens: tuple[int, ...]) -> np.ndarray:
    """(M, 5, 2) measures 40 ms around each moment at which one of the tokens is surely heard."""
    sure = heard[:, tokens].sum(1)
    peaks = np.flatnonzero((sure[1:-1] > SURE) & (sure[1:-1] >= sure[:-2]) & (sure[1:-1] > sure[2:])) + 1 - LATE_ROWS
    peaks = peaks[(peaks >= 2) & (peaks < len(measures) - 2)]
    return measures[peaks[:, None] + np.arange(-2, 3)]


if __name__ == "__main__":
    run()
