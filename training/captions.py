"""Words laid over a picture: burnt-in subtitles, captions of social video, time codes, name plates.

Draws one at random with OpenCV's own typefaces, gives how much of each pixel it covers, in what colour, and what of the
picture counts as hidden: letters with their outlines and what lies between them, since lips seen through a line of
letters cannot be dubbed in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_TYPEFACES, _CHINESE = ("sans", "sans", "italic"), "uni"
_LATIN = np.array(list("AAABCDEEEEFGHIIJKLMNNOOOPQRRSSTTTUVWXYZ"))
_IDEOGRAPHS = (0x4E00, 0x9F00)
_FINER = 4  # drawn so many times larger
_COLOUR_OF = {"white": 0.45, "yellow": 0.15, "bright": 0.25, "dark": 0.15}


@dataclass(frozen=True)
class Caption:
    """A layer of (N, N) pixels."""

    alpha: np.ndarray  # float32 in [0, 1]
    colour: np.ndarray  # (N, N, 3) float32 codes
    hidden: np.ndarray  # float32 in [0, 1]


def caption(rng: np.random.Generator, side: int) -> Caption:
    """One caption over a square of `side` pixels, mostly over its lower half."""
    em = float(np.exp(rng.uniform(np.log(0.07), np.log(0.4)))) * side
    canvas = side * _FINER
    letters, emphasised = _lines(rng, canvas, em * _FINER)
    letters, emphasised = (_turned(layer, _angle(rng)) for layer in (letters, emphasised))
    outlined = _grown(letters, rng.uniform(0.02, 0.1) * em * _FINER) if rng.random() < 0.55 else letters
    boxed = rng.random() < 0.2
    plate = _joined(outlined, em * _FINER, rng.uniform(0.2, 0.5)) if boxed else np.zeros_like(letters)
    fill, other = _colour(rng), _colour(rng)
    around = np.full(3, rng.uniform(0, 40)) if fill.mean() > 110 and rng.random() < 0.8 else _colour(rng)
    opacity = 1.0 if rng.random() < 0.85 else rng.uniform(0.65, 1)
    solid, rim, box, hot = (
        cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for layer in (letters, outlined, plate, emphasised)
    )
    box *= rng.uniform(0.5, 1)
    paint = fill + (other - fill) * hot[..., None]
    alpha, colour = box, np.broadcast_to(_colour(rng) if rng.random() < 0.4 else around, (side, side, 3))
    for layer, of in ((rim, np.broadcast_to(around, colour.shape)), (solid, paint)):
        total = layer + alpha * (1 - layer)
        share = (layer / np.maximum(total, 1e-6))[..., None]
        alpha, colour = total, of * share + colour * (1 - share)
    if rng.random() < 0.3:  # a soft shadow, which darkens and hides nothing
        dark = cv2.GaussianBlur(rim, (0, 0), rng.uniform(1, 0.15 * em + 1)) * rng.uniform(0.2, 0.7)
        total = alpha + dark * (1 - alpha)
        colour, alpha = colour * (alpha / np.maximum(total, 1e-6))[..., None], total
    between = cv2.resize(_joined(outlined, em * _FINER, 0.05), (side, side), interpolation=cv2.INTER_AREA)
    hidden = np.maximum(between.astype(np.float32) / 255, box > 0)
    return Caption(alpha * opacity, colour.astype(np.float32), hidden.astype(np.float32))


def _lines(rng: np.random.Generator, canvas: int, em: float) -> tuple[np.ndarray, np.ndarray]:
    """(C, C) uint8 letters, and those of them in the other colour."""
    chinese = rng.random() < 0.25
    face = cv2.FontFace(_CHINESE if chinese else str(rng.choice(_TYPEFACES)))
    weight, capitals = int(rng.integers(3, 10)) * 100, rng.random() < 0.5
    letters, hot = np.zeros((2, canvas, canvas), np.uint8)
    y = rng.uniform(0.25, 1.05) * canvas
    middle = rng.uniform(0.2, 0.8) * canvas
    for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])):
        words = [_word(rng, chinese, capitals) for _ in range(rng.integers(1, 5))]
        widths = [_width(word + " ", face, em, weight) for word in words]
        x = middle - sum(widths) / 2
        emphasis = rng.integers(len(words)) if rng.random() < 0.2 else -1
        for number, (word, width) in enumerate(zip(words, widths, strict=True)):
            at = (round(x), round(y))
            cv2.putText(letters, word, at, (255,), face, round(em), weight)
            if number == emphasis:
                cv2.putText(hot, word, at, (255,), face, round(em), weight)
            x += width
        y += rng.uniform(1.05, 1.4) * em
    return letters, hot


def _word(rng: np.random.Generator, chinese: bool, capitals: bool) -> str:
    length = int(rng.integers(1, 9))
    if chinese:
        return "".join(chr(code) for code in rng.integers(*_IDEOGRAPHS, length))
    if rng.random() < 0.1:
        return ":".join(f"{number:02}" for number in rng.integers(0, 60, 4))
    word = "".join(rng.choice(_LATIN, length)) + str(rng.choice(["", "", "", ",", ".", "!"]))
    return word if capitals else word.lower()


def _width(word: str, face: cv2.FontFace, em: float, weight: int) -> float:
    _, _, width, _ = cv2.getTextSize((10000, 10000), word, (0, 0), face, round(em), weight)
    return float(width)


def _angle(rng: np.random.Generator) -> float:
    return float(rng.normal(0, 6) if rng.random() < 0.9 else rng.uniform(-90, 90))


def _turned(layer: np.ndarray, degrees: float) -> np.ndarray:
    middle = (len(layer) / 2, len(layer) / 2)
    return cv2.warpAffine(layer, cv2.getRotationMatrix2D(middle, degrees, 1), layer.shape[::-1])


def _grown(layer: np.ndarray, by: float) -> np.ndarray:
    size = 2 * max(1, round(by)) + 1
    return cv2.dilate(layer, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _joined(layer: np.ndarray, em: float, by: float) -> np.ndarray:
    """The gaps between letters closed; grown by so much of an em."""
    gap = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * round(0.2 * em) + 1, 2 * round(0.08 * em) + 1))
    framed = cv2.copyMakeBorder(layer, *[round(em)] * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, gap)
    return _grown(closed, by * em)[round(em) : -round(em), round(em) : -round(em)]


def _colour(rng: np.random.Generator) -> np.ndarray:
    kind = rng.choice(list(_COLOUR_OF), p=list(_COLOUR_OF.values()))
    if kind == "white":
        return np.full(3, rng.uniform(215, 255))
    if kind == "yellow":
        return np.array([255, rng.uniform(190, 255), rng.uniform(0, 90)])
    if kind == "dark":
        return np.full(3, rng.uniform(0, 60))
    bright = rng.uniform(0, 255, 3)
    bright[rng.integers(3)], bright[rng.integers(3)] = 255, 0
    return bright
