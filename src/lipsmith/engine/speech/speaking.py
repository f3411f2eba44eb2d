"""A voice in, a mouth's path out: what hears and what moves, loaded once for all voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lipsmith.engine.mouth import MouthPath
from lipsmith.engine.speech import audio, features, motion
from lipsmith.engine.speech import script as scripts
from lipsmith.errors import RequestError
from lipsmith.weights import WeightStore


class Speech:
    """The speech half of a dub."""

    def __init__(self, store: WeightStore, device: torch.device) -> None:
        self._listener = features.load_listener(store, device)
        self._model = motion.MotionModel(device)

    def path(self, waveform: audio.Waveform, seconds: np.ndarray, script: str | None = None) -> MouthPath:
        """What a mouth does at (T,) times of the voice. Raises RequestError for a script that is not what it says."""
        listening = motion.Listening(self._model)
        for piece in features.listen(waveform, self._listener):
            listening.push(piece)
        heard = listening.finish()
        if script is not None:
            heard = replace(heard, closing=self._closing(waveform, script))
        return motion.speak(waveform, heard, seconds)

    def _closing(self, waveform: audio.Waveform, script: str) -> np.ndarray:
        probabilities = features.hear_phonemes(waveform, self._listener)
        aligned = scripts.align(scripts.pronounce(script), probabilities)
        if not aligned.fits:
            raise RequestError(
                "The script is not what the voice says (or is not English); give the right one, or none."
            )
        return aligned.closing(len(probabilities))
