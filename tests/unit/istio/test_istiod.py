# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which istiods answer, and what an answer has to be that counts as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.istiod import (
    Istiod,
    istiod_metrics,
    istiod_unready,
    ready_istiods,
    sync_table,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer

ONE = Istiod("istio-system", "istiod-1", "default", "1.31.0")


def pod(name: str, *, ready: bool = True, phase: str = "Running", image: str = "", **metadata: Any) -> Any:
    containers = [{"name": "sidecar", "image": "x:9"}]
    containers += [{"name": "discovery", "image": image}] if image else []
    return {
        "metadata": {"name": name, "namespace": "istio-system", **metadata},
        "spec": {"containers": containers},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def test_only_pods_that_take_requests_are_asked() -> None:
    image = "hub/pilot:1.31.0-distroless"
    found = ready_istiods(
        [
            pod("istiod-1", image=image),
            pod("istiod-2", image=image, labels={"istio.io/rev": "canary"}),
            pod("istiod-3"),
            pod("late", image=image, ready=False),
            pod("gone", image=image, phase="Failed"),
            pod("going", image=image, deletionTimestamp="2026-01-01T00:00:00Z"),
        ]
    )
    assert found == [
        ONE,
        Istiod("istio-system", "istiod-2", "canary", "1.31.0"),
        Istiod("istio-system", "istiod-3", "default", ""),
    ]
    assert str(found[0]) == "istio-system/istiod-1"


class Client:
    """Answers each request, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers, self.asked = list(answers), []

    def ask_pod(self, namespace: str, pod: str, port: int, path: str, *, timeout: float) -> Any:
        self.asked.append((namespace, pod, port, path, timeout))
        return PodAnswer(*self.answers.pop(0))

    def in_parallel(self, function: Any, items: Any) -> list[Any]:
        return [function(item) for item in items]


def test_its_own_port_is_asked() -> None:
    client: Any = Client((200, ""), (404, "404 page not found\n"), (200, "pilot_xds 3\n"))
    assert istiod_unready(client, "istio-system", "istiod-1", 2.0) == ""
    assert istiod_unready(client, "istio-system", "istiod-1") == "HTTP 404, 404 page not found"
    assert istiod_metrics(client, "istio-system", "istiod-1") == [("pilot_xds", 3.0)]
    where = ("istio-system", "istiod-1")
    ready = (*where, 8080, "/ready")
    assert client.asked == [(*ready, 2.0), (*ready, 10.0), (*where, 15014, "/metrics", 15.0)]


def test_metrics_are_read_line_by_line_whatever_stands_around_the_value() -> None:
    """prometheus.io/docs/instrumenting/exposition_formats: labels before it, a timestamp behind it."""
    text = (
        '# HELP a b 1\n# TYPE a gauge\na 1\n\nb{x="}",y="1 2"} -2.5e+3 1780000000000\nc 1.\n'
        "d NaN\ne +Inf\nf\nup \ng 1.2.3\nh 4 5 6\ni_total 7 -1\n"
    )
    client: Any = Client((200, text))
    found = istiod_metrics(client, "istio-system", "istiod-1")
    assert found == [("a", 1.0), ("b", -2500.0), ("c", 1.0), ("i_total", 7.0)]


def test_metrics_that_do_not_come_are_an_error() -> None:
    client: Any = Client((503, "pilot_xds 3\n"))
    with pytest.raises(ApiError, match=r"istiod istio-system/istiod-1 did not tell its metrics") as caught:
        istiod_metrics(client, "istio-system", "istiod-1")
    assert str(caught.value).endswith(": HTTP 503, pilot_xds 3")
    assert caught.value.subject == "Pod istio-system/istiod-1"


def test_the_proxies_of_all_istiods_are_one_table() -> None:
    answers = [[{"proxy": "web-1.shop"}], [{"proxy": "api-1.shop"}]]
    client: Any = Client(*((200, json.dumps(answer)) for answer in answers))
    assert sorted(sync_table(client, [ONE, ONE], 3.0)) == ["api-1.shop", "web-1.shop"]
    assert client.asked[0][3:] == ("/debug/syncz", 3.0)
    nobody: Any = Client((200, "[]"))
    assert sync_table(nobody, [ONE]) == {}


@pytest.mark.parametrize("answer", [(503, "[]"), (200, ""), (200, "{}"), (200, "[{"), (200, "null")])
def test_no_table_is_not_an_empty_table(answer: tuple[int, str]) -> None:
    client: Any = Client(answer)
    with pytest.raises(ApiError, match="istiod istio-system/istiod-1 did not tell who is connected"):
        sync_table(client, [ONE])
