"""Answers, and what pods say, are lost at random, while one fault is planted: what was not read never passes.

The judge knows which fault it has planted and asks verify's code nothing: a run may find the fault, or say
that it cannot tell, or end with an error. It may not pass, and neither may the cell with the fault in it. And
a mesh without a fault is never accused because an answer was lost.

The dice are thrown more often with ``LOST_ANSWERS=3000``, and in ``make campaign``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.execution import ExecResult
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify

from .builders import item, pod
from .simulated_mesh import Mesh, run

RUNS = int(os.environ.get("LOST_ANSWERS", "100"))
FATES = ("gone", "refused", "late", "half", "empty", "ended")
SERVED = (200, {"x-envoy-upstream-service-time": "1"}, "hello")


def seeds(number: int) -> range:
    """Of so many meshes; whoever takes more of them has these, too."""
    return range(0, 2 * number, 2)


class LossyMesh(Mesh):
    """A mesh with replicas of whose answers some never arrive, or not whole."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        for name in ("cart", "pay"):
            for number in (2, 3):
                twin = pod(
                    f"{name}-{number}", {"app": name, "version": "v1"}, spec={"serviceAccountName": name}
                )
                self.put(twin)
        self._dice = random.Random(seed)
        lists = self._dice.choice([0.0, 0.0, 0.04, 0.15])
        self._shares = {"list": lists, "get": lists, "pod": self._dice.choice([0.0, 0.1, 0.4, 0.9])}
        self._fates: dict[tuple[str, ...], str] = {}
        self.lost = 0

    def _fate(self, verb: str, *key: str) -> str:
        """What happens to an answer: some are lost each time, others once in a while; "" for none."""
        if (verb, *key) not in self._fates:
            lost = self._dice.random() < self._shares[verb]
            self._fates[verb, *key] = self._dice.choice(FATES) if lost else ""
        fate = self._fates[verb, *key]
        if not fate and self._dice.random() < self._shares[verb] / 4:
            fate = self._dice.choice(["gone", "half", "empty"])
        self.lost += bool(fate)
        return fate

    def list(self, api_version: str, kind: str, *args: Any, **more: Any) -> Any:
        if kind != "Sidecar":
            _lost(self._fate("list", kind, *map(str, args)), kind)
        return super().list(api_version, kind, *args, **more)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Any:
        _lost(self._fate("get", kind, name), kind)
        return super().get(api_version, kind, name, namespace)

    def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], **more: Any
    ) -> ExecResult:
        fate = self._pod_fate(pod, "probe")
        answer = super().exec(namespace, pod, container, command, **more)
        if fate == "half":
            return ExecResult(answer.stdout[: len(answer.stdout) // 2], "", 0)
        if fate == "empty":
            return ExecResult("", "", 0)
        if fate == "ended":
            return ExecResult(answer.stdout, "command terminated", 137)
        return answer

    def ask_pod(self, namespace: str, pod: str, port: int, path: str, **more: Any) -> PodAnswer:
        fate = self._pod_fate(pod, f"{pod} {path}")
        answer = super().ask_pod(namespace, pod, port, path, **more)
        if fate == "half":
            return PodAnswer(200, answer.text[: len(answer.text) // 2])
        if fate == "empty":
            return PodAnswer(200, "")
        return PodAnswer(503, answer.text) if fate == "ended" else answer

    def _pod_fate(self, pod: str, what: str) -> str:
        """What happens to what a pod says, where something comes back."""
        fate = self._fate("pod", what)
        if fate in ("gone", "refused"):
            _lost(fate, f"Pod {pod}")
        if fate == "late":
            raise WaitTimeout("an answer did not come in time", awaited="it", last_seen="running")
        return fate


def _lost(fate: str, subject: str) -> None:
    """Lists and objects come whole or not at all: the client reads them by their length."""
    if fate == "refused":
        raise ApiError(f"{subject} is forbidden", status=403, reason="Forbidden")
    if fate:
        raise ApiError(f"{subject}: the connection was lost", reason="Unreachable")


def _loose_listener(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    name = dice.choice(["pay-1", "pay-2", "cart-3", "web-1"])
    good = mesh._listeners

    def listeners(pod: str) -> list[dict[str, Any]]:
        told = good(pod)
        if pod == name:
            chains = told[0]["active_state"]["listener"]["filter_chains"]
            chains += [{key: chain[key] for key in ("filter_chain_match", "filters")} for chain in chains]
        return told

    mesh._listeners = listeners
    return "mtls", f"shop/{name[:-2]}:3000"


def _foreign_filter(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    name = dice.choice(["pay-1", "pay-3", "cart-2"])
    good = mesh._listeners

    def listeners(pod: str) -> list[dict[str, Any]]:
        if pod != name:
            return good(pod)
        mesh.put(item("AuthorizationPolicy", "yesterday", {"rules": [{}]}))
        told = good(pod)
        mesh.remove("AuthorizationPolicy", "yesterday", "shop")
        return told

    mesh._listeners = listeners
    return "sync", "filters of all proxies"


def _foreign_certificate(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    name = dice.choice(["pay-1", "pay-2", "cart-3", "web-1"])
    good = mesh.certificates

    def certificates(pod: str) -> dict[str, Any]:
        held = good(pod)
        if pod == name:
            held["cert_chain"][0]["subject_alt_names"] = [{"uri": "spiffe://cluster.local/ns/shop/sa/other"}]
        return held

    mesh.certificates = certificates
    return "mtls", f"shop/{name[:-2]}"


def _unknown_to_istiod(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    name = dice.choice(["pay-1", "pay-2", "cart-3", "web-1"])
    good = mesh._running
    mesh._running = lambda: [one for one in good() if one["metadata"]["name"] != name]
    return "sync", f"Pod shop/{name}"


def _open_policy(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    place = dice.choice(["shop", "istio-system"])
    selector = {"selector": {"matchLabels": {"app": "pay"}}}
    mesh.put(item("AuthorizationPolicy", "everyone", {**selector, "rules": [{}]}, place))
    return "policies", "shop/pay"


def _loose_mode(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    spec = {
        "selector": {"matchLabels": {"app": "pay"}},
        "mtls": {"mode": dice.choice(["PERMISSIVE", "DISABLE"])},
    }
    mesh.put(item("PeerAuthentication", "loose", spec, creationTimestamp="0"))
    return "mtls", "shop/pay:3000"


def _stranger_let_in(mesh: Mesh, _dice: random.Random) -> tuple[str, str]:
    mesh.answers = {(account, "pay", "/"): SERVED for account in ("web", "default")}
    return "authorization", "shop/default -> shop/pay"


def _plaintext_answered(mesh: Mesh, dice: random.Random) -> tuple[str, str]:
    name = dice.choice(["web", "cart", "pay"])
    mesh.answers = {("outside", name, "/"): (200, {}, "hello")}
    return "plaintext", f"shop/{name}:80"


def _missing_subset(mesh: Mesh, _dice: random.Random) -> tuple[str, str]:
    destination = {"destination": {"host": "web", "subset": "v9"}}
    mesh.put(item("VirtualService", "broken", {"http": [{"route": [destination]}]}))
    return "routes", "VirtualService shop/broken"


def _dangling_route(mesh: Mesh, _dice: random.Random) -> tuple[str, str]:
    good = mesh._clusters
    mesh._clusters = lambda: [name for name in good() if "v1|cart" not in name]
    return "routes", "the proxies' routes"


def _naked_pod(mesh: Mesh, _dice: random.Random) -> tuple[str, str]:
    mesh.put(pod("naked", {"app": "pay", "version": "v1"}, proxy=None))
    return "injection", "Pod shop/naked"


FAULTS: tuple[Callable[[Mesh, random.Random], tuple[str, str]], ...] = (
    _loose_listener,
    _foreign_filter,
    _foreign_certificate,
    _unknown_to_istiod,
    _open_policy,
    _loose_mode,
    _stranger_let_in,
    _plaintext_answered,
    _missing_subset,
    _dangling_route,
    _naked_pod,
)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__.strip("_"))
def test_what_was_not_read_never_passes(plant: Callable[[Mesh, random.Random], tuple[str, str]]) -> None:
    ends = {"fail": 0, "cannot tell": 0, "error": 0}
    for seed in seeds(-(-RUNS // len(FAULTS))):
        mesh = LossyMesh(seed)
        check, cell = plant(mesh, random.Random(seed))
        try:
            result = run(mesh, verify)
        except MeshError:
            ends["error"] += 1
            continue
        assert result["status"] != "pass", (seed, result["findings"])
        ends[result["status"]] += 1
        over = [
            one
            for one in result["findings"]
            if one["check"] == check and one["subject"].endswith(cell) and one["verdict"] == "pass"
        ]
        assert over == [], seed
        told = {record["check"]: record["status"] for record in result["checks"]}
        assert told[check] != "pass", (seed, told)
    assert ends["fail"] > 0  # with every answer there, the fault is found


def test_nobody_is_accused_because_an_answer_was_lost() -> None:
    ends = {"pass": 0, "cannot tell": 0, "error": 0}
    for seed in seeds(RUNS):
        mesh = LossyMesh(seed)
        try:
            result = run(mesh, verify)
        except MeshError:
            ends["error"] += 1
            continue
        accused = [one for one in result["findings"] if one["verdict"] == "fail"]
        assert accused == [], seed
        assert mesh.lost or result["status"] == "pass", seed
        ends[result["status"]] += 1
    assert min(ends.values()) > 0, ends
