"""The entry point of both: Pulumi's policy pack, and ``python -m policies`` over a captured graph or a state export."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    # The engine runs this folder as a script; its packages are beside it.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from policies.pack import serve

    serve()
elif __name__ == "__main__":
    from policies.command import main
    from stacks.terminal import run_command

    sys.exit(run_command(main))
