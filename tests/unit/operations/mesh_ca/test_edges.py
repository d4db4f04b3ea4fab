# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rotation of the mesh's CA asks, judges and says, piece by piece: each beside its neighbour."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import base64
import dataclasses
import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.mesh_ca import (
    Bundle,
    Stage,
    prints_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import (
    backend,
    istiods,
    live,
    proxies,
    sequence,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.istiods import Change
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.journal import (
    RotationJournal,
    parse_journal,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.live import LiveCa
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.make import (
    Root,
    check_root,
    new_bundle,
    new_root,
    read_root_file,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.options import read_options
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.proxies import (
    DROP,
    HOLD,
    LEAF,
    ProxyState,
    Survey,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.result import build_result

from ...support.arguments import validated
from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from ...support.cluster import FakeCluster
from .rotating_mesh import HOME, SHOP, RotatingMesh, b64, name

Obj = dict[str, Any]
OLD_KEY, NEW_KEY, CA_KEY = ec_key(), ec_key(), ec_key()
OLD = certificate("old", OLD_KEY, ca=True, end=NOW + 3000 * DAY)
NEW = certificate("new", NEW_KEY, ca=True, end=NOW + 3000 * DAY)
SIGNER = certificate("signer", CA_KEY, issuer=("new", NEW_KEY), ca=True, end=NOW + 700 * DAY)
OLD_CA = Bundle(pem(OLD), key_pem(OLD_KEY), pem(OLD), pem(OLD))
NEW_CA = Bundle(pem(SIGNER), key_pem(CA_KEY), pem(SIGNER), pem(NEW))
OLDS, NEWS = prints_of([OLD]), prints_of([NEW])


def stage(bundle: Bundle = NEW_CA, *, hold: Any = NEWS, drop: Any = frozenset(), title: str = "new") -> Stage:
    return Stage(title, bundle, frozenset(hold), frozenset(drop))


# -- what istiod takes over ------------------------------------------------------------------------------------


def deployment(**environment: str) -> Obj:
    env = [{"name": key, "value": value} for key, value in environment.items()]
    return {"spec": {"template": {"spec": {"containers": [{"name": "discovery", "env": env}]}}}}


SAME_ROOTS = dataclasses.replace(NEW_CA, roots=pem(OLD))


@pytest.mark.parametrize(
    ("before", "after", "plugged", "environment", "reloads"),
    [
        (OLD_CA, SAME_ROOTS, True, {}, True),
        (OLD_CA, SAME_ROOTS, False, {}, False),
        (None, SAME_ROOTS, True, {}, False),
        (OLD_CA, NEW_CA, True, {}, False),
        (OLD_CA, NEW_CA, True, {"ISTIO_MULTIROOT_MESH": "false"}, False),
        (OLD_CA, NEW_CA, True, {"ISTIO_MULTIROOT_MESH": "true"}, True),
        (OLD_CA, NEW_CA, True, {"ISTIO_MULTIROOT_MESH": "1"}, True),
        (OLD_CA, NEW_CA, True, {"ISTIO_MULTIROOT_MESH": "yes"}, False),
        # of two CAs that end at the same moments istiod's metrics tell nothing
        (OLD_CA, OLD_CA, True, {"ISTIO_MULTIROOT_MESH": "true"}, False),
    ],
)
def test_what_istiod_takes_over_without_a_restart(
    before: Bundle | None, after: Bundle, plugged: bool, environment: dict[str, str], reloads: bool
) -> None:
    change = Change(stage(after), stage(before) if before else None, plugged, "m")
    assert change.reloads(deployment(**environment)) is reloads


def istiod_pod(
    title: str = "istiod-7f-1", *, mark: str = "", ready: bool = True, phase: str = "Running"
) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": title,
            "namespace": HOME,
            "labels": {"app": "istiod"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": mark} if mark else {},
        },
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def metrics(bundle: Bundle) -> str:
    ends = istiods.ends_of(stage(bundle))
    return (
        f"x 1\n{istiods.ROOT_ENDS} {ends[0]!r}\n{istiods.CHAIN_ENDS} {ends[1]!r}\n{istiods.CHAIN_ENDS}_x 7\n"
    )


CHANGE = Change(stage(), stage(OLD_CA, title="old"), True, "m")


@pytest.mark.parametrize(
    ("pod", "change", "answer", "fault"),
    [
        (istiod_pod(mark="m"), CHANGE, metrics(OLD_CA), ""),
        (istiod_pod(mark="m", ready=False), CHANGE, metrics(OLD_CA), "has not taken the CA over"),
        (istiod_pod(mark="other"), CHANGE, metrics(OLD_CA), "has not taken the CA over"),
        (istiod_pod(), CHANGE, metrics(NEW_CA), ""),
        (istiod_pod(), CHANGE, "nothing", "has not taken the CA over"),
        (istiod_pod(), dataclasses.replace(CHANGE, plugged=False), metrics(NEW_CA),
         "was started before the CA was changed"),
        (istiod_pod(), dataclasses.replace(CHANGE, before=None), metrics(NEW_CA),
         "was started before the CA was changed"),
        (istiod_pod(), dataclasses.replace(CHANGE, before=stage()), metrics(NEW_CA),
         "was started before the CA was changed"),
        (istiod_pod(mark="m"), dataclasses.replace(CHANGE, before=None), "", ""),
    ],
)  # fmt: skip
def test_whether_an_istiod_works_with_the_ca(pod: Obj, change: Change, answer: str, fault: str) -> None:
    cluster = FakeCluster(pod)
    cluster.on_ask = lambda *_rest: answer
    expected = [f"Pod {HOME}/istiod-7f-1 {fault}"] if fault else []
    if pod["status"]["conditions"][0]["status"] != "True":
        expected = [f"no istiod in namespace {HOME} is ready"]
    assert istiods._pods_late(cluster, HOME, change) == expected


def test_an_istiod_that_is_ready_has_to_be_there_and_each_that_runs_counts() -> None:
    late = [f"no istiod in namespace {HOME} is ready"]
    going = istiod_pod(mark="m")
    going["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    for pods in ([], [istiod_pod(phase="Pending")], [going]):
        assert istiods._pods_late(FakeCluster(*pods), HOME, CHANGE) == late
    cluster = FakeCluster(istiod_pod("a", mark="m"), istiod_pod("b"), istiod_pod("c", phase="Succeeded"))
    cluster.on_ask = lambda *_rest: ""
    assert istiods._pods_late(cluster, HOME, CHANGE) == [f"Pod {HOME}/b has not taken the CA over"]


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (metrics(NEW_CA), istiods.ends_of(stage())),
        ("", None),
        (f"{istiods.ROOT_ENDS} 1.0\n", None),
        (f"{istiods.CHAIN_ENDS} 1.0\n", None),
        (f"{istiods.ROOT_ENDS} 2e9 1780000000000\n\nup\n{istiods.CHAIN_ENDS} 1.5\n", (2e9, 1.5)),
        (f"# {istiods.ROOT_ENDS}\n{istiods.ROOT_ENDS} 2e9\n{istiods.CHAIN_ENDS} 1.5\n", (2e9, 1.5)),
    ],
)
def test_when_the_ca_of_an_istiod_ends(answer: str, ends: Any) -> None:
    cluster = FakeCluster(istiod_pod())
    cluster.on_ask = lambda *_rest: answer
    assert istiods.metrics_of(cluster, HOME, "istiod-7f-1") == ends


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ApiError("no", status=403), True),
        (ApiError("no", status=401), True),
        (ApiError("stopped", reason="Interrupted"), True),
        (ApiError("gone", status=404), False),
        (ApiError("no answer", reason="PodAnswer"), False),
        (WaitTimeout("late", awaited="x", last_seen="y"), False),
    ],
)
def test_an_istiod_that_does_not_say_it_is_asked_again_and_no_right_ends_it(
    error: MeshError, raised: bool
) -> None:
    def fail(*_rest: Any) -> str:
        raise error

    cluster = FakeCluster(istiod_pod())
    cluster.on_ask = fail
    if raised:
        with pytest.raises(ApiError):
            istiods.metrics_of(cluster, HOME, "istiod-7f-1")
    else:
        assert istiods.metrics_of(cluster, HOME, "istiod-7f-1") is None


def published(namespace: str, *roots: Any, title: str = "istio-ca-root-cert") -> Obj:
    metadata = {"namespace": namespace, "name": title}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"root-cert.pem": pem(*roots).decode()},
    }


