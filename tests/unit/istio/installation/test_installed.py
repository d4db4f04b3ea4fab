"""What a comparison leaves out, what readiness asks for, what Helm remembers, what manifests say."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import (
    Runner,
    first_error,
    without_log_lines,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_storage import (
    stored_releases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.installed import (
    belongs_to_revision,
    crd_trouble,
    images_of,
    installer_of,
    settled,
    webhook_trouble,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.manifests import (
    parse_manifests,
    yaml_text,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id


def webhooks(kind: str, **fields: Any) -> dict[str, Any]:
    hook = {"name": "validation.istio.io", "clientConfig": {"service": {"name": "istiod"}}, **fields}
    return {"kind": kind, "metadata": {"name": "istio"}, "webhooks": [hook]}


VALIDATING = "ValidatingWebhookConfiguration"


def test_what_istiod_writes_is_taken_from_the_live_object() -> None:
    rendered = webhooks(VALIDATING, failurePolicy="Ignore")
    live = webhooks(VALIDATING, failurePolicy="Fail", clientConfig={"caBundle": "Q0E=", "service": {}})
    hook = settled(rendered, live)["webhooks"][0]
    assert hook["failurePolicy"] == "Fail"
    assert hook["clientConfig"] == {"caBundle": "Q0E=", "service": {"name": "istiod"}}
    assert rendered["webhooks"][0]["failurePolicy"] == "Ignore"


def test_the_other_direction_is_drift() -> None:
    rendered = webhooks(VALIDATING, failurePolicy="Fail")
    live = webhooks(VALIDATING, failurePolicy="Ignore")
    assert settled(rendered, live)["webhooks"][0]["failurePolicy"] == "Fail"


def test_an_injector_that_is_not_deactivated_keeps_its_selectors() -> None:
    kind = "MutatingWebhookConfiguration"
    rendered = webhooks(kind, namespaceSelector={"matchExpressions": [1]}, objectSelector={})
    changed = webhooks(kind, namespaceSelector={"matchLabels": {"x": "y"}}, objectSelector={})
    assert settled(rendered, changed)["webhooks"][0]["namespaceSelector"] == {"matchExpressions": [1]}
    off = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    deactivated = webhooks(kind, namespaceSelector=off, objectSelector=off)
    assert settled(rendered, deactivated)["webhooks"][0]["namespaceSelector"] == off


def test_a_bundle_of_ones_own_stays_and_a_missing_one_is_taken_over() -> None:
    live = webhooks(VALIDATING, clientConfig={"caBundle": "bGl2ZQ=="})
    own = settled(webhooks(VALIDATING, clientConfig={"caBundle": "b3du"}), live)["webhooks"][0]
    assert own["clientConfig"] == {"caBundle": "b3du"}
    bare = {"kind": VALIDATING, "metadata": {"name": "istio"}, "webhooks": [{"name": "validation.istio.io"}]}
    assert settled(bare, live)["webhooks"][0]["clientConfig"] == {"caBundle": "bGl2ZQ=="}
    without = settled(bare, webhooks(VALIDATING))["webhooks"][0]
    assert without == {"name": "validation.istio.io"}


def test_a_webhook_that_is_not_there_and_an_object_that_is_not_there_stay_as_rendered() -> None:
    rendered = webhooks(VALIDATING, failurePolicy="Ignore")
    other = webhooks(VALIDATING, name="other", failurePolicy="Fail", clientConfig={"caBundle": "Q0E="})
    assert settled(rendered, other) == rendered
    assert settled(rendered, None) == rendered
    without = {"kind": VALIDATING, "metadata": {"name": "istio"}}
    assert settled(without, other) == without


def test_the_policy_of_a_mutating_webhook_is_not_istiods() -> None:
    kind = "MutatingWebhookConfiguration"
    live = webhooks(kind, failurePolicy="Fail")
    assert settled(webhooks(kind, failurePolicy="Ignore"), live)["webhooks"][0]["failurePolicy"] == "Ignore"
    # Left out means Ignore for the installer: istiod turns that, too.
    assert (
        settled(webhooks(VALIDATING), webhooks(VALIDATING, failurePolicy="Fail"))["webhooks"][0][
            "failurePolicy"
        ]
        == "Fail"
    )
    assert "failurePolicy" not in settled(webhooks(VALIDATING), webhooks(VALIDATING))["webhooks"][0]


def test_one_switched_off_selector_takes_both_from_the_live_object() -> None:
    kind = "MutatingWebhookConfiguration"
    rendered = webhooks(kind, namespaceSelector={"a": 1}, objectSelector={"b": 1})
    off = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    found = settled(rendered, webhooks(kind, objectSelector=off))["webhooks"][0]
    assert (found["namespaceSelector"], found["objectSelector"]) == ({}, off)


def test_a_live_object_of_the_wrong_shape_is_no_empty_one() -> None:
    with pytest.raises(MalformedError, match="webhooks is dict, not a list"):
        settled(webhooks(VALIDATING), {**webhooks(VALIDATING), "webhooks": {}})
    with pytest.raises(MalformedError, match="conditions is str"):
        crd_trouble({"metadata": {"name": "x"}, "status": {"conditions": "Established"}})
    with pytest.raises(MalformedError, match="image is list"):
        images_of({"spec": {"template": {"spec": {"containers": [{"image": []}]}}}})


def test_a_configuration_belongs_to_the_revision_of_its_label() -> None:
    named = {"metadata": {"labels": {"istio.io/rev": "r1"}}}
    default = {"metadata": {"labels": {"istio.io/rev": "default"}}}
    assert belongs_to_revision(named, "r1") and not belongs_to_revision(named, "")
    assert belongs_to_revision(default, "") and not belongs_to_revision(default, "r1")
    assert not belongs_to_revision({"metadata": {}}, "")


def test_the_images_of_a_workload_are_those_of_its_containers() -> None:
    containers = [{"name": "a", "image": "i1"}, {"name": "b"}]
    pod = {"containers": containers, "initContainers": [{"image": "i0"}]}
    assert images_of({"spec": {"template": {"spec": pod}}}) == ["i1", ""]
    assert images_of({}) == []


def test_other_kinds_are_compared_whole() -> None:
    rendered = {"kind": "ConfigMap", "metadata": {"name": "istio"}, "data": {"mesh": "a"}}
    assert settled(rendered, {**rendered, "data": {"mesh": "b"}}) == rendered


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"failurePolicy": "Fail"}, "no CA bundle"),
        ({"failurePolicy": "Ignore", "clientConfig": {"caBundle": "x"}}, "failurePolicy Ignore"),
        ({"failurePolicy": "Fail", "clientConfig": {"caBundle": "x"}}, ""),
    ],
)
def test_a_webhook_is_ready_when_it_fails_closed_and_has_a_ca(fields: dict[str, Any], word: str) -> None:
    found = webhook_trouble(webhooks(VALIDATING, **fields))
    assert (word in found) and bool(found) == bool(word)


def test_only_a_validating_webhook_has_to_fail_closed_and_every_webhook_counts() -> None:
    injector = webhooks(
        "MutatingWebhookConfiguration", failurePolicy="Ignore", clientConfig={"caBundle": "x"}
    )
    assert webhook_trouble(injector) == ""
    injector["webhooks"].append({"name": "second", "clientConfig": {}})
    assert webhook_trouble(injector) == "webhook second of istio has no CA bundle"
    # What arms nothing is not armed.
    empty = {"kind": VALIDATING, "metadata": {"name": "istio"}}
    assert webhook_trouble(empty) == "ValidatingWebhookConfiguration istio holds no webhook"


def test_only_established_crds_can_be_used() -> None:
    conditions = [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]
    assert crd_trouble({"metadata": {"name": "x"}, "status": {"conditions": conditions}}) == ""
    conditions[1]["status"] = "False"
    assert "x is not Established" in crd_trouble(
        {"metadata": {"name": "x"}, "status": {"conditions": conditions}}
    )
    assert crd_trouble({"metadata": {"name": "x"}})


def test_the_installer_leaves_its_mark() -> None:
    assert installer_of({"metadata": {"annotations": {"meta.helm.sh/release-name": "istiod"}}}) == "helm"
    assert installer_of({"metadata": {"labels": {"operator.istio.io/managed": "Reconcile"}}}) == "istioctl"
    assert installer_of({"metadata": {}}) == ""


def secret(revision: int, status: str, **record: Any) -> dict[str, Any]:
    content = {
        "name": "istiod",
        "namespace": "istio-system",
        "version": revision,
        "info": {"status": status},
        "chart": {"metadata": {"name": "istiod", "version": "1.31.0"}},
        "config": {"a": 1},
        **record,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    return {
        "type": "helm.sh/release.v1",
        "metadata": {"name": f"v{revision}", "namespace": "istio-system", "labels": {"modifiedAt": "5"}},
        "data": {"release": base64.b64encode(packed).decode()},
    }


def test_helm_records_are_sorted_by_number_not_by_name() -> None:
    records = stored_releases([secret(9, "superseded"), secret(10, "pending-upgrade"), secret(8, "deployed")])
    found = records["istio-system", "istiod"]
    assert [record.revision for record in found] == [10, 9, 8]
    assert [record.pending for record in found] == [True, False, False]
    assert found[0].values == {"a": 1} and found[0].modified == 5


def test_a_record_without_values_has_none() -> None:
    assert stored_releases([secret(1, "deployed", config=None)])["istio-system", "istiod"][0].values == {}


def test_other_secrets_are_left_alone_and_garbage_is_named() -> None:
    assert stored_releases([{"type": "Opaque", "metadata": {"name": "x"}}]) == {}
    broken = {
        "type": "helm.sh/release.v1",
        "metadata": {"name": "x", "namespace": "n"},
        "data": {"release": "AA=="},
    }
    with pytest.raises(MeshError, match="Secret n/x is not a Helm release record"):
        stored_releases([broken])


def test_manifests_lose_null_fields_and_keep_times_as_text() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: null}\ndata: {t: 2026-01-01}\n---\n"
    assert parse_manifests(text, about="x") == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"t": "2026-01-01"}}
    ]


def test_nulls_go_at_every_depth_and_stay_in_lists() -> None:
    head = "apiVersion: v1\nkind: X\nmetadata: {name: a}\n"
    (found,) = parse_manifests(f"{head}spec: [{{a: null, b: {{c: null, 1: d}}}}, null]", about="x")
    assert found["spec"] == [{"b": {"1": "d"}}, None]


def test_lists_are_unpacked() -> None:
    for kind in ("List", "PodList"):
        text = f"apiVersion: v1\nkind: {kind}\nitems: [{{apiVersion: v1, kind: Pod, metadata: {{name: p}}}}]"
        assert [object_id(obj) for obj in parse_manifests(text, about="x")] == ["Pod p"]
    with pytest.raises(MeshError, match="x:2: a document is not a Kubernetes object"):
        parse_manifests("---\nkind: List\nitems: [{kind: Pod, metadata: {name: p}}]", about="x")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: [", "not valid YAML"),
        ("just text", "not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\n", "an object of kind Pod has no name"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "not a Kubernetes object"),
        ("kind: Pod\nmetadata: {name: a}\n", "not a Kubernetes object"),
        ("apiVersion: v1\nkind: [Pod]\nmetadata: {name: a}\n", "kind is list, not a string"),
        ("apiVersion: [v1]\nkind: Pod\nmetadata: {name: a}\n", "apiVersion is list, not a string"),
        ("apiVersion: v1\nkind: Pod\nmetadata: [a]\n", "metadata is list, not a mapping"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: [a]}\n", "name is list, not a string"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: [b]}\n", "namespace is list"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: [b]}\n", "labels is list"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: b}\n", "annotations is str"),
    ],
)
def test_other_texts_are_refused_with_their_source(text: str, word: str) -> None:
    with pytest.raises(MeshError, match=f"file.yml.*{word}"):
        parse_manifests(text, about="file.yml")


def test_a_diff_text_keeps_the_lines_of_long_texts() -> None:
    assert "  mesh: |-\n    a: 1\n    b: 2" in yaml_text({"data": {"mesh": "a: 1 \nb: 2"}})
    assert yaml_text({}) == ""
    assert yaml_text({"a": "word " * 100}) == f"a: '{'word ' * 100}'\n"
    assert yaml_text({"b": [{"c": 1}], "a": {}}) == "a: {}\nb:\n- c: 1\n"


def test_a_line_break_at_the_end_shows_in_a_diff() -> None:
    assert yaml_text({"a": "x\ny"}) == "a: |-\n  x\n  y\n"
    assert yaml_text({"a": "x\ny\n"}) == "a: |\n  x\n  y\n"
    assert yaml_text({"a": "x\n"}) == "a: |\n  x\n"
    assert yaml_text({"a": "x"}) == "a: x\n"


def test_istioctls_log_lines_are_no_manifest() -> None:
    log = "2026-11-23T02:25:34.636996Z\terror\twatch error in cluster : services is forbidden\n"
    assert without_log_lines(f"{log}apiVersion: v1\n{log}kind: Pod\n") == "apiVersion: v1\nkind: Pod\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("usage\nError: unknown profile x\n", "unknown profile x"),
        ("\x1b[31mboom\x1b[0m\n", "boom"),
        ("", "it failed without a message"),
    ],
)
def test_the_sentence_of_a_tool_is_found(text: str, wanted: str) -> None:
    assert first_error(text) == wanted


def test_commands_get_their_input_and_only_their_own_environment() -> None:
    runner = Runner({"PATH": "/usr/bin:/bin", "GREETING": "hello"})
    script = 'read line; echo "$GREETING $line ${HOME:-nothing}"'
    assert runner.run(["sh", "-c", script], stdin="world\n") == "hello world nothing\n"


def test_a_failing_command_is_one_sentence() -> None:
    with pytest.raises(MeshError, match=r"^could not do it: bad thing$"):
        Runner({"PATH": "/usr/bin:/bin"}).run(
            ["sh", "-c", "echo 'Error: bad thing' >&2; exit 3"], about="do it"
        )


def test_a_command_ends_with_its_time_and_with_the_play() -> None:
    with pytest.raises(MeshError, match="did not end within 0 s"):
        Runner({"PATH": "/usr/bin:/bin"}).run(["sleep", "30"], timeout=0.1)
    with pytest.raises(MeshError, match="the play was interrupted"):
        Runner({"PATH": "/usr/bin:/bin"}, lambda: True).run(["sleep", "30"])
