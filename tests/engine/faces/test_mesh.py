"""Looking at a part of a face gives the numbers that looking at all of it gives."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.faces.mesh import region_of
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe


def test_parts_are_the_wholes(nets: Nets, talking_shot: Path) -> None:
    frames = islice(decode.frames(probe(talking_shot)), 0, 50, 10)
    pictures = [decode.rgb(frame) for frame in frames]
    regions = [found[0].region for found in nets.detector.detect(pictures)]
    points, presence = nets.mesh.landmarks(pictures, regions)
    lips, sure = nets.mesh.lips(pictures, regions)
    assert np.array_equal(lips, points[:, mouth.LIPS, :2])
    assert np.array_equal(sure, presence)
    rough = nets.mesh.without_lips(pictures, regions)
    assert [region_of(one) for one in rough] == [region_of(one) for one in points]
    assert not np.array_equal(rough[:, mouth.LIPS], points[:, mouth.LIPS])


def test_the_mirror_finds_lips_that_are_seen(nets: Nets, talking_shot: Path) -> None:
    frame = next(iter(decode.frames(probe(talking_shot))))
    picture = decode.rgb(frame)
    (found, *_), *_ = nets.detector.detect([picture])
    region = region_of(nets.mesh.without_lips([picture], [found.region])[0])
    lips, _ = nets.mesh.lips([picture], [region])
    apart = lips[0].mean(0) - nets.mesh.lips_in_mirror([picture], [region])[0]
    assert np.hypot(*apart) < 0.02 * region.size
