"""The page at `/`: built files of the package, served with a strict content policy. Holds no key and no data.

Page routes answer `index.html`; every other path stays what it was, so an unknown one is a 404 as before.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from lipsmith.service.context import Context
from lipsmith.service.handling import Here
from lipsmith.service.refusals import not_found

FOLDER = Path(__file__).parent.parent / "web"
NOT_BUILT = (
    "The page is not built: run scripts/setup where Node 20.19 or newer is installed. The API works without it.\n"
)
_NONCE_PLACE = "__NONCE__"  # written by web/index.html
_FOR_EVER = "public, max-age=31536000, immutable"  # names hold a hash of the content
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".map": "application/json"}

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.get("/shots")
@router.get("/shots/{_id}")
@router.get("/takes")
@router.get("/takes/{_id}")
@router.get("/voices")
@router.get("/projects")
def index(here: Here) -> Response:
    """The page itself; its one nonce lets the waveform's own style in."""
    path = FOLDER / "index.html"
    if not path.is_file():
        return PlainTextResponse(NOT_BUILT, 404)
    nonce = secrets.token_urlsafe(16)
    headers = {"Cache-Control": "no-cache", **_guards(nonce, _store(here))}
    return HTMLResponse(path.read_text(encoding="utf-8").replace(_NONCE_PLACE, nonce), headers=headers)


@router.get("/assets/{name}")
def asset(name: str) -> Response:
    path = FOLDER / "assets" / name
    if path.suffix not in _TYPES or path.parent != FOLDER / "assets" or not path.is_file():
        raise not_found()
    headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=headers)


def _store(here: Context) -> str:
    """The origin of the store's own URLs, with a space before it, where the page is given such."""
    if not here.settings.direct_object_urls:
        return ""
    address = urlsplit(here.storage.url("GET", "page", 1))
    return f" {address.scheme}://{address.netloc}"


def _guards(nonce: str, store: str) -> dict[str, str]:
    """Nothing from other hosts (but the store's bytes, where clients deal with it), nothing inline, no frame around."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": f"'self' 'nonce-{nonce}'",
        "img-src": f"'self' data:{store}",
        "media-src": f"'self'{store}",
        "connect-src": f"'self'{store}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
