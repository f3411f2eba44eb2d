"""Which names and types may be uploaded, and what a name may be. The contract's §7.1 and §7.2."""

from __future__ import annotations

from typing import Literal

Kind = Literal["video", "audio"]

# Types of one line are equal; the first is the usual one.
_VIDEO: dict[str, tuple[str, ...]] = {
    ".mp4": ("video/mp4",),
    ".mov": ("video/quicktime",),
    ".avi": ("video/x-msvideo", "video/avi", "video/msvideo"),
    ".webm": ("video/webm",),
    ".mkv": ("video/x-matroska",),
}
_AUDIO: dict[str, tuple[str, ...]] = {
    ".mp3": ("audio/mpeg", "audio/mp3"),
    ".wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    ".m4a": ("audio/mp4", "audio/m4a", "audio/x-m4a"),
    ".aac": ("audio/aac",),
    ".ogg": ("audio/ogg", "application/ogg"),
    ".flac": ("audio/flac", "audio/x-flac"),
    ".mp4": ("video/mp4",),
    ".mov": ("video/quicktime",),
}
FORMATS: dict[str, dict[str, tuple[str, ...]]] = {"video": _VIDEO, "audio": _AUDIO}


def bare(content_type: str) -> str:
    """Lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def allowed(kind: Kind, content_type: str) -> bool:
    return any(bare(content_type) in types for types in FORMATS[kind].values())


def same(a: str, b: str) -> bool:
    """Whether two types are one, aliases included."""
    a, b = bare(a), bare(b)
    lines = [*_VIDEO.values(), *_AUDIO.values()]
    return a == b or any(a in types and b in types for types in lines)


def extension(name: str) -> str:
    """The last extension in lower case with its dot, or nothing."""
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem and last else ""


def extension_allowed(kind: Kind, name: str) -> bool:
    return extension(name) in ("", *FORMATS[kind])


def type_of(name: str) -> str:
    """The content type of an output by its extension."""
    return _VIDEO.get(extension(name), ("application/octet-stream",))[0]


def bad_name(name: str) -> bool:
    """Separators, control characters, or nothing but dots."""
    return any(c in "/\\" or ord(c) < 32 or 127 <= ord(c) < 160 for c in name) or name in (".", "..") or not name
