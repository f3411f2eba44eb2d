"""A thing before the mouth is seen and stays; a bare mouth is dubbed whole and kept for the library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lipsmith.engine import footage
from lipsmith.engine.actor import model
from lipsmith.engine.casting import cast_parts, learn
from lipsmith.engine.faces.measure import Measured, measure
from lipsmith.engine.faces.occluders import OccluderFinder, lower_faces
from lipsmith.engine.faces.track import Look, Nets, Tracker
from lipsmith.engine.faces.view import view
from lipsmith.engine.media import color, decode
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.progress import silent
from lipsmith.engine.render.performance import Performance
from lipsmith.engine.render.retrieval import Choice
from lipsmith.weights import WeightStore

CPU = torch.device("cpu")
COVERED = range(16, 32)
BLUE, YELLOW, BLACK = (90, 200, 90), (210, 16, 146), (16, 128, 128)  # Y, U, V
CAPTIONS = cv2.FontFace("sans")


def board(seen: footage.Footage, index: int) -> Box:
    """From the nose down, half the face wide, over the left half of the mouth."""
    person = seen.main
    row = int(np.flatnonzero(person.measured.indices == index)[0])
    x, y = person.measured.in_picture(13)[row, 0]
    unit = float(person.measured.placement.scale[row])
    box = Box(int(x - 0.5 * unit), int(y - 0.15 * unit), int(x), int(y + 0.5 * unit))
    return box.aligned(2, seen.video.width, seen.video.height)


def frames(seen: footage.Footage, covered: range, count: int | None = None) -> Iterator[Frame]:
    """Of the shot, a board before the mouth in some."""
    for frame in islice(decode.frames(seen.spec), count):
        if frame.index in covered:
            box = board(seen, frame.index)
            codes = np.empty((box.height, box.width, 3), np.uint8)
            codes[:] = BLUE
            color.write_codes(frame, box, codes, np.ones(codes.shape[:2], np.float32))
        yield frame


def wide_open(seen: footage.Footage, actor: model.ActorModel) -> np.ndarray:
    return np.repeat((actor.calibration.rest + 0.06 * actor.calibration.opening)[None], len(seen.pts), 0)


@pytest.fixture(scope="module")
def actor_file(seen: footage.Footage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("actor") / "woman.lipsmith"
    learn(seen, seen.main, out, OccluderFinder(CPU), 2, silent)
    return out


def test_it_is_seen_where_it_is(seen: footage.Footage) -> None:
    finder, places = OccluderFinder(CPU), lower_faces(seen.main.measured.placement)
    for frame in frames(seen, range(4, 8), 8):
        shown = view(frame, places[frame.index], seen.video)
        (likely,) = finder.look([shown.picture], [shown.region])
        if frame.index < 4:
            assert likely.max() < 0.5
        else:
            left = likely[24:52, 12:30]  # of the lower face: under the board
            assert (left > 0.5).mean() > 0.8
            assert (likely[:, 44:] > 0.5).mean() < 0.02


def test_it_stays_and_the_mouth_beside_it_moves(seen: footage.Footage, actor_file: Path, store: WeightStore) -> None:
    count = 40
    with model.load(actor_file) as actor:
        parts = cast_parts(seen, seen.main, actor, wide_open(seen, actor))
        performance = Performance(seen.video, Nets(store, CPU), parts)
        dubbed = performance.play(frames(seen, COVERED, count))
        for before, after in zip(frames(seen, COVERED, count), dubbed, strict=True):
            if before.index not in COVERED:
                continue
            box = board(seen, before.index)
            inner = Box(box.left + 4, box.top + 4, box.right - 6, box.bottom - 4)
            was, now = (color.read_codes(frame, inner).astype(int) for frame in (before, after))
            assert (np.abs(was - now) <= 8).mean() > 0.95
            beside = Box(box.right + 4, box.top, box.right + box.width // 3, box.bottom).aligned(2, 10**4, 10**4)
            was, now = (color.read_codes(frame, beside).astype(int) for frame in (before, after))
            assert (np.abs(was - now) > 8).mean() > 0.02
    assert performance.tally.shielded == set(COVERED)


def captioned(seen: footage.Footage, count: int) -> Iterator[Frame]:
    """Of the shot, words across the chin, others every ten frames; they stand where they are."""
    unit = seen.main.measured.usual_width
    x, y = np.median(seen.main.measured.in_picture(17)[:count, 0], 0)
    for frame in islice(decode.frames(seen.spec), count):
        word, size = ("SO THIS", "is how", "we BEGIN", "again")[frame.index // 10 % 4], round(0.2 * unit)
        letters = np.zeros((seen.video.height, seen.video.width), np.uint8)
        cv2.putText(letters, word, (round(x - 0.4 * unit), round(y + 0.2 * unit)), (255,), CAPTIONS, size, 700)
        edged = cv2.dilate(letters, np.ones((5, 5), np.uint8)) / np.float32(255)
        whole = Box(0, 0, seen.video.width, seen.video.height)
        codes = color.read_codes(frame, whole)
        codes[:] = np.where(letters[..., None] > 127, YELLOW, BLACK)
        color.write_codes(frame, whole, codes, edged)
        yield frame


def test_captions_stay_and_are_learnt_nowhere(seen: footage.Footage, store: WeightStore, tmp_path: Path) -> None:
    count, nets, out = 40, Nets(store, CPU), tmp_path / "actor"
    tracker = Tracker(nets, frame_rate=25.0)
    for frame in captioned(seen, count):
        tracker.push(Look(frame.index, decode.rgb(frame)))
    person = replace(seen.main, measured=measure(tracker.finish()[0]), heard=None)
    filmed = replace(seen, people=(person,))
    model.train(
        person.measured,
        captioned(seen, count),
        seen.video,
        out,
        footage=seen.spec.path,
        actor=1,
        identity=person.identity,
        occluders=OccluderFinder(CPU),
    )
    with model.load(out) as actor:
        amount = (0.03 + 0.03 * np.sin(np.arange(len(seen.pts)) / 2))[:, None, None]
        wanted = actor.calibration.rest + amount * actor.calibration.opening
        performance = Performance(seen.video, nets, cast_parts(filmed, person, actor, wanted))
        played = performance.play(captioned(seen, count))
        yellow, kept, strange = 0, 0, 0
        for before, after in zip(captioned(seen, count), played, strict=True):
            was, now = decode.rgb(before).astype(int), decode.rgb(after).astype(int)
            letters, painted = (picture[..., 0] - picture[..., 2] > 130 for picture in (was, now))
            yellow, kept = yellow + letters.sum(), kept + (np.abs(was - now).max(-1) <= 8)[letters].sum()
            strange += (painted & ~cv2.dilate(letters.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)).sum()
    assert len(performance.tally.dubbed) == count
    assert kept > 0.95 * yellow
    assert strange < 0.01 * yellow


def test_a_bare_mouth_is_dubbed_whole(seen: footage.Footage, actor_file: Path, store: WeightStore) -> None:
    with model.load(actor_file) as actor:
        parts = cast_parts(seen, seen.main, actor, wide_open(seen, actor))
        performance = Performance(seen.video, Nets(store, CPU), parts)
        for _ in performance.play(frames(seen, range(0), 40)):
            pass
    assert not performance.tally.shielded


def watched(seen: footage.Footage, covered: range, store: WeightStore) -> Measured:
    tracker = Tracker(Nets(store, CPU), frame_rate=float(seen.video.frame_rate))
    for frame in frames(seen, covered):
        tracker.push(Look(frame.index, decode.rgb(frame)))
    return measure(tracker.finish()[0])


def train_covered(seen: footage.Footage, measured: Measured, out: Path) -> None:
    """An actor of the frames with the board before some of them, whatever `measured` knows of it."""
    model.train(
        measured,
        frames(seen, COVERED),
        seen.video,
        out,
        footage=seen.spec.path,
        actor=1,
        identity=seen.main.identity,
        occluders=OccluderFinder(CPU),
    )


def test_a_covered_mouth_teaches_nothing(seen: footage.Footage, store: WeightStore, tmp_path: Path) -> None:
    """It is no evidence of how he moves and is not kept for the library."""
    measured, out = watched(seen, COVERED, store), tmp_path / "actor"
    assert measured.usable.all()
    assert not set(measured.indices[measured.bare]) & set(COVERED)
    assert footage.notes(seen.main) == ()
    (told,) = footage.notes(replace(seen.main, measured=measured))
    assert "before his lips" in told
    train_covered(seen, measured, out)
    with model.load(out) as actor:
        kept = set(actor.library.index.indices.tolist())
    assert not kept & set(COVERED)
    assert len(kept) >= len(seen.pts) - len(COVERED) - 12


def test_a_thing_beside_a_kept_mouth_is_not_shown_with_it(
    seen: footage.Footage, store: WeightStore, tmp_path: Path
) -> None:
    """Of footage whose lips are taken for bare: the board is in the library, and on no dubbed face."""
    out = tmp_path / "actor"
    train_covered(seen, seen.main.measured, out)
    with model.load(out) as actor:
        library = actor.library
        (row,) = np.flatnonzero(library.index.indices == COVERED[8])
        entry = library.entry(int(row))
        assert library.entry(0).strange is None
        assert entry.strange is not None
        blue = np.abs(entry.codes.astype(int) - BLUE).max(-1) < 12
        assert blue.sum() > 400
        assert (entry.strange[blue] > 200).mean() > 0.95
        (part,) = cast_parts(seen, seen.main, actor, wide_open(seen, actor))
        only = Choice(np.full(len(part.target), row), np.full((len(part.target), 1), row))
        performance = Performance(seen.video, Nets(store, CPU), (replace(part, choice=only),))
        for frame in performance.play(frames(seen, range(0), 8)):
            shown = color.read_codes(frame, board(seen, frame.index)).astype(int)
            assert (np.abs(shown - BLUE).max(-1) < 24).mean() < 0.01


def test_what_is_always_there_is_his(seen: footage.Footage, store: WeightStore) -> None:
    """At least half of the footage teaches, whatever is before it."""
    measured = watched(seen, range(len(seen.pts)), store)
    assert measured.bare.sum() >= measured.usable.sum() // 2
