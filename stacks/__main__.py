"""The Pulumi program: settings in, platform out."""

import sys
from pathlib import Path

# The engine puts this folder first on sys.path, where our platform.py would hide the standard library's.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != HERE)]

import pulumi  # noqa: E402 - after the path is set
from pulumi.runtime import config as stack_config  # noqa: E402 - as above

from infra.problems import SettingsError  # noqa: E402 - as above
from infra.settings import load  # noqa: E402 - as above
from stacks.platform import build  # noqa: E402 - as above

try:
    # All keys, not the known ones only: a misspelt key must be refused, and pulumi.Config cannot list.
    settings = load({**stack_config.get_config_env(), **stack_config.CONFIG.get()})
except SettingsError as error:
    raise pulumi.RunError(f"the configuration of this stack is refused:\n{error}") from None

build(settings)
