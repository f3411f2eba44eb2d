"""The new first soundtrack of an output: the voices over the source's own sound, encoded anew only where it is new.

Takes the source, the voices and what is wished of the track; adds a stream to the output and gives its packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsmith.engine.media import clock, decode, dialogue, soundgraft
from lipsmith.engine.media.soundgraft import SoundSplice, SplicedSound, Stretch
from lipsmith.engine.media.soundtrack import Bed, SoundEncoder, SoundPlan, Voice, mix
from lipsmith.engine.media.spec import MediaSpec, VideoSpec


@dataclass(frozen=True)
class NewTrack:
    """How the new soundtrack stands beside the source's."""

    language: str | None = None  # its tag, ISO 639-2 ("fra"); None: as the track it replaces
    keeps_original: bool = False  # it comes before the source's tracks, all of which stay
    own_before: bool = False  # until the first voice begins the source's own sound is heard, not silence
    own_after: bool = False  # and where no voice sounds later


@dataclass(frozen=True)
class LaidTrack:
    """The new soundtrack in an output."""

    stream: AudioStream
    packets: Iterator[av.Packet]
    graft: SplicedSound | None = None

    @property
    def packets_copied(self) -> int:
        """How many of those that have been given are the source's."""
        return 0 if self.graft is None else self.graft.packets_copied


@dataclass(frozen=True)
class Sound:
    """What is to be heard: the voices, and the track that they replace, if there is one."""

    source: MediaSpec
    video: VideoSpec
    voices: tuple[Voice, ...]
    plan: SoundPlan
    wish: NewTrack

    def lay(
        self, output: OutputContainer, replaced: AudioStream | None, start_seconds: float, *, may_splice: bool
    ) -> LaidTrack:
        """Add its stream to the output. `replaced`: the track it takes the place of, as opened from the source.

        `start_seconds`: of the first picture, on the output's clock.
        """
        splice = self._splice() if replaced is not None and may_splice else None
        if splice is not None and replaced is not None:
            graft = SplicedSound(output, replaced, splice)
            return LaidTrack(graft.stream, graft.packets(self._around(splice)), graft)
        encoder = SoundEncoder(output, self.plan, start_seconds)
        return LaidTrack(encoder.stream, encoder.packets(self._whole()))

    def _splice(self) -> SoundSplice | None:
        """Which packets of the replaced track give way; None where all must."""
        wish, rate = self.wish, self.plan.sample_rate
        if not self.source.audio or not self.voices or not (wish.own_before or wish.own_after):
            return None
        end = self._origin + self.video.duration_seconds_from_content
        starts, ends = [self._origin + voice.start_seconds for voice in self.voices], [end]
        if wish.own_after:
            lengths = [decode.sample_count(voice.path, voice.stream_index, rate) for voice in self.voices]
            ends = [start + length / rate for start, length in zip(starts, lengths, strict=True)]
        stretch = Stretch(min(starts), min(max(ends), end))
        if stretch.start_seconds >= stretch.end_seconds:
            return None  # no voice begins before the pictures end
        index = self.source.audio[0].stream_index
        return soundgraft.plan(self.source.path, index, self.plan, stretch, end, is_copied_after=wish.own_after)

    @property
    def _origin(self) -> float:
        """The first picture, in seconds on the container's clock."""
        return clock.seconds_of_pts(self.video.start_pts, self.video.time_base)

    def _whole(self) -> Iterator[np.ndarray]:
        """From the first picture to the end of the last."""
        total = clock.sample_of_seconds(self.video.duration_seconds_from_content, self.plan.sample_rate)
        placement = self._placement()
        bed = None
        if self.source.audio and (self.wish.own_before or self.wish.own_after or placement.keeps_any):
            index = self.source.audio[0].stream_index
            own = decode.audio(
                self.source.path, index, self.plan.sample_rate, self.plan.layout, origin_seconds=self._origin
            )
            bed = Bed(own, self.wish.own_before, self.wish.own_after)
        return mix(self.voices, self.plan, total, placement, bed)

    def _around(self, splice: SoundSplice) -> Iterator[np.ndarray]:
        """As much of it as is encoded of a spliced track: where no voice sounds, what the copied packets go on with."""
        shift = self._origin - splice.opening_seconds
        voices = [replace(voice, start_seconds=voice.start_seconds + shift) for voice in self.voices]
        bed = Bed(soundgraft.own(splice), before=True, after=self.wish.own_after)
        return mix(voices, self.plan, splice.sample_count, self._placement(), bed)

    def _placement(self) -> dialogue.Placement:
        if not self.source.audio:
            return dialogue.everywhere(self.plan.layout)
        return dialogue.place(self.source.path, self.source.audio[0].stream_index, self.plan.layout)
