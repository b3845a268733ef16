"""Writes docs/reference/client-methods.md."""

from tests.service.client_methods.proofs import ROWS
from tests.service.client_methods.registry import PAGE, page

PAGE.write_text(page(ROWS))