@pytest.mark.parametrize(
    ("held", "wanted", "late"),
    [
        ([NEW], {}, False),
        ([OLD, NEW], {}, False),
        ([OLD], {}, True),
        ([], {}, True),
        ([OLD, NEW], {"drop": OLDS}, True),
        ([NEW], {"drop": OLDS}, False),
        ([OLD], {"hold": OLDS | NEWS}, True),
    ],
)
def test_the_roots_that_a_namespace_would_start_with(held: list[Any], wanted: Obj, late: bool) -> None:
    change = Change(stage(**wanted), None, True, "m")
    other = published(SHOP, SIGNER, title="mine")
    cluster = FakeCluster(published(HOME, NEW), published(SHOP, *held), other)
    expected = [f"ConfigMap {SHOP}/istio-ca-root-cert does not hold the roots of stage new"] if late else []
    if wanted.get("hold"):
        expected = [f"ConfigMap {HOME}/istio-ca-root-cert does not hold the roots of stage new", *expected]
    assert istiods.published_late(cluster, HOME, change) == expected
    cluster.remove("ConfigMap", "istio-ca-root-cert", HOME)
    assert (
        istiods.published_late(cluster, HOME, change)[-1]
        == f"ConfigMap {HOME}/istio-ca-root-cert does not exist"
    )


def configuration(kind: str, *webhooks: tuple[str, str, list[Any]], title: str = "istio") -> Obj:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": title},
        "webhooks": [
            {
                "name": "a",
                "clientConfig": {
                    "service": {"namespace": namespace, "name": service},
                    "caBundle": b64(pem(*roots)),
                },
            }
            for namespace, service, roots in webhooks
        ],
    }


MUTATING, VALIDATING = istiods.CONFIGURATIONS


