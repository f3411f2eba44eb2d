"""URLs that carry their own permission: HMAC-SHA256 over method, object, expiry and, for uploads, type and size.

Takes a secret, gives paths below /files and checks them. Knows no store and no request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

Method = Literal["GET", "PUT"]


@dataclass(frozen=True)
class Permission:
    """What a signed URL allows. GET covers HEAD."""

    method: Method
    key: str  # object in the store
    expires: int  # seconds since 1970
    content_type: str
    limit_bytes: int = 0  # of a PUT
    upload_id: str = ""  # that a PUT belongs to
    name: str = ""  # a GET is saved under

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires


class Signer:
    """Makes and checks tokens with one secret, asked for when it is first needed."""

    def __init__(self, find_secret: Callable[[], bytes]) -> None:
        self._find_secret = find_secret

    @cached_property
    def _secret(self) -> bytes:
        return self._find_secret()

    def token(self, permission: Permission) -> str:
        """A path segment: the permission itself and its signature, base64url."""
        body = json.dumps(asdict(permission), separators=(",", ":"), sort_keys=True).encode()
        return f"{_text(body)}.{_text(self._signature(body))}"

    def permission(self, token: str) -> Permission | None:
        """What a token allows, or None where it was not made here. Compared in constant time."""
        body_text, dot, signature_text = token.partition(".")
        try:
            body, signature = _bytes(body_text), _bytes(signature_text)
        except ValueError:
            return None
        if not dot or not hmac.compare_digest(signature, self._signature(body)):
            return None
        return Permission(**json.loads(body))

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Raises ValueError for what `_text` did not write."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(raw) != text:
        raise ValueError("not canonical")
    return raw
