"""Lipsmith: self-hosted visual dubbing. The same file, speaking another voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipsmith.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The client, loaded when it is asked for: the command line does without."""
    if name in ("Client", "AsyncClient"):
        from lipsmith import client

        return getattr(client, name)
    raise AttributeError(f"module 'lipsmith' has no attribute {name!r}")
