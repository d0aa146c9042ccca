"""What all tests share: how many examples the property tests try (HYPOTHESIS_PROFILE names one of these)."""

import os

from hypothesis import HealthCheck, settings

# Deadlines are off: a machine with two busy cores stalls now and then, and a stall is no finding.
settings.register_profile("dev", max_examples=30, deadline=None)
# The same examples at every run: a red run can be repeated, a green one says the same of the same code.
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.register_profile(
    "deep", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