@pytest.mark.parametrize(
    ("webhooks", "late"),
    [
        ([(HOME, "istiod", [NEW])], False),
        ([(HOME, "istiod", [OLD, NEW])], True),  # the old one is to go
        ([(HOME, "istiod", [OLD])], True),
        ([(HOME, "istiod-r2", [OLD])], True),
        ([(HOME, "istiodx", [OLD])], False),
        ([("other", "istiod", [OLD])], False),
        ([(HOME, "istiod", [NEW]), (HOME, "istiod", []), (HOME, "istiod", [])], True),
        ([], False),
    ],
)
def test_the_bundles_by_which_the_api_server_believes_istiod(webhooks: list[Any], late: bool) -> None:
    for kind in istiods.CONFIGURATIONS:
        cluster = FakeCluster(configuration(kind, *webhooks))
        assert istiods.bundles_late(cluster, HOME, stage(drop=OLDS)) == (
            [f"{kind} istio: its CA bundle is not that of stage new"] if late else []
        )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ApiError('admission webhook "a" denied the request: no destination', status=400), []),
        (ApiError("x509: certificate signed by unknown authority", status=500),
         ["the API server cannot call istiod's validation: x509: certificate signed by unknown authority"]),
        (None, ["istiod's validation let an invalid object pass: its webhook is not called"]),
    ],
)  # fmt: skip
def test_whether_the_api_server_calls_istiod(
    monkeypatch: pytest.MonkeyPatch, answer: ApiError | None, told: list[str]
) -> None:
    asked: list[Obj] = []

    def create(obj: Obj, *, dry_run: bool = False) -> Obj:
        asked.append({**obj, "dry": dry_run})
        if answer is not None:
            raise answer
        return obj

    cluster = FakeCluster(configuration(VALIDATING, (HOME, "istiod", [NEW])))
    monkeypatch.setattr(cluster, "create", create)
    assert istiods.call_fault(cluster, HOME) == told
    (obj,) = asked
    assert obj["dry"] is True
    assert (obj["kind"], obj["metadata"]["namespace"]) == ("VirtualService", HOME)
    assert "route" not in obj["spec"]["http"][0]  # what istiod has to refuse
    for error in (
        ApiError("no", status=403),
        ApiError("no", status=401),
        ApiError("stop", reason="Interrupted"),
    ):
        answer = error
        with pytest.raises(ApiError):
            istiods.call_fault(cluster, HOME)


@pytest.mark.parametrize(
    "webhooks", [[], [("other", "istiod", [NEW])], [(HOME, "other", [NEW])], [(HOME, "istiodx", [NEW])]]
)
def test_without_a_validation_of_this_istiod_nothing_is_called(webhooks: list[Any]) -> None:
    cluster = FakeCluster(
        configuration(VALIDATING, *webhooks), configuration(MUTATING, (HOME, "istiod", [NEW]))
    )
    assert istiods.call_fault(cluster, HOME) == []
    assert cluster.dry_runs == []


def test_an_istiod_that_does_not_read_the_ca_again_is_restarted_and_no_other() -> None:
    mesh = RotatingMesh(plugged=True, multiroot=True)
    mesh._takes = lambda _now: False  # as one with an older file system
    result = mesh.run(action="rotate")
    assert result["outcome"] == "rotated"
    assert mesh.restarts.count("istiod") == 3  # once for each stage
    assert mesh.broken == []
    told = [line for line in mesh.lines if "restarting for the new CA" in line]
    assert set(told) == {f"Deployment {HOME}/istiod: restarting for the new CA"}


# -- what a proxy holds ----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Held:
    chain: list[bytes]
    roots: list[bytes]


def der(*certificates: Any) -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return [one.public_bytes(Encoding.DER) for one in certificates]


LEAF_BELOW = certificate("leaf", ec_key(), issuer=("signer", CA_KEY))
LEAF_OF_OLD = certificate("leaf", ec_key(), issuer=("old", OLD_KEY))
ALL = frozenset({HOLD, DROP, LEAF})
OTHER_CA = "has a certificate of the other CA"


@pytest.mark.parametrize(
    ("chain", "roots", "asked", "late"),
    [
        ([LEAF_BELOW, SIGNER], [NEW], ALL, ""),
        ([LEAF_BELOW, SIGNER], [], frozenset({HOLD}), "does not trust 1 of the 1 roots"),
        ([LEAF_BELOW, SIGNER], [OLD], frozenset({LEAF}), ""),
        ([LEAF_BELOW, SIGNER], [OLD, NEW], ALL, "still trusts the other root"),
        ([LEAF_BELOW, SIGNER], [OLD, NEW], frozenset({HOLD, LEAF}), ""),
        ([LEAF_OF_OLD, OLD], [NEW], ALL, OTHER_CA),
        ([LEAF_BELOW], [NEW], ALL, OTHER_CA),  # nobody could follow its chain
        ([LEAF_OF_OLD, SIGNER], [NEW], ALL, OTHER_CA),
        ([LEAF_BELOW, OLD, SIGNER], [NEW], ALL, ""),
        ([LEAF_OF_OLD], [NEW], frozenset({HOLD, DROP}), ""),
        ([LEAF_OF_OLD], [], frozenset(), ""),
    ],
)
def test_what_a_proxy_lacks(chain: list[Any], roots: list[Any], asked: frozenset[str], late: str) -> None:
    held: Any = Held(der(*chain), der(*roots))
    assert proxies._late(held, stage(drop=OLDS), asked) == late


def test_how_many_roots_a_proxy_lacks() -> None:
    both = stage(hold=OLDS | NEWS)
    one: Any = Held(der(LEAF_BELOW), der(OLD))
    assert proxies._late(one, both, frozenset({HOLD})) == "does not trust 1 of the 2 roots"
    none: Any = Held(der(LEAF_BELOW), [])
    assert proxies._late(none, both, frozenset({HOLD})) == "does not trust 2 of the 2 roots"


