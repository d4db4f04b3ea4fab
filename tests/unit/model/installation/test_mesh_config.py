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
        ({"enable_auto_mtls": "false"}, "enable_auto_mtls: is a string, not true or false (type)"),
        ({"trust_domain": 7}, "trust_domain: is a number, not a string (type)"),
        ({"outbound_traffic_policy": "x"}, "outbound_traffic_policy: is a string, not a mapping (type)"),
        ({"extension_providers": "a"}, "extension_providers: is a string, not a list (type)"),
    ],
)
def test_a_value_for_which_istiod_would_refuse_the_whole(config: dict[str, Any], problem: str) -> None:
    assert read(config)[1] == [f"istio_mesh_config.{problem}"]


# The fields of Istio 1.31 as its .proto files spell them (istio/api mesh/v1alpha1).
OF_THE_MESH = """
access_log_encoding access_log_file access_log_format ca ca_certificates certificates config_sources
connect_timeout default_config default_destination_rule_export_to default_http_retry_policy
default_providers default_service_export_to default_traffic_policy default_virtual_service_export_to
disable_envoy_listener_log discovery_selectors dns_refresh_rate enable_auto_mtls
enable_envoy_access_log_service enable_prometheus_merge enable_tracing extension_providers
h2_upgrade_policy hbone_idle_timeout inbound_cluster_stat_name inbound_traffic_policy ingress_class
ingress_controller_mode ingress_selector ingress_service locality_lb_setting mesh_mTLS
outbound_cluster_stat_name outbound_traffic_policy path_normalization protocol_detection_timeout
proxy_http_port proxy_inbound_listen_port proxy_listen_port root_namespace service_entry_visibility
service_scope_configs service_settings tcp_keepalive tls_defaults trust_domain trust_domain_aliases
verify_certificate_at_client zone_aware_lb_setting
"""
OF_PROXIES = """
availability_zone binary_path ca_certificates_pem concurrency config_path connection_settings
control_plane_auth_policy custom_config_file discovery_address discovery_refresh_delay
drain_duration envoy_access_log_service envoy_metrics_service envoy_metrics_service_address
extra_stat_tags file_flush_interval file_flush_min_size_kb gateway_topology
hold_application_until_proxy_starts image interception_mode mesh_id private_key_provider
proxy_admin_port proxy_bootstrap_template_path proxy_headers proxy_metadata proxy_stats_matcher
readiness_probe runtime_values sds service_cluster stat_name_length stats_compression
statsd_udp_address status_port termination_drain_duration tracing tracing_service_name
zipkin_address
"""


@pytest.mark.parametrize(("names", "place"), [(OF_THE_MESH, ""), (OF_PROXIES, "defaultConfig")])
def test_what_istio_knows_can_be_set_in_both_spellings(names: str, place: str) -> None:
    def in_json(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(word[0].upper() + word[1:] for word in others)

    every = {spelled: None for name in names.split() for spelled in (name, in_json(name))}
    assert read({place: every} if place else every)[1] == []


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


def test_providers_are_added_to_those_of_the_other_spelling() -> None:
    """istiod reads nothing of a MeshConfig that has a field twice."""
    both = {"extension_providers": [{"name": "a"}, {"name": "b"}]}
    assert read({"extension_providers": [{"name": "a"}]}, [{"name": "b"}]) == (both, [])


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


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("outboundTrafficPolicy", "mapping"),
        ("pathNormalization", "mapping"),
        ("discoverySelectors", "list"),
        ("trustDomainAliases", "list"),
        ("defaultServiceExportTo", "list"),
        ("defaultVirtualServiceExportTo", "list"),
        ("defaultDestinationRuleExportTo", "list"),
    ],
)
def test_a_part_that_is_compared_with_the_catalogue_has_its_own_shape(name: str, kind: str) -> None:
    assert read({name: "x"})[1] == [f"istio_mesh_config.{name}: is a string, not a {kind} (type)"]
