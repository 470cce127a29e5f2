"""Settings of the tests: random cases are the same in every run, unless BEDPLATE_RANDOM asks for new ones."""

import os

from hypothesis import settings

# No deadline: how long one case takes says more of the machine than of the code.
settings.register_profile("same", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("new", derandomize=False, print_blob=True, deadline=None)
settings.load_profile("new" if os.environ.get("BEDPLATE_RANDOM") else "same")
