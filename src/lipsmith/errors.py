"""Every error that Lipsmith raises on purpose.

    LipsmithError
    ├── InputError                 a file that was given cannot be used        exit 3
    │   ├── FileMissing            file_missing
    │   ├── FileEmpty              file_empty
    │   ├── FileNotReadable        file_not_readable   (permission)
    │   ├── NotMedia               not_media           (no known container)
    │   ├── BrokenMedia            broken_media        (truncated, corrupt)
    │   ├── NoVideoStream          no_video_stream
    │   ├── NoAudioStream          no_audio_stream
    │   ├── UnsupportedVideo       unsupported_video   (cannot be written back)
    │   └── BadActorFile           bad_actor_file
    ├── RequestError               what was asked does not fit the file        exit 2
    │   ├── BadRange               bad_range
    │   └── UnknownActor           unknown_actor
    ├── FaceError                  the picture shows nobody to dub             exit 4
    │   └── NoFace                 no_face
    ├── OutputError                the result cannot be written                exit 5
    │   ├── OutputNotWritable      output_not_writable
    │   └── DiskFull               disk_full
    ├── WeightsError               a network's weights are not there           exit 6
    │   ├── WeightsMissing         weights_missing
    │   └── WeightsCorrupt         weights_corrupt
    └── MissingExtra               missing_extra       (torch not installed)   exit 6

`code` is stable and part of the public interface; the sentence may be reworded. Every sentence names the
file or value, the reason and, where there is one, the remedy.
"""

from __future__ import annotations


class LipsmithError(Exception):
    """Base of all errors with a stable `code` and the process's `exit_code`."""

    code = "error"
    exit_code = 1


class InputError(LipsmithError):
    exit_code = 3


class FileMissing(InputError):
    code = "file_missing"


class FileEmpty(InputError):
    code = "file_empty"


class FileNotReadable(InputError):
    code = "file_not_readable"


class NotMedia(InputError):
    code = "not_media"


class BrokenMedia(InputError):
    code = "broken_media"


class NoVideoStream(InputError):
    code = "no_video_stream"


class NoAudioStream(InputError):
    code = "no_audio_stream"


class UnsupportedVideo(InputError):
    code = "unsupported_video"


class BadActorFile(InputError):
    code = "bad_actor_file"


class RequestError(LipsmithError):
    code = "bad_request"
    exit_code = 2


class BadRange(RequestError):
    code = "bad_range"


class UnknownActor(RequestError):
    code = "unknown_actor"


class FaceError(LipsmithError):
    exit_code = 4


class NoFace(FaceError):
    code = "no_face"


class OutputError(LipsmithError):
    exit_code = 5


class OutputNotWritable(OutputError):
    code = "output_not_writable"


class DiskFull(OutputError):
    code = "disk_full"


class WeightsError(LipsmithError):
    exit_code = 6


class WeightsMissing(WeightsError):
    code = "weights_missing"


class WeightsCorrupt(WeightsError):
    code = "weights_corrupt"


class MissingExtra(LipsmithError):
    code = "missing_extra"
    exit_code = 6
