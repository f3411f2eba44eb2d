"""The main job through the real process: a shot, a voice, the same file speaking it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lipsmith.demo import MATERIAL
from lipsmith.weights import WeightStore

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def voice(store: WeightStore) -> Path:
    return WeightStore(store.folder / "demo", artefacts=MATERIAL).path("voice")


@pytest.fixture(scope="module")
def dubbed(
    lipsmith: Program, talking_shot: Path, voice: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict]:
    """The dub and what the program said of it."""
    output = tmp_path_factory.mktemp("dub") / "out.mp4"
    done = lipsmith("dub", talking_shot, voice, "-o", output, "--report", output.with_suffix(".html"), "--json")
    assert done.returncode == 0, done.stderr
    return output, json.loads(done.stdout)


def test_every_frame_is_there_and_most_are_dubbed(dubbed: tuple[Path, dict]) -> None:
    output, told = dubbed
    assert output.is_file()
    assert told["dub"]["frames_total"] == 50
    assert told["dub"]["frames_dubbed"] >= 45


def test_the_report_is_one_file(dubbed: tuple[Path, dict]) -> None:
    page = dubbed[0].with_suffix(".html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 4 * 8
    assert "http" not in page.replace("http-equiv", "")


def test_check_finds_the_same_file(lipsmith: Program, dubbed: tuple[Path, dict], talking_shot: Path) -> None:
    done = lipsmith("check", talking_shot, dubbed[0], "--json")
    verdict = json.loads(done.stdout)["check"]
    assert [difference for difference in verdict["differences"] if not difference["explained"]] == []
    assert verdict["passed"] is True
    assert done.returncode == 0
    (actor,) = verdict["fidelity"]["actors"]
    assert actor["edited"] is True
    assert 0.7 < actor["sharpness_ratio"] < 1.4
    assert 0.7 < actor["identity_similarity"] < 1


def test_check_finds_what_is_not_the_same(
    lipsmith: Program, talking_shot: Path, dubbed: tuple[Path, dict], tmp_path: Path
) -> None:
    import av

    shorter = tmp_path / "shorter.mp4"
    with av.open(str(talking_shot)) as before, av.open(str(shorter), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in list(before.demux(video=0))[:30]:
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    done = lipsmith("check", talking_shot, shorter)
    assert done.returncode == 1
    assert "differs:" in done.stdout


@pytest.mark.slow
def test_a_saved_actor_gives_a_dub(lipsmith: Program, talking_shot: Path, voice: Path, tmp_path: Path) -> None:
    actor = tmp_path / "actor.npz"
    assert lipsmith("train", talking_shot, "-o", actor, "--json").returncode == 0
    done = lipsmith("dub", talking_shot, voice, "-o", tmp_path / "out.mp4", "--model", actor, "--range", "0.4-1.2")
    assert done.returncode == 0, done.stderr
    assert "warning: nothing" not in done.stdout


def test_inspect_names_the_main_actor(lipsmith: Program, talking_shot: Path) -> None:
    told = json.loads(lipsmith("inspect", talking_shot, "--json").stdout)["inspect"]
    assert told["spec"]["video"]["frame_rate"] == "25"
    assert [actor["is_main"] for actor in told["actors"]] == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_dub_leaves_nothing(
    talking_shot: Path, voice: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "lipsmith", "dub", str(talking_shot), str(voice), "-o", str(tmp_path / "out.mp4")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.startswith("render: ") for line in process.stderr)  # the output has been begun
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.strip().splitlines()[-1].startswith("error[interrupted]")
    assert list(tmp_path.iterdir()) == []
