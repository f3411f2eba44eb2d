"""The command line against an engine that only pretends: parsing, output, errors and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from lipsmith import cli, errors
from lipsmith.console import to_json


@dataclass(frozen=True)
class VoiceFor:
    path: Path
    actor: int | None = None
    script: str | None = None


@dataclass(frozen=True)
class DubOptions:
    voices: tuple[VoiceFor, ...]
    ranges: tuple[str, ...] = ()
    at: str | None = None
    strength: float = 1.0
    maintain_expression: bool = False
    language: str | None = None
    keep_original_audio: bool = False
    device: str = "auto"
    threads: int = 2


@dataclass(frozen=True)
class DubResult:
    output: Path
    frames_total: int = 100
    frames_dubbed: int = 90
    frames_without_face: int = 10
    frames_retried: int = 3
    frames_softened: int = 1
    actors: tuple[int, ...] = (0,)
    warnings: tuple[str, ...] = ("The face is small.",)
    differences: tuple[str, ...] = ()
    stage_seconds: dict[str, float] = field(default_factory=lambda: {"render": 2.5})
    details: dict[str, object] = field(
        default_factory=lambda: {
            "frames_encoded": 95,
            "why_all_encoded": "the source has one keyframe",
            "sound_packets_copied": 7,
        }
    )


class Engine(SimpleNamespace):
    """Stands for lipsmith.engine.dub; remembers what it was asked, and fails with `failure` if there is one."""

    VoiceFor, DubOptions = VoiceFor, DubOptions

    def __init__(self) -> None:
        super().__init__(asked=None, failure=None)

    def admit(self, *_: object) -> None:
        """Lets everything in."""

    def dub(self, shot: Path, out: Path, options: DubOptions, *, progress: Callable, **_: object) -> DubResult:
        self.asked = options
        if self.failure is not None:
            raise self.failure
        for done in range(0, 101, 5):
            progress("render", done, 100)
        return DubResult(out)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine()
    monkeypatch.setattr(cli, "_engine", lambda name: fake)
    return fake


def test_dub_says_what_it_did(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["dub", "shot.mp4", "voice.wav", "-o", "out.mp4"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("out.mp4\n")
    assert "90 of 100 frames dubbed" in printed.out
    assert "95 of 100 pictures encoded anew: the source has one keyframe" in printed.out
    assert "7 packets of sound are the source's" in printed.out
    assert "warning: The face is small." in printed.out


def test_without_a_terminal_progress_is_a_line_per_ten_percent(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["dub", "shot.mp4", "voice.wav", "-o", "out.mp4"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("render: 0 % (0/100")
    assert lines[-1].startswith("render: 100 %")


def test_json_is_one_object_and_nothing_else(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["dub", "shot.mp4", "voice.wav", "-o", "out.mp4", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    answer = json.loads(printed.out)
    assert answer["dub"]["output"] == "out.mp4"
    assert answer["dub"]["stage_seconds"] == {"render": 2.5}
    assert answer["report"] is None


def test_options_reach_the_engine(engine: Engine) -> None:
    line = "dub s.mp4 a.wav --actor 1 --voice 2=b=c.wav --range 1-2 --range 3-00:00:04:00 --strength 0.8 --device cpu"
    cli.run([*line.split(), "--at", "1.5", "-o", "o.mp4"])
    asked = engine.asked
    assert asked.voices == (VoiceFor(Path("a.wav"), 1), VoiceFor(Path("b=c.wav"), 2))
    assert (asked.ranges, asked.at) == (("1-2", "3-00:00:04:00"), "1.5")
    assert (asked.strength, asked.device) == (0.8, "cpu")


@pytest.mark.parametrize(
    "arguments",
    ["", "--actor 1 --voice 1=b.wav", "--voice b.wav", "--voice x=b.wav", "--voice 1=", "--voice 1=a --voice 1=b",
     "v.wav --device tpu", "v.wav --strength 9", "v.wav --strength much", "v.wav --nonsense"],
)  # fmt: skip
def test_a_request_that_makes_no_sense_ends_with_2(
    engine: Engine, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["dub", "s.mp4", *arguments.split(), "-o", "o.mp4"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert engine.asked is None


def leaves(error: type[errors.LipsmithError]) -> list[type[errors.LipsmithError]]:
    below = error.__subclasses__()
    return [leaf for sub in below for leaf in leaves(sub)] if below else [error]


@pytest.mark.parametrize("error", leaves(errors.LipsmithError), ids=lambda error: error.code)
def test_each_error_is_one_sentence_with_its_code(
    engine: Engine, error: type[errors.LipsmithError], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.failure = error("The file [x] is not right.")
    assert cli.run(["dub", "s", "v", "-o", "o"]) == error.exit_code
    assert capsys.readouterr().err == f"error[{error.code}]: The file [x] is not right.\n"
    assert cli.run(["dub", "s", "v", "-o", "o", "--json"]) == error.exit_code
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"error": {"code": error.code, "message": "The file [x] is not right."}}


def test_every_code_is_its_own_and_in_the_drawing() -> None:
    codes = [error.code for error in leaves(errors.LipsmithError)]
    assert len(set(codes)) == len(codes)
    assert all(code in (errors.__doc__ or "") for code in codes)


def test_a_fault_of_ours_is_no_traceback_unless_asked_for(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.failure = ZeroDivisionError("by zero")
    assert cli.run(["dub", "s", "v", "-o", "o"]) == 70
    assert capsys.readouterr().err.startswith("error[internal]: ZeroDivisionError: by zero. `lipsmith --debug")
    assert cli.run(["--debug", "dub", "s", "v", "-o", "o"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_interruption_ends_with_130(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.failure = KeyboardInterrupt()
    assert cli.run(["dub", "s", "v", "-o", "o"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_report_folder_is_looked_for_before_the_work(engine: Engine, tmp_path: Path) -> None:
    assert cli.run(["dub", "s", "v", "-o", "o", "--report", str(tmp_path / "no" / "r.html")]) == 5
    assert engine.asked is None


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def no_torch(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "import_module", no_torch)
    assert cli.run(["inspect", "s.mp4"]) == 6
    assert "lipsmith[model]" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["dub", "train", "inspect", "check", "demo", "weights"])
def test_help_of_each_command_lists_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command, "--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lipsmith ")


def test_json_of_what_the_engine_returns() -> None:
    value = VoiceFor(Path("a.wav"), 2), Fraction(30000, 1001), float("nan"), {1: (2.0, None)}
    assert to_json(value) == [{"path": "a.wav", "actor": 2, "script": None}, "30000/1001", None, {"1": [2.0, None]}]
