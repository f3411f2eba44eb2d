"""Learn what is seen between parted lips, from folders of clips.

    python training/interior.py CLIPS [CLIPS ...]

Writes engine/render/interior.npz and docs/interior-card.json. Speakers of the held-out list are never read; the
development speakers are what the figures of the card are of, and are learnt from, too, by what is kept. Six
minutes on two cores; what was seen of a clip is kept in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import command
import numpy as np
import torch
from footage import SUFFIXES, digest

from lipsmith.config import Settings
from lipsmith.engine.actor.library import crop_box
from lipsmith.engine.faces.measure import measure
from lipsmith.engine.faces.track import Nets, watch
from lipsmith.engine.media import color, decode, gops
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.gops import Excerpt
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.render import interior
from lipsmith.engine.render.composite import mattes
from lipsmith.errors import LipsmithError
from lipsmith.weights import WeightStore

LEAST_OPENING = 0.022  # face widths
LEAST_FACE = 110.0  # pixels wide
MOST_OF_ONE = 60  # mouths of one clip
TEETH, ROUNDS = 0.03, 30  # weight of what is lighter than the fit
FIRST_SECONDS = 12.0  # of each clip
RIDGE = 0.02  # of all rows


@dataclass(frozen=True)
class Inside:
    """One real mouth."""

    features: np.ndarray  # (4,)
    tones: np.ndarray  # (ROWS, COLUMNS, 3) over the luma of the skin


def main() -> None:
    arguments = command.parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    nets = Nets(WeightStore(Settings.from_environment().models_folder), torch.device("cpu"))
    never = command.names(arguments.held_out) + command.names(arguments.skip)
    development = command.names(arguments.development)
    people: dict[str, list[Inside]] = {}
    for path in sorted(p for folder in arguments.clips for p in folder.iterdir() if p.suffix in SUFFIXES):
        if path.name.startswith(never):
            continue
        try:
            found = kept(arguments.cache / f"{path.name}-{digest(path)}-insides.npz", partial(insides, path, nets))
        except LipsmithError as refusal:
            print(f"{path.name}: passed over, {refusal.code}", flush=True)
            continue
        if found:
            people[path.name] = found
        print(f"{path.name}: {len(found)} mouths", flush=True)
    known = {name: found for name, found in people.items() if not name.startswith(development)}
    judges = [one for name, found in people.items() if name.startswith(development) for one in found]
    trial = fit(list(known.values()))
    flat = np.mean([one.tones[..., 0] for found in known.values() for one in found])
    figures = {
        "mouths of development speakers": len(judges),
        "mean luma error on them, parts of the skin's": apart(judges, trial),
        "of one colour for all": float(np.mean([np.abs(one.tones[..., 0] - flat).mean() for one in judges])),
    }
    np.savez_compressed(interior.WEIGHTS, coefficients=fit(list(people.values())).astype(np.float16))
    card = {"trained_on": sorted(people), "mouths": sum(map(len, people.values())), **figures}
    (command.ROOT / "docs/interior-card.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(figures))


def kept(file: Path, find: Callable[[], list[Inside]]) -> list[Inside]:
    """What was found before, or what is found now."""
    if not file.exists():
        found = find()
        file.parent.mkdir(parents=True, exist_ok=True)
        features, tones = ([getattr(one, name) for one in found] for name in ("features", "tones"))
        np.savez(file, features=np.array(features, np.float32), tones=np.array(tones, np.float16))
    with np.load(file) as stored:
        return [Inside(*each) for each in zip(stored["features"], stored["tones"].astype(np.float32), strict=True)]


def insides(path: Path, nets: Nets) -> list[Inside]:
    """Open mouths of the main face, evenly spread. Raises the errors of reading."""
    spec = probe(path)
    video = require_video(spec)
    color.require_editable(video.pix_fmt)
    index = gops.read(spec)
    count = min(len(index.stamps), round(FIRST_SECONDS * float(video.frame_rate)))
    excerpt = Excerpt(index, (range(count),)) if count < len(index.stamps) and not index.why_not else None
    tracking = watch(spec, nets, excerpt)
    if not tracking.tracks:
        return []
    measured = measure(tracking.tracks[0])
    at = {int(index): row for row, index in enumerate(measured.indices)}
    open_ = [i for i, row in at.items() if measured.bare[row] and measured.gap()[row] > LEAST_OPENING]
    chosen = set(open_[:: -(-len(open_) // MOST_OF_ONE) or 1])
    tones = color.Tones.of(video.coding)
    found = []
    for frame in decode.frames(spec, excerpt):
        if frame.index not in chosen:
            continue
        placement = measured.placement.rows(slice(at[frame.index], at[frame.index] + 1))
        points = placement.to_picture(measured.seen(at[frame.index])[None])[0, :, :2]
        unit = float(placement.scale[0])
        if unit >= LEAST_FACE and (one := inside(frame, points, unit, tones, video.seen_width, video.height)):
            found.append(one)
    return found


def inside(frame: Frame, points: np.ndarray, unit: float, tones: color.Tones, width: int, height: int) -> Inside | None:
    box = crop_box(points, unit, width, height)
    seen = tones.of_codes(color.read_codes(frame, box))
    own = points - np.array([box.left, box.top], np.float32)
    shown = mattes(own, box.height, box.width, unit, (True,) * 4)
    skin = seen[shown.skin, 0]
    opening = interior.Opening.of(own, unit)
    if len(skin) < 50 or opening.height < LEAST_OPENING or skin.mean() < 0.1:
        return None
    return Inside(interior.features(opening), interior.drawn(seen, opening.places()) / float(skin.mean()))


def fit(people: list[list[Inside]]) -> np.ndarray:
    """(4, ROWS, COLUMNS, 3) ridge regression in which each clip weighs alike, made left and right alike.

    Not the mean: where teeth are now and then, it is grey always. What is darker weighs `1 - TEETH`, what is lighter
    `TEETH` (asymmetric least squares, Newey & Powell 1987; by repeated weighting, place by place).
    """
    x = np.stack([one.features for found in people for one in found])
    y = np.stack([one.tones for found in people for one in found]).reshape(len(x), -1, 3)
    clip = np.concatenate([np.full(len(found), 1 / len(found)) for found in people])
    ridge = RIDGE * len(people) * np.diag([0.0, 1, 1, 1])
    weight = np.repeat(clip[:, None], y.shape[1], 1)
    for _ in range(ROUNDS):
        gram = np.einsum("np,ni,nj->pij", weight, x, x) + ridge
        found = np.linalg.solve(gram, np.einsum("np,ni,npc->pic", weight, x, y))  # (places, 4, 3)
        lighter = y[..., 0] > np.einsum("ni,pi->np", x, found[..., 0])
        weight = clip[:, None] * np.where(lighter, TEETH, 1 - TEETH)
    shaped = found.transpose(1, 0, 2).reshape(-1, interior.ROWS, interior.COLUMNS, 3)
    return 0.5 * (shaped + shaped[:, :, ::-1])


def apart(judges: list[Inside], coefficients: np.ndarray) -> float:
    """Mean absolute difference of luma."""
    guessed = [np.tensordot(one.features, coefficients, 1) for one in judges]
    return float(
        np.mean([np.abs(one.tones - guess)[..., 0].mean() for one, guess in zip(judges, guessed, strict=True)])
    )


if __name__ == "__main__":
    main()
