"""The result of an injection run, whole: its numbers, its lines, its diffs and its verdict."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.judge import PodVerdict
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.labels import (
    LabelDecision,
    NamespaceRequest,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.plan import (
    Restart,
    RestartPlan,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.webhooks import (
    Injector,
    parse_injectors,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import Owner, parse_pod
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection.result import (
    build_result,
)

from ...support import injection as given

IMAGE = "hub.example/proxyv2:1.31.0"
WEB = Owner("Deployment", "shop", "web")
BARE = Owner("Pod", "shop", "bare")
INJECTORS = parse_injectors([given.webhook_configuration("i", "default", ["default"])])
DECISION = LabelDecision(
    NamespaceRequest("shop", "injection"), "relabel", {"istio.io/rev": "old"}, {"istio-injection": "enabled"}
)


def verdict(name: str, state: str, owner: Owner = WEB, reason: str = "", **more: Any) -> PodVerdict:
    return PodVerdict(parse_pod(given.pod(name, **more)), owner, state, reason)


STALE = verdict("web-1", "stale", reason="not injected")
OK = verdict("web-2", "ok", image=IMAGE)
OLD_STYLE = verdict("web-3", "ok", image=IMAGE, native=False)
SKIPPED = verdict("job", "skipped", reason="opted out")
LEAVING = verdict("bye", "leaving")
LEFT = verdict("bare", "stale", BARE, "not injected")
ROLLOUT = Restart(WEB, "rollout", "not injected", "adds 1", (STALE.pod,), 3, batch=1)
LISTED = Restart(BARE, "listed", "not injected", "bare pod", (LEFT.pod,), 1)


def result(
    before: RestartPlan,
    after: RestartPlan | None = None,
    *,
    decisions: tuple[LabelDecision, ...] = (),
    injectors: tuple[Injector, ...] = INJECTORS,
    check: bool = False,
    diff: bool = False,
    restart: bool = True,
    silent: tuple[str, ...] = (),
) -> dict[str, Any]:
    context = Context(check_mode=check, diff_mode=diff)
    return build_result(
        decisions, injectors, before, after or before, context=context, restart=restart, silent=silent
    )


def test_a_whole_result() -> None:
    before = RestartPlan((ROLLOUT, LISTED), (STALE, OK, SKIPPED, LEAVING, LEFT))
    after = RestartPlan((LISTED,), (OK, OLD_STYLE, SKIPPED, LEFT))
    assert result(before, after, decisions=(DECISION,), diff=True) == {
        "changed": True,
        "status": "fail",
        "reason": "1 pods carry the wrong proxy or none and are left alone",
        "counts": {
            "namespaces": 1,
            "labelled": 1,
            "restarts": 1,
            "left_alone": 1,
            "pods": 4,
            "injected": 2,
            "native_sidecars": 1,
            "stale_before": 2,
            "stale": 1,
            "skipped": 1,
        },
        "objects": [
            {"id": "Namespace shop", "action": "updated"},
            {"id": "Deployment shop/web", "action": "restarted"},
        ],
        "plan": [
            {
                "id": "Deployment shop/web",
                "action": "rollout",
                "why": "not injected",
                "how": "adds 1",
                "pods": ["web-1"],
                "of": 3,
                "batch": 1,
            },
            {
                "id": "Pod shop/bare",
                "action": "listed",
                "why": "not injected",
                "how": "bare pod",
                "pods": ["bare"],
                "of": 1,
                "batch": 0,
            },
        ],
        "left_alone": [{"id": "Pod shop/bare", "why": "not injected", "reason": "bare pod"}],
        "skipped_pods": [{"id": "Pod shop/job", "reason": "opted out"}],
        "not_proved": [{"id": "Pod shop/bare", "reason": "not injected"}],
        "summary": [
            "fail: 2 pods with the right proxy (1 native sidecars), 1 with a wrong one or none, 1 skipped;"
            " 1 workloads restarted - 1 pods carry the wrong proxy or none and are left alone",
            "Pod shop/bare is left alone (not injected): bare pod",
            "Pod shop/job is skipped: opted out",
        ],
        "diff": [
            {
                "before_header": "Namespace shop",
                "after_header": "Namespace shop",
                "before": {"labels": {"istio.io/rev": "old"}},
                "after": {"labels": {"istio-injection": "enabled"}},
            },
            {
                "before_header": "Deployment shop/web",
                "after_header": "Deployment shop/web (rollout, batch 1: adds 1)",
                "before": {"web-1": "not injected"},
                "after": {},
            },
        ],
    }


def test_check_mode_judges_what_was_found() -> None:
    """Nothing was restarted: the verdict is about the pods as they are."""
    found = result(RestartPlan((ROLLOUT,), (STALE, OK)), RestartPlan((), (OK,)), check=True)
    assert (found["status"], found["reason"]) == ("fail", "1 pods carry the wrong proxy or none")
    assert "1 workloads to restart - " in found["summary"][0]
    assert "diff" not in found


@pytest.mark.parametrize(
    ("plan", "options", "status", "reason"),
    [
        (RestartPlan((), (OK,)), {}, "pass", ""),
        (RestartPlan((), (OK, SKIPPED, LEAVING)), {}, "pass", ""),
        (RestartPlan((), ()), {}, "cannot tell", "the namespaces hold no pods"),
        (RestartPlan((), (LEAVING,)), {}, "cannot tell", "the namespaces hold no pods"),
        (
            RestartPlan((), (OK,)),
            {"injectors": ()},
            "cannot tell",
            "not installed: no injector in this cluster",
        ),
        (
            RestartPlan((), (OK,)),
            {"silent": ("a", "b")},
            "cannot tell",
            "not installed: a; b",
        ),
        (
            RestartPlan((ROLLOUT,), (STALE,)),
            {"restart": False},
            "fail",
            "1 pods carry the wrong proxy or none and are left alone",
        ),
        (RestartPlan((ROLLOUT,), (STALE,)), {}, "fail", "1 pods carry the wrong proxy or none"),
        (
            RestartPlan((ROLLOUT, LISTED), (STALE, LEFT)),
            {},
            "fail",
            "2 pods carry the wrong proxy or none",
        ),
        (
            RestartPlan((LISTED,), (LEFT,)),
            {},
            "fail",
            "1 pods carry the wrong proxy or none and are left alone",
        ),
    ],
)
def test_the_verdict(plan: RestartPlan, options: dict[str, Any], status: str, reason: str) -> None:
    found = result(plan, **options)
    assert (found["status"], found["reason"]) == (status, reason)
    assert found["summary"][0].endswith(f" - {reason}") is bool(reason)


def test_without_restarts_all_is_listed_and_nothing_changed() -> None:
    found = result(RestartPlan((ROLLOUT,), (STALE,)), restart=False)
    assert (found["changed"], found["objects"], found["counts"]["restarts"]) == (False, [], 0)
    assert (found["plan"][0]["action"], found["plan"][0]["how"]) == ("listed", "restarts are switched off")


def test_a_rollout_that_was_only_waited_for_is_no_change() -> None:
    waited = Restart(WEB, "wait", "not injected", "under way", (STALE.pod,), 1, batch=1)
    found = result(RestartPlan((waited,), (STALE,)), RestartPlan((), (OK,)))
    assert (found["changed"], found["counts"]["restarts"]) == (False, 0)
    assert found["objects"] == [{"id": "Deployment shop/web", "action": "waited"}]
    evicted = Restart(WEB, "evict", "not injected", "one by one", (STALE.pod,), 1, batch=1)
    found = result(RestartPlan((evicted,), (STALE,)), RestartPlan((), (OK,)))
    assert (found["changed"], found["objects"][0]["action"]) == (True, "evicted")


@pytest.mark.parametrize(
    ("action", "mode", "told"),
    [
        ("label", "injection", "updated"),
        ("create", "injection", "created"),
        ("missing", "injection", "updated"),
        ("missing", "keep", ""),
        ("unchanged", "injection", ""),
    ],
)
def test_namespaces_that_change(action: str, mode: str, told: str) -> None:
    """One that does not exist yet will be labelled by the real run; a gateway's keeps its labels."""
    decision = LabelDecision(NamespaceRequest("shop", mode), action, {"a": "b"}, {"c": "d"})
    found = result(RestartPlan((), (OK,)), decisions=(decision,), diff=True)
    assert [entry["action"] for entry in found["objects"]] == ([told] if told else [])
    assert found["counts"]["labelled"] == int(bool(told))
    assert found["changed"] is bool(told)
    unseen = action in ("create", "missing")
    for diff in found["diff"]:
        assert diff["before"] == ({} if unseen else {"labels": {"a": "b"}})
        assert diff["after_header"] == (
            "Namespace shop (not validated by the server)" if unseen else "Namespace shop"
        )
