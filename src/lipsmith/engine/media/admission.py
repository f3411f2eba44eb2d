"""What cannot be worked on is refused at once: files are opened, not read, and nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lipsmith.engine.media import decode
from lipsmith.engine.media.place import require_place
from lipsmith.engine.media.probe import main_video_stream, no_video, open_input


def admit(shot: Path, voices: Iterable[Path] = (), out: Path | None = None) -> None:
    """Raises the InputErrors of a file that is no film or no sound, and OutputNotWritable."""
    with open_input(shot) as container:
        if main_video_stream(container) is None:
            raise no_video(shot)
    for voice in voices:
        decode.channel_count(voice, None)
    if out is not None:
        require_place(shot, out)
