"""Faces with things painted before them, and where: what the occluder net learns from.

Takes crops of faces with their landmarks, drawn hands and pictures to take stuff from, gives `Example`s without end.
What is on a face and is no occluder (beards, hard light, shade) is painted, too, and not marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from captions import caption
from hands import SIZE as HAND_SIZE
from hands import Drawn

from lipsmith.engine.faces.occluders import INPUT_SIZE
from lipsmith.engine.faces.points import JAW
from lipsmith.engine.mouth import LIPS_OUTER

_CHEEKS = (205, 425, 50, 280, 187, 411)
_ROUGH, _FINE = (2, 4, 8), (2, 5, 11, 23, 60)  # cells a side of noise
_HANDS, _CAPTIONS, _SKIN = 0.5, 0.25, 0.85  # shares among occluders; of hands in skin
_N = INPUT_SIZE
_BEYOND = 0.08  # what a picture beside the face counts: nobody asks what lies before a wall


@dataclass(frozen=True)
class Face:
    """A lower face as it was filmed."""

    picture: np.ndarray  # (S, S, 3) uint8 RGB, larger than what the net sees
    landmarks: np.ndarray  # (468, 2) float32 pixels of it


@dataclass(frozen=True)
class Example:
    """What the net sees and what it should say."""

    picture: np.ndarray  # (128, 128, 3) uint8
    hidden: np.ndarray  # (128, 128) float32 in [0, 1]
    weight: np.ndarray  # (128, 128) float32 in (0, 1]: 1 on the face


@dataclass(frozen=True)
class Stuff:
    """What occluders are made of."""

    hands: Sequence[Drawn]
    pictures: Sequence[np.ndarray]  # (H, W, 3) uint8, anything


def example(face: Face, stuff: Stuff, rng: np.random.Generator) -> Example:
    picture, landmarks = _placed(face, rng)
    skin = _skin(picture, landmarks)
    if rng.random() < 0.35:
        picture = _bearded(picture, landmarks, rng)
    if rng.random() < 0.3:
        picture = _in_hard_light(picture, rng)
    hidden = np.zeros((_N, _N), np.float32)
    for _ in range(rng.choice([0, 1, 2], p=[0.45, 0.43, 0.12])):
        if rng.random() < _CAPTIONS:
            words = caption(rng, _N)
            alpha, covered = words.alpha[..., None], words.hidden
            picture = picture * (1 - alpha) + words.colour * alpha
        else:
            alpha, colour = _occluder(landmarks, skin, stuff, rng)
            if alpha.max() < 0.5:
                continue
            picture, covered = _laid_over(picture, alpha, colour, rng)
        hidden = hidden + covered * (1 - hidden)
    hull = np.zeros((_N, _N), np.uint8)
    cv2.fillConvexPoly(hull, _corners(cv2.convexHull(landmarks.astype(np.float32))[:, 0]), 255)
    on_face = cv2.GaussianBlur(hull.astype(np.float32) / 255, (0, 0), 4)
    return Example(_filmed(picture, rng), hidden, _BEYOND + (1 - _BEYOND) * on_face)


def _placed(face: Face, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(128, 128, 3) float32 codes and (468, 2) landmarks: turned, moved, mirrored a little as trackers are off."""
    size, landmarks, picture = len(face.picture), face.landmarks, face.picture.astype(np.float32)
    if rng.random() < 0.5:
        picture, landmarks = picture[:, ::-1], landmarks * (-1, 1) + (size - 1, 0)
    scale, angle = _N / size * np.exp(rng.normal(0, 0.1)), rng.normal(0, 0.12)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = _N / 2 + rng.normal(0, 0.05 * _N, 2) - turn @ (size / 2, size / 2)
    matrix = np.column_stack([turn, shift])
    moved = cv2.warpAffine(np.ascontiguousarray(picture), matrix, (_N, _N), borderMode=cv2.BORDER_REFLECT_101)
    return moved, landmarks @ turn.T + shift


