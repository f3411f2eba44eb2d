"""What the owner of a server decides: read once from the environment, frozen, checked with a sentence.

Every field is the environment variable LIPSMITH_ + its name in capitals; lists are comma-separated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import platformdirs

from lipsmith.errors import RequestError

_RATE = re.compile(r"(\d+)/(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class RateLimit:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True)
class ServiceSettings:
    """One server. Sizes in bytes, times in seconds."""

    data_folder: Path = field(default_factory=lambda: platformdirs.user_data_path("lipsmith"))  # database, files
    database_url: str | None = None  # default: SQLite in the data folder
    host: str = "127.0.0.1"
    port: int = 8000
    public_base_url: str | None = None  # scheme and host of signed URLs and absolute callbacks; default: the request's
    trusted_proxies: tuple[str, ...] = ()  # whose X-Forwarded-* is believed
    cors_origins: tuple[str, ...] = ()  # of /v1 and /api
    url_allow_hosts: tuple[str, ...] = ()  # host, host:port or CIDR that may be called though private
    callback_paths: str = "relative"  # or absolute: full success_url and failure_url
    finished_word: str = "finished"  # or completed: in the generate status call alone
    rate_limit_uploads: RateLimit | None = None  # e.g. 10/hour, per tenant, on creating uploads
    quota_minutes: float | None = None  # credits per tenant, in minutes of source video
    max_video_bytes: int = 15_000_000_000
    max_audio_bytes: int = 104_857_600
    upload_url_ttl: int = 86_400
    download_url_ttl: int = 3_600
    ingest_timeout: int = 900
    webhook_timeout: float = 5.0
    webhook_retry_delays: tuple[float, ...] = (10.0, 60.0, 300.0)
    lease_seconds: float = 20.0  # a worker that is silent for longer has died
    worker_jobs: int = 1  # jobs at once in one worker
    measure: bool = True  # judge each finished dub: its figures under /api/jobs/{id}/quality
    previews: bool = True  # make H.264 previews of shots and dubs, which the page plays
    retention_days: int = 0  # outputs older than this are deleted; 0: kept

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        if self.database_url is None:
            return f"sqlite:///{self.data_folder / 'lipsmith.db'}"
        return self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def objects_folder(self) -> Path:
        return self.data_folder / "objects"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ServiceSettings:
        """Read `environment` (default: the process's own). Raises RequestError for a value that cannot be used."""
        values = os.environ if environment is None else environment
        given: dict[str, object] = {}
        for setting in fields(cls):
            name = f"LIPSMITH_{setting.name.upper()}"
            if text := values.get(name, "").strip():
                given[setting.name] = _parsed(name, text, _READERS[setting.name])
        return cls(**given)  # type: ignore[arg-type]


def _parsed(name: str, text: str, read: Callable[[str], object]) -> object:
    try:
        return read(text)
    except ValueError as error:
        raise RequestError(f"{name} is {text!r}: {error}.") from error


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("it must be a whole number from 0")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError("it must be a number") from error
    if not 0 < value < 1e12:
        raise ValueError("it must be above 0")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return read


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _rate(text: str) -> RateLimit | None:
    if text == "off":
        return None
    found = _RATE.fullmatch(text)
    if found is None or int(found[1]) < 1:
        raise ValueError("it must be such as 10/hour, or off")
    return RateLimit(int(found[1]), _SECONDS[found[2]])


def _base_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+/?", text):
        raise ValueError("it must be such as https://dub.example.com")
    return text.rstrip("/")


_READERS: dict[str, Callable[[str], object]] = {
    "data_folder": lambda text: Path(text).expanduser(),
    "database_url": str,
    "host": str,
    "port": _whole,
    "public_base_url": _base_url,
    "trusted_proxies": _list,
    "cors_origins": _list,
    "url_allow_hosts": _list,
    "callback_paths": _one_of("relative", "absolute"),
    "finished_word": _one_of("finished", "completed"),
    "rate_limit_uploads": _rate,
    "quota_minutes": lambda text: None if text == "off" else _positive(text),
    "max_video_bytes": _whole,
    "max_audio_bytes": _whole,
    "upload_url_ttl": _whole,
    "download_url_ttl": _whole,
    "ingest_timeout": _whole,
    "webhook_timeout": _positive,
    "webhook_retry_delays": lambda text: tuple(_positive(part) for part in _list(text)),
    "lease_seconds": _positive,
    "worker_jobs": _whole,
    "measure": _switch,
    "previews": _switch,
    "retention_days": _whole,
}
