"""Hypothesis profiles: `ci` by default, `--hypothesis-profile=thorough` for a long hunt."""

import pytest
from hypothesis import HealthCheck, settings

# Failed checks in these show values, as those in tests do.
pytest.register_assert_rewrite("distribution_checks", "selection_checks")

UNHURRIED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("ci", derandomize=True, database=None, max_examples=80, **UNHURRIED)
settings.register_profile("thorough", max_examples=2000, **UNHURRIED)
settings.load_profile("ci")
