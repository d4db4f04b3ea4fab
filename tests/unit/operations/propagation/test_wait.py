# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wait for proxies at its edges: who counts, what ends it, what it says meanwhile."""

from __future__ import annotations

import itertools
import json
import urllib.parse
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Expectation,
    Scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.virtual_services import ExpectedShares
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation import (
    facts,
    prove,
    scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.report import (
    MAX_NAMED,
    Laggard,
    PropagationReport,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.scope import (
    Population,
    assign,
    read_population,
)

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

HOST = "web.shop.svc.cluster.local"
CLUSTER = f"outbound|80|v1|{HOST}"
SUBSET = Expectation("x", Scope(), "subset", {"host": HOST, "port": 80, "subset": "v1"})


def proxy(name: str, workload: str = "ReplicaSet/web") -> RunningProxy:
    return RunningProxy("shop", name, {}, name, False, "1.31.0", "", workload)


def pod(name: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "shop"}}


class Proxies(FakeCluster):
    """Each proxy answers with what ``answers`` has next for it; the last answer stays."""

    def __init__(self, **answers: Sequence[Any]) -> None:
        super().__init__(*map(pod, answers))
        self.answers = {name: list(values) for name, values in answers.items()}
        self.asked: list[str] = []
        self.on_ask = self._answer

    def _answer(self, _namespace: str, pod: str, _port: int, _path: str) -> str:
        self.asked.append(pod)
        answer = self.answers[pod].pop(0) if len(self.answers[pod]) > 1 else self.answers[pod][0]
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"configs": answer})


HELD: list[dict[str, Any]] = [{"cluster": {"name": CLUSTER}}]
LATE: list[dict[str, Any]] = []


def wait(cluster: Proxies, *facts_: Expectation, names: Sequence[str] = (), **more: Any) -> PropagationReport:
    chosen = [proxy(name) for name in (names or cluster.answers)]
    options: dict[str, Any] = {"timeout": 60.0, "progress": lambda _line: None, "clock": FakeClock(), **more}
    return prove.prove_for(
        cluster,
        lambda: [(one, facts_ or (SUBSET,)) for one in chosen],
        **options,
    )


def test_istiod_is_asked_where_it_runs() -> None:
    asked = []

    class Listed(Proxies):
        def list(self, api_version: str, kind: str, namespace: str, **more: Any) -> Any:
            asked.append((kind, namespace))
            raise ApiError("not here", status=404)

    report = wait(Listed(a=[LATE]), timeout=1.0, istio_namespace="mesh-system")
    assert report.status == "fail"
    assert set(asked) == {("Pod", "mesh-system")}


def test_a_missing_right_ends_the_wait_at_once() -> None:
    clock = FakeClock()
    denied = ApiError("pods/portforward is forbidden", status=403)
    cluster = Proxies(late=[LATE], closed=[denied])
    report = wait(cluster, clock=clock)
    assert (report.status, report.seconds, cluster.asked) == ("cannot tell", 0.0, ["late", "closed"])
    assert report.unreadable == (Laggard("shop/closed", ("pods/portforward is forbidden",)),)
    assert wait(Proxies(closed=[ApiError("who are you", status=401)])).seconds == 0.0


def test_other_trouble_is_waited_out() -> None:
    report = wait(Proxies(a=[ApiError("not yet", status=500), HELD]))
    assert (report.status, report.proved, report.unreadable) == ("pass", 1, ())
    assert report.seconds > 0


def test_one_late_and_one_unreadable_fail() -> None:
    report = wait(Proxies(late=[LATE], mute=[ApiError("no answer", status=500)]), timeout=1.0)
    assert (report.status, report.proved, report.concerned) == ("fail", 0, 2)
    assert [item.proxy for item in report.laggards] == ["shop/late"]
    assert [item.proxy for item in report.unreadable] == ["shop/mute"]


def test_a_pod_that_is_gone_does_not_count() -> None:
    report = wait(Proxies(a=[HELD], gone=[ApiError("not found", status=404)]))
    assert (report.status, report.proved, report.concerned) == ("pass", 1, 1)


def test_at_least_one_has_to_hold_it_where_that_is_asked_for() -> None:
    assert wait(Proxies()).status == "pass"
    report = wait(Proxies(), at_least=1, timeout=3.0)
    assert (report.status, report.concerned) == ("cannot tell", 0)
    assert report.seconds >= 3.0
    assert report.headline() == "after 3 s no proxy was found that the change concerns"
    enough = wait(Proxies(a=[HELD]), at_least=1)
    assert (enough.status, enough.seconds) == ("pass", 0.0)