def _skin(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(3,) the colour of the cheeks."""
    at = np.clip(np.round(landmarks[list(_CHEEKS)]).astype(int), 3, _N - 4)
    return np.median([picture[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1)) for x, y in at], 0)


def _noise(rng: np.random.Generator, cells: Sequence[int] = _FINE, decay: float = 0.6) -> np.ndarray:
    """(128, 128) float32 of unit deviation, `decay` from each scale to the next finer one."""
    total, share = np.zeros((_N, _N), np.float32), 1.0
    for count in cells:
        rough = rng.normal(size=(count, count)).astype(np.float32)
        total += share * cv2.resize(rough, (_N, _N), interpolation=cv2.INTER_CUBIC)
        share *= decay
    return total / total.std()


def _bearded(picture: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_N, _N), np.uint8)
    high = rng.uniform(0, 0.6)
    left, right = (high * landmarks[a] + (1 - high) * landmarks[b] for a, b in ((425, 435), (205, 215)))
    outline = [*landmarks[list(JAW[3:-3])], left, landmarks[327], landmarks[98], right]
    cv2.fillPoly(mask, [_corners(np.array(outline))], 255)
    if rng.random() < 0.35:  # only a moustache, or only what is under the lip
        part, middle = np.zeros_like(mask), landmarks[rng.choice([0, 17])]
        axes = (int(rng.uniform(0.12, 0.3) * _N), int(rng.uniform(0.06, 0.2) * _N))
        cv2.ellipse(part, tuple(np.round(middle).astype(int).tolist()), axes, 0, 0, 360, 255, -1)
        mask &= part
    lips = np.zeros_like(mask)
    cv2.fillPoly(lips, [_corners(landmarks[list(LIPS_OUTER)])], 255)
    mask[cv2.erode(lips, np.ones((3, 3), np.uint8)) > 0] = 0  # hair hangs a little over lips
    hair = _noise(rng, (7, 20, 50, 100, 128), 1.1)
    alpha = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), rng.uniform(1, 7))
    alpha = np.clip(alpha * rng.uniform(0.3, 1) * (1 + 0.35 * hair), 0, 1)[..., None]
    return picture * (1 - alpha) + alpha * np.array([60, 45, 35]) * rng.uniform(0.2, 3) * (1 + 0.15 * hair[..., None])


def _in_hard_light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An edge of shadow across the face."""
    y, x = np.indices((_N, _N), np.float32) / _N - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle) + 0.05 * _noise(rng, (3, 6)) * rng.random() - rng.normal(0, 0.2)
    lit = 1 / (1 + np.exp(-along / rng.uniform(0.01, 0.15)))
    return picture * (1 - rng.uniform(0.2, 0.75) * (1 - lit))[..., None]


