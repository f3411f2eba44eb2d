"""Runs of GOPs encoded anew: edited frames in, packets out, as the encoder gives them.

Every run has an encoder of its own, so runs do not know of each other but for what the budget has left. A part is some
neighbouring runs with a budget of its own: parts can be encoded anywhere and in any order, with the same result. While
an encoder brings out its last pictures the next one already takes in its first. Knows nothing of containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from lipsmith.engine.media import clock, firstpass
from lipsmith.engine.media.budget import Budget
from lipsmith.engine.media.coded import Coded
from lipsmith.engine.media.encode import RunEncoders
from lipsmith.engine.media.firstpass import FirstPass
from lipsmith.engine.media.focus import Focus
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.probe import require_video
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.media.splice import Run, SplicePlan
from lipsmith.errors import BrokenMedia


class Recoder:
    """Encodes the runs of one plan."""

    def __init__(self, source: MediaSpec, splice: SplicePlan, encoders: RunEncoders) -> None:
        self._source, self._splice, self._encoders = source, splice, encoders
        self._video = require_video(source)

    def packets(self, frames: Iterable[Frame], parts: Iterable[int] | None = None) -> Iterator[Coded]:
        """As many as the runs of these parts (None: all) have frames, in the encoder's order, run by run.

        `frames` are theirs, in order. Raises BrokenMedia where one is missing.
        """
        edited = iter(frames)
        chosen = range(len(self._splice.parts)) if parts is None else parts
        for number in chosen:
            yield from self._part(self._splice.parts[number], edited)

    def _part(self, runs: tuple[Run, ...], frames: Iterator[Frame]) -> Iterator[Coded]:
        budget = Budget.of(self._splice.index, self._splice.replaced)
        with ThreadPoolExecutor(1, "last-pictures") as pool:
            before: _Ending | None = None
            for run in (run for run in runs if run.frames):
                told = self._first_pass(run, budget)
                encoding = _Encoding(self._encoders.open(run.octets, len(run.frames), told), run.keyframes)
                taken = 0
                for coded in encoding.taken_in(self._of_run(run, frames)):
                    if before is not None:
                        yield from before.packets(budget)
                        before = None
                    taken += len(coded.data)
                    yield coded
                if before is not None:
                    yield from before.packets(budget)
                self._require_all(run, encoding)
                alone = self._encoders.threads == 1
                before = _Ending(run.octets, taken, encoding.last if alone else pool.submit(encoding.last).result)
            if before is not None:
                yield from before.packets(budget)

    def _of_run(self, run: Run, frames: Iterator[Frame]) -> Iterator[Frame]:
        for number in run.frames:
            frame = next(frames, None)
            if frame is None or frame.index != number:
                return
            yield frame

    def _require_all(self, run: Run, encoding: _Encoding) -> None:
        if missing := len(run.frames) - encoding.count:
            raise BrokenMedia(
                f"{self._source.path}: {missing} of the {len(run.frames)} pictures from frame "
                f"{run.frames.start} on cannot be decoded; the file is damaged there. Repair it or choose other ranges."
            )

    def _first_pass(self, run: Run, budget: Budget) -> FirstPass | None:
        """What the run's encoder is told of the source's pictures, if it takes it."""
        if not self._encoders.takes_first_pass:
            return None
        allowed = run.octets * 2**budget.doublings
        reorder = self._encoders.reorder
        return firstpass.of_run(self._source, self._video, self._splice.index, run, reorder=reorder, allowed=allowed)


@dataclass(frozen=True)
class _Ending:
    """A run whose last pictures are still to come out of its encoder."""

    source_octets: int
    octets: int  # that came out already
    rest: Callable[[], list[Coded]]

    def packets(self, budget: Budget) -> list[Coded]:
        """The last ones, entered into the budget."""
        last = self.rest()
        budget.account(self.source_octets, self.octets + sum(len(coded.data) for coded in last))
        return last


class _Encoding:
    """One encoder at work."""

    def __init__(self, context: VideoCodecContext, keyframes: frozenset[int]) -> None:
        self._context, self._keyframes = context, keyframes
        self._focus = Focus(context.name)
        self._times: dict[int, tuple[int, int]] = {}  # the encoder's time stamp -> the frame's (time stamp, duration)
        self._latest: int | None = None
        self.count = 0  # frames taken in

    def taken_in(self, frames: Iterable[Frame]) -> Iterator[Coded]:
        for frame in frames:
            yield from self.take_in(frame)

    def take_in(self, frame: Frame) -> Iterator[Coded]:
        """What comes out when this frame has gone in."""
        picture = self._focus.marked(frame)
        forced = self._latest is None or frame.pts in self._keyframes
        picture.pict_type = PictureType.I if forced else PictureType.NONE
        stamp = clock.rescale(frame.pts, frame.time_base, self._context.time_base)
        self._latest = stamp if self._latest is None else max(stamp, self._latest + 1)
        self._times[self._latest] = (frame.pts, picture.duration or 0)
        picture.pts, picture.time_base = self._latest, self._context.time_base
        self.count += 1
        for packet in self._context.encode(picture):
            yield self._coded(packet)

    def last(self) -> list[Coded]:
        return [self._coded(packet) for packet in self._context.encode(None)]

    def _coded(self, packet: av.Packet) -> Coded:
        assert packet.pts is not None
        pts, duration = self._times.pop(packet.pts)
        return Coded(pts, duration, bool(packet.is_keyframe), bytes(packet))
