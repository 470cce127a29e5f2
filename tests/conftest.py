"""Settings of the tests: random cases are the same in every run, unless BEDPLATE_RANDOM asks for new ones."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, print_blob=True)
settings.register_profile("new", derandomize=False, print_blob=True)
settings.load_profile("new" if os.environ.get("BEDPLATE_RANDOM") else "same")
