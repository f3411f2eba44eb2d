"""Train the net that sees what lies before a face, from folders of clips and two hands.

    python training/occluders.py CLIPS [CLIPS ...] --hands FOLDER

FOLDER holds the glTF files left.glb and right.glb of the npm package @webxr-input-profiles/assets (MIT):
`npm pack @webxr-input-profiles/assets@1.0.20`, unpacked, package/dist/profiles/generic-hand. Writes
engine/faces/occluders.npz and docs/occluders-card.json. Speakers of the held-out list are never read. A net that has
not seen the development speakers is judged on them first (after `--trial-steps`); then they join the training of the
net that is kept. Three quarters of an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import command
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from covered import Face, Stuff, example
from footage import SUFFIXES
from hands import Hand
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.data import DataLoader, IterableDataset

from lipsmith.config import Settings
from lipsmith.engine.faces.align import place
from lipsmith.engine.faces.crop import cut_out, in_crop
from lipsmith.engine.faces.mesh import region_of
from lipsmith.engine.faces.occluders import GRID, WEIGHTS, OccluderNet, lower_faces, standardised
from lipsmith.engine.faces.points import STABLE
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.errors import LipsmithError
from lipsmith.weights import WeightStore

EVERY_SECONDS = 0.3  # one face is taken of a clip
CROP = 160  # pixels a side, kept of each
LEAST_FACE = 64  # pixels wide
LOOKED_AT = 1280  # pixels of the longer side
DRAWN, KEPT_TO_JUDGE = 1500, 200  # hands
BATCH, JUDGED = 32, 384
LEARNING_RATE, WEIGHT_DECAY, WARM_UP, OVERLAP = 2e-3, 0.02, 100, 0.3


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    store = WeightStore(Settings.from_environment().models_folder)
    never = command.names(arguments.held_out) + command.names(arguments.skip) + command.names(arguments.covered)
    development = command.names(arguments.development)
    nets = Nets(store, torch.device("cpu"))
    people: dict[str, list[Face]] = {}
    pictures: list[np.ndarray] = []
    for path in sorted(p for folder in arguments.clips for p in folder.iterdir() if p.suffix in SUFFIXES):
        if not path.name.startswith(never):
            found, whole = faces(path, nets)
            pictures += [whole] if found else []
            if found:
                people[path.name] = found
            print(f"{path.name}: {len(found)} faces", flush=True)
    rng = np.random.default_rng(0)
    models = [Hand(arguments.hands / f"{side}.glb") for side in ("left", "right")]
    hands = [models[i % 2].draw(rng) for i in range(DRAWN)]
    stuff, strange = Stuff(hands[KEPT_TO_JUDGE:], pictures), Stuff(hands[:KEPT_TO_JUDGE], pictures)
    learned = [faces_of for name, faces_of in people.items() if not name.startswith(development)]
    judges = [faces_of for name, faces_of in people.items() if name.startswith(development)]
    figures = judge(train(learned, stuff, arguments.trial_steps, 1), judges, strange)
    print(json.dumps(figures), flush=True)
    net = train(list(people.values()), stuff, arguments.steps, 2)
    stored = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    np.savez_compressed(WEIGHTS, **stored)
    card = {
        "trained_on": sorted(people),
        "faces": sum(len(faces_of) for faces_of in people.values()),
        "hands": len(hands),
        "steps": arguments.steps,
        "development_figures_of_a_net_that_had_not_seen_them": figures | {"steps": arguments.trial_steps},
    }
    (command.ROOT / "docs/occluders-card.json").write_text(json.dumps(card, indent=1) + "\n")


def faces(path: Path, nets: Nets) -> tuple[list[Face], np.ndarray]:
    """The largest face of a clip, three times a second; and one whole picture, small."""
    found, whole, last = [], np.zeros((0, 0, 3), np.uint8), -EVERY_SECONDS
    try:
        spec = probe(path)
        rotation = require_video(spec).rotation_degrees
        for frame in decode.frames(spec):
            seconds = float(frame.pts * frame.time_base)
            if seconds - last < EVERY_SECONDS:
                continue
            last = seconds
            picture = _within(decode.rgb(frame), LOOKED_AT)
            whole = whole if len(found) else _within(picture, 480)
            found += _face(picture, rotation, nets)
    except LipsmithError as error:
        print(f"{path.name}: passed over, {error.code}")
    return found, whole


def _within(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(picture.shape)
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _face(picture: np.ndarray, rotation: int, nets: Nets) -> list[Face]:
    (detections,) = nets.detector.detect([picture], rotation)
    if not detections:
        return []
    region = max((d.region for d in detections), key=lambda r: r.size)
    for _ in range(2):
        points, presence = nets.mesh.landmarks([picture], [region])
        region = region_of(points[0])
    placement = place(points[:, STABLE])
    if presence[0] < 0.7 or placement.scale[0] < LEAST_FACE:
        return []
    crop, back = cut_out(picture, lower_faces(placement)[0], CROP)
    return [Face(crop, in_crop(points[0, :, :2], back).astype(np.float32))]


class Examples(IterableDataset):
    """Batches without end, made while the net learns."""

    def __init__(self, people: list[list[Face]], stuff: Stuff, seed: int) -> None:
        self._people, self._stuff, self._seed = people, stuff, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self._seed)
        while True:
            person = self._people[rng.integers(len(self._people))]
            made = example(person[rng.integers(len(person))], self._stuff, rng)
            goal, weight = (
                cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA) for part in (made.hidden, made.weight)
            )
            yield torch.from_numpy(made.picture), torch.from_numpy(goal), torch.from_numpy(weight)


def normalised(net: nn.Module) -> nn.Module:
    """`net` with a batch norm after every convolution of its steps: it learns faster so."""
    for step in net.modules():
        if isinstance(step, nn.Sequential) and isinstance(step[0], nn.Conv2d):
            step.insert(1, nn.BatchNorm2d(step[0].out_channels))
    return net


def folded(net: nn.Module) -> nn.Module:
    """`normalised` undone, the norms folded into the convolutions before them."""
    for step in net.eval().modules():
        if isinstance(step, nn.Sequential) and isinstance(step[0], nn.Conv2d):
            step[0] = fuse_conv_bn_eval(step[0], step[1])
            del step[1]
    return net


def train(people: list[list[Face]], stuff: Stuff, steps: int, seed: int) -> OccluderNet:
    torch.manual_seed(seed)
    net = normalised(OccluderNet()).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    made = Examples(people, stuff, seed)
    # Spawned, not forked: a fork of threads that have computed before waits for ever.
    batches = iter(DataLoader(made, BATCH, num_workers=1, prefetch_factor=4, multiprocessing_context="spawn"))
    for step in range(1, steps + 1):
        pace = min(1, step / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * pace
        crops, goal, weight = next(batches)
        loss = _loss(net(standardised(crops)), goal, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"net {seed} step {step} loss {loss.item():.3f}", flush=True)
    return folded(net)


def _loss(said: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy, and how little both overlap (Dice; Milletari et al. 2016)."""
    each = F.binary_cross_entropy_with_logits(said, goal, reduction="none")
    entropy = (each * weight).sum((1, 2)) / weight.sum((1, 2))
    sure, true = said.sigmoid() * weight, goal * weight
    shared = (said.sigmoid() * true).sum((1, 2))
    apart = 1 - (2 * shared + 20) / (sure.sum((1, 2)) + true.sum((1, 2)) + 20)
    return entropy.mean() + OVERLAP * apart.mean()


def judge(net: nn.Module, people: list[list[Face]], stuff: Stuff) -> dict[str, float]:
    """On faces the net has not seen: intersection over union, and bare faces on which it sees something."""
    made = iter(Examples(people, stuff, 999))
    crops, goal, weight = (torch.stack(part) for part in zip(*(next(made) for _ in range(JUDGED)), strict=True))
    with torch.inference_mode():
        said = (net(standardised(crops)) > 0) & (weight > 0.5)
    true = (goal > 0.5) & (weight > 0.5)
    bare = goal.amax((1, 2)) < 0.1
    spots = said[bare].float().mean((1, 2)) > 0.004
    overlap = (said & true).sum() / (said | true).sum()
    return {"overlap": round(overlap.item(), 4), "bare_with_spots": round(spots.float().mean().item(), 4)}


def _arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--hands", type=Path, required=True, help="folder with left.glb and right.glb")
    parser.add_argument("--covered", type=Path, default=command.ROOT / "training/covered.txt")
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--trial-steps", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