def proxy_pod(title: str = "web-1", *, address: str = f"istiod.{HOME}.svc:15012", **more: Any) -> Obj:
    env = [{"name": "CA_ADDR", "value": address}] if address else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": title, "namespace": SHOP, "labels": more.pop("labels", {})},
        "spec": {more.pop("section", "containers"): [{"name": "istio-proxy", "env": env}]},
        "status": {
            "phase": more.pop("phase", "Running"),
            more.pop("statuses", "containerStatuses"): [
                {"name": more.pop("container", "istio-proxy"), "state": more.pop("state", {"running": {}})}
            ],
        },
    }


@pytest.mark.parametrize(
    ("pod", "asked"),
    [
        (proxy_pod(), True),
        (proxy_pod(section="initContainers", statuses="initContainerStatuses"), True),
        (proxy_pod(state={"waiting": {}}), False),
        (proxy_pod(container="app"), False),
        (proxy_pod(phase="Succeeded"), False),
        (proxy_pod(labels={"app": "ztunnel"}, container="istio-proxy-2"), True),
        (proxy_pod(address=""), True),
        (proxy_pod(address="istiod.other.svc:15012"), False),
        (proxy_pod(address=f"istiod-r2.{HOME}.svc:15012"), True),
        (proxy_pod(address="ca.example.com:443"), True),  # somebody else's: it has to be looked at
        (proxy_pod(address="localhost:15012"), True),
        (proxy_pod(section="initContainers", address="istiod.other.svc:15012"), False),
    ],
)
def test_which_pods_are_asked(pod: Obj, asked: bool) -> None:
    cluster = FakeCluster(pod)
    cluster.on_ask = lambda *_rest: "no json"
    found = proxies.survey(cluster, HOME, stage(), ALL)
    assert [str(one) for one in found.states] == ([f"{SHOP}/web-1"] if asked else [])
    assert not asked or found.unread


def test_a_ztunnel_cannot_be_read_and_stops_everything() -> None:
    found = proxies.survey(FakeCluster(proxy_pod(labels={"app": "ztunnel"})), HOME, stage(), ALL)
    assert [one.unread for one in found.unread] == ["is ztunnel, whose certificates cannot be read from here"]


@pytest.mark.parametrize(
    ("error", "unread"),
    [
        (ApiError("the proxy did not answer", reason="PodAnswer"), "the proxy did not answer"),
        (WaitTimeout("it was late", awaited="x", last_seen="y"), "it was late"),
        (ApiError("no", status=403), None),
        (ApiError("no", status=401), None),
        (ApiError("no", reason="Interrupted"), None),
    ],
)
def test_a_proxy_that_does_not_answer_is_unread_and_no_right_ends_it(
    error: MeshError, unread: str | None
) -> None:
    def fail(*_rest: Any) -> str:
        raise error

    cluster = FakeCluster(proxy_pod())
    cluster.on_ask = fail
    if unread is None:
        with pytest.raises(ApiError):
            proxies.survey(cluster, HOME, stage(), ALL)
        return
    (state,) = proxies.survey(cluster, HOME, stage(), ALL).states
    assert (state.unread, state.late) == (unread, "")


