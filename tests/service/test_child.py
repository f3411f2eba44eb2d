"""What a worker hears from its child, on a clock of its own: no process, no waiting."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lipsmith.worker import child


class Talker:
    """The worker's end of the pipe to a child that tells where it stands every so many seconds."""

    def __init__(self, every: float) -> None:
        self.now, self.every, self.next = 0.0, every, every

    def poll(self, seconds: float) -> bool:
        heard = self.next <= self.now + seconds
        self.now = self.next if heard else self.now + seconds
        return heard

    def recv(self) -> dict[str, object]:
        self.next += self.every
        return {"stage": "rendering", "percent": 1, "eta_seconds": None}


@pytest.mark.parametrize("every", [0.001, 0.1, 0.24, 0.26, 0.6, 1000.0])
def test_whether_the_work_is_wanted_is_asked_four_times_a_second(every: float, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = Talker(every)
    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=lambda: 100 + talker.now))
    asked: list[float] = []

    def watcher(standing: child.Standing | None) -> bool:
        asked.append(talker.now)
        return talker.now < 10

    with pytest.raises(child.Unwanted):
        child.Hands()._listen(SimpleNamespace(), talker, watcher)
    gaps = [after - before for before, after in zip(asked, asked[1:], strict=False)]
    assert max(gaps) <= 0.25 + 1e-9
