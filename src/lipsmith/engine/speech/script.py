"""Where the sounds of a script lie in a voice: forced alignment with the phoneme net.

Takes English text and the net's phoneme probabilities, gives the moment of each phoneme. CTC alignment by Viterbi over
the script's phonemes with blanks between them (Graves et al. 2006), in a band around the straight line from the first
to the last of them, so that memory grows with the length of the sound alone. Knows no mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lipsmith.engine.speech.phonemes import BLANK, CLOSURES
from lipsmith.errors import MissingExtra

if TYPE_CHECKING:
    from hama import G2PModel

_BAND = 1500  # states on each side of the straight line: about a minute of speech ahead or behind
_FITS = 0.5  # mean probability of the aligned phonemes: 0.83 for the right script, 0.17-0.30 for a foreign one
_UNHEARD = 1e-6


@dataclass(frozen=True)
class Alignment:
    """The phonemes of a script in a sound."""

    tokens: np.ndarray  # (M,) int, numbers of the phoneme net
    rows: np.ndarray  # (M,) int, the feature row at which each is surest
    certainty: np.ndarray  # (M,) float in [0, 1], its probability there

    @property
    def fits(self) -> bool:
        """Whether this is what the voice says."""
        return len(self.tokens) > 0 and float(self.certainty.mean()) >= _FITS

    def closing(self, rows: int) -> np.ndarray:
        """(rows,) float32: 1 at each p, b and m of the script."""
        out = np.zeros(rows, np.float32)
        out[self.rows[np.isin(self.tokens, CLOSURES)]] = 1
        return out


def pronounce(text: str) -> np.ndarray:
    """(M,) phoneme numbers of English text. Raises MissingExtra."""
    model = _speller()
    numbers = model.vocab.decoder_token_to_id
    spoken = [numbers.get(alignment.phoneme) for alignment in model.predict(text).alignments]
    return np.array([n for n in spoken if n is not None and n > numbers[","]], int)  # no pauses, no punctuation


@lru_cache(maxsize=1)
def _speller() -> G2PModel:
    try:
        from hama import G2PModel
    except ImportError as error:
        raise MissingExtra("A script needs the package hama: pip install 'lipsmith[model]'.") from error
    return G2PModel()


def align(tokens: np.ndarray, heard: np.ndarray) -> Alignment:
    """The best place of each of (M,) phonemes in (T, 191) probabilities; none where the sound is too short for them."""
    if len(tokens) == 0 or len(heard) < 2 * len(tokens):
        return Alignment(tokens[:0], tokens[:0], np.zeros(0))
    states = np.full(2 * len(tokens) + 1, BLANK)
    states[1::2] = tokens
    path = _best_path(states, np.log(np.maximum(heard, _UNHEARD)))
    rows = np.empty(len(tokens), int)
    for number in range(len(tokens)):
        held = np.flatnonzero(path == 2 * number + 1)
        rows[number] = held[np.argmax(heard[held, tokens[number]])]
    return Alignment(tokens, rows, heard[rows, tokens])


def _best_path(states: np.ndarray, log_heard: np.ndarray) -> np.ndarray:
    """(T,) the state at each row, from the first to the last of (S,) states; no phoneme is left out."""
    rows, count = len(log_heard), len(states)
    width = min(count, 2 * _BAND + 1)
    starts = np.clip(np.linspace(0, count - 1, rows).astype(int) - _BAND, 0, count - width)
    # A phoneme may follow the phoneme before it without a blank, unless it is the same one again.
    skips = np.zeros(count, bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    came = np.empty((rows, width), np.int8)  # states gone forward to arrive here: 0, 1 or 2
    score = np.full(width, -np.inf)
    score[:2] = log_heard[0, states[:2]]
    for row in range(1, rows):
        start, moved = starts[row], starts[row] - starts[row - 1]
        before = np.concatenate([np.full(2, -np.inf), score, np.full(moved, -np.inf)])
        options = np.stack([before[2 - k + moved : 2 - k + moved + width] for k in range(3)])
        options[2, ~skips[start : start + width]] = -np.inf
        came[row] = options.argmax(0)
        score = options.max(0) + log_heard[row, states[start : start + width]]
    at = count - 1 - starts[-1]
    at = at if score[at] >= score[at - 1] else at - 1
    path = np.empty(rows, int)
    for row in range(rows - 1, -1, -1):
        path[row] = at + starts[row]
        if row:
            at = at - came[row, at] + starts[row] - starts[row - 1]
    return path
