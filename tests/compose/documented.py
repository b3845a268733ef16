"""``python -m tests.compose.documented`` prints the commands of docs/operations/compose.md, for a machine with Docker."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "compose.md"


def commands() -> list[str]:
    """The page's blocks of commands: first what makes the secrets, then the start and a question."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)


if __name__ == "__main__":
    sys.stdout.write("\n".join(commands()))
