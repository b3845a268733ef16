"""The image's health check, `python -m app.health`: asks the process on AGENT_PORT whether it lives, without curl."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

from app import contract

TIMEOUT_SECONDS = 2
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound


def main() -> int:
    host = os.environ.get(contract.ENV_HOST) or "127.0.0.1"
    port = int(os.environ.get(contract.ENV_PORT) or contract.PORT)
    try:
        connection = HTTPConnection(WILDCARDS.get(host, host), port, timeout=TIMEOUT_SECONDS)
        connection.request("GET", contract.LIVE_PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as failure:
        sys.stderr.write(f"{host}:{port} does not answer: {failure}\n")
        return 1
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
