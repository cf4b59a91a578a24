"""One profile for all property tests: the same examples in every run, and no clock."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "minuddm",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("minuddm")
