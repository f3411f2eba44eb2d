"""What the owner of a server decides: read once from the environment, frozen, checked with a sentence.

Every field is the environment variable LIPSMITH_ + its name in capitals; lists are comma-separated.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import platformdirs

from lipsmith.errors import RequestError
from lipsmith.service.addresses import Network

QUEUES = ("cpu", "gpu")  # what kinds of stages there are
_LEAST_SECRET_CHARACTERS = 32
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
    store_url: str | None = None  # s3://bucket/prefix, gs://…, az://…; default: a folder in the data folder
    store_endpoint: str | None = None  # of an S3 store that is not Amazon's
    direct_object_urls: bool = False  # bytes go between clients and the store, past this server
    signing_secret: str | None = None  # default: made at the first start, kept beside the database
    scratch_folder: Path | None = None  # copies and work of this machine; default: in the data folder
    cache_bytes: int = 20_000_000_000  # of copies of objects, where the store is no folder
    host: str = "127.0.0.1"
    port: int = 8000
    public_base_url: str | None = None  # scheme and host of signed URLs and absolute callbacks; default: the request's
    trusted_proxies: tuple[Network, ...] = ()  # addresses and networks whose X-Forwarded-* is believed
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
    poll_seconds: float = 1.0  # how often a worker asks for work
    worker_jobs: int = 1  # jobs at once in one worker
    queues: tuple[str, ...] = QUEUES  # which kinds of stages a worker serves
    part_frames: int = 3000  # encoded anew in one part of a long render, where several workers share it; 0: never
    tenant_jobs: int = 0  # heavy stages of one tenant at once, on all workers together; 0: any number
    measure: bool = True  # judge each finished dub: its figures under /api/jobs/{id}/quality
    previews: bool = True  # make H.264 previews of shots and dubs, which the page plays
    retention_days: int = 0  # outputs older than this are deleted; 0: kept

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        if self.database_url is None:
            return f"sqlite:///{self.data_folder / 'lipsmith.db'}"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.database_url)

    @property
    def objects_folder(self) -> Path:
        return self.data_folder / "objects"

    @property
    def scratch(self) -> Path:
        return self.scratch_folder or self.data_folder / "scratch"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ServiceSettings:
        """Read `environment` (default: the process's own). Raises RequestError for a value that cannot be used."""
        values = os.environ if environment is None else environment
        given: dict[str, object] = {}
        for setting in fields(cls):
            name = f"LIPSMITH_{setting.name.upper()}"
            if text := values.get(name, "").strip():
                given[setting.name] = _parsed(name, text, _READERS[setting.name])
        settings = cls(**given)  # type: ignore[arg-type]
        settings._check()
        return settings

    def _check(self) -> None:
        """Raises RequestError for settings that do not go together."""
        if self.store_url is None and self.direct_object_urls:
            raise RequestError(
                "LIPSMITH_DIRECT_OBJECT_URLS is on, but files lie in a folder, which has no URLs of its own: "
                "set LIPSMITH_STORE_URL, or turn it off."
            )
        if (self.store_url or "").startswith("az://") and self.direct_object_urls:
            raise RequestError(
                "LIPSMITH_DIRECT_OBJECT_URLS is on, but Azure takes an upload only with a header of its own "
                "(x-ms-blob-type), which clients of this API do not send: turn it off."
            )
        if self.store_endpoint and not (self.store_url or "").startswith("s3://"):
            raise RequestError(
                "LIPSMITH_STORE_ENDPOINT is the address of an S3 store: LIPSMITH_STORE_URL must be s3://…."
            )


def _parsed(name: str, text: str, read: Callable[[str], object]) -> object:
    try:
        return read(text)
    except ValueError as error:
        shown = "…" if name.endswith("_SECRET") else repr(text)
        raise RequestError(f"{name} is {shown}: {error}.") from error


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


def _store_url(text: str) -> str:
    if not re.fullmatch(r"(s3|gs|az)://[^\s/?#]+(/[^\s?#]*)?", text):
        raise ValueError("it must be such as s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    return text.rstrip("/")


def _secret(text: str) -> str:
    if len(text) < _LEAST_SECRET_CHARACTERS:
        raise ValueError(f"it must have at least {_LEAST_SECRET_CHARACTERS} characters")
    return text


def _queues(text: str) -> tuple[str, ...]:
    found = _list(text)
    for name in found:
        _one_of(*QUEUES)(name)
    return found


_READERS: dict[str, Callable[[str], object]] = {
    "data_folder": lambda text: Path(text).expanduser(),
    "database_url": str,
    "store_url": _store_url,
    "store_endpoint": _base_url,
    "direct_object_urls": _switch,
    "signing_secret": _secret,
    "scratch_folder": lambda text: Path(text).expanduser(),
    "cache_bytes": _whole,
    "host": str,
    "port": _whole,
    "public_base_url": _base_url,
    "trusted_proxies": lambda text: tuple(ipaddress.ip_network(part, strict=False) for part in _list(text)),
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
    "poll_seconds": _positive,
    "worker_jobs": _whole,
    "queues": _queues,
    "part_frames": _whole,
    "tenant_jobs": _whole,
    "measure": _switch,
    "previews": _switch,
    "retention_days": _whole,
}
