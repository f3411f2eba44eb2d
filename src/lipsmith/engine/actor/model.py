"""An actor in one file: his library, his calibration, and how his lower face follows his mouth.

Takes measured footage and its frames, gives a file that is whole or not there; reads it back. The file is a zip of
losslessly packed mouths, named arrays and `actor.json` with the format's version and where it came from.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from itertools import islice, repeat
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from lipsmith import __version__
from lipsmith.engine.actor.calibration import Calibration, calibrate, with_manner
from lipsmith.engine.actor.library import Index, Library, LibraryWriter, choose, new_archive
from lipsmith.engine.actor.posture import Posture
from lipsmith.engine.faces.identity import apart
from lipsmith.engine.faces.measure import MIN_FACE_WIDTH_PIXELS, Measured, closed_mouth
from lipsmith.engine.faces.occluders import OccluderFinder
from lipsmith.engine.faces.shield import shields
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import UNSPECIFIED, Coding, ColorSpec, VideoSpec
from lipsmith.engine.mouth import MouthBasis, MouthPath
from lipsmith.engine.progress import Progress, silent
from lipsmith.errors import BadActorFile, FileMissing, NoFace

FORMAT, VERSION = "lipsmith-actor", 5
_READ = range(2, VERSION + 1)
# Since which version the index holds it; zeros stand for it in earlier ones, and all rows are of one shot.
_SINCE = {"detail": (4, np.float32), "shot": (5, np.int32)}
_BY_ROW = 2  # the version whose pictures are named by the row of the index, later ones by the frame of the footage
_CURVES = {16: "HDR (PQ)", 18: "HDR (HLG)"}  # by H.273 transfer number; all others are alike enough
_DIGESTED = 1 << 20  # octets
MIN_FRAMES = 12  # half a second: fewer mouths say nothing
_TOGETHER = 8  # frames looked at together


@dataclass(frozen=True)
class Provenance:
    """What the file was made from."""

    footage: str  # file name, for people
    actor: int  # number in that footage
    frames: int  # library frames
    pix_fmt: str
    bit_depth: int
    matrix: int
    range: str
    primaries: int = UNSPECIFIED  # this and the next two: since version 4
    transfer: int = UNSPECIFIED
    digest: str = ""  # of the footage: files are renamed, and names come twice
    identity: tuple[float, ...] = ()  # as `FaceTrack.identity`; since version 5

    @classmethod
    def of(cls, footage: Path, coding: Coding, actor: int, frames: int, identity: np.ndarray) -> Provenance:
        color = coding.color
        return cls(
            footage.name,
            actor,
            frames,
            coding.pix_fmt,
            coding.bit_depth,
            color.matrix,
            color.range,
            color.primaries,
            color.transfer,
            _digest(footage),
            tuple(np.round(identity, 5).tolist()),
        )

    @property
    def coding(self) -> Coding:
        """Of the stored mouths."""
        return Coding(self.pix_fmt, self.bit_depth, ColorSpec(self.matrix, self.primaries, self.transfer, self.range))


@dataclass(frozen=True)
class ActorModel:
    """An actor, loaded. `library` holds the file open: close it, or use the model as a context."""

    path: Path
    provenance: Provenance
    calibration: Calibration
    library: Library

    def __enter__(self) -> ActorModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.close()

    @cached_property
    def posture(self) -> Posture:
        """How his mouth wanders as his head turns."""
        return Posture.learn(self.library.index.points, self.library.index.rotation, self.calibration)

    @cached_property
    def upright(self) -> np.ndarray:
        """(S, 51, 3) float32 mouths of his library as they would be on a head that does not turn."""
        return self.library.index.points - self.posture.at(self.library.index.rotation)

    def learnt_from(self, footage: Path) -> bool:
        """Of a file before version 4, which does not know, it is assumed."""
        return self.provenance.digest in ("", _digest(footage))

    def unlike(self, identity: np.ndarray) -> float | None:
        """How far he is from somebody with this `FaceTrack.identity`, as `identity.apart`; None: it was not kept."""
        mine = np.array(self.provenance.identity, np.float32)
        return apart(mine, identity) if len(mine) else None

    def elsewhere(self, measured: Measured) -> np.ndarray:
        """(51, 3) float32 how much elsewhere his shut mouth lies in this shot than in the footage he was learnt from.

        Another lens, distance or camera height, and the mesh reads his face a little differently; or he smiles.
        Opening is no part of it.
        """
        seen = measured.points[measured.bare]
        if len(seen) < MIN_FRAMES:
            return np.zeros_like(self.calibration.rest)
        moved = closed_mouth(seen) - closed_mouth(self.library.index.points)
        return self.calibration.with_gap(moved[None], 0.0)[0].astype(np.float32)

    def require_light_of(self, video: VideoSpec) -> None:
        """Raises BadActorFile where the stored codes mean light by another curve than the shot's.

        Another matrix, range or bit depth is no obstacle: `color.between` leads from codes to codes.
        """
        mine, theirs = (_CURVES.get(one.transfer, "SDR") for one in (self.provenance.coding.color, video.color))
        if mine != theirs:
            raise BadActorFile(
                f"{self.path} was trained on {mine} footage and this shot is {theirs}; train the actor on {theirs} "
                "footage."
            )


def train(
    measured: Measured,
    frames: Iterable[Frame],
    video: VideoSpec,
    out: Path,
    *,
    footage: Path,
    actor: int,
    occluders: OccluderFinder,
    identity: np.ndarray,
    heard: MouthPath | None = None,
    progress: Progress = silent,
    threads: int = 1,
) -> int:
    """Write the actor of `measured` to `out`, under a temporary name first; gives the number of library frames.

    `frames`: all frames of the footage, in order; `identity`: of his face; `heard`: what his own voice asked of his
    mouth, a row per row of `measured`, where the footage holds it in sync. Raises NoFace where hardly any frame shows
    him well.
    """
    rows = choose(measured)
    if len(rows) < MIN_FRAMES:
        width = measured.usual_width
        small = f"; his face is {width:.0f} pixels wide, and {MIN_FACE_WIDTH_PIXELS:.0f} are needed"
        raise NoFace(
            f"{footage.name}: actor {actor} is seen well (near, frontal, his mouth in sight) in {len(rows)} frames "
            f"only, and at least {MIN_FRAMES} are needed{small if width < MIN_FACE_WIDTH_PIXELS else ''}. "
            "Give footage that shows him better."
        )
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        with new_archive(part) as archive, ThreadPoolExecutor(threads, "pack") as pool:
            writer, done = LibraryWriter(archive, measured, rows), 0
            wanted = islice((frame for frame in frames if writer.wants(frame.index)), len(rows))
            while few := list(islice(wanted, _TOGETHER)):
                seen = [writer.glimpse(frame, video.seen_width, video.height) for frame in few]
                strange = shields(seen, occluders, video)
                for packed in pool.map(writer.packed, seen, repeat(video.coding), strange):
                    writer.add(packed)
                done += len(few)
                progress("train", done, len(rows))
            kept = writer.index()
            calibration = calibrate(kept.points, closed_mouth(kept.points), heard=heard is not None)
            if heard is not None:
                said = MouthPath(heard.coefficients[measured.bare])
                calibration = with_manner(calibration, said, measured.points[measured.bare], MouthBasis.load())
            provenance = Provenance.of(footage, video.coding, actor, len(kept), identity)
            _store(archive, provenance, calibration, kept)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return len(kept)


def load(path: Path) -> ActorModel:
    """Raises FileMissing, BadActorFile."""
    if not path.is_file():
        raise FileMissing(f"{path} is not there: no actor to load.")
    try:
        with ZipFile(path) as archive:
            about = json.loads(archive.read("actor.json"))
            if about.get("format") != FORMAT or about.get("version") not in _READ:
                raise BadActorFile(
                    f"{path} is an actor of format {about.get('format')} {about.get('version')}; this Lipsmith reads "
                    f"{FORMAT} {VERSION}. Train it again."
                )
            calibration = _calibration(archive)
            index = _index(archive, about["version"])
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise BadActorFile(f"{path} is not a whole actor file ({error}); train it again.") from error
    numbers = np.arange(len(index)) if about["version"] == _BY_ROW else index.indices
    return ActorModel(path, Provenance(**about["provenance"]), calibration, Library(path, index, numbers))


def _store(archive: ZipFile, provenance: Provenance, calibration: Calibration, index: Index) -> None:
    for name, value in [(f"index/{f.name}", getattr(index, f.name)) for f in fields(Index)]:
        _put(archive, name, value)
    for field in fields(Calibration):
        _put(archive, f"calibration/{field.name}", np.asarray(getattr(calibration, field.name)))
    about = {"format": FORMAT, "version": VERSION, "lipsmith": __version__, "provenance": asdict(provenance)}
    archive.writestr("actor.json", json.dumps(about, indent=1))


def _index(archive: ZipFile, version: int) -> Index:
    lacking = {name: kind for name, (since, kind) in _SINCE.items() if version < since}
    stored = {f.name: _array(archive, f"index/{f.name}") for f in fields(Index) if f.name not in lacking}
    return Index(**stored, **{name: np.zeros(len(stored["indices"]), kind) for name, kind in lacking.items()})


def _calibration(archive: ZipFile) -> Calibration:
    stored = {field.name: _array(archive, f"calibration/{field.name}") for field in fields(Calibration)}
    return Calibration(
        stored["rest"],
        float(stored["gain"]),
        stored["opening"],
        stored["widening"],
        (float(stored["gap_range"][0]), float(stored["gap_range"][1])),
        (float(stored["width_range"][0]), float(stored["width_range"][1])),
        stored["manner"],
        float(stored["manner_gain"]),
    )


def _digest(footage: Path) -> str:
    """What tells one file from another: its length and how it begins."""
    with footage.open("rb") as file:
        return f"{footage.stat().st_size}-{sha256(file.read(_DIGESTED)).hexdigest()[:32]}"


def _put(archive: ZipFile, name: str, values: np.ndarray) -> None:
    packed = io.BytesIO()
    np.save(packed, values, allow_pickle=False)
    archive.writestr(f"{name}.npy", packed.getvalue())


def _array(archive: ZipFile, name: str) -> np.ndarray:
    return np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
