"""Something before the mouth stays as it was filmed, and bare mouths are dubbed whole.

Over clips of held-out speakers things are drawn whose place is known: fingers in the colour of the cheek, a microphone,
a board, passing before the mouth during the middle third, and a caption that stands there (a typeface that the net
never saw). The films are lossless (FFV1), so what a dub changes is what
was painted. "kept": share of the thing's pixels, off its very edge, that differ by no more than 8 codes of 255 from the
film; "kept before lips": of those before the lips alone, which a dub that sees nothing paints over. "ghosts": pixels in
the colour of the caption where it is not, against its own: letters learnt as skin and painted elsewhere. On the films
without a thing, "held back" is the share of dubbed frames that were shielded without need.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine import dub, mouth
from lipsmith.engine.footage import Footage
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe
from lipsmith.engine.rehearsal import DubOptions, VoiceFor

SPEAKERS = (
    "hdtf_katiehill",
    "opendubbing",
    "vretalk_woman_red",
    "mead_W015",
    "vox_man_black",
    "latentsync_man",
    "tcd_woman",
)
THINGS = ("fingers", "microphone", "board", "caption")
_WORDS = ("Dubbing", "HE SAID:", "without", "any words", "on a chin", "01:02:03")
SECONDS = 4.0
VOICE = "es_dreamtalk1.wav"
_SAME = 8  # codes of 255
_ENOUGH = 1000  # pixels: of fewer a share says nothing
_EDGE = 0.015  # face widths from a thing's edge that are not judged
_BESIDE = np.ones((5, 5), np.uint8)  # pixels in which a letter's blurred edge may lie
_LARGEST = 720  # pixels of the longer side: lossless films are large


def run() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for speaker in SPEAKERS:
            shot = talker.seen(clips.clip(speaker))
            bare = _filmed(shot, None, Path(folder))
            rows.append(table.said(_row(speaker, "nothing", bare, Path(folder))))
            for thing in THINGS:
                rows.append(table.said(_row(speaker, thing, _filmed(shot, thing, Path(folder)), Path(folder))))
    covered = [row for row in rows if row["thing"] != "nothing"]
    over_lips = [row for row in covered if int(str(row["before_lips"])) >= _ENOUGH]
    bare_rows = [row for row in rows if row["thing"] == "nothing"]
    summary = {
        "pixels of a thing kept, mean": table.mean(covered, "kept"),
        "of those before lips, mean": table.weighted(covered, "kept_before_lips", "before_lips"),
        f"of those before lips, worst film with {_ENOUGH} of them": min(
            float(str(row["kept_before_lips"])) for row in over_lips
        ),
        "ghosts of captions, of their pixels": table.mean([row for row in rows if row["thing"] == "caption"], "ghosts"),
        "dubbed frames, with a thing": table.mean(covered, "dubbed"),
        "bare frames held back, mean": table.mean(bare_rows, "held_back"),
    }
    table.report("occluders", rows, summary)


def _row(speaker: str, thing: str, film: Path, folder: Path) -> dict[str, object]:
    out = folder / "dub.mkv"
    options = DubOptions((VoiceFor(clips.voice(VOICE)),))
    told = dub.dub(film, out, options, store=talker.store())
    whole, before_lips = np.zeros(2), np.zeros(2)  # (kept, all) pixels
    ghosts, letters = 0, 0
    with np.load(film.with_suffix(".npz")) as truth:
        for before, after, index in zip(_pictures(film), _pictures(out), range(len(truth["thing"])), strict=False):
            same = np.abs(before.astype(int) - after).max(-1) <= _SAME
            there = truth["thing"][index] > 0
            for total, where in ((whole, there), (before_lips, there & (truth["lips"][index] > 0))):
                total += (same[where].sum(), where.sum())
            ghosts += int((_yellow(after) & ~cv2.dilate(_yellow(before).astype(np.uint8), _BESIDE).astype(bool)).sum())
            letters += int(_yellow(before).sum())
    return {
        "speaker": speaker,
        "thing": thing,
        "frames": told.frames_total,
        "dubbed": told.frames_dubbed / told.frames_total,
        "held_back": told.details["frames_shielded"] / max(told.frames_dubbed, 1),
        "kept": whole[0] / whole[1] if whole[1] else "",
        "before_lips": int(before_lips[1]),
        "kept_before_lips": before_lips[0] / before_lips[1] if before_lips[1] else "",
        "ghosts": ghosts / letters if thing == "caption" else "",
    }


def _yellow(picture: np.ndarray) -> np.ndarray:
    """Where a caption's letters are, and nothing of a face."""
    return (picture[..., 0] > 190) & (picture[..., 1] > 150) & (picture[..., 2] < 90)


def _pictures(path: Path) -> Iterator[np.ndarray]:
    return (decode.rgb(frame) for frame in decode.frames(probe(path)))


