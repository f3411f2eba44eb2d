"""The whole engine on a real talker: what is edited, what is not, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from tests.engine.media.test_soundtrack import packets

from lipsmith.engine import dub as story
from lipsmith.engine import footage, mouth
from lipsmith.engine.actor import calibration, model
from lipsmith.engine.casting import cast_parts, learn, whom
from lipsmith.engine.faces.measure import measure
from lipsmith.engine.faces.occluders import OccluderFinder
from lipsmith.engine.faces.track import Nets, track_faces
from lipsmith.engine.media import decode
from lipsmith.engine.media.clock import Span
from lipsmith.engine.media.probe import probe
from lipsmith.engine.progress import silent
from lipsmith.engine.quality import conformance
from lipsmith.engine.rehearsal import DubOptions, VoiceFor, bounded
from lipsmith.engine.render.performance import Performance
from lipsmith.errors import BadActorFile, BadRange, NoFace, OutputNotWritable, RequestError, UnknownActor
from lipsmith.weights import WeightStore

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shot(seen: footage.Footage) -> Path:
    return seen.spec.path


@pytest.fixture(scope="module")
def voice(clips: Path) -> Path:
    return clips / "audio/es_dreamtalk1.wav"


@pytest.fixture(scope="module")
def actor_file(seen: footage.Footage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("actor") / "woman.lipsmith"
    learn(seen, seen.main, out, OccluderFinder(CPU), 2, silent)
    return out


def planes(frame: object) -> list[bytes]:
    return [bytes(plane) for plane in frame.picture.planes]  # type: ignore[attr-defined]


def test_only_the_span_is_edited_and_only_around_the_mouth(
    seen: footage.Footage, actor_file: Path, store: WeightStore
) -> None:
    with model.load(actor_file) as actor:
        wide = np.repeat((actor.calibration.rest + 0.06 * actor.calibration.opening)[None], len(seen.pts), 0)
        parts = cast_parts(seen, seen.main, actor, wide, (Span(1.0, 2.0),))
        performance = Performance(seen.video, Nets(store, CPU), parts)
        for before, after in zip(decode.frames(seen.spec), performance.play(decode.frames(seen.spec)), strict=True):
            if before.index not in performance.tally.dubbed:
                assert planes(before) == planes(after)
            if before.index > 60:
                break
            difference = np.abs(decode.rgb(before).astype(int) - decode.rgb(after)).max(-1)
            rows = np.flatnonzero(seen.main.measured.indices == before.index)
            scale = float(seen.main.measured.placement.scale[rows[0]])
            center = seen.main.measured.in_picture(13)[rows[0], 0]
            y, x = np.nonzero(difference)
            assert len(x) == 0 or np.hypot(x - center[0], y - center[1]).max() < 1.2 * scale
    assert performance.tally.dubbed == set(range(25, 50))


def test_the_mouth_is_where_it_was_wanted(seen: footage.Footage, actor_file: Path, store: WeightStore) -> None:
    """A mouth that opens and shuts twice a second, tracked again."""
    nets = Nets(store, CPU)
    with model.load(actor_file) as actor:
        amount = 0.5 - 0.5 * np.cos(2 * np.pi * 2 * seen.seconds)
        low, high = actor.calibration.gap_range
        wanted = actor.calibration.rest + (amount * (high - low))[:, None, None] * actor.calibration.opening
        performance = Performance(seen.video, nets, cast_parts(seen, seen.main, actor, wanted))
        from lipsmith.engine.faces.track import Look, Tracker

        tracker = Tracker(nets, frame_rate=25.0)
        for frame in performance.play(decode.frames(seen.spec)):
            tracker.push(Look(frame.index, decode.rgb(frame)))
            if frame.index == 74:
                break
    again = measure(tracker.finish()[0])
    assert np.corrcoef(mouth.gap(again.points), amount[again.indices])[0, 1] > 0.93


def test_an_actor_comes_back_from_his_file_as_he_was(actor_file: Path, seen: footage.Footage) -> None:
    with model.load(actor_file) as actor:
        assert actor.provenance.frames == len(actor.library.index)
        entry = actor.library.entry(10)
        assert entry.codes.dtype == np.uint8
        remade = calibration.calibrate(actor.library.index.points, actor.calibration.rest)
        assert np.allclose(remade.opening, actor.calibration.opening)


def test_an_actor_of_an_older_version_can_still_be_read(actor_file: Path, tmp_path: Path) -> None:
    """Its pictures are named by rows, not by frames of the footage; how sharp his face was is not known."""
    older = tmp_path / "older.lipsmith"
    with model.load(actor_file) as actor, ZipFile(actor_file) as new, ZipFile(older, "w") as old:
        rows = {f"mouths/{index:06d}.png": row for row, index in enumerate(actor.library.index.indices)}
        for name in new.namelist():
            if name in ("index/detail.npy", "index/shot.npy"):
                continue
            content = new.read(name)
            if name == "actor.json":
                about = json.loads(content) | {"version": 2}
                for name_of_new in ("primaries", "transfer", "digest", "identity"):
                    del about["provenance"][name_of_new]
                content = json.dumps(about).encode()
            old.writestr(f"mouths/{rows[name]:06d}.png" if name in rows else name, content)
    with model.load(actor_file) as now, model.load(older) as then:
        for row in (0, len(now.library.index) - 1):
            assert np.array_equal(now.library.entry(row).codes, then.library.entry(row).codes)
        assert now.library.index.detail.min() > 0 and not then.library.index.detail.any()
        assert then.learnt_from(older) and not now.learnt_from(older)
        identity = np.array(now.provenance.identity)
        assert then.unlike(identity) is None and now.unlike(identity) == 0


def test_who_is_hardly_seen_in_a_damaged_file_is_told_of_the_damage(seen: footage.Footage, tmp_path: Path) -> None:
    cut = replace(seen, spec=replace(seen.spec, warnings=("It seems to be cut off.",)))
    few = replace(seen.main.measured, bare=np.arange(len(seen.main.measured)) < 3)
    person = replace(seen.main, measured=few)
    with pytest.raises(NoFace, match=r"in 3 frames only.* shows him better\. It seems to be cut off\."):
        learn(cut, person, tmp_path / "actor", OccluderFinder(CPU), 1, silent)
    assert not list(tmp_path.iterdir())


def test_hdr_and_sdr_are_kept_apart(actor_file: Path, seen: footage.Footage) -> None:
    with model.load(actor_file) as actor:
        actor.require_light_of(replace(seen.video, color=replace(seen.video.color, matrix=9, range="pc")))
        with pytest.raises(BadActorFile, match=r"SDR footage .* HDR \(PQ\)"):
            actor.require_light_of(replace(seen.video, color=replace(seen.video.color, transfer=16)))


def test_where_his_mouth_lies_in_another_shot(actor_file: Path, seen: footage.Footage) -> None:
    own = seen.main.measured
    with model.load(actor_file) as actor:
        still, moved = (
            actor.elsewhere(own),
            actor.elsewhere(replace(own, lower=own.lower + np.float32([0.01, 0.02, 0]))),
        )
        assert np.abs(still).max() < 0.005
        assert np.allclose(moved - still, [0.01, 0.02, 0], atol=1e-4)
        few = replace(own, bare=np.arange(len(own)) < 5)
        assert not actor.elsewhere(few).any()


ELSEWHERE = 75  # frames


@pytest.fixture(scope="module")
def elsewhere(shot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three seconds as another camera would film them: light from one side, warmer, full range, BT.709."""
    out = tmp_path_factory.mktemp("elsewhere") / "window.mp4"
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": "12"})
        for number, frame in enumerate(islice(decode.frames(probe(shot)), ELSEWHERE)):
            rgb = decode.rgb(frame).astype(np.float32)
            light = np.linspace(0.45, 1.0, rgb.shape[1], dtype=np.float32)[None, :, None] * np.float32([1, 0.92, 0.8])
            lit = av.VideoFrame.from_ndarray(np.rint(rgb * light).astype(np.uint8), format="rgb24")
            picture = lit.reformat(format="yuvj420p", dst_colorspace="ITU709", dst_color_range="JPEG")
            if number == 0:
                context = stream.codec_context
                context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuvj420p"
                context.colorspace, context.color_range = 1, 2
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return out


