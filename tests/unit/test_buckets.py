"""A token bucket gives what its rate says, whatever the pattern of requests."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.security.buckets import LocalBuckets, Rate

pauses = st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=60)


@given(pauses, st.floats(min_value=0.5, max_value=50), st.integers(min_value=1, max_value=10))
def test_no_stretch_of_time_has_more_than_its_burst_and_its_rate(
    gaps: list[float], per_second: float, burst: int
) -> None:
    buckets, rate = LocalBuckets(), Rate(per_second, burst)
    taken = [now for now in accumulate(gaps) if not buckets.take("k", rate, now)]

    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + (end - begin) * per_second + 1e-3


@given(st.floats(min_value=0.5, max_value=50), st.integers(min_value=1, max_value=10))
def test_a_refused_request_is_let_through_when_it_waits_as_long_as_it_was_told_and_not_before(
    per_second: float, burst: int
) -> None:
    buckets, rate = LocalBuckets(), Rate(per_second, burst)
    assert [buckets.take("k", rate, 0) for _ in range(burst)] == [0] * burst
    wait = buckets.take("k", rate, 0)

    assert wait > 0
    assert buckets.take("k", rate, wait * 0.9) > 0
    assert buckets.take("k", rate, wait) == 0


def test_keys_do_not_share_a_bucket() -> None:
    buckets, rate = LocalBuckets(), Rate(1, 1)
    assert [buckets.take(key, rate, 0) for key in "abc"] == [0, 0, 0]
    assert all(buckets.take(key, rate, 0) for key in "abc")


def test_a_steady_client_at_its_rate_is_never_refused() -> None:
    buckets, rate = LocalBuckets(), Rate(3, 1)
    times = [number / 3 for number in range(1000)]
    assert not any(buckets.take("k", rate, now) for now in times)
