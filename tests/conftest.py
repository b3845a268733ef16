"""For every test: hypothesis judges behaviour, never the clock of a busy machine."""

from hypothesis import settings

settings.register_profile("project", deadline=None)
settings.load_profile("project")
