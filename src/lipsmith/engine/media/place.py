"""Where an output goes: checked before the work, written under another name, there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import OutputContainer

from lipsmith.errors import DiskFull, LipsmithError, OutputNotWritable, UnsupportedVideo

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def require_place(source: Path, out: Path) -> None:
    """Fail before hours of work, not after. Raises OutputNotWritable."""
    folder = out.parent
    if not folder.is_dir():
        raise OutputNotWritable(f"{out} cannot be written: the folder {folder} does not exist; create it first.")
    if out.is_dir():
        raise OutputNotWritable(f"{out} cannot be written: it is a folder.")
    if out.exists() and source.exists() and out.samefile(source):
        raise OutputNotWritable(f"{out} is the source itself; choose another name.")
    if not os.access(folder, os.W_OK):
        raise OutputNotWritable(f"{out} cannot be written: no permission to write in {folder}.")


@contextlib.contextmanager
def appearing_whole(out: Path) -> Iterator[Path]:
    """A name beside `out` to write to; renamed at the end, deleted on any error."""
    part = out.with_name(f".{out.stem}.{uuid.uuid4().hex}{out.suffix}")
    try:
        yield part
        with writing(out):
            part.replace(out)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """FFmpeg's errors about the output in our words."""
    try:
        yield
    except LipsmithError:
        raise
    except (av.FFmpegError, OSError) as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(f"{path.parent}: there is no room left for the output.") from error
        if isinstance(error, OSError) and error.errno != errno.EPERM:  # which is a muxer's way to refuse a stream
            raise OutputNotWritable(f"{path.parent}: cannot be written ({error.strerror}).") from error
        raise UnsupportedVideo(f"The container {path.suffix} refuses these streams ({error.strerror}).") from error


def close_quietly(output: OutputContainer) -> None:
    with contextlib.suppress(av.FFmpegError, OSError):
        output.close()