def test_a_certificate_that_cannot_be_read_is_unread() -> None:
    broken = {"inline_bytes": b64(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}
    configs = [
        {"name": "default", "secret": {"tls_certificate": {"certificate_chain": broken}}},
        {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": broken}}},
    ]
    cluster = FakeCluster(proxy_pod())
    cluster.on_ask = lambda *_rest: json.dumps({"configs": configs})
    (state,) = proxies.survey(cluster, HOME, stage(), ALL).states
    assert state.unread
    assert not state.late


@pytest.mark.parametrize(("value", "on"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_whether_a_proxy_takes_roots_over_while_it_runs(value: str, *, on: bool) -> None:
    pod = proxy_pod()
    pod["spec"]["containers"][0]["env"].append({"name": "PROXY_CONFIG_XDS_AGENT", "value": value})
    pod["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z" if on else None
    cluster = FakeCluster(pod)
    cluster.on_ask = lambda *_rest: "x"
    (state,) = proxies.survey(cluster, HOME, stage(), ALL).states
    assert (state.live, state.leaving, state.connected) == (on, on, False)


STATES = [
    ProxyState("a", "late", late="does not trust 1 of the 2 roots"),
    ProxyState("b", "unread", unread="no answer"),
    ProxyState("c", "fine"),
    ProxyState("d", "apart", connected=False),
    ProxyState("e", "leaving", connected=False, leaving=True),
]


@pytest.mark.parametrize(
    ("states", "told", "done"),
    [
        ((), "0 of 0 proxies", True),
        (STATES[2:], "3 of 3 proxies", True),
        (STATES, "3 of 5 proxies; b/unread no answer", False),
        (STATES[:1], "0 of 1 proxies; a/late does not trust 1 of the 2 roots", False),
    ],
)
def test_one_look_in_words(states: Any, told: str, *, done: bool) -> None:
    found = Survey(tuple(states))
    assert (found.told(), found.done) == (told, done)


def test_who_is_not_connected_and_stays() -> None:
    assert [str(one) for one in Survey(tuple(STATES)).apart] == ["d/apart"]


@pytest.mark.parametrize(("number", "ending"), [(1, "p0 x."), (5, "p4 x."), (7, "p4 x; and 2 more.")])
def test_who_cannot_be_asked_is_named_up_to_five(number: int, ending: str) -> None:
    found = Survey(tuple(ProxyState("a", f"p{index}", unread="x") for index in range(number)))
    with pytest.raises(MeshError) as caught:
        proxies.refuse_unread(found, stage())
    assert caught.value.message.startswith("cannot tell whether every proxy is at stage new: a/p0 x")
    assert f"{ending} The rotation stays where it is; run again when they answer" in caught.value.message
    assert caught.value.details["unread"] == [f"a/p{index}" for index in range(number)]
    assert caught.value.details["status"] == "cannot tell"
    proxies.refuse_unread(Survey((STATES[0],)), stage())


# -- the CA of now ---------------------------------------------------------------------------------------------


def plugged(**more: Any) -> Obj:
    data = {
        "ca-cert.pem": b64(pem(SIGNER)),
        "ca-key.pem": b64(key_pem(CA_KEY)),
        "root-cert.pem": b64(pem(NEW)),
    }
    return {"metadata": {"name": "cacerts", "namespace": HOME}, "type": "Opaque", "data": data, **more}


def a_live_ca(**more: Any) -> LiveCa:
    given: Obj = {
        "namespace": HOME,
        "exists": True,
        "plugged": plugged(),
        "self_signed": None,
        "istiods": [{"metadata": {"name": "istiod"}, **deployment()}],
        "roots": pem(NEW).decode(),
    }
    return LiveCa(**{**given, **more})


def refusal(judge: Any, ca: LiveCa) -> str:
    try:
        judge(ca)
    except RefusedError as error:
        return f"{error.rule}: {error.message}"
    return ""


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (None, ""),
        (plugged(), ""),
        (plugged(immutable=False), ""),
        (plugged(immutable=True), "it is immutable: replace it by one that is not"),
        (plugged(metadata={"ownerReferences": [{"kind": "A", "name": "b"}, {"kind": "C", "name": "d"}]}),
         "it belongs to A b, C d: rotate it there"),
        (plugged(metadata={"annotations": {"cert-manager.io/certificate-name": "x"}}),
         "it belongs to cert-manager's Certificate x: rotate it there"),
        (plugged(metadata={"deletionTimestamp": "2026-11-23T12:00:00Z"}), "it is being deleted"),
        (plugged(data={"ca-crl.pem": ""}),
         "it holds ca-crl.pem, which Envoy then wants for every CA of a chain: take it out first"),
    ],
)  # fmt: skip
def test_a_secret_that_somebody_else_keeps(secret: Obj | None, said: str) -> None:
    expected = f"foreign-owner: Secret {HOME}/cacerts: {said}" if said else ""
    assert refusal(live.refuse_a_foreign_secret, a_live_ca(plugged=secret)) == expected


def mounting(*secrets: str, **environment: str) -> Obj:
    found = {"metadata": {"name": "istiod"}, **deployment(**environment)}
    found["spec"]["template"]["spec"]["volumes"] = [{"secret": {"secretName": one}} for one in secrets]
    return found


@pytest.mark.parametrize(
    ("istiod", "foreign"),
    [
        (mounting("cacerts"), ""),
        (mounting("x", "cacerts", PILOT_CERT_PROVIDER="istiod", EXTERNAL_CA="", ENABLE_CA_SERVER="true"), ""),
        (mounting("cacerts", ENABLE_CA_SERVER="1"), ""),
        (mounting("cacerts", ENABLE_CA_SERVER="no"), "ENABLE_CA_SERVER=no"),
        (mounting("cacerts", PILOT_CERT_PROVIDER="kubernetes"), "PILOT_CERT_PROVIDER=kubernetes"),
        (mounting("cacerts", EXTERNAL_CA="istiod"), "EXTERNAL_CA=istiod"),
        (mounting("x", EXTERNAL_CA="A", ENABLE_CA_SERVER="false"),
         "EXTERNAL_CA=A, ENABLE_CA_SERVER=false, Secret cacerts is not mounted"),
    ],
)  # fmt: skip
def test_another_authority(istiod: Obj, foreign: str) -> None:
    said = refusal(live.refuse_other_authorities, a_live_ca(istiods=[mounting("cacerts"), istiod]))
    assert said == (
        f"other-ca: Deployment {HOME}/istiod does not sign with a CA of its own ({foreign}): rotate the CA that "
        "signs for this mesh"
        if foreign
        else ""
    )


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({}, "", ""),
        ({"plugged": None}, "no-ca", f"namespace {HOME} holds neither Secret cacerts nor istio-ca-secret"),
        ({"istiods": []}, "no-istiod", f"no Deployment with app=istiod is in namespace {HOME}"),
        ({"roots": ""}, "not-in-use", "does not hold the roots of Secret cacerts"),
        ({"roots": pem(OLD, NEW).decode()}, "not-in-use", "does not hold the roots of Secret cacerts"),
        ({"roots": pem(OLD).decode(), "plugged": None, "self_signed": plugged()}, "not-in-use",
         "does not hold the roots of Secret istio-ca-secret"),
    ],
)  # fmt: skip
def test_a_ca_that_istiod_works_with(changes: Obj, rule: str, words: str) -> None:
    said = refusal(live.refuse_an_unused_ca, a_live_ca(**changes))
    assert said.partition(":")[0] == rule
    assert words in said


@pytest.mark.parametrize(
    ("secret", "tls"),
    [
        (None, False),
        (plugged(), False),
        (plugged(type="kubernetes.io/tls"), True),
        (plugged(data={"tls.crt": ""}), True),
    ],
)
def test_the_form_of_cacerts(secret: Obj | None, *, tls: bool) -> None:
    assert a_live_ca(plugged=secret).tls is tls


@pytest.mark.parametrize(
    ("changes", "installed"),
    [
        ({"istiods": [], "roots": ""}, False),
        ({"istiods": [], "roots": "x"}, True),
        ({"roots": ""}, True),
        ({"istiods": [], "roots": "", "self_signed": plugged()}, True),
        ({"istiods": [], "roots": "", "plugged": None}, False),
    ],
)
def test_whether_proxies_may_hold_certificates_already(changes: Obj, *, installed: bool) -> None:
    assert a_live_ca(**changes).installed is installed


def test_what_is_plugged_in_comes_before_istiod_s_own() -> None:
    own = plugged(data={"ca-cert.pem": b64(pem(OLD)), "ca-key.pem": b64(key_pem(OLD_KEY))})
    both = a_live_ca(self_signed=own).bundle
    assert both is not None
    assert both.signer == SIGNER
    alone = a_live_ca(plugged=None, self_signed=own).bundle
    assert alone is not None
    assert (alone.signer, alone.trusted) == (OLD, (OLD,))
    assert a_live_ca(plugged=None).bundle is None


def test_what_a_container_is_told() -> None:
    workload = {
        "spec": {
            "containers": [
                {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "valueFrom": {}}]},
                {"name": "b", "env": [{"name": "Z", "value": "2"}]},
            ],
            "initContainers": [{"name": "a", "env": [{"name": "W", "value": "3"}]}],
        }
    }
    assert live.environment_of(workload, "a", "spec") == {"X": "1", "Y": "", "W": "3"}
    assert live.environment_of(workload, "b", "spec") == {"Z": "2"}
    assert live.environment_of(workload, "c", "spec") == {}


