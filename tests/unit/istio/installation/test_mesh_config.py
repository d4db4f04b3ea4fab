"""MeshConfig: unknown keys, and the providers of two variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.mesh_config import (
    read_mesh_config,
)


def problems_of(config: Any, providers: Any = ()) -> list[str]:
    problems: list[Problem] = []
    read_mesh_config(config, providers, problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("config", "where", "near"),
    [
        ({"accesLogFile": "/dev/stdout"}, "istio_mesh_config.accesLogFile", "accessLogFile"),
        ({"meshMtls": {}}, "istio_mesh_config.meshMtls", "meshMTLS"),
        ({"acess_log_file": ""}, "istio_mesh_config.acess_log_file", "accessLogFile"),
        (
            {"defaultConfig": {"holdApplicationUntilProxyStart": True}},
            "istio_mesh_config.defaultConfig.holdApplicationUntilProxyStart",
            "holdApplicationUntilProxyStarts",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(
    config: dict[str, Any], where: str, near: str
) -> None:
    (problem,) = problems_of(config)
    assert problem.startswith(f"{where}: Istio does not know this key, did you mean {near};")
    assert "istio_values.meshConfig" in problem
    assert problem.endswith("(unknown-key)")


def test_known_keys_in_both_spellings_pass() -> None:
    config = {
        "accessLogFile": "/dev/stdout",
        "access_log_encoding": "JSON",
        "mesh_mTLS": {"minProtocolVersion": "TLSV1_3"},
        "defaultConfig": {"concurrency": 1, "proxy_metadata": {"ANY_NAME": "x"}},
    }
    problems: list[Problem] = []
    assert read_mesh_config(config, (), problems) == config
    assert not problems


def test_a_default_config_that_is_no_mapping() -> None:
    assert problems_of({"defaultConfig": ["concurrency"]}) == [
        "istio_mesh_config.defaultConfig: is not a mapping (type)"
    ]


def test_providers_of_both_variables_are_merged() -> None:
    problems: list[Problem] = []
    config = {"extensionProviders": [{"name": "a"}]}
    found = read_mesh_config(config, [{"name": "b"}], problems)
    assert [provider["name"] for provider in found["extensionProviders"]] == ["a", "b"]
    assert not problems
    assert config == {"extensionProviders": [{"name": "a"}]}
