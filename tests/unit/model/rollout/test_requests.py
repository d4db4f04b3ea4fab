"""Which requests are bad, whose they are, and what a histogram says. Labels are those of Istio's metrics."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.counters import (
    Labels,
    Sample,
    label_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import (
    LabelError,
    RequestCounts,
    VersionWorkloads,
    bucket_bounds,
    by_bound,
    choose_bound,
    count_requests,
    count_slow,
    is_bad,
    merged,
    quantile,
)

VERSIONS = VersionWorkloads("shop", "api-v1", "api-v2")


def labels(**values: str) -> Labels:
    return frozenset(values.items())


@pytest.mark.parametrize(
    ("code", "flags", "grpc", "bad"),
    [
        ("200", "-", "", False),
        ("404", "NR", "", False),
        ("499", "DC", "", False),
        ("500", "-", "", True),
        ("503", "UH", "", True),
        ("599", "", "", True),
        ("0", "-", "", False),
        ("0", "", "", False),
        ("0", "DC", "", False),
        ("0", "DPE", "", False),
        ("0", "UC", "", True),
        ("0", "UF,URX", "", True),
        *(("200", "-", code, True) for code in ("2", "4", "12", "13", "14", "15")),
        *(("200", "-", code, False) for code in ("0", "1", "3", "5", "7", "8", "11", "16")),
        ("0", "DC", "14", True),
    ],
)
def test_what_counts_as_a_failure_of_the_server_or_the_mesh(
    code: str, flags: str, grpc: str, bad: bool
) -> None:
    assert is_bad(labels(response_code=code, response_flags=flags, grpc_response_status=grpc)) is bad


@pytest.mark.parametrize("code", ["", "none", "2xx"])
def test_without_a_code_nobody_can_tell(code: str) -> None:
    with pytest.raises(LabelError, match=f"without a usable response_code \\('{code}'\\)"):
        is_bad(labels(response_code=code))


@pytest.mark.parametrize(
    ("protocol", "code", "status", "found"),
    [
        ("grpc", "200", "", None),
        ("grpc", "200", "0", False),
        ("grpc", "200", "14", True),
        ("grpc", "503", "", True),
        ("grpc", "404", "", False),
        ("http", "200", "", False),
    ],
)
def test_a_grpc_call_that_reached_a_server_tells_how_it_ended(
    protocol: str, code: str, status: str, found: bool | None
) -> None:
    one = labels(request_protocol=protocol, response_code=code, grpc_response_status=status)
    if found is None:
        with pytest.raises(LabelError, match="gRPC requests without grpc_response_status"):
            is_bad(one)
    else:
        assert is_bad(one) is found


def to(workload: str, namespace: str = "shop") -> Labels:
    return labels(destination_workload=workload, destination_workload_namespace=namespace)


@pytest.mark.parametrize(
    ("series", "version"),
    [
        (to("api-v1"), "stable"),
        (to("api-v2"), "canary"),
        (to("web"), ""),
        (to("api-v2", "other"), ""),
        (to("unknown", "other"), "unknown"),
        (to("", ""), "unknown"),
        (labels(), "unknown"),
    ],
)
def test_a_version_is_a_workload_of_its_namespace(series: Labels, version: str) -> None:
    assert VERSIONS.of(series) == version


def request(reporter: str, workload: str, code: str = "200", pod: str = "a") -> Labels:
    return to(workload) | labels(reporter=reporter, response_code=code, pod=pod)


def test_requests_are_counted_by_side_and_arm() -> None:
    assert count_requests(
        {
            request("destination", "api-v2"): 90.0,
            request("destination", "api-v2", "500"): 5.0,
            request("destination", "api-v2", pod="b"): 1.0,
            request("waypoint", "api-v1"): 7.0,
            request("source", "api-v2"): 97.0,
            request("source", "unknown", "503"): 3.0,
            request("source", "web"): 1000.0,
            request("", "api-v1"): 1000.0,
            to("web"): 1.0,  # of another workload: its missing code is nobody's business
        },
        VERSIONS,
    ) == {
        "destination/canary": RequestCounts(96.0, 5.0),
        "destination/stable": RequestCounts(7.0, 0.0),
        "source/canary": RequestCounts(97.0, 0.0),
        "source/unknown": RequestCounts(3.0, 3.0),
    }
    with pytest.raises(LabelError):
        count_requests({to("api-v1") | labels(reporter="source"): 1.0}, VERSIONS)


def test_an_arm_has_the_larger_count_of_both_sides() -> None:
    counts = {
        "destination/canary": RequestCounts(96.0, 5.0),
        "source/canary": RequestCounts(97.0, 2.0),
        "source/stable": RequestCounts(1, 1),
    }
    assert merged(counts, "canary") == RequestCounts(97.0, 5.0)
    assert merged(counts, "stable") == RequestCounts(1.0, 1.0)
    assert merged(counts, "unknown") == RequestCounts(0.0, 0.0)


def test_slow_requests_are_those_above_the_bound() -> None:
    def bucket(workload: str, le: str) -> Labels:
        return to(workload) | labels(le=le)

    increments = {
        bucket("api-v2", "+Inf"): 10.0,
        bucket("api-v2", "250"): 7.0,
        bucket("api-v2", "100"): 4.0,
        bucket("api-v1", "+Inf"): 5.0,
        bucket("unknown", "+Inf"): 99.0,
        bucket("web", "+Inf"): 99.0,
        bucket("api-v1", "250") | labels(pod="b"): 6.0,
        bucket("api-v1", "+Inf") | labels(pod="b"): 0.5,
    }
    assert count_slow(increments, VERSIONS, "250") == {
        "canary": RequestCounts(10.0, 3.0),
        "stable": RequestCounts(5.5, 0.0),
    }
    assert count_slow(increments, VERSIONS, "100")["canary"] == RequestCounts(10.0, 6.0)
    assert count_slow({}, VERSIONS, "250") == {}


def test_bounds_are_the_finite_ones_in_order() -> None:
    series = [labels(le=text) for text in ("1000", "2.5", "+Inf", "NaN?", "", "10")]
    assert bucket_bounds([*series, labels(le="2.5", pod="b")]) == [
        (2.5, "2.5"),
        (10.0, "10"),
        (1000.0, "1000"),
    ]


@pytest.mark.parametrize(
    ("p95", "most", "bound"),
    [
        (None, None, ""),
        (None, 10.0, "10"),
        (None, 999.0, "10"),
        (99.0, 2.5, "2.5"),  # what was asked for counts
        (None, 5000.0, "1000"),
        (1.25, None, "2.5"),
        (1.26, None, "10"),
        (5000.0, None, "1000"),
    ],
)
def test_the_bound_above_which_a_request_is_slow(p95: float | None, most: float | None, bound: str) -> None:
    series = [labels(le=text) for text in ("1000", "2.5", "+Inf", "10")]
    assert choose_bound(series, p95, most) == bound
    assert choose_bound([labels(le="+Inf")], p95, most) == ""


def test_a_limit_below_every_bound_is_told() -> None:
    with pytest.raises(LabelError, match=r"no histogram bound at or below 2 ms: the smallest is 2\.5"):
        choose_bound([labels(le="10"), labels(le="2.5")], None, 2.0)


def test_requests_up_to_each_bound() -> None:
    found = by_bound({labels(le="10", pod="a"): 1.0, labels(le="10", pod="b"): 2.0, labels(le="+Inf"): 4.0})
    assert found == {"10": 3.0, "+Inf": 4.0}


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({"10": 0.0, "+Inf": 0.0}, 0.5, None),
        ({"10": 4.0, "+Inf": 4.0}, 0.5, 5.0),
        ({"10": 4.0, "20": 8.0, "+Inf": 8.0}, 0.75, 15.0),
        ({"20": 8.0, "10": 4.0, "+Inf": 8.0}, 0.5, 10.0),
        ({"10": 2.0, "20": 3.0, "+Inf": 8.0}, 0.9, 20.0),  # above the last finite bound
        ({"10": 0.0, "20": 4.0, "+Inf": 4.0}, 0.0, 10.0),
        ({"+Inf": 3.0}, 0.5, 0.0),
        ({"5": 4.0, "10": 4.0, "+Inf": 4.0}, 1.0, 5.0),
    ],
)
def test_quantiles_are_those_of_prometheus(
    buckets: dict[str, float], share: float, expected: float | None
) -> None:
    assert quantile(buckets, share) == expected


def test_a_quantile_lies_where_the_requests_lie() -> None:
    """Against a plain list of requests, one in the middle of each bucket's part."""
    bounds = [10.0, 25.0, 50.0]
    for counts in itertools.product(range(4), repeat=3):
        total = sum(counts)
        buckets = {f"{bound:g}": float(sum(counts[: i + 1])) for i, bound in enumerate(bounds)}
        buckets["+Inf"] = float(total)
        for share in (0.25, 0.5, 0.9):
            found = quantile(buckets, share)
            if not total:
                assert found is None
                continue
            assert found is not None
            below = [bound for bound in [0.0, *bounds] if bound < found]
            reached = sum(count for bound, count in zip(bounds, counts, strict=True) if bound <= below[-1])
            assert reached <= share * total <= sum(counts[: len(below)])


def test_a_label_that_is_absent_is_empty() -> None:
    assert label_of(labels(a="1", b="2"), "b") == "2"
    assert label_of(labels(a="1"), "b") == ""
    assert Sample(labels(a="1"), 0.0, 1.0, 0.0, 1.0).label("a") == "1"
    assert Sample(labels(a="1"), 0.0, 1.0, 0.0, 1.0).label("b") == ""
