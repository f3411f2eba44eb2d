"""The sound stream of a spliced output: the source's packets, with one stretch of them encoded anew in their place.

Takes a track and where new sound is heard in it, gives packets in order. What is copied is copied bit for bit.
Transform codecs make every sample out of two packets (windows overlap; ISO/IEC 14496-3, 4.6.11), so where a copied and
a new packet meet both must stand for the same sound: seams lie where the source's own sound is still, or again, heard.
How well two packets meet hangs on the windows that two encoders chose there; of some places the seam is put where what
a decoder makes of it is nearest to the source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import PacketSideData

from lipsmith.engine.media.coded import packet_of
from lipsmith.engine.media.probe import open_input
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.soundtrack import Reader, SoundPlan, codec_of, encoder_delay, open_encoder, sound_frame

# Transform codecs whose packets lean on earlier ones for the overlap alone. MP3 (bit reservoir), Opus and Vorbis (block
# sizes) lean on more, FLAC numbers its frames.
_OVERLAPPING = ("aac", "ac3", "eac3")
_SEAM_SECONDS = 0.5  # within which the best place for a seam is looked for
_RUN_UP = 3  # packets that an encoder or a decoder is given before the first one that counts
_ROUNDING_SECONDS = 0.00105  # of time stamps; containers count milliseconds at the coarsest
_AAC_CONFIG_BYTES = 2  # object type, rate, channels, frame length (ISO/IEC 14496-3, 1.6.2.1)
_SKIP: Literal["skip_samples"] = "skip_samples"  # of the encoder's delay


@dataclass(frozen=True)
class Stretch:
    """Where new sound is heard, in seconds on the container's clock, half open."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class SoundSplice:
    """Which packets of a track give way. Packets are numbered as in the file; sample 0 is the first one's first."""

    path: Path
    stream_index: int
    sound: SoundPlan
    starts: np.ndarray  # (P + 1,) int64: first sample of each packet, and the end
    origin_seconds: float  # of sample 0, on the container's clock, as the packets that give way tell it
    delay: int  # samples by which the encoder's packets come before what they were made from
    first: range  # packets that may be the first new one
    resume: range  # packets that may be the first one copied again; empty: none is copied again
    run_up: int

    @property
    def count(self) -> int:
        """Packets of the track."""
        return len(self.starts) - 1

    @property
    def made(self) -> range:
        """Packets that the encoder makes: with its run-up, and with those to choose from."""
        return range(self.first.start - self.run_up, self.resume.stop + self.run_up)

    def sample(self, number: int) -> int:
        """First sample of a packet; those of a run-up may lie before the track's first one or after its last."""
        inside = min(max(number, 0), self.count)
        return int(self.starts[inside]) + (number - inside) * int(self.starts[1])

    @property
    def opening_seconds(self) -> float:
        """From when on, on the container's clock, `SplicedSound.packets` wants its sound."""
        return self.origin_seconds + (self.sample(self.made.start) + self.delay) / self.sound.sample_rate

    @property
    def sample_count(self) -> int:
        """How much sound it takes from there."""
        return self.sample(self.made.stop) - self.sample(self.made.start)


