"""Raw series: which count the same requests, what a scrape adds, how much they grew and between what."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout import series
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.counters import Labels
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import LabelError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.series import Raw, ScrapeTarget

PLAIN = {"instance": "10.0.0.1:15020", "pod": "a", "code": "200"}


def labels(**values: str) -> Labels:
    return frozenset(values.items())


def raw(*points: tuple[float, float], **more: str) -> Raw:
    return labels(**{**PLAIN, **more}), list(points)


def told(*found: Raw, **options: tuple[str, ...]) -> str:
    with pytest.raises(LabelError) as caught:
        series.unique(found, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"pod": "a", "instance": "10.0.0.1:15020"}, ScrapeTarget("a", "10.0.0.1")),
        ({"pod_name": "a"}, ScrapeTarget("a", "")),
        ({"kubernetes_pod_name": "a", "pod_name": "b"}, ScrapeTarget("b", "")),
        ({"pod": "", "pod_name": "b"}, ScrapeTarget("b", "")),
        ({"instance": "[fd00::1]:15020"}, ScrapeTarget("", "[fd00::1]")),
        ({"instance": "host"}, ScrapeTarget("", "host")),
        ({"instance": "host:port"}, ScrapeTarget("", "host:port")),
        ({"code": "200"}, ScrapeTarget("", "")),
    ],
)
def test_what_was_scraped(given: dict[str, str], target: ScrapeTarget) -> None:
    assert series.target_of(labels(**given)) == target


@pytest.mark.parametrize(
    "name",
    [
        "job", "endpoint", "container", "service", "prometheus", "prometheus_replica", "replica", "monitor",
        "receive_replica", "tenant", "tenant_id", "__replica__",
    ],
)  # fmt: skip
def test_what_a_scrape_adds_is_no_part_of_a_counter(name: str) -> None:
    assert series.plain_labels(labels(**{**PLAIN, name: "x"})) == series.plain_labels(labels(**PLAIN))
    assert ("instance", "10.0.0.1") in series.plain_labels(labels(**PLAIN))
    assert series.plain_labels(labels(code="200")) == labels(code="200")
    assert series.plain_labels(labels(**{**PLAIN, "team": "x"})) != series.plain_labels(labels(**PLAIN))


def test_one_series_stays_as_it_is() -> None:
    one = raw((1, 5), (2, 6))
    assert series.unique([one]) == [(series.plain_labels(one[0]), one[1])]
    assert series.unique([]) == []


def test_copies_of_one_series_are_one_the_freshest_with_what_came_before_it() -> None:
    copies = [raw((1, 5), (3, 7), replica="a"), raw((2, 6), (4, 8), replica="b")]
    for order in (copies, copies[::-1]):
        ((found, points),) = series.unique(order, replica_labels=("replica",))
        assert points == [(1, 5), (2, 6), (4, 8)]
        assert found == series.plain_labels(labels(**PLAIN))


def test_a_series_whose_labels_changed_in_between_goes_on() -> None:
    parts = [raw((1, 5), (2, 6), job="old"), raw((2, 6), (3, 7), job="new")]
    for order in (parts, parts[::-1]):
        ((_labels, points),) = series.unique(order)
        assert points == [(1, 5), (2, 6), (3, 7)]


def test_a_target_that_is_scraped_twice_at_the_same_time_is_refused() -> None:
    one, other = raw((1, 5), (3, 7), job="a"), raw((2, 6), (4, 8), job="b")
    for order in ((one, other), (other, one)):
        text = told(*order)
        assert text.startswith("10.0.0.1 is scraped twice, told apart by job:")
    # series of other codes are of the same scrape, however long each has been there
    assert "told apart by job" in told(
        raw((1, 5), (9, 9), job="a", code="500"), raw((8, 6), (12, 8), job="b")
    )
    assert len(series.unique([raw((1, 5), (9, 9), code="500"), raw((8, 6), (12, 8))])) == 2
    # by address, whether a scrape knows the pod or not; without one by the pod
    unnamed = labels(instance="10.0.0.1:15090", code="200", job="b"), [(2.0, 6.0), (4.0, 8.0)]
    assert "told apart by instance, job" in told(one, unnamed)
    by_pod = [(labels(pod="a", job=job), [(1.0, 1.0), (3.0, 2.0)]) for job in ("x", "y")]
    assert told(*by_pod).startswith("a is scraped twice")
    assert len(series.unique([(labels(job=job), [(1.0, 1.0), (3.0, 2.0)]) for job in ("x", "y")])) == 1


def test_scrapes_of_others_and_after_each_other_are_not_twice() -> None:
    assert (
        len(
            series.unique(
                [raw((1, 5), (3, 7), job="a"), raw((1, 5), (3, 7), instance="10.0.0.2:15020", job="b")]
            )
        )
        == 2
    )
    assert series.unique([raw((1, 5), (3, 7), job="a"), raw((3, 7), (5, 9), job="b")])
    assert series.unique([raw((1, 5), (3, 7), job="a"), raw((4, 1), (5, 9), job="b")])


@pytest.mark.parametrize("name", ["cluster", "cluster_name", "cluster_id", "k8s_cluster", "k8s_cluster_name"])
def test_metrics_of_several_clusters_are_refused(name: str) -> None:
    text = told(raw((1, 5), **{name: "west"}), raw((1, 5), **{name: "east"}))
    assert f"several clusters ({name}: east, west)" in text
    assert f"{{{name}: east}}" in text
    assert series.unique([raw((1, 5), **{name: "east"}), raw((1, 5), code="500", **{name: "east"})])
    assert series.unique([raw((1, 5), **{name: "east"}), raw((2, 5), code="500")])


def test_metrics_of_a_cluster_without_a_label_are_not_added_to_another_one_s() -> None:
    """A Prometheus labels what it sends to others, and not what it keeps itself."""
    server = {"reporter": "destination"}
    west = raw((1, 5), **server, cluster="west")
    text = told(west, raw((1, 5), **server, pod="b", instance="10.0.0.2:15020"))
    assert "several clusters (label cluster is west, or missing)" in text
    assert "{cluster: west} or {cluster: ''}" in text
    client = raw((1, 5), reporter="source", pod="gateway", instance="10.0.0.3:15020")
    assert series.unique([west, client]), "gateways may be scraped by another job"
    assert series.unique([west, raw((2, 5), **server)]), "the label is new"


@pytest.mark.parametrize(
    ("points", "interval", "span"),
    [
        ([[]], None, None),
        ([[(1.0, 0.0)]], None, 0.0),
        ([[(1.0, 0.0), (1.0, 5.0)]], None, 0.0),
        ([[(1.0, 0.0), (16.0, 5.0)]], 15.0, 15.0),
        ([[(1.0, 0.0), (1.0, 5.0), (16.0, 5.0)]], 15.0, 15.0),
        ([[(1.0, 0.0), (11.0, 5.0), (41.0, 5.0)], [(0.0, 0.0), (10.0, 0.0)]], 10.0, 40.0),
    ],
)
def test_how_often_and_how_long_was_scraped(
    points: list[list[tuple[float, float]]], interval: float | None, span: float | None
) -> None:
    found = [raw(*each, pod=str(number)) for number, each in enumerate(points)]
    assert series.scrape_interval(found) == interval
    if span is not None:
        assert series.span(found) == span
    assert series.span([]) == 0.0
    assert series.scrape_interval([]) is None


def test_growth_between_scrapes() -> None:
    one = raw((0, 10), (14, 13), (15, 15), (31, 4), (44, 4))
    other = raw((20, 1), (29.9, 2), pod="b")
    assert series.between_scrapes([one, other], 15.0) == {
        0: {one[0]: 3.0},
        1: {one[0]: 2.0, other[0]: 1.0},
        2: {one[0]: 4.0},  # it began anew: all that it shows came since
    }
    assert series.between_scrapes([], 15.0) == {}


def test_increments_of_a_window() -> None:
    old = raw((1, 100), (2, 105), (3, 2), (4, 7))
    late = raw((2, 3), (3, 4), code="500")
    new_pod = raw((3, 50), (4, 51), pod="b", instance="10.0.0.2:15020")
    still = raw((1, 9), (4, 9), code="404")
    assert series.moved([late, old, new_pod, still]) == {
        old[0]: 5.0 + 2.0 + 5.0,
        late[0]: 4.0,  # the target was scraped before without it
        new_pod[0]: 1.0,  # nobody knows how old its counters are
        still[0]: 0.0,
    }
    together = raw((1, 3), (3, 4), code="500")
    assert series.moved([old, together])[together[0]] == 1.0


def test_when_each_target_was_scraped_last() -> None:
    newest = {labels(**PLAIN): 5.0, labels(**{**PLAIN, "code": "500"}): 7.0, labels(pod="b"): 6.0}
    assert series.by_target(newest) == {ScrapeTarget("a", "10.0.0.1"): 7.0, ScrapeTarget("b", ""): 6.0}
    assert series.by_target({labels(pod="b"): -1.0}) == {ScrapeTarget("b", ""): 0.0}
