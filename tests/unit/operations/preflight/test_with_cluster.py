# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight refuses a catalogue that the cluster contradicts, and revisions that nobody answers to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.inputs import read_inputs
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.with_cluster import (
    check_catalogue,
)

from ...support import injection
from ...support.arguments import validated
from ...support.catalogues import minimal
from ...support.cluster import FakeCluster, reaching
from ...support.deployed import namespace, shop
from ...support.outages import OUTAGES, one_call_fails
from ..cluster_check.test_settings import config_maps
from .test_inputs import TODAY, params

Obj = dict[str, Any]
MISSING = "there is no Service shop/api"


def checked(
    cluster: FakeCluster,
    raw: Obj | None = None,
    *,
    parts: tuple[str, ...] = ("mesh",),
    check_mode: bool = False,
    istio: Obj | None = None,
    namespaces: list[Any] | None = None,
    **more: Any,
) -> list[str]:
    given = {
        "parts": list(parts),
        "catalogue": copy.deepcopy(raw or minimal()),
        "istio": {"version": "1.31.1", **(istio or {})},
        "injection_namespaces": namespaces or [],
        "kubeconfig": {},
        **more,
    }
    valid = validated(backend.ARGUMENT_SPEC, given)
    context = Context(environment={"PATH": "/bin"}, connect=reaching(cluster), check_mode=check_mode)
    return list(backend.run(valid, context)["findings"])


def without_api() -> FakeCluster:
    cluster = FakeCluster(*shop())
    cluster.remove("Service", "api", "shop")
    return cluster


def test_a_catalogue_that_fits_passes() -> None:
    assert [text for text in checked(FakeCluster(*shop())) if "version=v2" not in text] == []


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_service_that_is_not_there_is_refused_also_in_check_mode(check_mode: bool) -> None:
    with pytest.raises(InputError, match=MISSING):
        checked(without_api(), check_mode=check_mode)


def test_without_the_mesh_among_the_parts_nothing_is_compared() -> None:
    assert checked(without_api(), parts=("verify",)) == []


@pytest.mark.parametrize("value", [["api"], "api", "web,api"])
def test_a_service_that_is_not_deployed_yet_is_allowed_by_name(value: Any) -> None:
    checked(without_api(), minimal(mesh_not_deployed=value))


def test_the_check_may_warn_or_be_switched_off() -> None:
    assert [text for text in checked(without_api(), minimal(mesh_cluster_check="warn")) if MISSING in text]
    assert not [text for text in checked(without_api(), minimal(mesh_cluster_check="off")) if MISSING in text]
    with pytest.raises(InputError, match="mesh_cluster_check"):
        checked(without_api(), minimal(mesh_cluster_check="maybe"))


def test_a_mesh_that_goes_need_not_fit() -> None:
    assert not [text for text in checked(without_api(), minimal(mesh_state="absent")) if MISSING in text]


def test_files_of_a_team_may_make_the_service() -> None:
    found = checked(without_api(), minimal(mesh_resource_paths=["files/services.yml"]))
    assert [text for text in found if "mesh_resource_paths would have to make it" in text]


def test_a_first_install_on_a_bare_cluster_passes() -> None:
    """Neither Istio, nor its gateways, nor the team's namespace exist yet."""
    found = checked(FakeCluster(namespace("kube-system")), check_mode=True)
    assert [text for text in found if "namespace shop does not exist yet" in text]


def test_discovery_selectors_have_to_see_the_catalogue() -> None:
    istio = {"mesh_config": {"discoverySelectors": [{"matchLabels": {"mesh": "on"}}]}}
    with pytest.raises(
        InputError, match=r"istio_mesh_config\.discoverySelectors: leaves out istio-system, shop"
    ):
        checked(FakeCluster(*shop()), istio=istio)
    cluster = FakeCluster(*shop())
    for name in ("shop", "istio-system"):
        cluster.put(namespace(name, mesh="on"))
    assert not [text for text in checked(cluster, istio=istio) if "discoverySelectors" in text]
    cluster.forbidden = {"Namespace"}
    assert [text for text in checked(cluster, istio=istio) if "discoverySelectors" in text] == [
        "discoverySelectors: cannot tell whether istiod sees istio-system, shop: "
        "no right to get these namespaces"
    ]


def test_namespaces_need_not_be_read_where_nobody_selects_them() -> None:
    cluster = FakeCluster(*shop())
    cluster.forbidden = {"Namespace"}
    assert not [text for text in checked(cluster) if "discoverySelectors" in text]


def with_revision(name: str) -> list[Any]:
    return [{"name": "shop", "mode": "revision", "revision": name}]


def injectors() -> Obj:
    found = injection.webhook_configuration("injector-r1", "r1", ["r1"], tag="prod")
    return {"kind": "MutatingWebhookConfiguration", **found}


