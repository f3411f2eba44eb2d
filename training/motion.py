"""Train the generic motion model and the mouth basis from folders of talking clips.

    python training/motion.py CLIPS [CLIPS ...] [--held-out FILE] [--development FILE] [--skip FILE]

Writes engine/mouth_basis.npz, engine/speech/motion.npz and docs/motion-card.json. Speakers of the held-out list are
never read; those of the development list choose the recipe, then join the training. About three quarters
of an hour on two cores for 10 minutes of clips that have been tracked before.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import command
import numpy as np
import torch
from footage import Talker, talkers
from offsets import LEAST_FIT, fits
from respoken import Transcriber, missing, respoken
from torch import Tensor, nn
from voices import Heard, heard_in_copies

from lipsmith.config import Settings
from lipsmith.engine import mouth
from lipsmith.engine.speech import motion
from lipsmith.engine.speech.features import ROWS_PER_SECOND, Listener, load_listener
from lipsmith.weights import WeightStore

ENGINE = command.ROOT / "src/lipsmith/engine"
COEFFICIENTS = 10
COPIES = 8  # augmented copies of every voice
MACHINES, MACHINE_SHARE = 4, 0.3  # synthetic voices of every clip, and how often one is heard
BATCH, WINDOW = 32, 150  # rows: 3 s
LEARNING_RATE, WEIGHT_DECAY, DROPOUT, NOISE = 2e-3, 0.05, 0.5, 0.15
MANNER_PENALTY, MANNER_HASTE = 0.3, 5
LEAST_SEEN, STILL, SOFT = 60, 1e-3, 0.05  # rows; variances in units of the usual opening
DEPTH_WEIGHT, CHIN_WEIGHT = 0.5, 0.6  # in the basis: depth is guessed, the chin follows


@dataclass
class Example:
    """A talker ready to learn from."""

    talker: Talker
    voices: list[Heard]  # the first is the original
    machines: list[Heard]  # synthetic voices that say the same
    targets: np.ndarray  # (N, K)
    offset: float = 0.0  # seconds by which the sound is late
    fit: float = 0.0


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    store = WeightStore(Settings.from_environment().models_folder)
    held_out, development = command.names(arguments.held_out), command.names(arguments.development)
    skipped = command.names(arguments.skip) + held_out
    found = [t for t in talkers(arguments.clips, arguments.cache, store) if not t.name.startswith(skipped)]
    training = [t for t in found if not t.name.startswith(development)]
    basis = learn_basis(training)
    listener = load_listener(store, torch.device("cpu"))
    rng = np.random.default_rng(0)
    transcribe = _transcriber(store, arguments)
    everybody = [prepare(t, listener, rng, basis, transcribe) for t in found]
    examples = [e for e in everybody if not e.talker.name.startswith(development)]
    judges = [e for e in everybody if e.talker.name.startswith(development)]
    find_offsets(examples, examples + judges)
    learned, judges = ([e for e in some if e.fit >= LEAST_FIT] for some in (examples, judges))
    np.savez(ENGINE / "mouth_basis.npz", components=basis.components)
    standard = _standard(learned)
    # What the development speakers say of the recipe is measured on nets that have not seen them; they join the rest
    # for the nets that are kept.
    trial = [train(learned, standard, basis, 90 + i, ear, arguments.steps) for i, ear in enumerate(motion.EARS)]
    figures = evaluate(trial, standard, basis, judges)
    ears = tuple(motion.EARS) * arguments.rounds
    nets = [train(learned + judges, standard, basis, seed, ear, arguments.steps) for seed, ear in enumerate(ears)]
    _save(nets, ears, standard, np.full(COEFFICIENTS, 1 / max(figures["gap_ratio"], 0.3), np.float32))
    _card(learned, judges, [e.talker.name for e in examples if e.fit < LEAST_FIT], figures, arguments)
    print(json.dumps(figures))


def learn_basis(people: list[Talker]) -> mouth.MouthBasis:
    """Principal directions of all mouths; one unit of a coefficient is one standard deviation."""
    weight = np.ones((len(mouth.MOUTH), 3), np.float32)
    weight[:, 2] = DEPTH_WEIGHT
    weight[-len(mouth.CHIN) :] *= CHIN_WEIGHT
    flat = np.concatenate([(p.displacements[p.usable] * weight).reshape(-1, weight.size) for p in people])
    _, _, directions = np.linalg.svd(flat[::3], full_matrices=False)
    top = directions[:COEFFICIENTS]
    deviation = (flat @ top.T).std(0)
    components = deviation[:, None] * top / weight.reshape(-1)
    return mouth.MouthBasis(components.astype(np.float32))


def _transcriber(store: WeightStore, arguments: argparse.Namespace) -> Transcriber | None:
    if lacking := missing():
        print(f"no synthetic voices: {', '.join(lacking)} not installed", flush=True)
        return None
    return Transcriber(store, arguments.cache, arguments.threads)


def prepare(
    talker: Talker,
    listener: Listener,
    rng: np.random.Generator,
    basis: mouth.MouthBasis,
    transcribe: Transcriber | None,
) -> Example:
    voices = heard_in_copies(talker.waveform, COPIES, listener, rng)
    machines = []
    if transcribe is not None:
        machines = respoken(talker.waveform, transcribe(talker.waveform), MACHINES, listener, rng)
    print(f"{talker.name}: heard in {len(voices)} voices, in {len(machines)} synthetic ones", flush=True)
    return Example(talker, voices, machines, basis.coefficients(talker.displacements))


def find_offsets(examples: list[Example], judged: list[Example]) -> None:
    found = fits(*([(e.talker, e.voices[0].features) for e in some] for some in (examples, judged)))
    for example, fit in zip(judged, found, strict=True):
        example.offset, example.fit = fit.offset_seconds, fit.correlation


def _standard(examples: list[Example]) -> motion.Standard:
    rows = np.concatenate([e.voices[0].features.values[::5] for e in examples])
    return motion.Standard(rows.mean(0), rows.std(0) + 1e-3)


class Manners(nn.Module):
    """What each talker does more or less of than everybody: a gain and a bias per coefficient, shrunk towards none.

    Learned beside a net and thrown away with its training: the net need not explain whose manner it is, and an actor's
    own is put back by his calibration.
    """

    def __init__(self, talkers: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(talkers, COEFFICIENTS))
        self.bias = nn.Parameter(torch.zeros(talkers, COEFFICIENTS))

    def forward(self, said: Tensor, who: Tensor) -> Tensor:
        """(B, K, T) of everybody -> of the (B,) talkers."""
        return said * (1 + self.gain[who])[..., None] + self.bias[who][..., None]

    def size(self) -> Tensor:
        return self.gain.square().mean() + self.bias.square().mean()


def train(
    examples: list[Example], standard: motion.Standard, basis: mouth.MouthBasis, seed: int, ear: str, steps: int
) -> motion.MotionNet:
    """One net. Loss: coefficients by how much they move the face, their speed, and opening and width by themselves."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = motion.MotionNet(COEFFICIENTS, ear, dropout=DROPOUT)
    manners = Manners(len(examples))
    learning = ({"params": net.parameters()}, {"params": manners.parameters(), "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(learning, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    share = np.array([len(e.targets) for e in examples], float) ** 0.7
    share /= share.sum()
    size = torch.from_numpy(np.linalg.norm(basis.components, axis=1))
    size = (size / size[0]).clamp_min(0.15)[None, :, None]
    visible = _opening_and_width(basis)
    for step in range(1, steps + 1):
        pace = LEARNING_RATE * min(1, step / 60) * 0.5 * (1 + np.cos(np.pi * step / steps))
        for group, haste in zip(optimizer.param_groups, (1, MANNER_HASTE), strict=True):
            group["lr"] = haste * pace
        who = rng.choice(len(examples), BATCH, p=share)
        x, y, mask = _batch([examples[i] for i in who], standard, rng)
        said = manners(net(x), torch.from_numpy(who))
        wrong = said - y
        opened, truly = (torch.einsum("vk,bkt->bvt", visible, path) for path in (said, y))
        loss = _with_speed(wrong * size, mask, 1.0, 2.0) + _with_speed(opened - truly, mask, 0.5, 1.0)
        loss = loss + _discord(opened, truly, mask) + MANNER_PENALTY * manners.size()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"net {seed} ({ear}) step {step} loss {loss.item():.3f}", flush=True)
    return net.eval()


def _opening_and_width(basis: mouth.MouthBasis) -> Tensor:
    """(2, K) opening and width per coefficient, in units of the usual opening."""
    points = basis.components.reshape(len(basis.components), -1, 3)
    rows = np.stack([mouth.gaps(points).mean(-1), mouth.width(points)]) / mouth.UNIT_GAP_DEVIATION
    return torch.from_numpy(rows.astype(np.float32))


def _with_speed(wrong: Tensor, mask: Tensor, still: float, moving: float) -> Tensor:
    speed = wrong[..., 2:] - wrong[..., :-2]
    return still * (wrong.abs() * mask).mean() + moving * (speed.abs() * mask[..., 2:]).mean()


def _discord(said: Tensor, did: Tensor, mask: Tensor) -> Tensor:
    """1 - concordance (Lin 1989) of (B, 2, T) paths over time, mean over windows in which somebody speaks.

    Absolute errors alone shrink what is uncertain: the mouth mumbles. Concordance wants the spread right as well.
    """
    count = mask.sum(-1).clamp_min(1)  # (B, 1)
    a, b = ((path - (path * mask).sum(-1, keepdim=True) / count[..., None]) * mask for path in (said, did))
    spread_a, spread_b, shared = ((x * y).sum(-1) / count for x, y in ((a, a), (b, b), (a, b)))
    speaks = (count > LEAST_SEEN) & (spread_b > STILL)
    return ((1 - 2 * shared / (spread_a + spread_b + SOFT)) * speaks).sum() / speaks.sum().clamp_min(1)


def _batch(
    examples: list[Example], standard: motion.Standard, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    xs, ys, masks = [], [], []
    for e in examples:
        voices = e.machines if e.machines and rng.random() < MACHINE_SHARE else e.voices
        voice = voices[rng.integers(len(voices))]
        voice = voice.cut(int(rng.integers(max(1, len(voice) - WINDOW))), WINDOW)
        x, short = standard.apply(voice.features.values), ((0, WINDOW - len(voice)), (0, 0))
        y, known = voice.lips(e.talker.seconds + e.offset, e.targets, e.talker.usable)
        xs.append(np.pad(x, short).T)
        ys.append(np.pad(y, short).T)
        masks.append(np.pad(known[:, None], short).T)
    x, y, mask = (torch.from_numpy(np.stack(part).astype(np.float32)) for part in (xs, ys, masks))
    return x + NOISE * torch.randn_like(x), y, mask


def evaluate(
    nets: list[motion.MotionNet], standard: motion.Standard, basis: mouth.MouthBasis, examples: list[Example]
) -> dict[str, float]:
    """Mean over clips of the correlations of inner gap and width, and the ratio of the gap's deviations."""
    rows = []
    for e in examples:
        x = torch.from_numpy(standard.apply(e.voices[0].features.values).T[None].astype(np.float32))
        with torch.inference_mode():
            y = torch.stack([net(x) for net in nets]).mean(0)[0].T.numpy()
        at = (e.talker.seconds + e.offset)[e.talker.usable] * ROWS_PER_SECOND
        said = basis.displacements(np.stack([np.interp(at, np.arange(len(y)), column) for column in y.T], 1))
        did = e.talker.displacements[e.talker.usable]
        gap, width = (np.corrcoef(of(said), of(did))[0, 1] for of in (mouth.gap, mouth.width))
        rows.append((gap, width, mouth.gap(said).std() / mouth.gap(did).std()))
    return dict(zip(("gap_r", "width_r", "gap_ratio"), np.mean(rows, 0).round(4).tolist(), strict=True))


def _save(nets: list[motion.MotionNet], ears: tuple[str, ...], standard: motion.Standard, spread: np.ndarray) -> None:
    stored = {
        f"net{i}.{name}": value.numpy().astype(np.float16)
        for i, net in enumerate(nets)
        for name, value in net.state_dict().items()
    }
    np.savez_compressed(
        ENGINE / "speech/motion.npz",
        ears=np.array(ears),
        outputs=COEFFICIENTS,
        spread=spread,
        mean=standard.mean,
        deviation=standard.deviation,
        **stored,
    )


def _card(
    learned: list[Example], judges: list[Example], dropped: list[str], figures: dict, arguments: argparse.Namespace
) -> None:
    def minutes(examples: list[Example]) -> float:
        return round(sum(e.talker.waveform.seconds for e in examples) / 60, 1)

    card = {
        "trained_on": sorted(e.talker.name for e in learned),
        "minutes": minutes(learned),
        "dropped_because_sound_does_not_fit": dropped,
        "development": sorted(e.talker.name for e in judges),
        "development_figures": figures,
        "augmented_copies": COPIES,
        "clips_said_again_by_synthesisers": sum(bool(e.machines) for e in learned + judges),
        "synthetic_voices": sum(len(e.machines) for e in learned + judges),
        "steps": arguments.steps,
        "nets": len(motion.EARS) * arguments.rounds,
    }
    (command.ROOT / "docs/motion-card.json").write_text(json.dumps(card, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2, help="nets of each kind")
    return parser.parse_args()


if __name__ == "__main__":
    main()