def seen_of(path: Path, store: WeightStore) -> footage.Footage:
    return footage.look(path, store=store, nets=Nets(store, CPU), device=CPU, threads=2, progress=silent)


def test_an_actor_learnt_elsewhere_is_shown_in_the_light_of_the_shot(
    elsewhere: Path, voice: Path, store: WeightStore, tmp_path: Path, actor_file: Path
) -> None:
    options, watched = DubOptions((VoiceFor(voice),)), seen_of(elsewhere, store)
    given, own = tmp_path / "given.mp4", tmp_path / "own.mp4"
    (told, *_) = story.dub(elsewhere, given, options, store=store, model=actor_file, seen=watched).warnings
    assert "learnt from other footage" in told
    assert not [w for w in story.dub(elsewhere, own, options, store=store, seen=watched).warnings if "learnt" in w]
    assert [d for d in conformance.compare(elsewhere, given) if not d.explained] == []
    lips = watched.main.measured.in_picture(*mouth.LIPS_OUTER)
    colours = [
        np.array([_around(decode.rgb(frame), lips[row]) for row, frame in enumerate(decode.frames(probe(path)))])
        for path in (given, own)
    ]
    assert len(colours[0]) == ELSEWHERE
    assert np.abs((colours[0] - colours[1]).mean(0)).max() < 3  # of 255; left as they were filmed, 18