def plan(
    path: Path, stream_index: int, sound: SoundPlan, stretch: Stretch, end_seconds: float, *, is_copied_after: bool
) -> SoundSplice | None:
    """How the track is spliced with `stretch` anew; None where it cannot be, or where nothing would be copied.

    `end_seconds`: until when, on the container's clock, there are pictures: unless `is_copied_after`, the track ends
    there. Reads the packets of the track once. Raises what `open_input` raises.
    """
    if sound.differences or not (_is_pcm(sound) or codec_of(sound) in _OVERLAPPING):
        return None
    with open_input(path) as container:
        stream = _track(container.streams.audio, stream_index)
        if stream.codec_context is None or not _is_like(stream, sound):
            return None
        delay, length = (0, 0) if _is_pcm(sound) else encoder_delay(sound)
        octets = _octets_per_sample(sound) if _is_pcm(sound) else 0
        seconds: list[float] = []
        lengths: list[int] = []
        with contextlib.suppress(av.FFmpegError):  # of what is lost, the copy of other streams tells
            for packet in demuxed(container, stream):
                if packet.size:
                    if packet.pts is None:
                        return None
                    seconds.append(float(packet.pts * packet.time_base))
                    lengths.append(length or packet.size // octets)
    if not seconds:
        return None
    run_up = 0 if _is_pcm(sound) else _RUN_UP
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    track = SoundSplice(path, stream_index, sound, starts, 0.0, delay, range(0), range(0), run_up)
    return _placed(track, np.array(seconds), stretch, end_seconds, is_copied_after)


def _placed(
    track: SoundSplice, seconds: np.ndarray, stretch: Stretch, end_seconds: float, is_copied_after: bool
) -> SoundSplice | None:
    """With seams outside the stretch, each with places to choose from. `seconds`: (P,) when each packet begins."""
    count, rate = track.count, track.sound.sample_rate
    ends = seconds + np.diff(track.starts) / rate
    if stretch.start_seconds < seconds[0] or min(stretch.end_seconds, end_seconds) > ends[-1]:
        return None  # sound is wanted where the track has none
    seams = 1 if _is_pcm(track.sound) else max(round(_SEAM_SECONDS * rate / int(track.starts[1])), 1)
    first = int(np.searchsorted(ends, stretch.start_seconds - _ROUNDING_SECONDS, "right")) - 1  # the last one before it
    resume = int(np.searchsorted(seconds, stretch.end_seconds + _ROUNDING_SECONDS, "left"))  # the first one after it
    origins = seconds - track.starts[:-1] / rate  # of the track, as each packet tells it
    whole = _regular(origins, max(first, 0), min(resume, count - 1))
    if whole is None:
        return None  # a hole where the voice is, or packets of other lengths than this encoder's
    before = range(max(first - seams + 1, whole.start + _RUN_UP), first + 1)
    after = range(resume, min(resume + seams, whole.stop)) if is_copied_after else range(0)
    if not before and not after:
        return None
    finish = count if is_copied_after else int(np.searchsorted(seconds, end_seconds, "left"))
    splice = replace(track, first=before or range(1), resume=after or range(finish, finish))
    if splice.made.start < whole.start - track.run_up or splice.resume.start > whole.stop:
        return None
    return replace(splice, origin_seconds=float(origins[whole.start : whole.stop].mean()))


def _regular(origins: np.ndarray, first: int, last: int) -> range | None:
    """The packets around these that lie on one grid with them; None where those themselves do not."""
    off = np.flatnonzero(np.abs(origins - np.median(origins[first : last + 1])) > 2 * _ROUNDING_SECONDS)
    if np.any((off >= first) & (off <= last)):
        return None
    return range(int(off[off < first].max(initial=-1)) + 1, int(off[off > last].min(initial=len(origins))))


def own(splice: SoundSplice) -> Iterator[np.ndarray]:
    """The source's sound from `opening_seconds` on, in blocks of (channels, n): packet for packet, whatever its stamps.

    Raises BrokenMedia and FFmpegError.
    """
    from_packet = max(splice.made.start - splice.run_up, 0)
    skipped = splice.sample(splice.made.start) + splice.delay - splice.sample(from_packet)
    with open_input(splice.path) as container:
        stream = _track(container.streams.audio, splice.stream_index)
        decoder = _Decoder(stream)
        if skipped < 0:
            yield np.zeros((decoder.channels, -skipped), np.float32)
        for number, packet in enumerate(packet for packet in demuxed(container, stream) if packet.size):
            if number < from_packet:
                continue
            block = decoder.decode(packet, splice.sample(number + 1) - splice.sample(number))
            cut = min(max(skipped, 0), block.shape[1])
            skipped -= cut
            if block.shape[1] > cut:
                yield block[:, cut:]


class SplicedSound:
    """One audio stream of an output: copied packets, new ones, copied ones."""

    def __init__(self, output: OutputContainer, stream: AudioStream, splice: SoundSplice) -> None:
        """`stream`: the track as opened from the source."""
        self._splice = splice
        self.stream = output.add_stream_from_template(stream, opaque=True)
        self.stream.metadata.clear()  # whoever names the new track takes what tags it should have
        self.packets_copied = 0

    def packets(self, blocks: Iterator[np.ndarray]) -> Iterator[av.Packet]:
        """All packets; `blocks`, (channels, n) each, are the new sound from `opening_seconds` on."""
        splice = self._splice
        with open_input(splice.path) as container:
            track = _track(container.streams.audio, splice.stream_index)
            theirs = _Window((packet for packet in demuxed(container, track) if packet.size), 0)
            ours = _Window(_made(splice, blocks), splice.made.start)
            yield from self._copied(theirs, range(splice.first.start))
            first = _seam(track, splice, splice.first, left=theirs, right=ours, own=theirs)
            yield from self._copied(theirs, range(splice.first.start, first))
            yield from self._new(theirs, ours, range(first, splice.resume.start))
            if splice.resume:
                resume = _seam(track, splice, splice.resume, left=ours, right=theirs, own=theirs)
                yield from self._new(theirs, ours, range(splice.resume.start, resume))
                yield from self._copied(theirs, range(resume, splice.count))

    def _copied(self, theirs: _Window, numbers: range) -> Iterator[av.Packet]:
        for number in numbers:
            packet = theirs[number]
            theirs.forget(number - _RUN_UP)
            packet.stream = self.stream
            self.packets_copied += 1
            yield packet

    def _new(self, theirs: _Window, ours: _Window, numbers: range) -> Iterator[av.Packet]:
        """Each with the times of the one it replaces."""
        for number in numbers:
            theirs.forget(number - _RUN_UP)
            ours.forget(number - _RUN_UP)
            replaced, packet = theirs[number], packet_of(bytes(ours[number]))
            packet.stream, packet.time_base = self.stream, replaced.time_base
            packet.pts, packet.dts, packet.duration = replaced.pts, replaced.dts, replaced.duration
            packet.is_keyframe = True
            if replaced.has_sidedata(_SKIP):
                PacketSideData.from_packet(replaced, _SKIP).to_packet(packet)
            yield packet


class _Window:
    """Numbered packets of a stream that goes by; as many are held as are not forgotten."""

    def __init__(self, packets: Iterator[av.Packet], first: int) -> None:
        self._packets, self._next = packets, first
        self._held: dict[int, av.Packet] = {}

    def __getitem__(self, number: int) -> av.Packet:
        while self._next <= number:
            self._held[self._next] = next(self._packets)
            self._next += 1
        return self._held[number]

    def forget(self, before: int) -> None:
        for number in [number for number in self._held if number < before]:
            del self._held[number]


class _Decoder:
    """A track's decoder, given packets one by one."""

    def __init__(self, track: AudioStream) -> None:
        theirs = track.codec_context
        context = av.CodecContext.create(theirs.codec.name, "r")
        assert isinstance(context, AudioCodecContext)
        context.extradata = theirs.extradata
        context.sample_rate, context.layout, context.format = theirs.sample_rate, theirs.layout, theirs.format
        self._context = context
        self._resampler = av.AudioResampler(format="fltp", layout=theirs.layout.name, rate=theirs.sample_rate)
        self.channels = theirs.layout.nb_channels

    def decode(self, packet: av.Packet, samples: int) -> np.ndarray:
        """(channels, samples) float32; silence where the packet is damaged or gives less."""
        sound = np.zeros((self.channels, 0), np.float32)
        with contextlib.suppress(av.FFmpegError, ValueError):  # of a damaged packet that claims to be of another form
            for frame in self._context.decode(packet_of(bytes(packet))):
                frame.pts = None
                for part in self._resampler.resample(frame):
                    sound = np.concatenate([sound, part.to_ndarray()], axis=1)
        return np.pad(sound, ((0, 0), (max(samples - sound.shape[1], 0), 0)))[:, -samples:]


def _made(splice: SoundSplice, blocks: Iterator[np.ndarray]) -> Iterator[av.Packet]:
    """The encoder's packets, one for each of `splice.made`."""
    context = open_encoder(splice.sound)
    reader = Reader(blocks, context.layout.nb_channels)
    for number in splice.made:
        length = splice.sample(number + 1) - splice.sample(number)
        pts = splice.sample(number) - splice.sample(splice.made.start)
        yield from context.encode(sound_frame(reader.read(length)[0], splice.sound, pts))
    yield from context.encode(None)


def _seam(
    track: AudioStream, splice: SoundSplice, places: range, *, left: _Window, right: _Window, own: _Window
) -> int:
    """Which of these packets is the first that comes from `right`, all before it being from `left`."""
    if len(places) == 1:
        return places.start
    begin = places.start - _RUN_UP
    decoder = _Decoder(track)
    truth = {
        number: decoder.decode(own[number], splice.sample(number + 1) - splice.sample(number))
        for number in range(begin, places.stop)
    }

    def error(number: int) -> float:
        decoder = _Decoder(track)
        packets = [*(left[before] for before in range(number - _RUN_UP, number)), right[number]]
        sound = [decoder.decode(packet, truth[number].shape[1]) for packet in packets][-1]
        return float(np.square(sound - truth[number]).sum())

    return min(places, key=error)


def _track(streams: Sequence[AudioStream], stream_index: int) -> AudioStream:
    return next(stream for stream in streams if stream.index == stream_index)


def _is_pcm(sound: SoundPlan) -> bool:
    return codec_of(sound).startswith("pcm_")


def _octets_per_sample(sound: SoundPlan) -> int:
    """Of all channels, as the encoder writes them."""
    silence = np.zeros((av.AudioLayout(sound.layout).nb_channels, 1), np.float32)
    context = open_encoder(sound)
    packets = context.encode(sound_frame(silence, sound, 0))
    return sum(packet.size for packet in (*packets, *context.encode(None)))


def _is_like(track: AudioStream, sound: SoundPlan) -> bool:
    """Can one decoder, told once what comes, play both encoders' packets?"""
    if codec_of(sound) != "aac":
        return True
    theirs, ours = track.codec_context, open_encoder(sound)
    ours.open()
    asked, given = (bytes(context.extradata or b"")[:_AAC_CONFIG_BYTES] for context in (theirs, ours))
    return len(asked) == _AAC_CONFIG_BYTES and asked == given
