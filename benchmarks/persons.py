"""Is whoever comes back after a cut known again, and nobody taken for him? Films cut of held-out speakers.

Each film shows five of them in two shots of 1.2 s, shuffled, the second from the end of his clip and filmed otherwise:
lighter or darker and nearer. Scores, over pairs of shots of a film: share of one person's that are one actor, share of
two persons' that are. The first is easier than in a real film (one recording, though not one moment), the second as
hard. Fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine.faces.track import FaceTrack, Look, Tracker

FILMS, PERSONS, FRAMES = 12, 5, 30
SIZE = 480, 640
_LONGEST = 400  # frames of a clip that are looked at
_LIGHT, _NEARER = (0.7, 1.25), (1.1, 1.4)


def run() -> None:
    rng, paths, rows = np.random.default_rng(13), clips.held_out(), []
    for number in range(FILMS):
        cast = [paths[i] for i in rng.choice(len(paths), PERSONS, replace=False)]
        order = _order(rng)
        tracks = _watched(_shots(cast, order, rng))
        rows.append(table.said({"film": number + 1, "persons": _names(cast), **_scores(order, tracks)}))
    same, apart = (sum(int(row[key]) for row in rows) for key in ("same_pairs", "other_pairs"))
    summary = {
        "pairs of shots of one person that are one actor": sum(int(r["joined"]) for r in rows) / same,
        "pairs of shots of two persons that are one actor": sum(int(r["mistaken"]) for r in rows) / apart,
        "films of which every pair is right": sum(r["joined"] == r["same_pairs"] and r["mistaken"] == 0 for r in rows),
        "films": FILMS,
    }
    table.report("persons", rows, summary)


def _order(rng: np.random.Generator) -> list[int]:
    """Whose shot comes when; nobody's two follow each other."""
    order = [person for person in range(PERSONS) for _ in range(2)]
    while any(a == b for a, b in zip(order, order[1:], strict=False)):
        rng.shuffle(order)
    return order


def _shots(cast: Sequence[Path], order: Sequence[int], rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Each (FRAMES) pictures."""
    shown: set[int] = set()
    made = []
    for person in order:
        again = person in shown
        shown.add(person)
        light, nearer = (rng.uniform(*_LIGHT), rng.uniform(*_NEARER)) if again else (1.0, 1.0)
        made.append([_filmed(picture, light, nearer) for picture in _pictures(cast[person], last=again)])
    return made


def _pictures(path: Path, *, last: bool) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), _LONGEST)]
    return frames[-FRAMES:] if last else frames[:FRAMES]


def _filmed(picture: np.ndarray, light: float, nearer: float) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = nearer * max(SIZE[0] / height, SIZE[1] / width)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
    # Of tall pictures the upper part: faces are there.
    top = min(large.shape[0] - SIZE[0], max(0, round(0.3 * (large.shape[0] - SIZE[0]))))
    left = (large.shape[1] - SIZE[1]) // 2
    part = large[top : top + SIZE[0], left : left + SIZE[1]].astype(np.float32)
    return np.clip(np.rint(part * light), 0, 255).astype(np.uint8)


def _watched(shots: Sequence[Sequence[np.ndarray]]) -> tuple[FaceTrack, ...]:
    tracker = Tracker(talker.nets(), frame_rate=25.0)
    for shot in shots:
        for number, picture in enumerate(shot):
            tracker.push(Look(tracker.frames, picture, cut=number == 0))
    return tracker.finish()


def _scores(order: Sequence[int], tracks: Sequence[FaceTrack]) -> dict[str, int]:
    """Shots in which no face is found count as nobody's."""
    actors = [_actor_of(shot, tracks) for shot in range(len(order))]
    joined = {(a, b): actors[a] is not None and actors[a] == actors[b] for a, b in combinations(range(len(order)), 2)}
    same = [pair for pair in joined if order[pair[0]] == order[pair[1]]]
    return {
        "same_pairs": len(same),
        "joined": sum(joined[pair] for pair in same),
        "other_pairs": len(joined) - len(same),
        "mistaken": sum(found for pair, found in joined.items() if pair not in same),
    }


def _actor_of(shot: int, tracks: Sequence[FaceTrack]) -> int | None:
    """Whom a shot shows most."""
    frames = {track.actor: int((track.shot == shot).sum()) for track in tracks}
    best = max(frames, key=lambda actor: frames[actor], default=None)
    return best if best is not None and frames[best] else None


def _names(cast: Sequence[Path]) -> str:
    return " ".join(path.name.split(".")[0][:14] for path in cast)
