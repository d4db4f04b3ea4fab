"""What the options of a control plane mean, and that they are what the modules' documentation says."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import CONNECTION_SPEC
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import addons
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import (
    backend,
    ready,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    INSTALLATION_SPEC,
    ToolOptions,
    installation_of,
    tools_of,
)

from ...support.arguments import validated

PLUGINS = "ansible_collections.servicemesh.istio.plugins"
SAID = ("type", "default", "choices", "elements", "required")


def described(options: dict[str, Any], nested: str) -> dict[str, Any]:
    """What a spec and a documentation both say of each option."""
    found: dict[str, Any] = {}
    for name, option in options.items():
        found[name] = {key: option[key] for key in SAID if key in option}
        if nested in option:
            found[name]["below"] = described(option[nested], nested)
    return found


def documented(module: str) -> dict[str, Any]:
    """The options of a module, those of its fragments included."""
    text = yaml.safe_load(importlib.import_module(f"{PLUGINS}.modules.{module}").DOCUMENTATION)
    options = dict(text["options"])
    for fragment in text["extends_documentation_fragment"]:
        name = fragment.rpartition(".")[2]
        holder = importlib.import_module(f"{PLUGINS}.doc_fragments.{name}").ModuleDocFragment
        options |= yaml.safe_load(holder.DOCUMENTATION)["options"]
    return described(options, "suboptions")


@pytest.mark.parametrize(
    ("module", "operation"),
    [("control_plane", backend), ("control_plane_ready", ready), ("addons", addons)],
)
def test_the_documentation_says_what_is_accepted(module: str, operation: Any) -> None:
    assert described(operation.ARGUMENT_SPEC, "options") == documented(module)


def params_of(operation: Any, **given: Any) -> dict[str, Any]:
    return validated(operation.ARGUMENT_SPEC, {"host": "h", **given})


def test_what_is_meant_when_nothing_is_said() -> None:
    params = params_of(backend)
    found = installation_of(params)
    assert (found.method, found.hub, found.tag, found.profile) == (
        "istioctl",
        "docker.io/istio",
        "1.31.1",
        "default",
    )
    assert (found.revision, found.default_revision, found.namespace) == ("", "default", "istio-system")
    assert [gateway.name for gateway in found.gateways] == ["istio-ingressgateway"]
    assert tools_of(params) == ToolOptions(
        istioctl_path="istioctl",
        helm_binary="helm",
        chart_source="https://blob.istio.io/istio-release/charts",
        chart_cache="",
    )


def test_an_installation_may_be_described_in_part() -> None:
    """As module control_plane_ready does, whose other options are none of an installation."""
    params = params_of(ready, revision="r1", gateways=[])
    assert "timeout" in params and "version" not in params
    found = installation_of(params)
    assert (found.istiod, found.version, found.namespaces) == ("istiod-r1", "", ("istio-system",))
    assert ready.ReadyOptions.from_params(params) == ready.ReadyOptions(found, timeout=300.0)


def test_a_run_does_not_share_its_lists_with_the_next_one() -> None:
    first = params_of(backend)["gateways"]
    assert first == [{"name": "istio-ingressgateway"}]
    assert INSTALLATION_SPEC["gateways"]["default"] == [{"name": "istio-ingressgateway"}]
    assert ready.ARGUMENT_SPEC.keys() - CONNECTION_SPEC.keys() == {
        "method", "hub", "revision", "namespace", "gateways", "timeout",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["A" * 64, f"sha256:{'a' * 64}", f" {'a' * 64} "])
def test_a_checksum_is_read_as_programs_print_it(text: str) -> None:
    assert tools_of(params_of(backend, chart_checksums={"base": text})).chart_checksums == {"base": "a" * 64}


@pytest.mark.parametrize("text", ["", "a" * 63, "g" * 64, f"md5:{'a' * 64}", 7])
def test_what_is_no_checksum_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"istio_chart_checksums\.base: is no sha256"):
        tools_of(params_of(backend, chart_checksums={"base": text}))
