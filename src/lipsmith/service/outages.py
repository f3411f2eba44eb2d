"""What it looks like when database or store are away for a while: nobody's fault, and to be tried again."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from lipsmith.service.storage import StoreAway

AWAY = (OperationalError, InterfaceError, NoConnection, StoreAway)


def is_away(error: BaseException) -> bool:
    """Also an error of another kind in the middle of which the connection was lost."""
    return isinstance(error, AWAY) or (isinstance(error, DBAPIError) and error.connection_invalidated)