# -- journal ---------------------------------------------------------------------------------------------------


def journal(**more: Any) -> RotationJournal:
    given: Obj = {
        "namespace": HOME,
        "mesh": "shop",
        "old": OLD_CA,
        "new": NEW_CA,
        "before": {},
        "tls": False,
        "live": False,
        "begun": "2026-11-23T12:00:00Z",
    }
    return RotationJournal(**{**given, **more})


BEFORE = {"tls.crt": b64(pem(OLD)), "tls.key": b64(key_pem(OLD_KEY)), "ca.crt": b64(pem(OLD))}


@pytest.mark.parametrize(
    "wanted",
    [
        journal(),
        journal(mesh="", live=True, stage=3, back=True, mark="m", fence=7),
        journal(before=BEFORE, tls=True, stage=0),
        journal(before={"ca-cert.pem": b64(pem(OLD)), "ca-key.pem": b64(key_pem(OLD_KEY)), "x": b64(b"y")}),
    ],
)
def test_a_journal_is_read_as_it_was_written(wanted: RotationJournal) -> None:
    obj = wanted.as_object()
    obj["metadata"]["resourceVersion"] = "12"
    read = parse_journal(obj, HOME)
    assert (read.stage, read.back, read.mark, read.fence, read.begun, read.live, read.tls, read.mesh) == (
        wanted.stage, wanted.back, wanted.mark, wanted.fence, wanted.begun, wanted.live, wanted.tls, wanted.mesh,
    )  # fmt: skip
    assert read.version == "12"
    assert dict(read.before) == dict(wanted.before)
    assert read.self_signed is not bool(wanted.before)
    assert (read.old.signer, read.old.trusted, read.new) == (OLD, (OLD,), NEW_CA)
    assert [one.name for one in read.stages] == [one.name for one in wanted.stages]
    assert [read.data_of(number) for number in range(4)] == [wanted.data_of(number) for number in range(4)]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda obj: obj["metadata"].update(labels={}), RefusedError, "is somebody else's: rename it"),
        (lambda obj: obj.update(data={}), MeshError, "is damaged"),
        (lambda obj: obj["data"].pop("new.root-cert.pem"), None, ""),
        (lambda obj: obj["data"].update({"new.root-cert.pem": b64(b"x")}), MeshError, "is damaged"),
        (lambda obj: obj["metadata"]["annotations"].update({"servicemesh.istio/stage": "-1"}), MeshError, "is damaged"),
        (lambda obj: obj["metadata"]["annotations"].update({"servicemesh.istio/stage": "4"}), MeshError, "is damaged"),
        (lambda obj: obj["metadata"]["annotations"].update({"servicemesh.istio/fence": "x"}), MeshError, "is damaged"),
        (lambda obj: obj["metadata"]["annotations"].pop("servicemesh.istio/fence"), None, ""),
        *[
            (lambda obj, key=key: obj["metadata"]["annotations"].pop(f"servicemesh.istio/{key}"), MeshError, "is damaged")
            for key in ("stage", "back", "begun", "mark", "self-signed", "live-roots")
        ],
    ],
)  # fmt: skip
def test_a_journal_that_is_none(change: Any, kind: type[MeshError] | None, words: str) -> None:
    obj = journal().as_object()
    change(obj)
    if kind is None:
        assert parse_journal(obj, HOME).stage == 1
        return
    with pytest.raises(kind, match=words) as caught:
        parse_journal(obj, HOME)
    assert f"Secret {HOME}/servicemesh-mesh-ca-rotation" in caught.value.message


# -- options ---------------------------------------------------------------------------------------------------


