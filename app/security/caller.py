"""Who asks: every row of a user carries this tenant and owner, and every query of the API names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["read", "run", "admin"]
LONGEST_NAME = 256
ALL_SCOPES: frozenset[Scope] = frozenset({"read", "run", "admin"})

OWNED = "tenant = %(tenant)s AND owner = %(owner)s"
"""The condition of every query that reads or changes a user's rows; its values are `Caller.owns`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of a tenant and what the user may do, until a moment in seconds since 1970."""

    tenant: str
    user: str
    scopes: frozenset[Scope]
    expires_at: float | None = None
    key_id: str | None = None  # of the API key, when one was sent

    @property
    def owns(self) -> dict[str, str]:
        """The values of OWNED."""
        return {"tenant": self.tenant, "owner": self.user}


LAPTOP = Caller(tenant="", user="", scopes=ALL_SCOPES)
"""The one user of a service without sign-in."""


def is_name(text: str) -> bool:
    """Of a user or a tenant. U+0000 and lone surrogates, which PostgreSQL cannot keep, are not printable."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()
