"""Who it is: dlib's file, the square the net looks at, and real persons told apart."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lipsmith.engine.faces import identity
from lipsmith.engine.faces.crop import in_crop, way_back
from lipsmith.engine.faces.identity import FaceIdentity, apart, chip
from lipsmith.engine.faces.mesh import region_of
from lipsmith.engine.faces.track import CHUNK, Look, Nets, Tracker
from lipsmith.errors import WeightsCorrupt
from lipsmith.weights import WeightStore

CPU = torch.device("cpu")
ONE_PERSON = ("obama_weekly_480p_5s", "obama_window_450_20s", "obama_cspan_720p_64s")
STRANGERS = (
    "hdtf_katiehill_512_8s",
    "hdtf_bobmenendez_512_8s",
    "man_outdoor_480_7s",
    "latentsync_woman_garden_1080x1920_10s",
)
PLACES = (np.array(identity._PLACES) + 0.25) / 1.5 * 150


def a_mesh(points: np.ndarray) -> np.ndarray:
    mesh = np.zeros((468, 3), np.float32)
    mesh[list(identity._POINTS), :2] = points
    return mesh


@pytest.mark.parametrize(("turn", "scale", "shift"), [(0.0, 1.0, (0, 0)), (0.4, 2.5, (300, 80)), (-2.8, 0.3, (9, 500))])
def test_eyes_and_nose_come_to_their_places(turn: float, scale: float, shift: tuple[int, int]) -> None:
    there = scale * PLACES @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + shift
    region = chip(a_mesh(there))
    assert region.size == pytest.approx(150 * scale, rel=1e-5)
    np.testing.assert_allclose(in_crop(there, way_back(region, 150)), PLACES, atol=1e-3)


def test_a_file_that_holds_something_else_is_told(store: WeightStore, tmp_path: Path) -> None:
    whole = store.path("face_identity").read_bytes()
    for content in (b"", b"something else", whole[: len(whole) - 100_000]):
        path = tmp_path / "net.dat"
        path.write_bytes(content)
        with pytest.raises(WeightsCorrupt, match=r"net\.dat does not hold"):
            FaceIdentity(path, CPU)


def test_a_tensor_is_found_by_its_sizes(tmp_path: Path) -> None:
    """A header is the version and four sizes, each as its length in octets and so many of them."""
    path, values = tmp_path / "net.dat", np.arange(300, dtype="<f4")
    few = b"\x01\x02\x01\x07\x01\x01\x01\x01\x01\x01" + np.zeros(7, "<f4").tobytes()
    many = b"\x01\x02\x02\x2c\x01\x01\x01\x01\x01\x01\x01" + values.tobytes()
    path.write_bytes(b"settings" + few + b"\x01\x00" + many)
    file = identity._File(path, CPU)
    assert not file.tensor(7).any()
    assert file.tensor(300).tolist() == values.tolist()
    with pytest.raises(WeightsCorrupt):
        file.tensor(300)


def looks(path: Path, nets: Nets, start_seconds: float) -> np.ndarray:
    """(128,) mean of three looks, a fifth of a second apart."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 25)
        wanted = [round((start_seconds + step) * rate) for step in (0.0, 0.2, 0.4)]
        pictures = [f.to_ndarray(format="rgb24") for n, f in enumerate(container.decode(video=0)) if n in wanted]
    regions = [max((d.region for d in found), key=lambda r: r.size) for found in nets.detector.detect(pictures, 0)]
    rough, _ = nets.mesh.landmarks(pictures, regions)
    points, _ = nets.mesh.landmarks(pictures, [region_of(each) for each in rough])
    return nets.identity.look(pictures, points).mean(0)


def test_one_person_in_three_places_and_four_strangers(clips: Path, nets: Nets) -> None:
    him, strangers = (
        [looks(clips / f"video/{name}.mp4", nets, 2.0) for name in names] for names in (ONE_PERSON, STRANGERS)
    )
    same = [apart(one, other) for n, one in enumerate(him) for other in him[:n]]
    others = [apart(one, other) for n, one in enumerate(strangers) for other in (*strangers[:n], *him)]
    assert max(same) < 0.5 < 0.6 < min(others)


def pictures(path: Path, count: int) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), count))
        return [cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA) for frame in frames]


def test_who_comes_through_a_dissolve_is_somebody_else(clips: Path, nets: Nets) -> None:
    woman, man = (pictures(clips / f"video/{name}.mp4", 60) for name in ("hdtf_woman_256_10s", "hdtf_man_60s_256"))
    begins, length = 48, 12
    shares = [(n + 1) / (length + 1) for n in range(length)]
    between = [cv2.addWeighted(a, 1 - s, b, s, 0) for a, b, s in zip(woman[begins:], man, shares, strict=False)]
    tracker = Tracker(nets, frame_rate=25.0)
    for number, picture in enumerate([*woman[:begins], *between, *man[length:]]):
        tracker.push(Look(number, picture))
    tracks = tracker.finish()
    (change,) = tracker.dissolves
    assert begins < change < begins + length + CHUNK
    assert sorted((int(t.indices[0]), int(t.indices[-1])) for t in tracks) == [(0, change - 1), (change, 107)]
    for track in tracks:
        beside = np.abs(track.indices + 0.5 - change) < CHUNK
        assert not track.presence[beside].any() and track.presence[~beside].all()
    assert apart(tracks[0].identity, tracks[1].identity) > 0.5