def options(**more: Any) -> Obj:
    from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.options import (
        ARGUMENT_SPEC,
    )

    return validated(ARGUMENT_SPEC, {"source": "own", "mesh": "shop", **more})


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"days": 8}, ""),
        ({"days": 7}, "istio_ca_days"),
        ({"days": 3649}, ""),
        ({"days": 3650}, "istio_ca_days"),
        ({"days": 8, "root_days": 36500}, ""),
        ({"days": 8, "root_days": 36501}, "istio_ca_days"),
        ({"renew_at": 0.001}, ""),
        ({"renew_at": 0}, "istio_ca_renew_at"),
        ({"renew_at": 0.999}, ""),
        ({"renew_at": 1}, "istio_ca_renew_at"),
        ({"batch": 1}, ""),
        ({"batch": 0}, "istio_ca_batch"),
        ({"patience": 0, "timeout": 86_400}, ""),
        ({"patience": 86_401}, "istio_ca_patience"),
        ({"timeout": -1}, "istio_ca_timeout"),
        ({"root_file": "/x", "renew": "root"}, ""),
        ({"source": "provided", "action": "rotate", "root_file": "/x"}, "istio_ca_root_file"),
        ({"source": "provided", "action": "rotate"}, ""),
        ({"source": "provided", "action": "rollback", "private_key": " \n"}, ""),
        ({"source": "istiod", "certificate": "x"}, "istio_ca_source"),
        ({"source": "istiod", "certificate": " "}, ""),
        ({"ca_namespace": "istio-system"}, "certificates_ca_namespace"),
        ({"ca_namespace": "mesh", "istio_namespace": "mesh"}, "certificates_ca_namespace"),
    ],
)
def test_wishes_at_their_bounds(params: Obj, where: str) -> None:
    if not where:
        read_options(options(**params))
        return
    with pytest.raises(InputError) as caught:
        read_options(options(**params))
    assert [problem.where for problem in caught.value.problems] == [where]


def test_what_is_missing_of_a_provided_ca_is_told_together() -> None:
    with pytest.raises(InputError) as caught:
        read_options(options(source="provided", days=1, renew="root"))
    assert [problem.where for problem in caught.value.problems] == [
        "istio_ca_days", "istio_ca_certificate", "istio_ca_private_key", "istio_ca_renew",
    ]  # fmt: skip


def test_wishes_are_read_whole() -> None:
    found = read_options(
        options(action="rotate", root_secret="r", ca_namespace="c", days=10, root_days=20, renew_at=0.5, renew="root",
                restart=False, restart_anyway=["a"], batch=2, patience="3", timeout=4, istio_namespace="m")
    )  # fmt: skip
    assert (found.action, found.source, found.mesh, found.namespace) == ("rotate", "own", "shop", "m")
    assert (found.root_home, found.life, found.root_life) == (("c", "r"), 10 * DAY, 20 * DAY)
    assert (found.renew_at, found.renew, found.restart, found.restart_anyway) == (0.5, "root", False, ("a",))
    assert (found.batch, found.patience, found.timeout, found.provided) == (2, 3.0, 4.0, None)


# -- made here -------------------------------------------------------------------------------------------------


def extension(found: Any, kind: Any) -> Any:
    return found.extensions.get_extension_for_class(kind).value


def test_what_is_made_here_is_what_istiod_takes() -> None:
    from cryptography import x509

    root = new_root("shop", NOW, 100 * DAY)
    made = new_bundle(root, "shop", NOW, 10 * DAY)
    for found, levels in ((root.x509, 1), (made.signer, 0)):
        constraints, usage = extension(found, x509.BasicConstraints), extension(found, x509.KeyUsage)
        assert (constraints.ca, constraints.path_length) == (True, levels)
        assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
        assert found.not_valid_before_utc == NOW - datetime.timedelta(minutes=10)
        assert len(found.subject.rfc4514_string()) > 20
    assert root.x509.not_valid_after_utc == NOW + 100 * DAY
    assert made.signer.not_valid_after_utc == NOW + 10 * DAY
    assert made.signer.issuer == root.x509.subject
    assert extension(made.signer, x509.AuthorityKeyIdentifier).key_identifier == (
        extension(root.x509, x509.SubjectKeyIdentifier).digest
    )
    assert made.chain == made.certificate
    assert made.roots == root.certificate
    assert b"shop mesh root" not in made.certificate  # it is in the DER, not in the text
    assert "shop mesh CA" in made.signer.subject.rfc4514_string()
    assert new_root("shop", NOW, 100 * DAY).x509.subject != root.x509.subject
    assert "servicemesh.istio mesh root" in new_root("", NOW, DAY).x509.subject.rfc4514_string()


def test_what_says_who_may_sign_is_critical_and_what_finds_keys_is_not() -> None:
    """RFC 5280, 4.2.1: a reader that does not know the former must refuse, and one of the latter must not."""
    for found in (
        new_root("x", NOW, 5 * DAY).x509,
        new_bundle(new_root("x", NOW, DAY), "x", NOW, DAY).signer,
    ):
        assert {one.oid._name: one.critical for one in found.extensions} == {
            "basicConstraints": True,
            "keyUsage": True,
            "subjectKeyIdentifier": False,
            "authorityKeyIdentifier": False,
        }


def test_without_cryptography_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "HAS_CRYPTOGRAPHY", False)
    with pytest.raises(MeshError, match="needs the Python package cryptography"):
        backend.run({}, Context())


def test_an_intermediate_never_outlives_its_root() -> None:
    root = new_root("x" * 90, NOW, 5 * DAY)
    later = NOW + datetime.timedelta(minutes=1)
    made = new_bundle(root, "x" * 90, later, 10 * DAY).signer
    assert made.not_valid_after_utc == root.x509.not_valid_after_utc
    assert made.not_valid_before_utc == later - datetime.timedelta(minutes=10)
    younger = new_bundle(new_root("x", NOW + DAY, 5 * DAY), "x", NOW, DAY).signer
    assert younger.not_valid_before_utc == NOW + DAY - datetime.timedelta(minutes=10)


