"""Train the sync scorer from folders of talking clips.

    python training/sync.py CLIPS [CLIPS ...] [--held-out FILE] [--development FILE] [--skip FILE]

Writes engine/quality/sync.npz and docs/sync-card.json. Speakers of the held-out list are never read. Nets that have not
seen the development speakers are judged on them first; then those join the training of the nets that are kept. About a
quarter of an hour on two cores for ten minutes of clips that have been tracked before.

Two seconds of lips must find their own sound among lags of -30 to 30 rows (the right one, softly) and among the
voices of the other windows of a batch (InfoNCE, van den Oord et al. 2018).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import command
import numpy as np
import torch
import torch.nn.functional as F
from footage import Talker, talkers
from offsets import LEAST_FIT, fits
from torch import Tensor
from voices import Heard, heard_in_copies

from lipsmith.config import Settings
from lipsmith.engine.quality import sync
from lipsmith.engine.quality.sync import SEARCH_ROWS, Scorer, Towers
from lipsmith.engine.speech.features import load_listener
from lipsmith.weights import WeightStore

COPIES = 3  # augmented copies of every voice
DIRECTIONS, SOFTLY = 160, 0.3  # of the speech features; whitening that leaves the weak ones small
BATCH, WINDOW = 48, 100  # rows: 2 s
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 2e-3, 0.05, 0.4
HEARD_NOISE, SEEN_NOISE, LEAST_SEEN = 0.1, 0.05, 50
COLDEST = 4.0  # the temperature begins at four times e to the 1.5


@dataclass(frozen=True)
class Take:
    """A clip with one of its voices, ready to be cut into windows."""

    x: Tensor  # (PAD + T + PAD, P)
    y: Tensor  # (T + WINDOW, 16)
    seen: Tensor  # (T + WINDOW,) 1 where lips are seen
    first: int
    last: int


@dataclass(frozen=True)
class Example:
    """A talker with his voice and its copies."""

    talker: Talker
    voices: list[Heard]
    offset_seconds: float = 0.0


PAD = SEARCH_ROWS + WINDOW


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    store = WeightStore(Settings.from_environment().models_folder)
    development = command.names(arguments.development)
    never = command.names(arguments.skip) + command.names(arguments.held_out)
    listener, rng = load_listener(store, torch.device("cpu")), np.random.default_rng(0)
    found = [t for t in talkers(arguments.clips, arguments.cache, store) if not t.name.startswith(never)]
    examples = [Example(t, heard_in_copies(t.waveform, COPIES, listener, rng)) for t in found]
    learned = [e for e in examples if not e.talker.name.startswith(development)]
    judges = [e for e in examples if e.talker.name.startswith(development)]
    learned, judges = _placed(learned, learned), _placed(learned, judges)
    blank = _standard(learned)
    trial = _scorer(blank, learned, range(100, 102), arguments.steps)
    figures = _judge(trial, judges)
    print(json.dumps(figures))
    everybody = learned + judges
    scorer = _scorer(_standard(everybody), everybody, range(arguments.nets), arguments.steps)
    _save(scorer)
    card = {"trained_on": sorted(e.talker.name for e in everybody), "development_figures": figures}
    card |= {"augmented_copies": COPIES, "steps": arguments.steps, "nets": arguments.nets}
    (command.ROOT / "docs/sync-card.json").write_text(json.dumps(card, indent=1) + "\n")


def _placed(people: list[Example], judged: list[Example]) -> list[Example]:
    """With their offsets; those whose sound does not fit are left out."""
    found = fits(*([(e.talker, e.voices[0].features) for e in some] for some in (people, judged)))
    pairs = zip(judged, found, strict=True)
    return [Example(e.talker, e.voices, fit.offset_seconds) for e, fit in pairs if fit.correlation >= LEAST_FIT]


def _standard(examples: list[Example]) -> Scorer:
    """A scorer without nets: what is common to all of them."""
    rows = np.concatenate([e.voices[0].features.values[::5] for e in examples])
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    _, sizes, directions = np.linalg.svd((rows - mean) / deviation, full_matrices=False)
    variance = sizes[:DIRECTIONS] ** 2 / len(rows)
    projection = directions[:DIRECTIONS].T / np.sqrt(variance + SOFTLY) / deviation[:, None]
    seen = np.concatenate([sync.lips(e.talker.displacements)[e.talker.usable] for e in examples])
    return Scorer(mean, projection.astype(np.float32), seen.std(0) + 1e-6, 1.0, ())


def _scorer(blank: Scorer, examples: list[Example], seeds: range, steps: int) -> Scorer:
    takes = [[_take(blank, e, voice) for voice in e.voices] for e in examples]
    trained = [_train(takes, blank, seed, steps) for seed in seeds]
    temperature = float(np.mean([warmth for _, warmth in trained]))
    return Scorer(blank.mean, blank.projection, blank.spread, temperature, tuple(net for net, _ in trained))


def _take(blank: Scorer, e: Example, voice: Heard) -> Take:
    seconds = e.talker.seconds + e.offset_seconds
    y, good = voice.lips(seconds, sync.lips(e.talker.displacements) / blank.spread, e.talker.usable)
    first, last = (int(np.searchsorted(voice.moments, moment)) for moment in (seconds[0], seconds[-1]))
    x = np.pad((voice.features.values - blank.mean) @ blank.projection, ((PAD, PAD), (0, 0)), mode="edge")
    y, good = np.pad(y, ((0, WINDOW), (0, 0))), np.pad(good, (0, WINDOW))
    x, y, good = (torch.from_numpy(part.astype(np.float32)) for part in (x, y, good))
    return Take(x, y, good, first, min(last, len(voice) - 1))


def _train(takes: list[list[Take]], blank: Scorer, seed: int, steps: int) -> tuple[Towers, float]:
    """One pair of nets and its temperature."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = Towers(blank.projection.shape[1], len(blank.spread), DROPOUT)
    warmth = torch.nn.Parameter(torch.tensor(1.5))
    optimizer = torch.optim.AdamW([*net.parameters(), warmth], LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    share = np.array([voices[0].last - voices[0].first + 1 for voices in takes], float) ** 0.7
    share /= share.sum()
    lags = torch.arange(2 * SEARCH_ROWS + 1)
    wanted = torch.softmax(-0.5 * (lags - SEARCH_ROWS).float() ** 2, 0)
    diagonals = (lags[:, None] + torch.arange(WINDOW)) * WINDOW + torch.arange(WINDOW)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / 60) * 0.5 * (1 + np.cos(np.pi * step / steps))
        who = rng.choice(len(takes), BATCH, p=share)
        x, y, seen = _batch([takes[i][rng.integers(len(takes[i]))] for i in who], rng)
        heard, shown = net.hear(x), net.see(y) * seen[:, None]
        count = seen.sum(1).clamp_min(20)[:, None]
        temperature = COLDEST * warmth.exp()
        products = torch.bmm(heard.transpose(1, 2), shown).reshape(BATCH, -1)
        at_lags = products[:, diagonals].sum(2) / count
        right_lag = -(wanted * torch.log_softmax(temperature * at_lags, 1)).sum(1)
        at_once = heard[:, :, SEARCH_ROWS : SEARCH_ROWS + WINDOW]
        of_others = torch.einsum("bet,cet->cb", at_once, shown) / count
        same = torch.from_numpy(who[:, None] == who[None]) & ~torch.eye(BATCH, dtype=torch.bool)
        odds = temperature * of_others.masked_fill(same, -9.0)
        right_voice = F.cross_entropy(odds, torch.arange(BATCH), reduction="none")
        enough = seen.sum(1) > LEAST_SEEN
        loss = ((right_lag + right_voice) * enough).sum() / enough.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0:
            print(f"net {seed} step {step} loss {loss.item():.3f}", flush=True)
    return net.eval(), float(temperature.detach())


