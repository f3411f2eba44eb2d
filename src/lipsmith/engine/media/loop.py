"""A video that starts anew with each end: the same frames at later times. Takes what plays it once, gives frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import VideoSpec


def period(video: VideoSpec) -> int:
    """Time from a frame to its next showing, in the video's time base."""
    return round(video.duration_seconds_from_content / video.time_base)


def stamps(once: np.ndarray, video: VideoSpec, seconds: float) -> np.ndarray:
    """(F,) int64 pts of the frames shown until `seconds`, rounded up to a frame. `once`: those of the video."""
    turns = int(np.ceil(seconds / video.duration_seconds_from_content)) + 1
    all_pts = np.concatenate([once + turn * period(video) for turn in range(turns)])
    starts = (all_pts - all_pts[0]) * float(video.time_base)
    return all_pts[starts < seconds - 1e-6]


def frames(play: Callable[[], Iterator[Frame]], video: VideoSpec, count: int) -> Iterator[Frame]:
    """`count` frames, numbered on through all showings."""
    done = turn = 0
    while done < count:
        before = done
        for frame in play():
            yield replace(frame, index=done, pts=frame.pts + turn * period(video))
            done += 1
            if done == count:
                return
        if done == before:
            return  # nothing can be decoded
        turn += 1