def _occluder(
    landmarks: np.ndarray, skin: np.ndarray, stuff: Stuff, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(128, 128) how much, and (128, 128, 3) of what colour."""
    if rng.random() >= _HANDS / (1 - _CAPTIONS):
        alpha, made_of = _thing(rng)
        colour = made_of(skin, stuff, rng)
        return alpha, colour * (1 + 0.25 * _noise(rng, _ROUGH[:2]))[..., None].clip(0.3, 1.8)
    drawn = stuff.hands[rng.integers(len(stuff.hands))]
    drawn = drawn.mirrored() if rng.random() < 0.5 else drawn
    middle = landmarks[13] if rng.random() < 0.7 else landmarks[152]
    away, where, angle = rng.uniform(0, 0.8) * _N, rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    scale = rng.uniform(0.7, 1.7) * _N / HAND_SIZE
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    goal = middle + away * np.array([np.cos(where), np.sin(where)])
    matrix = np.column_stack([turn, goal - turn @ (HAND_SIZE / 2, HAND_SIZE / 2)])
    alpha, shade = (cv2.warpAffine(np.ascontiguousarray(part), matrix, (_N, _N)) for part in (drawn.alpha, drawn.shade))
    made_of = _flesh if rng.random() < _SKIN else rng.choice([_plain, _cut_from])
    colour = made_of(skin, stuff, rng) * (shade / 0.85)[..., None] ** rng.uniform(0.5, 1.4)
    if made_of is _flesh and rng.random() < 0.6:  # blood shines through where it is dark
        red = np.array([1, 1 - 0.15 * rng.random(), 1 - 0.2 * rng.random()])
        colour = colour * red ** (2 * (1 - shade)[..., None].clip(0, 1))
    return alpha, colour


def _flesh(skin: np.ndarray, _stuff: Stuff, rng: np.random.Generator) -> np.ndarray:
    tone = skin * np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.05, 3))
    spots = 1 + 0.03 * _noise(rng, _ROUGH)[..., None] * rng.normal(size=3)
    return tone * (1 + rng.uniform(0.01, 0.07) * _noise(rng))[..., None] * spots


def _plain(_skin: np.ndarray, _stuff: Stuff, rng: np.random.Generator) -> np.ndarray:
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else rng.uniform(0, 255) * rng.uniform(0.9, 1.1, 3)
    return colour * (1 + rng.uniform(0, 0.1) * _noise(rng))[..., None]


def _gauze(_skin: np.ndarray, _stuff: Stuff, rng: np.random.Generator) -> np.ndarray:
    """The head of a microphone."""
    dots = np.indices((_N, _N)).sum(0) % 4 < 2
    return np.full((_N, _N, 3), rng.uniform(10, 80)) * (1 + 0.3 * rng.random() * dots)[..., None]


def _cut_from(_skin: np.ndarray, stuff: Stuff, rng: np.random.Generator) -> np.ndarray:
    picture = stuff.pictures[rng.integers(len(stuff.pictures))]
    size = int(rng.integers(24, min(picture.shape[:2])))
    top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
    part = cv2.resize(picture[top : top + size, left : left + size], (_N, _N))
    return part.astype(np.float32) * rng.uniform(0.6, 1.3)


def _thing(rng: np.random.Generator) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
    """The shape of something that is no hand, and what it is made of."""
    shape, solid = np.zeros((_N, _N), np.uint8), rng.choice([_plain, _cut_from, _flesh], p=[0.45, 0.4, 0.15])
    middle = rng.uniform(0.1, 0.9, 2) * _N
    kind = rng.choice(["microphone", "board", "bar", "disc", "ring", "blob", "stick"])
    if kind == "microphone":
        middle, radius = rng.uniform(0.25, 0.95, 2) * _N, rng.uniform(0.08, 0.2) * _N
        axes = (int(radius), int(radius * rng.uniform(0.9, 1.5)))
        cv2.ellipse(shape, _pixel(middle), axes, rng.uniform(0, 360), 0, 360, 255, -1, cv2.LINE_AA)
        end = middle + 1.5 * _N * np.array([rng.normal(0, 0.5), 1])
        cv2.line(shape, _pixel(middle), _pixel(end), 255, int(max(2, radius * rng.uniform(0.3, 1.2))), cv2.LINE_AA)
        solid = _gauze if rng.random() < 0.5 else solid
    elif kind in ("board", "bar"):
        sides = (
            rng.uniform(0.15, 0.7, 2) if kind == "board" else np.array([rng.uniform(0.8, 2), rng.uniform(0.08, 0.3)])
        )
        box = cv2.boxPoints((tuple(middle.tolist()), tuple((sides * _N).tolist()), rng.uniform(0, 180)))
        cv2.fillConvexPoly(shape, _corners(box), 255, cv2.LINE_AA)
        if rng.random() < 0.5:  # round its corners
            shape = (cv2.GaussianBlur(shape, (0, 0), rng.uniform(1, 6)) > 127).astype(np.uint8) * 255
    elif kind in ("disc", "ring"):
        axes, thick = (rng.uniform(0.08, 0.4, 2) * _N).astype(int), -1 if kind == "disc" else int(rng.integers(3, 9))
        cv2.ellipse(shape, _pixel(middle), tuple(axes.tolist()), rng.uniform(0, 180), 0, 360, 255, thick, cv2.LINE_AA)
    elif kind == "blob":
        y, x = np.indices((_N, _N))
        inside = rng.uniform(0.1, 0.35) - np.hypot(x - middle[0], y - middle[1]) / _N
        shape = ((4 * inside + rng.uniform(0.2, 0.6) * _noise(rng, (3, 6, 12)) > 0) * 255).astype(np.uint8)
    else:
        end = rng.uniform(-0.3, 1.3, 2) * _N
        cv2.line(shape, _pixel(middle), _pixel(end), 255, int(rng.integers(4, 22)), cv2.LINE_AA)
    return shape.astype(np.float32) / 255, solid


def _laid_over(
    picture: np.ndarray, alpha: np.ndarray, colour: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with its shadow and then itself on it; and how much is hidden, edges blurred as lenses blur."""
    if rng.random() < 0.6:
        shift = np.column_stack([np.eye(2), rng.normal(0, 0.05 * _N, 2)])
        shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (_N, _N)), (0, 0), rng.uniform(1, 8))
        picture = picture * (1 - rng.uniform(0.1, 0.6) * shadow[..., None])
    alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.4) if rng.random() < 0.8 else rng.uniform(1.4, 4))
    if rng.random() < 0.15:  # it moves
        length = int(rng.integers(3, 15))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        kernel = kernel if rng.random() < 0.5 else kernel.T
        alpha, colour = cv2.filter2D(alpha, -1, kernel), cv2.filter2D(colour, -1, kernel)
    return picture * (1 - alpha[..., None]) + np.clip(colour, 0, 255) * alpha[..., None], alpha


def _filmed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8: in another light, by a worse camera, through a codec."""
    tint = np.exp(rng.normal(0, 0.12, 3)) if rng.random() < 0.5 else np.ones(3)
    light = (np.clip(picture * tint, 0, 255) / 255) ** np.exp(rng.normal(0, 0.25))
    light = (light - 0.5) * rng.uniform(0.7, 1.25) + 0.5 + rng.normal(0, 0.06)
    if rng.random() < 0.15:
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.2:
        y, x = np.indices((_N, _N)) / _N - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        light = light * (1 + rng.uniform(0, 0.8) * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    if rng.random() < 0.4:
        size = int(_N * rng.uniform(0.35, 0.9))
        light = cv2.resize(cv2.resize(light, (size, size), interpolation=cv2.INTER_AREA), (_N, _N))
    codes = np.clip(light, 0, 1) * 255
    if rng.random() < 0.4:
        codes = codes + rng.normal(0, rng.uniform(1, 9), codes.shape)
    codes = np.clip(codes, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, packed = cv2.imencode(".jpg", codes, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        codes = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return codes


def _corners(points: np.ndarray) -> np.ndarray:
    return np.round(points).astype(np.int32)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])