def _batch(takes: list[Take], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    xs, ys, seen = [], [], []
    for take in takes:
        room = take.last - WINDOW - take.first
        start = take.first + (int(rng.integers(room)) if room > 0 else 0)
        xs.append(take.x[start + PAD - SEARCH_ROWS : start + PAD + WINDOW + SEARCH_ROWS].T)
        ys.append(take.y[start : start + WINDOW].T)
        seen.append(take.seen[start : start + WINDOW])
    x, y, mask = torch.stack(xs), torch.stack(ys), torch.stack(seen)
    x = x + HEARD_NOISE * torch.randn_like(x)
    y = y * (0.7 + 0.7 * torch.rand(len(takes), 1, 1)) + SEEN_NOISE * torch.randn_like(y)
    middle = (y * mask[:, None]).sum(2, keepdim=True) / mask.sum(1).clamp_min(1)[:, None, None]
    return x, (y - middle) * mask[:, None], mask


def _judge(scorer: Scorer, judges: list[Example]) -> dict[str, float]:
    """Of 2 s windows every second: within 40 ms of what the whole clip says."""
    within = []
    for e in judges:
        heard = scorer.hear(e.voices[0].features.values)
        seen, seconds = sync.lips(e.talker.displacements)[e.talker.usable], e.talker.seconds[e.talker.usable]
        whole = sync.best_offset(heard, seen, seconds, scorer).offset_seconds
        for start in np.arange(seconds[0], seconds[-1] - 2, 1.0):
            rows = (seconds >= start) & (seconds < start + 2)
            if rows.sum() >= 20:
                found = sync.best_offset(heard, seen[rows], seconds[rows], scorer).offset_seconds
                within.append(abs(found - whole) <= 0.04)
    return {"windows": len(within), "within_40_ms": round(float(np.mean(within)), 4)}


def _save(scorer: Scorer) -> None:
    stored = {
        f"net{number}.{name}": value.numpy().astype(np.float16)
        for number, net in enumerate(scorer.nets)
        for name, value in net.state_dict().items()
    }
    np.savez_compressed(
        sync.SCORER_FILE,
        nets=len(scorer.nets),
        mean=scorer.mean.astype(np.float32),
        projection=scorer.projection.astype(np.float16),
        spread=scorer.spread.astype(np.float32),
        temperature=scorer.temperature,
        **stored,
    )


def _arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--nets", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
