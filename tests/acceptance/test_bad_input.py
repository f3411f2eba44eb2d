"""Bad input through the real process: one sentence, a stable code, a documented exit code, never a traceback."""

from __future__ import annotations

import json
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A second of a tone: no speech, which is no error."""
    path = tmp_path / "voice.wav"
    tone = 8000 * np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def write_video(path: Path, *, frame_count: int = 12) -> Path:
    """A moving gradient with nobody in it."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(frame_count):
            picture = np.zeros((240, 320, 3), np.uint8) + np.arange(320, dtype=np.uint8)[None, :, None] // 2 + index
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def missing(folder: Path) -> Path:
    return folder / "nowhere.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is not a film. " * 100)
    return folder / "text.mp4"


def cut_off(folder: Path) -> Path:
    """An MP4 without its index, as a broken upload leaves it."""
    whole = write_video(folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    return folder / "cut.mp4"


def folder_itself(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


def sound_only(folder: Path) -> Path:
    path = folder / "sound.m4a"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def nobody(folder: Path) -> Path:
    return write_video(folder / "nobody.mp4")


BAD_SHOTS: list[tuple[Callable[[Path], Path], set[str], int]] = [
    (missing, {"file_missing"}, 3),
    (empty, {"file_empty"}, 3),
    (text, {"not_media"}, 3),
    (cut_off, {"broken_media"}, 3),
    (folder_itself, {"file_not_readable", "not_media", "file_missing"}, 3),
    (sound_only, {"no_video_stream"}, 3),
    (nobody, {"no_face"}, 4),
]


def assert_one_error(done: subprocess.CompletedProcess[str], codes: set[str], exit_code: int) -> None:
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert any(last.startswith(f"error[{code}]: ") for code in codes), done.stderr
    assert done.stderr.count("error[") == 1
    assert "Traceback" not in done.stderr
    assert done.returncode == exit_code


@pytest.mark.parametrize(("make", "codes", "exit_code"), BAD_SHOTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_shot_that_cannot_be_dubbed(
    lipsmith: Program, tmp_path: Path, voice: Path, make: Callable[[Path], Path], codes: set[str], exit_code: int
) -> None:
    output = tmp_path / "out.mp4"
    assert_one_error(lipsmith("dub", make(tmp_path), voice, "-o", output), codes, exit_code)
    assert not output.exists()
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]


def test_inspect_tells_the_same(lipsmith: Program, tmp_path: Path) -> None:
    assert_one_error(lipsmith("inspect", text(tmp_path)), {"not_media"}, 3)


def test_json_carries_the_error(lipsmith: Program, tmp_path: Path) -> None:
    done = lipsmith("inspect", missing(tmp_path), "--json")
    assert json.loads(done.stdout)["error"]["code"] == "file_missing"
    assert done.stderr == ""
    assert done.returncode == 3


@pytest.mark.parametrize("make", [missing, empty, text, nobody], ids=lambda make: make.__name__)
def test_a_voice_that_cannot_be_heard(
    lipsmith: Program, talking_shot: Path, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    expected = {missing: "file_missing", empty: "file_empty", text: "not_media", nobody: "no_audio_stream"}
    output = tmp_path / "out.mp4"
    assert_one_error(lipsmith("dub", talking_shot, make(tmp_path), "-o", output), {expected[make]}, 3)
    assert not output.exists()


def test_an_output_folder_that_is_not_there(lipsmith: Program, talking_shot: Path, voice: Path, tmp_path: Path) -> None:
    done = lipsmith("dub", talking_shot, voice, "-o", tmp_path / "no" / "out.mp4")
    assert_one_error(done, {"output_not_writable"}, 5)


def test_no_permission(lipsmith_without_privilege: Program, talking_shot: Path, voice: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = lipsmith_without_privilege("dub", talking_shot, voice, "-o", locked / "out.mp4")
    assert_one_error(done, {"output_not_writable"}, 5)
    voice.chmod(0)
    done = lipsmith_without_privilege("dub", talking_shot, voice, "-o", tmp_path / "out.mp4")
    assert_one_error(done, {"file_not_readable"}, 3)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB, where the system lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True)
    if mount.returncode != 0:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(lipsmith: Program, talking_shot: Path, voice: Path, tiny_disk: Path) -> None:
    assert_one_error(lipsmith("dub", talking_shot, voice, "-o", tiny_disk / "out.mp4"), {"disk_full"}, 5)
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [("--range", "0-1", "--range", "0.5-1.5"), ("--actor", "9")],
    ids=["overlap", "actor"],
)
def test_a_request_that_does_not_fit_the_shot(
    lipsmith: Program, talking_shot: Path, voice: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = lipsmith("dub", talking_shot, voice, "-o", tmp_path / "out.mp4", *arguments)
    assert_one_error(done, {"bad_range", "unknown_actor"}, 2)
