"""How an environment is composed and operated; each command runs as ``python -m stacks.<name>``."""
