"""What all unit tests share."""

from hypothesis import settings

# The same examples in every run, and however slow the machine is.
settings.register_profile("coterie", deadline=None, derandomize=True, database=None)
settings.load_profile("coterie")
