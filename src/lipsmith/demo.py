"""A shot and a voice to try Lipsmith with, made on the spot from free material.

A public-domain portrait (NASA, in the scikit-image wheel) is animated to say a public-domain recording (LibriVox, in
the pocketsphinx sdist) by its phone times; a second one is the voice to dub with. So the repository ships no footage.
The animation is a smooth warp of one picture: good for showing that everything works, no measure of quality.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.progress import Progress
from lipsmith.errors import FileMissing, OutputNotWritable, RequestError
from lipsmith.weights import Artefact, WeightStore

RATE = 25  # frames per second
SIZE = (1280, 720)
GRAIN = 1.0  # standard deviation, levels of 255: a picture without any would be too easy to encode
_CROP = (12, 5, 439, 245)  # left, top, right, bottom of the portrait: head and shoulders, three times enlarged

_SPEECH = "test/data/librivox/sense_and_sensibility_01_austen_64kb-"


def _librivox(name: str, member: str, sha256: str, purpose: str) -> Artefact:
    return Artefact(
        name, "pocketsphinx", "5.1.1", _SPEECH + member, sha256, "public domain (LibriVox)", purpose, "sdist"
    )


MATERIAL = (
    Artefact(
        name="portrait",
        package="scikit-image",
        version="0.26.0",
        member="skimage/data/astronaut.png",
        sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        licence="public domain (NASA)",
        purpose="the face of the sample shot",
    ),
    _librivox(
        "speech",
        "0870.wav",
        "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
        "what the sample shot says",
    ),
    _librivox(
        "phones",
        "0870.phone.json",
        "0e66e66c5cdeaa74a323d6762dc4472a0e5ae7c8967fe4b6952388280c412648",
        "when it says it",
    ),
    _librivox(
        "voice",
        "0920.wav",
        "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
        "what the dub says",
    ),
)

# Phone: (inner lip gap in face widths, mouth width against rest). All others: _TONGUE.
_SHAPES = {
    **dict.fromkeys(("SIL", "P", "B", "M"), (0.0, 0.0)),
    **dict.fromkeys(("F", "V"), (0.010, 0.0)),
    **dict.fromkeys(("AA", "AE", "AY", "AW"), (0.105, 0.0)),
    **dict.fromkeys(("AH", "EH"), (0.070, 0.0)),
    **dict.fromkeys(("IH", "EY", "IY"), (0.042, 0.05)),
    **dict.fromkeys(("AO", "OY"), (0.085, -0.10)),
    **dict.fromkeys(("OW", "UH", "ER"), (0.050, -0.12)),
    **dict.fromkeys(("UW", "W"), (0.025, -0.17)),
    **dict.fromkeys(("SH", "CH", "JH", "ZH", "R"), (0.028, -0.08)),
}
_TONGUE = (0.030, 0.0)
_REST_WIDTH = 0.90  # of the portrait's broad smile
_LIT_GAP = 0.03  # face widths: below it no light falls on the teeth
_LIP_LINE = (120, 62, 58)  # RGB of the line between closed lips
_MOTION_BLUR_SECONDS = 0.018  # lips do not jump from phone to phone

# Inner lip points above each other, from the right corner to the left; what the middle opens, they open in part.
_COLUMNS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
_PROFILE = (0.40, 0.66, 0.84, 0.96, 1.0, 0.96, 0.84, 0.66, 0.40)
_OUTER_UPPER = (40, 39, 37, 0, 267, 269, 270)
_OUTER_LOWER = (91, 181, 84, 17, 314, 405, 321)
_CORNERS = (61, 291, 78, 308)
_JAW = (152, 148, 377, 176, 400, 149, 378, 150, 379, 199, 200, 18)
# Points that speech does not move: they hold the warp.
_STILL = (1, 2, 98, 327, 205, 425, 50, 280, 116, 345, 93, 323, 132, 361, 33, 263, 168, 10, 127, 356, 58, 288)


def own_or_made(
    folder: Path,
    video: Path | None,
    audio: Path | None,
    store: WeightStore,
    say: Callable[[str], None],
    progress: Progress,
) -> tuple[Path, Path]:
    """(shot, voice): the user's own where given, the made ones in `folder` otherwise.

    Raises RequestError (a shot of one's own without a voice), FileMissing, OutputNotWritable, WeightsError.
    """
    if video is not None and audio is None:
        raise RequestError("A video of your own needs an audio of your own: give both.")
    for path in (video, audio):
        if path is not None and not path.is_file():
            raise FileMissing(f"{path}: there is no such file.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"{folder}: the folder cannot be made ({error.strerror}).") from error
    if video is not None and audio is not None:
        return video, audio
    material = WeightStore(store.folder / "demo", artefacts=MATERIAL, say=say)
    material.fetch()
    shot = folder / "source.mp4"
    make_shot(shot, material, store, progress)
    if audio is None:
        audio = folder / "voice.wav"
        audio.write_bytes(material.path("voice").read_bytes())
    return shot, audio


def make_shot(
    path: Path, material: WeightStore, store: WeightStore, progress: Progress, *, frame_count: int | None = None
) -> None:
    """Write the animated portrait, speaking, as H.264 and AAC in MP4; only its first `frame_count` frames if given."""
    path_of_mouth = mouth_path(json.loads(material.path("phones").read_text()))[:frame_count]
    portrait = Portrait.load(material.path("portrait"), store)
    part = path.with_name(f".{path.name}.part")
    try:
        _encode(part, _frames(portrait, path_of_mouth, progress), material.path("speech"), len(path_of_mouth) / RATE)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def mouth_path(phones: dict[str, Any]) -> np.ndarray:
    """(T, 2) gap and widening per frame from an alignment: each phone's shape at its middle, smooth between."""
    middles, shapes = [], []
    for word in phones["w"]:
        for phone in word["w"]:
            start, length = float(phone["b"]), float(phone["d"])
            shape = _SHAPES.get(phone["t"], _TONGUE)
            held = 0.25 * length if shape[0] < 0.02 else 0.0  # a closure lasts; an opening is passed through
            for moment in (start + length / 2 - held, start + length / 2 + held)[: 2 if held else 1]:
                middles.append(moment)
                shapes.append(shape)
    fine = np.arange(0, float(phones["d"]), 0.005)
    curves = [np.interp(fine, middles, values) for values in np.array(shapes).T]
    smooth = [gaussian_filter1d(curve, _MOTION_BLUR_SECONDS / 0.005) for curve in curves]
    return np.stack(smooth, 1)[:: round(1 / RATE / 0.005)]


@dataclass(frozen=True)
class Portrait:
    """One picture of a face that can be made to open its mouth."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    points: np.ndarray  # (468, 2) float64 landmarks, pixels
    inside: np.ndarray  # (H, W, 3) uint8: what is seen between the lips: teeth, and the dark below them

    @classmethod
    def load(cls, path: Path, store: WeightStore) -> Portrait:
        import torch

        from lipsmith.engine.faces.detect import FaceDetector
        from lipsmith.engine.faces.mesh import FaceMesh, region_of

        left, top, right, bottom = _CROP
        bgr = cv2.imread(str(path))
        assert bgr is not None  # verified by its sha256
        whole = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        picture = cv2.resize(whole[top:bottom, left:right], SIZE, interpolation=cv2.INTER_LANCZOS4)
        device = torch.device("cpu")
        region = FaceDetector(store.path("face_detector"), device).detect([picture])[0][0].region
        mesh = FaceMesh(store.path("face_mesh"), device)
        rough = mesh.without_lips([picture], [region])
        exact, _ = mesh.landmarks([picture], [region_of(rough[0])])
        points = exact[0, :, :2].astype(np.float64)
        return cls(picture, points, _inside(picture, points))

    @property
    def face_width(self) -> float:
        """Pixels."""
        return float(np.linalg.norm(self.points[454] - self.points[234]))

    def speaking(self, gap: float, widening: float) -> np.ndarray:
        """(H, W, 3) the picture with an inner lip gap of `gap` face widths and a mouth `widening` wider than at rest.

        Upper and lower lip are warped apart from each other, so that they can meet; what lies between is painted in.
        """
        goal = self._goal(gap * self.face_width, _REST_WIDTH * (1 + widening))
        upper = self._warped(goal, (*_OUTER_UPPER, *(u for u, _ in _COLUMNS)))
        lower = self._warped(goal, (*_OUTER_LOWER, *(low for _, low in _COLUMNS)))
        below = self._matte([*goal[[78, *(low for _, low in _COLUMNS), 308]], *self._underneath(goal)], 1.5)
        opening = self._matte(
            [*goal[[78, *(u for u, _ in _COLUMNS), 308]], *goal[[low for _, low in _COLUMNS]][::-1]], 1.0
        )
        skin = upper + below * (lower - upper)
        lit = min(1.0, gap / _LIT_GAP)
        inside = lit * self.inside + (1 - lit) * np.array(_LIP_LINE, np.float32)
        return np.clip(skin + opening * (inside - skin), 0, 255).astype(np.uint8)

    def _goal(self, gap: float, width: float) -> np.ndarray:
        """(468, 2) where the landmarks shall be; `gap` in pixels."""
        goal = self.points.copy()
        middle = self.points[[13, 14]].mean(0)
        drop = 0.0
        for (u, low), share in zip(_COLUMNS, _PROFILE, strict=True):
            top, bottom = self.points[u, 1], self.points[low, 1]
            meet = top + 0.55 * (bottom - top)
            raised = min(0.3 * gap * share, meet - top)
            goal[u, 1], goal[low, 1] = meet - raised, meet - raised + gap * share
            drop = max(drop, goal[low, 1] - bottom)
        rise, fall = goal[13, 1] - self.points[13, 1], goal[14, 1] - self.points[14, 1]
        for outer, shift in ((_OUTER_UPPER, rise), (_OUTER_LOWER, fall)):
            reach = np.abs(self.points[list(outer), 0] - middle[0]) / (0.25 * self.face_width)
            goal[list(outer), 1] += shift * np.clip(1 - reach**2, 0.2, 1)
        goal[list(_JAW), 1] += 0.75 * drop
        lips = list({*mouth.LIPS_INNER, *mouth.LIPS_OUTER})
        goal[lips, 0] = middle[0] + width * (goal[lips, 0] - middle[0])
        goal[list(_CORNERS), 1] += 0.12 * gap
        return goal

    def _warped(self, goal: np.ndarray, lip: tuple[int, ...]) -> np.ndarray:
        """(H, W, 3) float32: the picture pulled so that the given lip and all but the other lip come to `goal`."""
        held = [*lip, *_CORNERS, *_JAW, *_STILL]
        low, high = self.points.min(0) - 0.3 * self.face_width, self.points.max(0) + 0.3 * self.face_width
        columns, rows = np.arange(low[0], high[0], 8.0), np.arange(low[1], high[1], 8.0)
        edge = np.array([[x, y] for x in (low[0], columns[len(columns) // 2], high[0]) for y in (low[1], high[1])])
        shift = RBFInterpolator(
            np.concatenate([goal[held], edge]),
            np.concatenate([self.points[held] - goal[held], np.zeros_like(edge)]),
            kernel="thin_plate_spline",
        )
        grid = np.stack(np.meshgrid(columns, rows), -1)  # (R, C, 2)
        field = shift(grid.reshape(-1, 2)).reshape(grid.shape).astype(np.float32)
        return _displaced(self.picture, field, (round(low[0]), round(low[1]))).astype(np.float32)

    def _underneath(self, goal: np.ndarray) -> list[np.ndarray]:
        """The rest of the lower lip's region: from the left corner round the chin to the right one."""
        side, bottom = 0.16 * self.face_width, goal[152, 1] + 0.1 * self.face_width
        (left, left_y), (right, right_y) = goal[308], goal[78]
        corners = ((left + side, left_y), (left + side, bottom), (right - side, bottom), (right - side, right_y))
        return [np.array(corner) for corner in corners]

    def _matte(self, outline: list[np.ndarray], softness: float) -> np.ndarray:
        """(H, W, 1) float32: 1 within the outline, its edge `softness` pixels soft."""
        matte = np.zeros(self.picture.shape[:2], np.uint8)
        cv2.fillPoly(matte, [np.rint(np.array(outline) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        return cv2.GaussianBlur(matte, (0, 0), softness)[..., None].astype(np.float32) / 255


def _inside(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The portrait's own upper teeth over a dark mouth with a tongue low in it."""
    upper, lower = [u for u, _ in _COLUMNS], [low for _, low in _COLUMNS]
    outline = np.rint(points[[78, *upper, 308, *lower[::-1]]]).astype(np.int32)
    size = float(np.linalg.norm(points[308] - points[78]))
    between = cv2.fillPoly(np.zeros(picture.shape[:2], np.uint8), [outline], 255)
    teeth = cv2.erode(between, np.ones((3, 3), np.uint8), iterations=max(1, round(size / 60)))
    dark = np.full_like(picture, (46, 20, 20))
    tongue = points[14] + (0, 0.30 * size)
    cv2.ellipse(
        dark,
        np.rint(tongue).astype(int).tolist(),
        (round(0.32 * size), round(0.22 * size)),
        0,
        0,
        360,
        (128, 62, 60),
        -1,
    )
    dark = cv2.GaussianBlur(dark, (0, 0), 0.06 * size)
    matte = cv2.GaussianBlur(teeth, (0, 0), 1.2)[..., None].astype(np.float32) / 255
    return (dark + matte * (picture.astype(np.float32) - dark)).astype(np.uint8)


def _displaced(picture: np.ndarray, field: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """`picture` moved by a coarse displacement field (R, C, 2), every 8 pixels from `corner` on, untouched else."""
    height, width = picture.shape[:2]
    rows, columns = field.shape[0] * 8, field.shape[1] * 8
    fine = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC)
    left, top = corner
    x, y = np.meshgrid(np.arange(left, left + columns, dtype=np.float32), np.arange(top, top + rows, dtype=np.float32))
    # cv2.resize puts coarse samples at the centres of their cells: half a cell less half a pixel further on.
    offset = 3.5
    pulled = cv2.remap(
        picture, x - offset + fine[..., 0], y - offset + fine[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    moved = picture.copy()
    x0, y0 = round(left - offset), round(top - offset)
    a, b = max(x0, 0), max(y0, 0)
    c, d = min(x0 + columns, width), min(y0 + rows, height)
    moved[b:d, a:c] = pulled[b - y0 : d - y0, a - x0 : c - x0]
    return moved


def _frames(portrait: Portrait, path: np.ndarray, progress: Progress) -> Iterator[np.ndarray]:
    """The shot's pictures: the mouth speaks, the head sways a little, film grain is different each time."""
    grain = np.random.default_rng(5)
    height, width = portrait.picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    center = portrait.points[168].astype(np.float32)
    reach = ((x - center[0]) / (1.1 * portrait.face_width)) ** 2 + ((y - center[1]) / (1.5 * portrait.face_width)) ** 2
    weight = np.exp(-(reach**2)).astype(np.float32)  # the head moves, the room does not
    for index, (gap, widening) in enumerate(path):
        seconds = index / RATE
        turn = np.float32(0.022 * np.sin(1.3 * seconds) + 0.008 * np.sin(3.1 * seconds))
        shift = (4.0 * np.sin(0.9 * seconds + 1), 3.0 * np.sin(1.7 * seconds))
        map_x = x + weight * (turn * (y - center[1]) - np.float32(shift[0]))
        map_y = y + weight * (-turn * (x - center[0]) - np.float32(shift[1]))
        swayed = cv2.remap(
            portrait.speaking(gap, widening), map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        noise = grain.normal(0, GRAIN, (height, width, 1)).astype(np.float32)
        yield np.clip(swayed + noise, 0, 255).astype(np.uint8)
        progress("sample", index + 1, len(path))


def _encode(path: Path, pictures: Iterator[np.ndarray], speech: Path, seconds: float) -> None:
    """H.264 and AAC; the sound ends with the picture."""
    with av.open(str(path), "w", format="mp4") as output, av.open(str(speech)) as recording:
        video = output.add_stream("libx264", rate=RATE, options={"crf": "17", "preset": "medium"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(video.codec_context, name, 1)  # BT.709
        video.codec_context.color_range = 1
        sound = output.add_stream("aac", rate=48000, layout="mono")
        sound.bit_rate = 96_000
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode())
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        for heard in recording.decode(audio=0):
            if heard.time is not None and heard.time >= seconds:
                break
            for block in resampler.resample(heard):
                output.mux(sound.encode(block))
        output.mux(sound.encode())
