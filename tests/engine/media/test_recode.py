"""A long stretch is encoded in parts that know nothing of each other, wherever and in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from tests.matrix import edited
from tests.synthetic import Look, Track, movie

from lipsmith.engine.media import decode, gops, mux
from lipsmith.engine.media.coded import Coded, CodedFiles, save
from lipsmith.engine.media.encode import RunEncoders
from lipsmith.engine.media.firstpass import FirstPass
from lipsmith.engine.media.probe import probe
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.media.splice import SplicePlan
from lipsmith.errors import BrokenMedia

FRAMES, PART_FRAMES = 330, 110


def h264(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), Look(frames=FRAMES, options={"g": "20"}))


def hevc(path: Path) -> Path:
    options = {"x265-params": "log-level=error:keyint=20:open-gop=0"}
    return movie(path.with_suffix(".mkv"), Look("libx265", frames=FRAMES, options=options))


def vp9(path: Path) -> Path:
    options = {"g": "20", "deadline": "realtime", "cpu-used": "8"}
    return movie(path.with_suffix(".webm"), Look("libvpx-vp9", frames=FRAMES, options=options), (Track("libopus"),))


def prores(path: Path) -> Path:
    look = Look("prores_ks", pix_fmt="yuv422p10le", frames=FRAMES, bit_rate=0, options={"profile": "2"})
    return movie(path.with_suffix(".mov"), look, ())


def packets(path: Path) -> list[tuple[int, int | None, int | None, bytes]]:
    """All of them: Matroska's muxer gives each file an identity of its own."""
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, p.dts, bytes(p)) for p in container.demux() if p.size]


def plan_of(spec: MediaSpec, out: Path) -> SplicePlan:
    stamps = gops.read(spec).stamps
    plan = mux.plan_splice(spec, out, stamps, np.arange(len(stamps)), PART_FRAMES)
    assert isinstance(plan, SplicePlan)
    return plan


@pytest.mark.parametrize("make", [h264, hevc, vp9, prores], ids=lambda make: make.__name__)
def test_parts_make_the_file_that_one_encoder_makes(make: Callable[[Path], Path], tmp_path: Path) -> None:
    spec = probe(make(tmp_path / "shot"))
    whole, joined = (tmp_path / f"{name}{spec.path.suffix}" for name in ("whole", "joined"))
    plan = plan_of(spec, whole)
    assert len(plan.parts) >= 2
    mux.rewrite(spec, whole, edited(decode.frames(spec, plan.excerpt), range(FRAMES)), None, splice=plan)
    paths = [tmp_path / f"part-{number}" for number in range(len(plan.parts))]
    for number in reversed(range(len(paths))):
        again = plan_of(spec, joined)
        frames = edited(decode.frames(spec, again.excerpts[number]), range(FRAMES))
        mux.encode_part(spec, joined, frames, again, number, paths[number])
    mux.rewrite(spec, joined, CodedFiles(tuple(paths)), None, splice=plan_of(spec, joined))
    assert packets(joined) == packets(whole)


def test_a_part_that_lacks_a_frame_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    spec = probe(h264(tmp_path / "shot"))
    plan = plan_of(spec, tmp_path / "out.mp4")
    frames = list(decode.frames(spec, plan.excerpts[1]))
    with pytest.raises(BrokenMedia, match="cannot be decoded"):
        mux.encode_part(spec, tmp_path / "out.mp4", iter(frames[:-1]), plan, 1, tmp_path / "part")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shot.mp4"]


def test_a_part_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "part"
    pictures = [Coded(40 * number, 40, number == 0, bytes(number)) for number in range(1, 9)]
    save(pictures, path)
    assert list(CodedFiles((path, path))) == pictures * 2
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BrokenMedia, match="part: an encoded part is cut off"):
        list(CodedFiles((path,)))


def test_an_encoder_that_is_told_nothing_has_the_octets_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is copied leaves octets over; it could not tell from where on more of them show nothing."""
    spec = probe(vp9(tmp_path / "shot"))
    plan = mux.plan_splice(spec, tmp_path / "out.webm", gops.read(spec).stamps, np.array([45]))
    assert isinstance(plan, SplicePlan)
    opened, really = [], RunEncoders.open

    def watched(encoders: RunEncoders, octets: int, frames: int, told: FirstPass | None = None):  # type: ignore[no-untyped-def]
        opened.append((octets, told))
        return really(encoders, octets, frames, told)

    monkeypatch.setattr(RunEncoders, "open", watched)
    mux.rewrite(spec, tmp_path / "out.webm", decode.frames(spec, plan.excerpt), None, splice=plan)
    assert opened == [(plan.runs[0].octets, None)]