def test_the_population_is_read_again_every_ten_seconds() -> None:
    clock, reads = FakeClock(), []

    def concerned() -> list[Any]:
        reads.append(clock.time)
        return [(proxy("a"), (SUBSET,))]

    prove.prove_for(
        Proxies(a=[LATE]),
        concerned,
        timeout=25.0,
        progress=lambda _line: None,
        clock=clock,
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(reads)]
    assert len(reads) == 3
    assert all(prove.REFRESH <= gap <= prove.REFRESH + 2 for gap in gaps)


def test_short_waits_are_quiet_and_long_ones_are_told() -> None:
    clock, lines = FakeClock(), []

    def progress(line: str) -> None:
        lines.append((clock.time, line))

    begin = clock.time
    wait(Proxies(a=[LATE, LATE, LATE, HELD]), clock=clock, progress=progress)
    assert lines == []
    begin = clock.time
    wait(Proxies(a=[LATE], b=[HELD]), clock=clock, progress=progress, timeout=12.0)
    assert lines[0][0] - begin >= prove.QUIET
    what = f"1 of 2 proxies do not hold it yet: shop/a: no cluster {CLUSTER}"
    assert lines[0][1] == f"waiting for the proxies to hold the change: {what}"


def test_before_each_look_the_caller_is_asked_and_may_end_it() -> None:
    looks = []

    def before() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise ApiError("lost the lease", reason="Fenced")

    with pytest.raises(ApiError, match="lost the lease"):
        wait(Proxies(a=[LATE]), before_look=before)


def test_a_stopped_wait_reports_what_it_saw() -> None:
    report = wait(Proxies(a=[LATE], b=[HELD]), stop=lambda: True)
    assert (report.status, report.proved, report.concerned) == ("fail", 1, 2)


def test_a_run_that_was_stopped_before_it_knew_any_proxy_has_proved_nothing() -> None:
    stopped = ApiError("interrupted: no further request was sent", reason="Interrupted")

    def concerned() -> list[Any]:
        if not lists:
            raise stopped
        return lists.pop()

    lists: list[list[Any]] = []
    options: dict[str, Any] = {"timeout": 60.0, "progress": lambda _line: None, "clock": FakeClock()}
    with pytest.raises(ApiError) as caught:
        prove.prove_for(Proxies(), concerned, **options)
    assert caught.value is stopped
    lists.append([(proxy("a"), (SUBSET,))])
    report = prove.prove_for(Proxies(a=[LATE]), concerned, **options)
    assert (report.status, report.concerned, report.sampled) == ("fail", 1, False)


def test_above_the_limit_proxies_of_each_workload_are_asked() -> None:
    cluster = Proxies(**{name: [HELD] for name in ("a", "b", "c")})
    report = wait(cluster, max_proxies=2)
    assert (report.status, report.sampled, report.proved) == ("pass", True, 2)
    assert wait(Proxies(a=[HELD], b=[HELD]), max_proxies=2).sampled is False


def test_a_proxy_without_a_route_to_the_host_is_not_concerned() -> None:
    shares = frozenset({frozenset({("v1", 100.0)})})
    data = {
        "host": HOST,
        "port": None,
        "virtual_service": "",
        "shares": ExpectedShares(shares, shares),
    }
    expected = Expectation("x", Scope(), "route", data, if_routed=True)

    def routes(*clusters: str) -> list[dict[str, Any]]:
        config = {"config": "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web"}
        metadata = {"filter_metadata": {"istio": config}}
        found = [{"route": {"cluster": name}, "metadata": metadata} for name in clusters]
        return [{"route_config": {"virtual_hosts": [{"routes": found}]}}]

    cluster = Proxies(a=[routes(CLUSTER)], b=[routes()], c=[routes(f"outbound|80||{HOST}")])
    report = wait(cluster, expected)
    assert (report.status, report.proved, report.concerned) == ("pass", 1, 1)
    wrong = wait(Proxies(a=[routes(f"outbound|80|v2|{HOST}")]), expected, timeout=1.0)
    assert wrong.laggards[0].missing[-1] == f"{HOST} is split 100 % v2, not 100 % v1"


