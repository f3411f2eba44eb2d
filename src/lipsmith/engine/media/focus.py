"""Finer where a viewer looks: regions of a picture that its encoder shall quantise less.

Takes a frame with its `focus`, gives the picture with FFmpeg's regions of interest beside its samples, as x264, x265
and libvpx read them (not of interlaced pictures: FFmpeg passes none on). New lips are detail that the source's octets
never held: at the source's quantiser they come out softer than the skin around them (docs/log.md).
"""

from __future__ import annotations

import av
from av.filter import Graph

from lipsmith.engine.media.frame import Box, Frame

_FINER = -0.1  # of the encoder's quantiser range: 5 of H.264's 51
# x264 and x265 read no regions where quantisers do not vary by place: with this they do, by next to nothing.
VARYING = "aq-mode=1:aq-strength=0.01"
_READING = {"libx264", "libx265", "libvpx-vp9"}  # SVT-AV1, too, in blocks so large that a mouth gains nothing


# x265 makes room for regions when it makes room for a picture, and writes them there without asking: a picture with
# regions after others without ends the process. libvpx keeps the last ones. So each of their pictures has some.
_ALWAYS = {"libx265", "libvpx-vp9"}


def focused(frame: Frame, encoder: str) -> av.VideoFrame:
    """The frame's picture for an FFmpeg encoder; the same samples, not copied."""
    picture = frame.picture
    regions = [(box, _FINER) for box in frame.focus]
    if not regions and encoder in _ALWAYS:
        regions = [(Box(0, 0, picture.width, picture.height), 0.0)]
    if not regions or encoder not in _READING:
        return picture
    graph, base = Graph(), frame.time_base
    size = f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
    last = graph.add("buffer", f"{size}:time_base={base.numerator}/{base.denominator}")
    for box, finer in regions:
        marked = graph.add("addroi", f"{box.left}:{box.top}:{box.width}:{box.height}:{finer}")
        last.link_to(marked)
        last = marked
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(picture)
    told = graph.pull()
    assert isinstance(told, av.VideoFrame)
    return told
