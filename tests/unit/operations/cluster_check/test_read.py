"""What a namespace finds by labels, against looking at everything in it."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.read import Place
from hypothesis import given
from hypothesis import strategies as st

from ...support.deployed import kube_service, pod

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)


def fits(one: dict[str, Any], wanted: dict[str, str]) -> bool:
    return wanted.items() <= one["metadata"]["labels"].items()


@given(of_pods=st.lists(LABELS, max_size=5), of_services=st.lists(LABELS, max_size=4), asked=LABELS)
def test_labels_find_what_looking_at_everything_finds(
    of_pods: list[dict[str, str]], of_services: list[dict[str, str]], asked: dict[str, str]
) -> None:
    pods = [pod(f"p{number}", labels=labels) for number, labels in enumerate(of_pods)]
    services = {
        f"s{number}": kube_service(f"s{number}", selector=labels) for number, labels in enumerate(of_services)
    }
    place = Place("shop", services=services, pods=pods)
    assert place.selected(asked) == [one for one in pods if fits(one, asked)]
    for service, labels in zip(services.values(), of_services, strict=True):
        behind = [one for one in pods if labels and fits(one, labels)]
        assert place.behind(service) == behind
    some = pods[:2]
    assert place.selecting(some) == [
        service
        for service, labels in zip(services.values(), of_services, strict=True)
        if labels and any(fits(one, labels) for one in some)
    ]