def test_a_revision_has_to_exist_or_to_be_installed() -> None:
    cluster = FakeCluster(*shop(), injectors())
    for name in ("r1", "prod"):
        checked(cluster, parts=("injection",), namespaces=with_revision(name))
    with pytest.raises(
        InputError, match=r"injection_namespaces\[0\]\.revision: no revision or tag is called 'r2'"
    ):
        checked(cluster, parts=("injection",), namespaces=with_revision("r2"))
    told = checked(cluster, parts=("injection",), namespaces=with_revision("r2"), check_mode=True)
    assert [text for text in told if "no revision or tag is called 'r2' (known: prod, r1)" in text]


def test_a_tag_of_the_installation_counts_as_there() -> None:
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
        read_installation,
    )
    from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.with_cluster import (
        _to_be_installed,
    )

    given = {"method": "helm", "version": "1.31.1", "hub": "h", "gateways": [], "revision": "r2"}
    installation = read_installation({**given, "values": {"revisionTags": ["stable"]}})
    assert _to_be_installed(installation) == {"r2", "default", "stable"}


def test_revisions_are_looked_for_only_where_injection_runs() -> None:
    cluster = FakeCluster(*shop(), injectors())
    assert not [text for text in checked(cluster, namespaces=with_revision("r2")) if "r2" in text]


@pytest.mark.parametrize("status", [403, 500])
def test_revisions_that_may_not_be_read_are_told_and_other_trouble_ends_the_run(status: int) -> None:
    cluster = FakeCluster(*shop(), injectors())
    cluster.fail("list", "MutatingWebhookConfiguration", status, times=9)
    if status == 403:
        found = checked(cluster, parts=("injection",), namespaces=with_revision("r2"))
        assert [text for text in found if "cannot tell whether their revisions exist" in text]
    else:
        with pytest.raises(ApiError):
            checked(cluster, parts=("injection",), namespaces=with_revision("r2"))


def test_the_configuration_that_runs_is_compared_unless_this_run_writes_it() -> None:
    cluster = FakeCluster(*shop(), *config_maps({"trustDomain": "a.example"}))
    with pytest.raises(InputError, match=r"trustDomain in ConfigMap istio-system/istio is 'a\.example'"):
        checked(cluster, minimal(), parts=("mesh",))
    options = {"parts": ["istio", "mesh"], "catalogue": minimal(), "istio": {"version": "1.31.1"}}
    inputs = read_inputs(params(**options), today=TODAY)
    assert inputs.catalogue is not None
    found = check_catalogue(cluster, inputs, inputs.catalogue, check_mode=False)
    assert [text for text in found if "trustDomain" in text] == []


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_namespace_that_another_inventory_labels_is_told_before_anything_is_written(
    check_mode: bool,
) -> None:
    """A whole site run would otherwise install first, and be refused by the step after that."""
    home = namespace("shop")
    home["metadata"]["labels"] = {"istio-injection": "enabled"}
    home["metadata"]["annotations"] = {"servicemesh.istio/injected-by": "books@prod"}
    cluster = FakeCluster(*shop())
    cluster.put(home)
    wanted = [{"name": "shop", "revision": "default"}]
    given: Obj = {"parts": ("injection",), "check_mode": check_mode, "owner": "shop@prod"}
    with pytest.raises(InputError) as caught:
        checked(cluster, namespaces=wanted, **given)
    (problem,) = caught.value.problems
    assert (problem.where, problem.rule) == ("injection_namespaces[0]", "one-inventory")
    assert "labelled by the inventory of 'books@prod'" in problem.message
    assert "-e injection_take_over=true" in problem.message
    for fine in ({"owner": "books@prod"}, {"take_over": True}):
        checked(cluster, namespaces=["shop"], **{**given, **fine})
    checked(cluster, namespaces=["shop"], **given)


def everything() -> FakeCluster:
    return FakeCluster(*shop(), injectors())


def whole(cluster: FakeCluster) -> list[str]:
    return checked(cluster, parts=("mesh", "injection"), namespaces=with_revision("r1"))


@pytest.mark.parametrize("how", OUTAGES)
def test_an_outage_at_any_call_is_no_answer(how: int | str) -> None:
    tried = set()
    for call, failing in one_call_fails(everything, whole, how):
        tried.add(call.kind)
        with pytest.raises(ApiError):
            pytest.fail(f"{call} was taken for seen: {whole(failing)}")
    assert tried >= {"Namespace", "Service", "Pod", "Gateway", "MutatingWebhookConfiguration"}


def test_a_missing_right_is_told_or_ends_it() -> None:
    """But for what only names the cluster, and for what the check of the rights tells itself."""
    before = whole(everything())
    for call, failing in one_call_fails(everything, whole, 403):
        try:
            found = whole(failing)
        except ApiError as error:
            assert error.status == 403, call
            continue
        except InputError as error:  # a namespace that may not be read is taken for there
            assert call.kind == "Namespace", (call, error)
            continue
        if call.kind in ("Service", "Pod", "ConfigMap", "MutatingWebhookConfiguration"):
            assert [text for text in found if text not in before and "forbidden" in text], call
