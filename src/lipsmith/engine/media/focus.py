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


_GRID = 16  # pixels: encoders read regions by the block, and a mouth that moves less is where it was
_GRAPHS = 16  # kept: each takes half a millisecond to make

_Marks = tuple[tuple[Box, float], ...]


class Focus:
    """Tells one encoder where to be finer."""

    def __init__(self, encoder: str) -> None:
        self._encoder = encoder
        self._graphs: dict[tuple[str, _Marks], Graph] = {}

    def marked(self, frame: Frame) -> av.VideoFrame:
        """The frame's picture for that FFmpeg encoder; the same samples, not copied."""
        picture = frame.picture
        marks = tuple((frame.coded(box).aligned(_GRID, picture.width, picture.height), _FINER) for box in frame.focus)
        if not marks and self._encoder in _ALWAYS:
            marks = ((Box(0, 0, picture.width, picture.height), 0.0),)
        if not marks or self._encoder not in _READING:
            return picture
        base = frame.time_base
        size = f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
        graph = self._graph(f"{size}:time_base={base.numerator}/{base.denominator}", marks)
        graph.push(picture)
        told = graph.pull()
        assert isinstance(told, av.VideoFrame)
        return told

    def _graph(self, source: str, marks: _Marks) -> Graph:
        """The one that marks pictures of this description so."""
        if (source, marks) not in self._graphs:
            if len(self._graphs) == _GRAPHS:
                self._graphs.clear()
            self._graphs[source, marks] = _made(source, marks)
        return self._graphs[source, marks]


def _made(source: str, marks: _Marks) -> Graph:
    graph = Graph()
    last = graph.add("buffer", source)
    for box, finer in marks:
        marking = graph.add("addroi", f"{box.left}:{box.top}:{box.width}:{box.height}:{finer}")
        last.link_to(marking)
        last = marking
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