FIRST, BETWEEN, LAST = 75, 40, 50  # frames of the woman, of a man, of the woman in other light


@pytest.fixture(scope="module")
def film(clips: Path, shot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots cut together: two of the woman, one of a man of her size between them."""
    out = tmp_path_factory.mktemp("film") / "film.mp4"
    others = clips / "video/hdtf_man_60s_256.mp4"
    shots = (shot, 0, FIRST, 1.0), (others, 0, BETWEEN, 1.0), (shot, 150, LAST, 0.6)
    write(
        out,
        "12",
        (
            np.rint(light * decode.rgb(frame).astype(np.float32)).astype(np.uint8)
            for path, start, count, light in shots
            for frame in islice(decode.frames(probe(path)), start, start + count)
        ),
    )
    return out


def write(path: Path, crf: str, pictures: Iterable[np.ndarray]) -> None:
    """A video of (H, W, 3) uint8 RGB pictures, 256 pixels a side."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": crf})
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for rgb in pictures:
            picture = av.VideoFrame.from_ndarray(cv2.resize(rgb, (256, 256)), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def test_who_comes_back_after_a_cut_is_one_actor_and_nobody_else_is(film: Path, store: WeightStore) -> None:
    watched = seen_of(film, store)
    assert watched.cuts == (FIRST, FIRST + BETWEEN)
    woman, man = (person.measured for person in watched.people)
    assert set(woman.shot.tolist()) == {0, 2} and len(woman) > 0.95 * (FIRST + LAST)
    assert set(man.shot.tolist()) == {1}


def test_a_mouth_of_another_shot_is_shown_in_this_ones_light(film: Path, store: WeightStore, tmp_path: Path) -> None:
    """The last shot is darker: painted with mouths of the first alone, her lips are as dark as with its own."""
    watched = seen_of(film, store)
    person, start = watched.people[0], FIRST + BETWEEN
    learn(watched, person, out := tmp_path / "woman.lipsmith", OccluderFinder(CPU), 2, silent)
    lips = dict(zip(person.measured.indices.tolist(), person.measured.in_picture(*mouth.LIPS_OUTER), strict=True))
    with model.load(out) as actor:
        wide = np.repeat((actor.calibration.rest + 0.02 * actor.calibration.opening)[None], len(watched.pts), 0)
        (part,) = (p for p in cast_parts(watched, person, actor, wide) if p.target.indices[0] >= start)
        assert set(actor.library.index.shot.tolist()) == {0, 2} and part.shot == 2
        colours = []
        for shown in (0, 2):
            rows = np.flatnonzero(actor.library.index.shot == shown)
            choice = replace(part.choice, rows=rows[np.arange(len(part.choice.rows)) % len(rows)])
            performance = Performance(watched.video, Nets(store, CPU), (replace(part, choice=choice),))
            played = [frame for frame in performance.play(decode.frames(watched.spec)) if frame.index >= start]
            colours.append(np.mean([_around(decode.rgb(frame), lips[frame.index]) for frame in played], 0))
    assert np.abs(colours[0] - colours[1]).max() < 3  # of 255; left as they were filmed, 28


def test_the_actor_file_tells_whom_of_several_it_is_of(
    film: Path, actor_file: Path, voice: Path, store: WeightStore, tmp_path: Path
) -> None:
    watched = seen_of(film, store)
    reversed_ = replace(watched, people=tuple(replace(p, prominence=-p.prominence) for p in watched.people))
    assert reversed_.main.actor == 2
    assert whom(reversed_, None, actor_file).actor == 1
    assert whom(reversed_, None, None).actor == 2
    assert whom(reversed_, 2, actor_file).actor == 2
    options = DubOptions((VoiceFor(voice, actor=2),))
    told = story.dub(film, tmp_path / "dub.mp4", options, store=store, model=actor_file, seen=watched).warnings
    assert any(sentence.startswith("Actor 2 does not look like the one of hdtf_woman") for sentence in told)


def _around(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(2, 3) mean colours of either half of the box that holds (n, 2) points."""
    (left, top), (right, bottom) = points.min(0).astype(int), points.max(0).astype(int) + 1
    middle = (left + right) // 2
    return np.stack([rgb[top:bottom, a:b].reshape(-1, 3).mean(0) for a, b in ((left, middle), (middle, right))])


def test_a_dub_is_the_same_file_and_the_mouth_has_changed(
    shot: Path, voice: Path, store: WeightStore, tmp_path: Path, actor_file: Path, seen: footage.Footage
) -> None:
    out = tmp_path / "dub.mp4"
    result = story.dub(shot, out, DubOptions((VoiceFor(voice),)), store=store, model=actor_file, seen=seen)
    assert [d for d in conformance.compare(shot, out) if not d.explained] == []
    assert result.frames_dubbed == result.frames_total
    before, after = seen.main.measured.gap(), measure(track_faces(probe(out), store=store)[0]).gap()
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.6
    assert after[-60:].max() < 0.03  # the voice ends after 4.5 s: he rests


def test_a_line_in_the_middle_leaves_what_is_around_it(
    shot: Path, voice: Path, store: WeightStore, tmp_path: Path, actor_file: Path, seen: footage.Footage
) -> None:
    out = tmp_path / "line.mp4"
    options = DubOptions((VoiceFor(voice),), at="00:00:03:00")
    result = story.dub(shot, out, options, store=store, model=actor_file, seen=seen)
    lasts = decode.sample_count(voice, None, 16_000) / 16_000
    assert result.frames_dubbed == pytest.approx((lasts + 8 / 25) * 25, abs=2)
    assert not any("ends" in warning for warning in result.warnings)
    assert [d for d in conformance.compare(shot, out) if not d.explained] == []
    track = seen.spec.audio[0].stream_index
    same = [one == other for one, other in zip(packets(shot, track), packets(out, track), strict=True)]
    assert result.details["sound_packets_copied"] > 0.3 * len(same)
    assert all(same[: round(1.9 / 10 * len(same))]) and not all(same[len(same) // 3 : len(same) // 2])
    lips = seen.main.measured.in_picture(13)[:, 0].mean(0).astype(int)  # he hardly moves
    near = (slice(lips[1] - 25, lips[1] + 25), slice(lips[0] - 25, lips[0] + 25))
    moved = [
        float(np.abs(decode.rgb(one)[near].astype(int) - decode.rgb(other)[near]).mean())
        for one, other in zip(decode.frames(seen.spec), decode.frames(probe(out)), strict=True)
    ]
    assert max(*moved[:70], *moved[200:]) < 3 < np.mean(moved[80:180])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": "99"}, "not within the video"),
        ({"at": "1", "start_frame": 10}, "neither with a first frame"),
        ({"at": "1", "loop_video": True}, "looped video"),
        ({"at": "soon"}, "neither seconds nor SMPTE"),
    ],
)
def test_a_moment_that_cannot_be_is_refused(
    options: dict[str, object], message: str, shot: Path, voice: Path, store: WeightStore, tmp_path: Path
) -> None:
    with pytest.raises((BadRange, RequestError), match=message):
        story.dub(shot, tmp_path / "x.mp4", DubOptions((VoiceFor(voice),), **options), store=store)  # type: ignore[arg-type]


def test_silence_rests_the_mouth_with_a_warning(clips: Path, store: WeightStore, tmp_path: Path) -> None:
    out = tmp_path / "quiet.mpg"
    shot = clips / "video/grid_sbia1a_3s.mpg"
    silence = clips / "audio/empty_3s.mp3"
    result = story.dub(shot, out, DubOptions((VoiceFor(silence),)), store=store)
    assert any("no speech" in warning for warning in result.warnings)
    gap = measure(track_faces(probe(out), store=store)[0]).gap()
    assert (gap < 0.03).mean() > 0.95


def test_who_is_not_seen_to_speak_opens_his_mouth(clips: Path, voice: Path, store: WeightStore, tmp_path: Path) -> None:
    shot, out = clips / "hard/nospeech_webcam_720p_8s.mp4", tmp_path / "spoken.mp4"
    result = story.dub(shot, out, DubOptions((VoiceFor(voice),), ranges=("1-4",)), store=store)
    assert any("not seen to speak" in warning for warning in result.warnings)
    assert result.details["frames_drawn_inside"] > 10
    own, given = (measure(track_faces(probe(file), store=store)[0]).gap()[30:120] for file in (shot, out))
    assert own.max() < 0.02
    assert np.percentile(given, 90) > 0.03


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ranges": ("8-99",)}, BadRange),
        ({"ranges": ("2-1",)}, BadRange),
    ],
)
def test_what_does_not_fit_is_refused(
    options: dict[str, tuple[str, ...]],
    error: type[Exception],
    shot: Path,
    voice: Path,
    store: WeightStore,
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        story.dub(shot, tmp_path / "x.mp4", DubOptions((VoiceFor(voice),), **options), store=store)
    assert not list(tmp_path.iterdir())


def test_an_unknown_actor_is_named(
    shot: Path, voice: Path, store: WeightStore, tmp_path: Path, seen: footage.Footage
) -> None:
    with pytest.raises(UnknownActor, match="shows no actor 7; it shows 1"):
        story.dub(shot, tmp_path / "x.mp4", DubOptions((VoiceFor(voice, 7),)), store=store, seen=seen)


def test_the_source_is_never_overwritten(shot: Path, voice: Path, store: WeightStore) -> None:
    with pytest.raises(OutputNotWritable, match="the source itself"):
        story.dub(shot, shot, DubOptions((VoiceFor(voice),)), store=store)


def test_a_dub_needs_a_voice(shot: Path, store: WeightStore, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing to say"):
        story.dub(shot, tmp_path / "x.mp4", DubOptions(()), store=store)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_library_keeps_to_the_threads_it_is_given(threads: int) -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with bounded(threads):
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (threads, threads)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


@pytest.mark.parametrize("veil", [0, 255], ids=["black", "white"])
def test_a_mouth_fades_with_its_frame(
    veil: int, shot: Path, actor_file: Path, seen: footage.Footage, store: WeightStore, tmp_path: Path
) -> None:
    """Three frames of four have faded away: mouths of the full light are shown in what is left of it."""
    faded, share = tmp_path / "faded.mp4", 0.25
    few = islice(decode.frames(probe(shot)), 10)
    write(faded, "8", (np.rint(share * decode.rgb(f) + (1 - share) * veil).astype(np.uint8) for f in few))
    spec = probe(faded)
    with model.load(actor_file) as actor:
        (part,) = cast_parts(seen, seen.main, actor, seen.main.measured.points.copy())
        played = Performance(seen.video, Nets(store, CPU), (part,)).play(decode.frames(spec))
        lips = seen.main.measured.in_picture(*mouth.LIPS_OUTER)
        told = [
            _around(decode.rgb(after), lips[before.index]) - _around(decode.rgb(before), lips[before.index])
            for before, after in zip(decode.frames(spec), played, strict=True)
        ]
    assert np.abs(np.mean(told, 0)).max() < 2  # of 255; in their own light 85 and 131
