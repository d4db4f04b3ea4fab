"""MeshConfig: unknown keys, and the providers of two variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.mesh_config import (
    read_mesh_config,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader


def read(config: Any = None, providers: Any = None) -> tuple[dict[str, Any], list[str]]:
    problems = Problems()
    variables = {"istio_mesh_config": config, "mesh_extension_providers": providers}
    return read_mesh_config(Reader(variables, "", problems)), [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    ("config", "where", "near"),
    [
        ({"accesLogFile": "/dev/stdout"}, "istio_mesh_config.accesLogFile", "accessLogFile"),
        ({"meshMtls": {}}, "istio_mesh_config.meshMtls", "meshMTLS"),
        ({"acess_log_file": ""}, "istio_mesh_config.acess_log_file", "accessLogFile"),
        # Folded to lower case it would be known, but only the .proto spelling may be folded.
        ({"accesslogfile": ""}, "istio_mesh_config.accesslogfile", "accessLogFile"),
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
    (problem,) = read(config)[1]
    assert problem.startswith(f"{where}: Istio does not know this key, did you mean {near};")
    assert "istio_values.meshConfig" in problem
    assert problem.endswith("(unknown-key)")


def test_a_key_of_the_proxies_is_unknown_to_the_mesh() -> None:
    assert len(read({"concurrency": 1})[1]) == 1
    assert len(read({"defaultConfig": {"trustDomain": "x"}})[1]) == 1


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"enableAutoMtls": "false"}, "enableAutoMtls: is a string, not true or false (type)"),
        ({"enableTracing": 1}, "enableTracing: is a number, not true or false (type)"),
        ({"trustDomain": 7}, "trustDomain: is a number, not a string (type)"),
        ({"accessLogFile": True}, "accessLogFile: is a boolean, not a string (type)"),
    ],
)
def test_a_value_for_which_istiod_would_refuse_the_whole(config: dict[str, Any], problem: str) -> None:
    assert read(config)[1] == [f"istio_mesh_config.{problem}"]


def test_nothing_is_no_value() -> None:
    assert read({"enableAutoMtls": None, "trustDomain": None})[1] == []


def test_known_keys_in_both_spellings_pass() -> None:
    config = {
        "accessLogFile": "/dev/stdout",
        "access_log_encoding": "JSON",
        "mesh_mTLS": {"minProtocolVersion": "TLSV1_3"},
        "defaultConfig": {"concurrency": 1, "proxy_metadata": {"ANY_NAME": "x"}},
    }
    assert read(config) == (config, [])


@pytest.mark.parametrize(
    ("config", "providers", "problem"),
    [
        ("x", None, "istio_mesh_config: is a string, not a mapping (type)"),
        (
            {"defaultConfig": ["concurrency"]},
            None,
            "istio_mesh_config.defaultConfig: is a list, not a mapping (type)",
        ),
        (None, {"name": "a"}, "mesh_extension_providers: is a mapping, not a list (type)"),
        (None, ["a"], "mesh_extension_providers[0]: is a string, not a mapping (type)"),
        (None, [{"zipkin": {}}], "mesh_extension_providers[0].name: is required (required)"),
        (None, [{"name": 7}], "mesh_extension_providers[0].name: is a number, not a string (type)"),
        (
            {"extensionProviders": "a"},
            None,
            "istio_mesh_config.extensionProviders: is a string, not a list (type)",
        ),
        (
            {"extensionProviders": [{"name": "a"}]},
            [{"name": "a"}],
            "mesh_extension_providers[0].name: 'a' is given twice (duplicate)",
        ),
    ],
)
def test_what_has_another_shape_is_named(config: Any, providers: Any, problem: str) -> None:
    assert problem in read(config, providers)[1]


def test_two_without_a_name_are_no_duplicates() -> None:
    assert read(None, [{"zipkin": {}}, {"zipkin": {}}])[1] == [
        f"mesh_extension_providers[{index}].name: is required (required)" for index in (0, 1)
    ]


def test_nothing_given_is_nothing_set() -> None:
    assert read() == ({}, [])
    assert read({}, []) == ({}, [])


def test_providers_of_both_variables_are_merged() -> None:
    config = {"extensionProviders": [{"name": "a"}], "enableTracing": True}
    found, problems = read(config, [{"name": "b", "zipkin": {"port": 9411}}])
    assert not problems
    assert found == {
        "enableTracing": True,
        "extensionProviders": [{"name": "a"}, {"name": "b", "zipkin": {"port": 9411}}],
    }
    assert config == {"extensionProviders": [{"name": "a"}], "enableTracing": True}
