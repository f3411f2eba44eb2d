"""The user's own SyncNet: layout, sound features, the two figures. With random weights, as none can be shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lipsmith.engine.faces.track import Nets
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe
from lipsmith.engine.quality import fidelity, syncnet
from lipsmith.engine.speech import audio
from lipsmith.errors import WeightsCorrupt, WeightsMissing
from lipsmith.weights import WeightStore

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(syncnet.SyncNet().state_dict(), path)
    return path


def test_the_layout_is_the_published_one(weights: Path) -> None:
    net = syncnet.load(weights, CPU)
    assert net.hear(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
    assert net.see(torch.zeros(2, 3, 5, 224, 224)).shape == (2, 1024)
    names = net.state_dict()
    assert names["netcnnaud.0.weight"].shape == (64, 1, 3, 3)
    assert names["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert names["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7)
    assert names["netcnnlip.18.weight"].shape == (512, 256, 1, 6, 6)
    assert names["netfclip.3.weight"].shape == (1024, 512)


def test_what_is_no_syncnet_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="syncnet_v2.model"):
        syncnet.load(tmp_path / "none.model", CPU)
    (tmp_path / "words.model").write_text("no weights")
    with pytest.raises(WeightsCorrupt, match="words.model"):
        syncnet.load(tmp_path / "words.model", CPU)
    torch.save({"netcnnaud.0.weight": torch.zeros(3)}, tmp_path / "other.model")
    with pytest.raises(WeightsCorrupt, match="other.model"):
        syncnet.load(tmp_path / "other.model", CPU)


@pytest.mark.parametrize("lag", [-4, 0, 7])
def test_the_lag_of_equal_embeddings_is_found(lag: int) -> None:
    heard = np.random.default_rng(2).normal(size=(120, 1024)).astype(np.float32)
    starts = np.arange(20, 100)
    found = syncnet._figures(heard[starts + lag], starts, heard)
    assert found is not None and found.offset_frames == lag
    assert found.lse_d < 1 < found.lse_c


def test_cepstra_are_those_of_the_definition() -> None:
    """Against the plain definition, written out frame by frame."""
    samples = (0.3 * np.sin(np.arange(4000) * 0.31)).astype(np.float32)
    found = syncnet.mel_cepstra(samples)
    assert found.shape == (1 + -(-(4000 - 400) // 160), 13)
    values = np.round(samples * 32767)
    loud = np.concatenate([values[:1], values[1:] - 0.97 * values[:-1]])[160 * 7 : 160 * 7 + 400]
    power = [abs(sum(loud * np.exp(-2j * np.pi * k * np.arange(400) / 512))) ** 2 / 512 for k in range(257)]
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edge = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16000)
    bands = []
    for j in range(26):
        rise = sum(power[i] * (i - edge[j]) / (edge[j + 1] - edge[j]) for i in range(int(edge[j]), int(edge[j + 1])))
        span = edge[j + 2] - edge[j + 1]
        fall = sum(power[i] * (edge[j + 2] - i) / span for i in range(int(edge[j + 1]), int(edge[j + 2])))
        bands.append(np.log(rise + fall))
    third = np.sqrt(2 / 26) * sum(b * np.cos(np.pi * 2 * (2 * j + 1) / 52) for j, b in enumerate(bands))
    assert found[7, 2] == pytest.approx(third * (1 + 11 * np.sin(np.pi * 2 / 22)), rel=1e-4)
    assert found[7, 0] == pytest.approx(np.log(sum(power)), rel=1e-5)


def test_a_real_file_is_measured(weights: Path, talking_shot: Path, store: WeightStore) -> None:
    spec = probe(talking_shot)
    faces, _ = fidelity.look_at_both((spec, spec), Nets(store, CPU))
    sound = audio.gather(decode.audio(talking_shot, None, audio.SAMPLE_RATE))
    found = syncnet.measure(syncnet.load(weights, CPU), spec, faces[0], sound)
    assert found is not None and found.windows > 10
    assert np.isfinite([found.lse_c, found.lse_d]).all() and found.lse_c >= 0
    again = syncnet.measure(syncnet.load(weights, CPU), spec, faces[0], sound)
    assert again == found
