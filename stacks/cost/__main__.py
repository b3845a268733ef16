"""``python -m stacks.cost``: what a stack costs a month."""

import sys

from stacks.cost.command import main
from stacks.terminal import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