@pytest.mark.parametrize(
    ("checks", "asked"),
    [
        (["subset"], {"dynamic_active_clusters"}),
        (["no_subset"], {"dynamic_active_clusters"}),
        (["route"], {"dynamic_route_configs"}),
        (["no_virtual_service"], {"dynamic_route_configs"}),
        (["mtls"], {"dynamic_listeners"}),
        (["rbac"], {"dynamic_listeners"}),
        (["no_rbac"], {"dynamic_listeners"}),
        (["subset", "rbac"], {"dynamic_active_clusters", "dynamic_listeners"}),
        ([], set()),
    ],
)
def test_only_what_is_expected_is_read(checks: list[str], asked: set[str]) -> None:
    cluster, found = FakeCluster(pod("a")), set()

    def answer(_namespace: str, _pod: str, _port: int, path: str) -> str:
        query = urllib.parse.parse_qs(path.partition("?")[2])
        found.add(query["resource"][0])
        if query["resource"] == ["dynamic_active_clusters"]:
            assert query["name_regex"] == [rf"outbound\|.*\|({HOST.replace('.', chr(92) + '.')})"]
        return ""

    cluster.on_ask = answer
    data = {"host": HOST}
    facts.read_facts(cluster, proxy("a"), [Expectation("x", Scope(), check, data) for check in checks])
    assert found == asked


@pytest.mark.parametrize(
    ("host", "imported", "concerned"),
    [
        ("web.other.svc.cluster.local", "other/*", True),
        ("web.other.svc.cluster.local", "shop/*", False),
        ("web.other.svc.cluster.local", "./*", False),
        ("example.com", "./*", True),
        ("example.com", "com/*", False),
    ],
)
def test_a_service_belongs_to_its_namespace_and_another_host_to_the_callers(
    host: str, imported: str, concerned: bool
) -> None:
    sidecar = {
        "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"egress": [{"hosts": [imported]}]},
    }
    fact = Expectation("x", Scope(clients_of=host), "subset", {})
    found = assign([fact], Population([proxy("a")], [sidecar], "istio-system"))
    assert bool(found) is concerned


def test_who_imports_a_host_is_found_out_once_for_all_that_is_expected_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(scope, "imports_host", lambda one, *_rest: asked.append(str(one)) or True)
    facts_ = [Expectation(name, Scope(clients_of=HOST), "subset", {}) for name in ("x", "y", "z")]
    found = assign(facts_, Population([proxy("a"), proxy("b")], [], "istio-system"))
    assert [(str(one), len(wanted)) for one, wanted in found] == [("shop/a", 3), ("shop/b", 3)]
    assert asked == ["shop/a", "shop/b"]


def test_istiod_is_asked_about_late_proxies_only() -> None:
    held, late = Proxies(a=[HELD]), Proxies(a=[LATE])
    wait(held)
    assert [call.kind for call in held.calls if call.verb == "list"] == []
    wait(late, timeout=1.0)
    assert [call.kind for call in late.calls if call.verb == "list"] == ["Pod"]


def test_the_population_of_some_namespaces_or_of_all() -> None:
    def sidecar(namespace: str) -> dict[str, Any]:
        return {"kind": "Sidecar", "metadata": {"name": "default", "namespace": namespace}, "spec": {}}

    cluster = FakeCluster(*map(sidecar, ("shop", "other", "istio-system")))

    def found(namespaces: Sequence[str] | None) -> list[str]:
        population = read_population(cluster, namespaces, "istio-system")
        assert population.root_namespace == "istio-system"
        return sorted(item["metadata"]["namespace"] for item in population.sidecars)

    assert found(None) == ["istio-system", "other", "shop"]
    assert found(["shop", "shop"]) == ["istio-system", "shop"]
    assert found([]) == ["istio-system"]


def laggards(number: int) -> tuple[Laggard, ...]:
    return tuple(Laggard(f"shop/{index}", ("no cluster",)) for index in range(number))


def test_reports_name_some_and_count_all() -> None:
    late = PropagationReport("fail", 1, 31, 61.26, laggards=laggards(30))
    assert late.headline() == "after 61 s proxy shop/0 is late: no cluster (and 29 more)"
    assert len(late.as_result()["laggards"]) == MAX_NAMED
    assert late.as_result()["seconds"] == 61.26
    one = PropagationReport("cannot tell", 0, 1, 5.0, laggards(1), unreadable=laggards(1))
    assert one.headline() == "after 5 s proxy shop/0 cannot be read: no cluster"
    with pytest.raises(WaitTimeout) as caught:
        late.check()
    assert caught.value.awaited == "the proxies to hold the change"
    with pytest.raises(ApiError, match="cannot be read") as unproved:
        one.check()
    assert unproved.value.reason == "Unproved"
    PropagationReport("pass", 3, 3, 1.0).check()
    assert PropagationReport("pass", 3, 3, 1.04).headline() == (
        "3 proxies that matter hold the change, the last after 1.0 s"
    )