def without_levels(levels: int | None) -> Root:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = ec_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(name("r"))
        .issuer_name(name("r"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 99 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=levels), critical=True)
        .add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    return Root(pem(made), key_pem(key))


@pytest.mark.parametrize(
    ("levels", "said"), [(None, ""), (1, ""), (0, "it allows no CA below it (path length 0)")]
)
def test_a_root_has_to_allow_a_ca_below_it(levels: int | None, said: str) -> None:
    root = without_levels(levels)
    if not said:
        check_root(root, "a/b", NOW)
        return
    with pytest.raises(RefusedError) as caught:
        check_root(root, "a/b", NOW)
    assert (caught.value.rule, caught.value.message) == ("root", f"the mesh's root in a/b: {said}")


def test_a_root_that_cannot_issue_is_refused_with_every_reason() -> None:
    for bad in (Root(pem(OLD), key_pem(NEW_KEY)), Root(b"x", key_pem(OLD_KEY)), Root(pem(OLD), b"x")):
        with pytest.raises(RefusedError, match=r"the mesh's root in a/b: ") as caught:
            check_root(bad, "a/b", NOW)
        assert "PRIVATE" not in caught.value.message
    check_root(Root(pem(OLD), key_pem(OLD_KEY)), "a/b", NOW)


def test_a_root_s_file_is_read_in_any_order_and_only_where_its_owner_alone_may(tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    assert read_root_file(str(path)) is None
    (tmp_path / "file").touch()
    with pytest.raises(MeshError, match=r"istio_ca_root_file .*/file/x: Not a directory"):
        read_root_file(str(tmp_path / "file" / "x"))
    path.write_bytes(key_pem(OLD_KEY) + b"# mine\n" + pem(OLD))
    for mode, fine in ((0o600, True), (0o400, True), (0o604, False), (0o620, False), (0o601, False)):
        path.chmod(mode)
        if fine:
            found = read_root_file(str(path))
            assert found is not None
            assert (found.certificate, found.x509) == (pem(OLD), OLD)
        else:
            with pytest.raises(RefusedError, match="set mode 0600"):
                read_root_file(str(path))


# -- steps -----------------------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_ends_between_two_steps() -> None:
    way: Any = SimpleNamespace(_context=Context(stop=lambda: True), _journal=None)
    with pytest.raises(
        MeshError, match="interrupted between two steps of the rotation; the next run goes on"
    ):
        sequence.Sequence.run(way)


@pytest.mark.parametrize(("mark", "writes"), [("one", 0), ("two", 1)])
def test_a_restart_is_asked_for_once(mark: str, writes: int) -> None:
    """A second run of the same rotation finds the mark of the first."""
    metadata = {"name": "istiod", "namespace": HOME}
    annotations = {"kubectl.kubernetes.io/restartedAt": "one"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }
    cluster = FakeCluster({"kind": "Namespace", "metadata": {"name": HOME}}, deployment)
    istiods._restart(cast("Any", cluster), Context(), deployment, mark)
    assert len(cluster.writes) == writes


# -- result ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "changed"),
    [("fresh", False), ("plugged in", True), ("planned", True), ("rotated", True), ("rolled back", True), ("waiting", True)],
)  # fmt: skip
def test_what_counts_as_changed(outcome: str, *, changed: bool) -> None:
    found = build_result(outcome, NEW_CA, None, why="it is provided")
    assert (found["outcome"], found["changed"]) == (outcome, changed)
    assert found["summary"].endswith(" (it is provided)") is changed
    assert "diff" not in found
    assert (found["stage"], found["stages"], found["begun"]) == ("", [], "")
    assert found["proxies"] == {"total": 0, "late": []}
    assert len(found["roots"]) == 1
    assert found["signer"]["fingerprint_sha256"] == NEW_CA.fingerprint


def test_a_rotation_that_goes_on_says_where_it_is_and_who_is_late() -> None:
    found = build_result(
        "waiting", OLD_CA, journal(stage=2), before=NEW_CA, survey=Survey(tuple(STATES)), diff=True
    )
    assert found["summary"] == (
        "the rotation waits for proxies to renew their certificates; run again: 3 of 5 proxies; b/unread no answer"
    )
    assert (found["stage"], found["stages"]) == ("switched", ["old", "both", "switched", "new"])
    assert found["begun"] == "2026-11-23T12:00:00Z"
    assert found["proxies"] == {"total": 5, "late": ["a/late"]}
    assert found["diff"]["before"]["signer"]["fingerprint_sha256"] == NEW_CA.fingerprint
    assert found["diff"]["after"]["signer"]["fingerprint_sha256"] == OLD_CA.fingerprint


def test_the_diff_of_what_was_not_there_begins_with_nothing() -> None:
    assert build_result("plugged in", NEW_CA, None, diff=True)["diff"]["before"] == {}
    same = build_result("fresh", NEW_CA, None, diff=True)["diff"]
    assert same["before"] == same["after"] != {}
    unreadable = dataclasses.replace(NEW_CA, roots=b"x")
    for bundle in (None, unreadable):
        assert build_result("fresh", bundle, None)["signer"] == {}
        assert build_result("fresh", bundle, None)["roots"] == []
    done = build_result("rotated", NEW_CA, None, survey=Survey((STATES[2],)))
    assert done["summary"] == "every proxy works with the new CA, and none trusts the old root"
    assert base64.b64encode(NEW_CA.key).decode() not in str(done)
