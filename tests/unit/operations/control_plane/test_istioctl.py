"""What ``istioctl install`` would change, and what its run leaves behind."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import Tool
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    Installation,
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import istioctl
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.drift import (
    DriftedObject,
)

from ...support.cluster import FakeCluster
from .scripted import Failing, ScriptedRunner, stream

TOOL = Tool("/opt/istioctl", "1.31.1")
WEBHOOKS = "admissionregistration.k8s.io/v1"
INJECTOR = {
    "apiVersion": WEBHOOKS,
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "istio-sidecar-injector"},
}
TAG = {
    "apiVersion": WEBHOOKS,
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "istio-revision-tag-default", "labels": {"istio.io/tag": "default"}},
    "webhooks": [
        {
            "name": "rev.namespace.sidecar-injector.istio.io",
            "clientConfig": {"service": {"name": "istiod"}, "caBundle": "b2xk"},
        }
    ],
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "istiod-revision-tag-default", "namespace": "istio-system"},
    "spec": {"ports": []},
}
SERVICE_KEY = ("istiod-revision-tag-default", "istio-system")


def installation(**changes: Any) -> Installation:
    options = {"method": "istioctl", "version": "1.31.1", "hub": "docker.io/istio", "gateways": [], **changes}
    return read_installation(options)


def namespace(name: str = "istio-system") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str = "istio", **data: str) -> dict[str, Any]:
    labels = {"helm.sh/chart": "istiod-1.31.1"}
    metadata = {"name": name, "namespace": "istio-system", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": "a", **data}}


def owned(obj: dict[str, Any], **changes: str) -> dict[str, Any]:
    """As istioctl leaves it in the cluster; the labels are written down from operator/pkg/install."""
    obj = copy.deepcopy(obj)
    obj["metadata"].setdefault("labels", {}).update(
        {
            "operator.istio.io/managed": "Reconcile",
            "operator.istio.io/version": "1.31.1",
            "operator.istio.io/component": "Pilot",
            "install.operator.istio.io/owning-resource-namespace": "istio-system",
            "istio.io/rev": "default",
            **changes,
        }
    )
    return obj


def tag_as_installed(obj: dict[str, Any]) -> dict[str, Any]:
    return owned(
        obj,
        **{
            "install.operator.istio.io/owning-resource-not-pruned": "true",
            "install.operator.istio.io/owning-resource": "unknown",
        },
    )


def runner(*rendered: dict[str, Any], **answers: Any) -> ScriptedRunner:
    return ScriptedRunner(
        {
            "manifest generate": stream(*(rendered or (config_map(),))),
            "tag generate": stream(TAG, SERVICE),
            **answers,
        }
    )


def cluster(*objects: dict[str, Any]) -> FakeCluster:
    """A server where these were installed by istioctl."""
    found = FakeCluster(namespace())
    for obj in objects:
        found.apply(obj, field_manager="istio-operator")
    found.writes.clear()
    return found


def everything() -> FakeCluster:
    return cluster(owned(config_map()), INJECTOR, tag_as_installed(TAG), tag_as_installed(SERVICE))


def plan(server: FakeCluster, run: ScriptedRunner, **changes: Any) -> list[tuple[str, str]]:
    found = istioctl.plan(server, installation(**changes), run, TOOL)
    return [(item.id, item.action) for item in found]


def test_a_control_plane_that_is_as_it_should_be_needs_no_install() -> None:
    server, run = everything(), runner()
    assert plan(server, run) == []
    assert server.writes == []
    (command,) = run.asked("manifest generate")
    assert command.argv == ("/opt/istioctl", "manifest", "generate", "-f", "-")
    assert json.loads(command.stdin)["kind"] == "IstioOperator"


def test_a_fresh_cluster_gets_namespaces_objects_and_the_tag_in_that_order() -> None:
    server = FakeCluster()
    gateways = [{"name": "istio-edge", "namespace": "edge"}]
    run = runner()
    found = istioctl.plan(server, installation(gateways=gateways), run, TOOL)
    assert [(item.id, item.action, item.validated) for item in found] == [
        ("Namespace istio-system", "create", False),
        ("Namespace edge", "create", False),
        ("ConfigMap istio-system/istio", "create", False),
        ("MutatingWebhookConfiguration istio-revision-tag-default", "create", False),
        ("ValidatingWebhookConfiguration istiod-default-validator", "create", False),
        ("Service istio-system/istiod-revision-tag-default", "create", False),
    ]
    tag, service = found[3], found[5]
    assert tag.before == {} and tag.after == tag.desired
    assert tag.after == {
        "apiVersion": WEBHOOKS,
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-revision-tag-default"},
    }
    assert service.after["metadata"]["namespace"] == "istio-system"
    assert run.asked("tag generate") == [], "there is nothing yet to derive a tag from"


def test_changed_and_new_objects_are_named() -> None:
    run = runner(config_map(mesh="new"), config_map("more"))
    assert plan(everything(), run) == [
        ("ConfigMap istio-system/istio", "update"),
        ("ConfigMap istio-system/more", "create"),
    ]


def test_labels_of_the_owner_are_part_of_the_comparison() -> None:
    server = everything()
    live = server.find("ConfigMap", "istio", "istio-system")
    assert live is not None
    del live["metadata"]["labels"]["operator.istio.io/managed"]
    assert plan(server, runner()) == [("ConfigMap istio-system/istio", "update")]


def test_log_lines_between_the_documents_are_no_manifest() -> None:
    log = "2026-11-23T02:25:34.636996Z\terror\twatch error in cluster : services is forbidden\n"
    run = runner()
    run.answers = {words: f"{log}{text}{log}" for words, text in run.answers.items()}
    assert plan(everything(), run) == []


def test_what_istioctl_applied_and_no_longer_renders_is_a_difference() -> None:
    """Only an apply as the manager that wrote a field takes it out again."""
    server = everything()
    server.apply(owned(config_map(gone="x")), field_manager="istio-operator")
    old = {**SERVICE, "spec": {"ports": [], "externalName": "old"}}
    server.apply(tag_as_installed(old), field_manager="istio-operator")
    assert plan(server, runner()) == [
        ("ConfigMap istio-system/istio", "update"),
        ("Service istio-system/istiod-revision-tag-default", "update"),
    ]


# Pruning.


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("v1", "Service"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ],
)
@pytest.mark.parametrize(
    "component", ["Base", "Pilot", "IngressGateways", "EgressGateways", "Cni", "Ztunnel"]
)
def test_every_kind_of_every_component_is_pruned(api_version: str, kind: str, component: str) -> None:
    """The lists of operator/pkg/uninstall/prune.go and operator/pkg/component, written down anew."""
    server = everything()
    old = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "old", "namespace": "istio-system"}}
    server.put(owned(old, **{"operator.istio.io/component": component}))
    assert [action for _id, action in plan(server, runner())] == ["delete"]


def test_what_this_installation_owns_and_no_longer_renders_is_deleted() -> None:
    server = everything()
    server.put(owned(config_map("old")))
    server.put(owned({**INJECTOR, "metadata": {"name": "old-injector"}}))
    assert plan(server, runner()) == [
        ("ConfigMap istio-system/old", "delete"),
        ("MutatingWebhookConfiguration old-injector", "delete"),
    ]


def test_what_goes_by_itself_is_nothing_left_to_do() -> None:
    """istioctl prunes in the foreground: the Deployment stays until its last pod has ended."""
    server = everything()
    server.put(owned(config_map("old")))
    live = server.find("ConfigMap", "old", "istio-system")
    assert live is not None
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan(server, runner()) == []


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("istio.io/rev", "canary"),
        ("operator.istio.io/version", "1.30.0"),
        ("operator.istio.io/managed", "Other"),
        ("operator.istio.io/component", "Other"),
        ("install.operator.istio.io/owning-resource-namespace", "elsewhere"),
        ("install.operator.istio.io/owning-resource-not-pruned", "true"),
    ],
)
def test_what_belongs_to_somebody_else_is_not_deleted(label: str, value: str) -> None:
    server = everything()
    server.put(owned(config_map("old"), **{label: value}))
    assert plan(server, runner()) == []


def test_a_kind_that_the_server_does_not_know_has_nothing_to_prune() -> None:
    server = everything()
    server.missing.add("EnvoyFilter")
    assert plan(server, runner()) == []


def test_a_kind_that_may_not_be_listed_is_an_error_not_an_empty_list() -> None:
    server = everything()
    server.forbidden.add("PodDisruptionBudget")
    with pytest.raises(ApiError, match="forbidden"):
        plan(server, runner())


# The default tag.


def test_a_revision_has_no_tag_of_its_own() -> None:
    run = runner()
    server = cluster(owned(config_map(), **{"istio.io/rev": "canary"}), INJECTOR)
    assert plan(server, run, revision="canary") == []
    assert run.asked("tag generate") == []


def test_the_tag_is_rendered_as_install_writes_it_and_compared() -> None:
    server, run = everything(), runner()
    server.remove("Service", "istiod-revision-tag-default", "istio-system")
    found = istioctl.plan(server, installation(), run, TOOL)
    assert [(item.id, item.action) for item in found] == [
        ("Service istio-system/istiod-revision-tag-default", "create")
    ]
    assert found[0].desired == tag_as_installed(SERVICE)
    (command,) = run.asked("tag generate")
    assert command.argv == (
        "/opt/istioctl", "tag", "generate", "default",
        "--revision", "default", "--overwrite", "--istioNamespace", "istio-system",
    )  # fmt: skip


def test_the_bundle_of_the_tag_is_istiods() -> None:
    server = everything()
    live = server.find("MutatingWebhookConfiguration", "istio-revision-tag-default")
    assert live is not None
    live["webhooks"][0]["clientConfig"]["caBundle"] = "bmV3"
    assert plan(server, runner()) == []
    server.remove("MutatingWebhookConfiguration", "istio-revision-tag-default")
    (found,) = istioctl.plan(server, installation(), runner(), TOOL)
    assert found.desired["webhooks"][0]["clientConfig"] == {"service": {"name": "istiod"}}
    assert found.desired["metadata"]["labels"]["istio.io/tag"] == "default"


def test_a_webhook_elsewhere_is_changed_in_nothing_else() -> None:
    server = everything()
    changed = copy.deepcopy(TAG)
    changed["webhooks"].append({"name": "second", "clientConfig": {"url": "https://x"}})
    run = runner(**{"tag generate": stream(changed, SERVICE)})
    (found,) = istioctl.plan(server, installation(), run, TOOL)
    assert found.action == "update"
    assert found.after["webhooks"][1] == {"name": "second", "clientConfig": {"url": "https://x"}}


BY_DEFAULT = {"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}}


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({}, False),
        ({"values": BY_DEFAULT}, True),
        ({"operator_spec": {"values": BY_DEFAULT}}, True),
        ({"values": {"sidecarInjectorWebhook": {"enableNamespacesByDefault": False}}}, False),
        ({"values": {"sidecarInjectorWebhook": {}}}, False),
        ({"values": {"sidecarInjectorWebhook": {"other": True}}}, False),
        (
            {
                "values": BY_DEFAULT,
                "operator_spec": {"values": {"sidecarInjectorWebhook": {"enableNamespacesByDefault": False}}},
            },
            False,
        ),
    ],
)
def test_injection_by_default_is_handed_to_the_tag_and_only_then(changes: Any, added: bool) -> None:
    """istioctl reads one merged document: ``operator_spec`` beats ``values`` (operator/pkg/webhook)."""
    run = runner()
    plan(everything(), run, **changes)
    (command,) = run.asked("tag generate")
    assert ("--auto-inject-namespaces" in command.argv) is added


def test_another_namespace_has_an_injector_and_a_tag_of_its_name() -> None:
    server, run = FakeCluster(namespace("mesh"), INJECTOR), runner()
    service = "Service mesh/istiod-revision-tag-default"
    assert ("MutatingWebhookConfiguration istio-revision-tag-default-mesh", "create") in plan(
        server, run, namespace="mesh"
    )
    assert run.asked("tag generate") == [], "istio-sidecar-injector belongs to another installation"
    server.put({**INJECTOR, "metadata": {"name": "istio-sidecar-injector-mesh"}})
    place = {**SERVICE, "metadata": {"name": "istiod-revision-tag-default", "namespace": "mesh"}}
    run.answers["tag generate"] = stream(TAG, place)
    assert (service, "create") in plan(server, run, namespace="mesh")
    (command,) = run.asked("tag generate")
    assert command.argv[-1] == "mesh"


# What the tool prints.


@pytest.mark.parametrize("words", ["manifest generate", "tag generate"])
def test_a_failing_tool_is_an_error(words: str) -> None:
    with pytest.raises(MeshError, match=r"^could not render the .*: unknown profile$") as caught:
        plan(everything(), runner(**{words: Failing("unknown profile")}))
    assert caught.value.details == {"returncode": 1}


@pytest.mark.parametrize("words", ["manifest generate", "tag generate"])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("metadata: {name: [", "not valid YAML"),
        ("just text", "not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: [x]}", "labels is list, not a mapping"),
        ("apiVersion: v1\nkind: Pod\nmetadata: a", "metadata is str, not a mapping"),
    ],
)
def test_nonsense_is_named_with_the_command_that_printed_it(words: str, text: str, word: str) -> None:
    with pytest.raises(MeshError, match=f"the output of istioctl {words}.*{word}"):
        plan(everything(), runner(**{words: text}))


@pytest.mark.parametrize("text", ["", "\n", "---\n", stream(SERVICE)])
def test_half_a_tag_is_no_tag(text: str) -> None:
    """Nothing to compare would look like a tag that is as it should be."""
    with pytest.raises(MeshError, match="the output of istioctl tag generate holds no tag"):
        plan(everything(), runner(**{"tag generate": text}))


@pytest.mark.parametrize("webhooks", [{"a": 1}, ["a"], [{"name": "x", "clientConfig": "y"}]])
def test_a_tag_with_odd_webhooks_is_an_error(webhooks: Any) -> None:
    with pytest.raises(MeshError, match=r"not a (list|mapping)"):
        plan(everything(), runner(**{"tag generate": stream({**TAG, "webhooks": webhooks})}))


# Installing.


class Installer(ScriptedRunner):
    """An istioctl that installs what it renders, but for what ``forgets`` names."""

    def __init__(self, server: FakeCluster, forgets: tuple[str, ...] = ()) -> None:
        super().__init__(runner().answers)
        self.answers["install"] = self.install
        self.server, self.forgets = server, forgets

    def install(self, _command: object) -> str:
        self.seen = [obj["metadata"]["name"] for obj in self.server.of_kind("Namespace")]
        for obj in (
            namespace(),
            owned(config_map()),
            INJECTOR,
            tag_as_installed(TAG),
            tag_as_installed(SERVICE),
        ):
            if obj["metadata"]["name"] not in self.forgets:
                self.server.apply(obj, field_manager="istio-operator")
        return "done"


def install(server: FakeCluster, run: Any, differences: list[DriftedObject], **changes: Any) -> list[str]:
    lines: list[str] = []
    istioctl.install(
        server,
        installation(**changes),
        run,
        TOOL,
        differences=differences,
        timeout=100,
        context=Context(progress=lines.append),
    )
    return lines


def test_an_install_runs_istioctl_once_and_looks_again() -> None:
    server = FakeCluster()
    run = Installer(server)
    gateways = [{"name": "istio-edge", "namespace": "edge"}]
    missing = istioctl.plan(server, installation(), run, TOOL)
    lines = install(server, run, missing, gateways=gateways)
    assert lines == ["istioctl 1.31.1 installs revision default: 5 objects differ"]
    (command,) = run.asked("install")
    assert command.argv == (
        "/opt/istioctl", "install", "--skip-confirmation", "--readiness-timeout", "100s", "-f", "-",
    )  # fmt: skip
    assert command.timeout == 360
    assert json.loads(command.stdin)["spec"]["components"]["ingressGateways"][0]["name"] == "istio-edge"
    assert run.seen == ["edge"], "istioctl makes its own namespace, not those of gateways"
    assert [call.verb for call in server.calls].count("refresh_discovery") == 1
    assert run.commands[-1].argv[1:3] == ("tag", "generate"), "the plan is made again after the install"


def test_the_revision_is_named() -> None:
    server = FakeCluster(namespace())
    run = Installer(server)
    lines: list[str] = []
    with pytest.raises(MeshError):
        istioctl.install(
            server,
            installation(revision="canary"),
            run,
            TOOL,
            differences=[],
            timeout=1,
            context=Context(progress=lines.append),
        )
    assert lines == ["istioctl 1.31.1 installs revision canary: 0 objects differ"]


def test_namespaces_that_are_there_are_not_written() -> None:
    server = FakeCluster(namespace(), namespace("edge"))
    install(server, Installer(server), [], gateways=[{"name": "istio-edge", "namespace": "edge"}])
    assert ("apply", "Namespace edge") not in server.writes


def test_an_install_that_left_something_out_failed() -> None:
    server = FakeCluster()
    run = Installer(server, forgets=("istiod-revision-tag-default",))
    message = "istioctl ended well, but 1 objects still differ: Service istio-system/istiod-revision-tag-def"
    with pytest.raises(MeshError, match=message) as caught:
        install(server, run, [])
    service = {"id": "Service istio-system/istiod-revision-tag-default", "action": "create"}
    assert caught.value.details == {"objects": [service]}


def test_five_of_the_objects_that_are_left_are_named_and_all_are_listed() -> None:
    server = FakeCluster()
    run = Installer(server)
    run.answers["manifest generate"] = stream(*(config_map(f"c{number}") for number in range(6)))
    run.answers["install"] = lambda _command: server.put(namespace()) and "done"
    with pytest.raises(MeshError, match="but 9 objects still differ") as caught:
        install(server, run, [])
    assert caught.value.message.endswith(
        "c0, " + ", ".join(f"ConfigMap istio-system/c{n}" for n in range(1, 5))
    )
    assert len(caught.value.details["objects"]) == 9


def test_a_failing_install_is_an_error_and_nothing_is_asked_afterwards() -> None:
    server = FakeCluster(namespace())
    run = Installer(server)
    run.answers["install"] = Failing("timed out waiting for the condition")
    with pytest.raises(MeshError, match="could not install the control plane with istioctl: timed out"):
        install(server, run, [])
    assert len(run.commands) == 1


def test_a_persons_additions_go_before_istioctl_runs() -> None:
    server = everything()
    patch = {"spec": {"externalName": "x"}}
    server.patch(
        "v1", "Service", "istiod-revision-tag-default", "istio-system", patch, field_manager="kubectl-edit"
    )
    run = Installer(server)
    found = istioctl.plan(server, installation(), run, TOOL)
    assert [item.summary().get("taken_back_from") for item in found] == ["kubectl-edit"]
    seen = []
    run.answers["install"] = lambda _command: seen.append(server.find("Service", *SERVICE_KEY)["spec"]) or ""
    install(server, run, found)
    assert seen == [{"ports": []}]
