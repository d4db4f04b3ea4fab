"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test has a limit by the wall clock: a busy machine is no fault of what is tested.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")