def _filmed(shot: Footage, thing: str | None, folder: Path) -> Path:
    """A lossless, silent film of the clip's first seconds, and beside it what is where in it."""
    path = folder / f"{thing}.mkv"
    video = shot.video
    scale = min(1.0, _LARGEST / max(video.seen_width, video.height))
    width, height = (2 * round(side * scale / 2) for side in (video.seen_width, video.height))
    count = min(len(shot.pts), round(SECONDS * float(video.frame_rate)))
    person = shot.people[0]
    rows = {int(index): row for row, index in enumerate(person.measured.indices)}
    lips_of = person.measured.in_picture(*mouth.LIPS_OUTER)
    places = person.measured.in_picture(*_PLACED_BY) * scale
    things, lips = np.zeros((2, count, height, width), np.uint8)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=round(video.frame_rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in decode.frames(shot.spec):
            if frame.index >= count:
                break
            picture = cv2.resize(decode.rgb(frame), (width, height), interpolation=cv2.INTER_AREA)
            if frame.index in rows:
                row = rows[frame.index]
                outline = lips_of[row] * (width / video.seen_width, height / video.height)
                unit = float(person.measured.placement.scale[row]) * scale
                cv2.fillPoly(lips[frame.index], [np.round(outline).astype(np.int32)], 255)
                if thing is not None and count // 3 <= frame.index < 2 * count // 3:
                    share = (frame.index - count // 3) / (count / 3)
                    at = np.median(places, 0) if thing == "caption" else places[row]
                    picture, things[frame.index] = _with(thing, picture, at, unit, share)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")))
        film.mux(stream.encode(None))
    np.savez_compressed(path.with_suffix(".npz"), thing=things, lips=lips)
    return path


_PLACED_BY = (13, 14, 205, 425)  # points of the mesh: upper and lower lip, both cheeks


def _with(
    thing: str, picture: np.ndarray, points: np.ndarray, unit: float, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the thing passing before the mouth, `share` of the way; and where it surely is (255).

    `points`: (4, 2) `_PLACED_BY`, pixels.
    """
    middle = points[:2].mean(0) + unit * np.array([0.5 * (share - 0.5), 0.12 * math.cos(6 * share)])
    if thing == "caption":
        return _captioned(picture, points[1], unit, share)
    shape, light = np.zeros(picture.shape[:2], np.uint8), np.zeros(picture.shape[:2], np.float32)
    if thing == "fingers":
        for number in range(3):
            root = middle + unit * np.array([0.11 * (number - 1), 0.75])
            tip = middle + unit * np.array([0.1 * (number - 1), -0.1 + 0.03 * abs(number - 1)])
            for step in range(7):  # round: lighter along the middle
                thick = max(1, round(unit * 0.1 * (1 - step / 8)))
                cv2.line(light, _pixel(root), _pixel(tip), 0.72 + 0.06 * step, thick, cv2.LINE_AA)
            cv2.line(shape, _pixel(root), _pixel(tip), 255, max(1, round(unit * 0.1)), cv2.LINE_AA)
        patch = [_around(picture, point, max(2, round(0.03 * unit))) for point in points[2:]]
        colour = np.median(np.concatenate(patch), 0)
    elif thing == "microphone":
        cv2.circle(shape, _pixel(middle), round(unit * 0.13), 255, -1, cv2.LINE_AA)
        cv2.line(
            shape, _pixel(middle), _pixel(middle + unit * np.array([0.1, 1])), 255, round(unit * 0.07), cv2.LINE_AA
        )
        y, x = np.indices(shape.shape)
        light, colour = (0.7 + 0.3 * ((x // 2 + y // 2) % 2)).astype(np.float32), np.array([45, 45, 50])
    else:
        box = cv2.boxPoints((tuple((middle + unit * np.array([0, 0.3])).tolist()), (0.7 * unit, 0.62 * unit), 8.0))
        cv2.fillConvexPoly(shape, np.round(box).astype(np.int32), 255, cv2.LINE_AA)
        light, colour = np.ones(shape.shape, np.float32), np.array([200, 60, 40])
    alpha = cv2.GaussianBlur(shape.astype(np.float32) / 255, (0, 0), max(0.5, 0.004 * unit))[..., None]
    covered = picture * (1 - alpha) + np.clip(light[..., None] * colour, 0, 255) * alpha
    side = 2 * max(1, round(_EDGE * unit)) + 1
    return np.rint(covered).astype(np.uint8), cv2.erode(shape, np.ones((side, side), np.uint8)) // 255 * 255


def _captioned(picture: np.ndarray, lower_lip: np.ndarray, unit: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Yellow letters with black outlines from the lower lip down, another word every few frames."""
    word, face, size = _WORDS[int(share * len(_WORDS))], cv2.FontFace("uni"), max(8, round(0.2 * unit))
    _, _, width, _ = cv2.getTextSize((9999, 9999), word, (0, 0), face, size, 400)
    at = _pixel(lower_lip + np.array([-width / 2, 0.26 * unit]))
    letters = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(letters, word, at, (255,), face, size, 400)
    side = 2 * max(1, round(0.012 * unit)) + 1
    outlined = cv2.dilate(letters, np.ones((side, side), np.uint8))
    covered = picture * (1 - outlined[..., None] / 255.0)
    covered = covered + letters[..., None] / 255.0 * (np.array([255, 220, 0]) - covered)
    return np.rint(covered).astype(np.uint8), (outlined == 255).astype(np.uint8) * 255


def _around(picture: np.ndarray, point: np.ndarray, reach: int) -> np.ndarray:
    x, y = np.clip(np.round(point).astype(int), reach, (picture.shape[1] - reach - 1, picture.shape[0] - reach - 1))
    return picture[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
