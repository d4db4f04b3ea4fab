"""Pods that begin their proxy in a way of their own, beside those that the injector made as always."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.outbound import (
    uncaptured_outbound,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.pods import (
    read_pod,
    status_port,
    target_ports,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.startup import (
    own_ways,
    past_addresses,
)

# As istiod 1.31 writes them on the lab.
ARGS = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*"]
ARGS += ["-x", "", "-b", "*", "-d", "15090,15021,15020"]
LOG = "--log_output_level=default:info"


def pod(
    init: dict[str, Any] | None, proxy: dict[str, Any] | None = None, **annotations: str
) -> dict[str, Any]:
    beginning = [{"name": "istio-init", "args": [*ARGS, LOG], **init}] if init is not None else []
    inner = [{"name": "app"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"], **(proxy or {})}]
    named = {name.replace("__", "/").replace("_", "."): value for name, value in annotations.items()}
    return {
        "metadata": {"name": "x", "annotations": named},
        "spec": {"initContainers": beginning, "containers": inner},
    }


def env(**variables: str) -> dict[str, Any]:
    return {"env": [{"name": name, "value": value} for name, value in variables.items()]}


CONFIG = "proxy_istio_io__config"


@pytest.mark.parametrize(
    "as_always",
    [
        pod({}),
        pod(env(CLOUD_PLATFORM="none", ISTIO_META_DNS_CAPTURE="true")),
        pod({"args": [*ARGS, "-q", "80", "-o", "443", "-k", "k6t-eth0", "-c", "eth2", LOG, "--log_as_json"]}),
        pod({"name": "istio-validation", "args": [*ARGS, LOG, "--run-validation", "--skip-rule-apply"]}),
        pod({}, env(PROXY_CONFIG="{}", ISTIO_META_INTERCEPTION_MODE="REDIRECT")),
        pod({}, **{CONFIG: "concurrency: 2\nholdApplicationUntilProxyStarts: true\n"}),
        pod({}, **{CONFIG: '{"proxyMetadata": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}}'}),
        pod({}, **{CONFIG: ""}),
        # Nothing is captured, and that is no secret: `read_pod` tells it.
        pod(None, env(ISTIO_META_INTERCEPTION_MODE="NONE")),
        {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "app"}]}},
    ],
)
def test_a_pod_as_always_has_no_way_of_its_own(as_always: dict[str, Any]) -> None:
    assert own_ways(as_always) == ()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (pod({"command": ["/bin/true"]}), "runs another program in its container istio-init: /bin/true"),
        (
            pod({}, {"command": ["envoy", "-c", "x"]}),
            "runs another program in its container istio-proxy: envoy -c x",
        ),
        (pod({"args": [*ARGS, "-n"]}), "gives its istio-init an argument of its own: -n"),
        (
            pod({"args": [*ARGS, "--istio-inbound-ports=80"]}),
            "gives its istio-init an argument of its own: --istio-inbound-ports=80",
        ),
        (
            pod({"args": [*ARGS, LOG, "--skip-rule-apply"]}),
            "gives its istio-init an argument of its own: --skip-rule-apply",
        ),
        (pod({"args": [*ARGS[:-2], "-d3000"]}), "gives its istio-init an argument of its own: -d3000"),
        (
            pod({"args": [*ARGS, "-k", "k6t-eth0,eth0"]}),
            "takes what comes in by k6t-eth0,eth0 for what it sends itself (argument -k of its istio-init)",
        ),
        (
            pod({"args": [*ARGS[:-2], "-d", "15090,8000:9000"]}),
            "names ports that are none in argument -d of its istio-init: 15090,8000:9000",
        ),
        (
            pod({"args": [*ARGS, "-z", "3000"]}),
            "leads traffic to port 3000 instead of its proxy's (argument -z of its istio-init)",
        ),
        (
            pod({"args": [*ARGS, "-p", "9999"]}),
            "leads traffic to port 9999 instead of its proxy's (argument -p of its istio-init)",
        ),
        (
            pod({}, {"args": ["proxy", "sidecar", "--templateFile=/tmp/own.json"]}),
            "gives its istio-proxy an argument of its own: --templateFile=/tmp/own.json",
        ),
        (
            pod({}, env(ISTIO_BOOTSTRAP_OVERRIDE="/tmp/own.json")),
            "sets ISTIO_BOOTSTRAP_OVERRIDE for its istio-proxy",
        ),
        (pod(env(INBOUND_TUNNEL_PORT="3000")), "sets INBOUND_TUNNEL_PORT for its istio-init"),
        (pod(env(KUBE_VIRT_INTERFACES="eth0")), "sets KUBE_VIRT_INTERFACES for its istio-init"),
        (pod(env(DRY_RUN="true")), "sets DRY_RUN for its istio-init"),
        (pod(env(PROXY_GID="0")), "sets PROXY_GID for its istio-init"),
        (
            pod(None),
            "has a proxy, and nothing in it that leads traffic there (no istio-init or istio-validation)",
        ),
        (
            pod({}, sidecar_istio_io__bootstrapOverride="own"),
            "starts its proxy with the configuration of ConfigMap own (sidecar.istio.io/bootstrapOverride)",
        ),
        (
            pod({}, sidecar_istio_io__proxyImage="hub/mine:1"),
            "runs a proxy of its own, hub/mine:1 (sidecar.istio.io/proxyImage)",
        ),
        (
            pod({}, sidecar_istio_io__discoveryAddress="evil:15012"),
            "takes the configuration of its proxy from evil:15012 (sidecar.istio.io/discoveryAddress)",
        ),
        (
            pod({}, **{CONFIG: "customConfigFile: /tmp/x\nconcurrency: 1\nproxyMetadata: {CA_ADDR: x}\n"}),
            "sets customConfigFile, proxyMetadata.CA_ADDR of its proxy (proxy.istio.io/config)",
        ),
        (pod({}, **{CONFIG: "{"}), "has settings of its proxy that cannot be read (proxy.istio.io/config)"),
        (pod({}, **{CONFIG: "x"}), "has settings of its proxy that cannot be read (proxy.istio.io/config)"),
    ],
)
def test_a_way_of_its_own_is_told(found: dict[str, Any], told: str) -> None:
    assert own_ways(found) == (told,)


@pytest.mark.parametrize("name", ["--templateFile", "--meshConfig", "--tokenManagerPlugin"])
def test_every_argument_that_decides_how_the_proxy_begins(name: str) -> None:
    assert own_ways(pod({}, {"args": [name]})) == (f"gives its istio-proxy an argument of its own: {name}",)


@pytest.mark.parametrize("name", ["DISABLE_ENVOY", "ISTIO_BOOTSTRAP", "ISTIO_BOOTSTRAP_OVERRIDE"])
def test_every_variable_that_decides_how_the_proxy_begins(name: str) -> None:
    assert own_ways(pod({}, env(**{name: "x"}))) == (f"sets {name} for its istio-proxy",)
    assert len(own_ways(pod({}, env(**{name: "x"}), sidecar_istio_io__bootstrapOverride="own"))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "CLEANUP_ONLY",
        "CNI_MODE",
        "DRY_RUN",
        "INBOUND_TUNNEL_PORT",
        "ISTIO_EXCLUDE_INTERFACES",
        "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",
        "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR",
        "ISTIO_OUTBOUND_PORTS",
        "KUBE_VIRT_INTERFACES",
        "NETWORK_NAMESPACE",
        "PROXY_GID",
        "SKIP_RULE_APPLY",
    ],
)
def test_every_variable_that_decides_what_is_captured(name: str) -> None:
    assert own_ways(pod(env(**{name: "x"}))) == (f"sets {name} for its istio-init",)


SETTINGS = [
    "concurrency", "drainDuration", "extraStatTags", "holdApplicationUntilProxyStarts", "image",
    "interceptionMode", "parentShutdownDuration", "proxyStatsMatcher", "readinessProbe", "statNameLength",
    "terminationDrainDuration", "tracing",
]  # fmt: skip
VARIABLES = [
    "BOOTSTRAP_XDS_AGENT", "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "ISTIO_META_DNS_AUTO_ALLOCATE",
    "ISTIO_META_DNS_CAPTURE", "ISTIO_META_IDLE_TIMEOUT", "METRICS_LOCALHOST_ACCESS_ONLY",
    "MINIMUM_DRAIN_DURATION",
]  # fmt: skip


def test_settings_of_the_proxy_that_change_no_decision() -> None:
    plain = {**dict.fromkeys(SETTINGS, "x"), "proxyMetadata": dict.fromkeys(VARIABLES, "x")}
    assert own_ways(pod({}, **{CONFIG: json.dumps(plain)})) == ()


@pytest.mark.parametrize(("flag", "used"), [("-p", "15001"), ("-z", "15006")])
def test_the_ports_of_the_proxy_lead_to_it(flag: str, used: str) -> None:
    assert own_ways(pod({"args": [flag, used]})) == ()
    assert own_ways(pod({"args": [flag, "15009"]})) == (
        f"leads traffic to port 15009 instead of its proxy's (argument {flag} of its istio-init)",
    )


@pytest.mark.parametrize("flag", ["-p", "-z", "-u", "-m", "-i", "-x", "-b", "-d", "-q", "-o", "-k", "-c"])
def test_what_stands_behind_a_flag_of_the_injector_is_no_argument(flag: str) -> None:
    value = {"-p": "15001", "-z": "15006", "-k": "k6t-a"}.get(flag, "80")
    assert (
        own_ways(pod({"args": ["istio-iptables", flag, value, "--native-nftables", "--force-apply"]})) == ()
    )


def test_ports_that_are_none_are_told_of_both_flags() -> None:
    for flag in ("-b", "-d"):
        told = own_ways(pod({"args": [flag, "80,x"]}))
        assert told == (f"names ports that are none in argument {flag} of its istio-init: 80,x",)
        assert own_ways(pod({"args": [flag, "80, 90"]})) == own_ways(pod({"args": [flag, "*"]})) == ()


def test_the_mode_that_the_injector_told_the_proxy_counts() -> None:
    """`interceptionMode` of `proxy.istio.io/config` leaves no other trace: there is no istio-init."""
    found = pod(None, env(ISTIO_META_INTERCEPTION_MODE="NONE"))
    assert not read_pod(found).captures(3000)
    assert uncaptured_outbound(found) == ("everything",)
    assert read_pod(pod(None, env(ISTIO_META_INTERCEPTION_MODE="REDIRECT"))).captures(3000)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "202, java"}, ("202", "java")),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS": "101"}, ("any group but 101",)),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS": ""}, ("any group but none",)),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS": "*"}, ()),
    ],
)
def test_groups_that_are_left_alone(variables: dict[str, str], expected: tuple[str, ...]) -> None:
    words = [one if one.startswith("any") else f"group {one}" for one in expected]
    assert uncaptured_outbound(pod(env(**variables))) == tuple(f"everything, as {word}," for word in words)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod({}), 15020),
        (pod({}, env(PROXY_CONFIG='{"concurrency":1,"statusPort":15030}\n')), 15030),
        (pod({}, env(PROXY_CONFIG='{"statusPort":15030}'), status_sidecar_istio_io__port="15040"), 15040),
        (pod({}, status_sidecar_istio_io__port="none"), 15020),
    ],
)
def test_where_the_agent_listens(found: dict[str, Any], expected: int) -> None:
    assert status_port(found) == expected
    taken = read_pod(found).taken
    assert expected in taken
    assert (15020 in taken) is (expected == 15020)
    assert taken.isdisjoint((15004, 15008, 15053))


def test_a_pod_without_a_proxy_has_all_of_its_ports_for_itself() -> None:
    assert (
        read_pod({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "app"}]}}).taken == frozenset()
    )


@pytest.mark.parametrize(
    ("args", "captured"), [(ARGS, False), ([*ARGS, "-e", "15009"], True), ([*ARGS, "-m", "NONE"], False)]
)
def test_what_goes_into_tunnels_is_not_captured(args: list[str], *, captured: bool) -> None:
    assert read_pod(pod({"args": args})).captures(15008) is captured


def test_the_ports_of_a_container_that_runs_beside_the_application_count() -> None:
    found = pod({})
    ports = [{"name": "side", "containerPort": 15008}]
    found["spec"]["initContainers"] += [
        {"name": "beside", "restartPolicy": "Always", "ports": ports},
        {"name": "before", "ports": [{"name": "gone", "containerPort": 9000}]},
    ]
    assert read_pod(found).ports == (15008,)
    service = {"spec": {"ports": [{"port": 80, "targetPort": name} for name in ("side", "gone")]}}
    assert set(target_ports(service, found)) == {15008}


BOTH: dict[str, Any] = {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}}

# Only the proxy's own containers are asked.
BESIDE: dict[str, Any] = {**pod({}), **BOTH}
BESIDE["spec"]["containers"].append({"name": "other", **env(ISTIO_DUAL_STACK="true")})


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ({**pod({}), **BOTH}, ("fd00::1",)),
        ({**pod({"name": "istio-validation", "args": ARGS}), **BOTH}, ("fd00::1",)),
        ({**pod(env(ISTIO_DUAL_STACK="false")), **BOTH}, ("fd00::1",)),
        ({**pod(env(ISTIO_DUAL_STACK="true")), **BOTH}, ()),
        ({**pod({}, env(ISTIO_DUAL_STACK="T")), **BOTH}, ()),
        ({**pod(env(DUAL_STACK="1")), **BOTH}, ()),
        ({**pod({}), "status": {"podIPs": [{"ip": "10.0.0.1"}]}}, ()),
        # Where there is no address of IPv4, the rules are of both families.
        ({**pod({}), "status": {"podIPs": [{"ip": "fd00::1"}]}}, ()),
        (pod({}), ()),
        ({**pod(None), **BOTH}, ()),
        (BESIDE, ("fd00::1",)),
    ],
)
def test_addresses_at_which_no_proxy_stands(found: dict[str, Any], left: tuple[str, ...]) -> None:
    assert past_addresses(found) == left


def test_whose_pod_it_is() -> None:
    spec: dict[str, Any] = {"containers": [{"name": "istio-proxy", "args": ["proxy", "router"]}]}
    found = read_pod({"metadata": {"name": "a", "namespace": "n"}, "spec": spec, **BOTH})
    assert (str(found), found.service_account, found.address) == ("n/a", "default", "10.0.0.1")
    assert found.gateway
    assert {15000, 15001, 15006, 15020, 15021, 15090} == found.taken
    found = read_pod(pod({}))
    assert (found.gateway, found.ambient) == (False, False)
    spec["serviceAccountName"] = "web"
    about = {"name": "a", "annotations": {"ambient.istio.io/redirection": "enabled"}}
    found = read_pod({"metadata": about, "spec": spec})
    assert (found.service_account, found.ambient) == ("web", True)


@pytest.mark.parametrize(
    ("annotations", "captured"),
    [
        ({}, {80, 3000}),
        ({"includeInboundPorts": ""}, set()),
        ({"includeInboundPorts": "80,x"}, {80}),
        ({"includeInboundPorts": "80", "excludeInboundPorts": "80"}, {80}),
        ({"excludeInboundPorts": "80, 90"}, {3000}),
        ({"excludeInterfaces": "eth1"}, set()),
    ],
)
def test_what_annotations_say_where_no_container_does(
    annotations: dict[str, str], captured: set[int]
) -> None:
    found = pod(None)
    found["metadata"]["annotations"] = {f"traffic.sidecar.istio.io/{k}": v for k, v in annotations.items()}
    assert {port for port in (80, 3000, 15008) if read_pod(found).captures(port)} == captured
    found["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = "NONE"
    assert not read_pod(found).captures(80)


def test_ports_of_other_protocols_and_of_the_proxy_are_none_of_the_application() -> None:
    ports = [
        {"name": "a", "containerPort": 1},
        {"name": "b", "containerPort": 2, "protocol": "TCP"},
        {"name": "c", "containerPort": 3, "protocol": "UDP"},
        {"name": "d"},
    ]
    own = [
        {"name": "app", "ports": ports},
        {"name": "istio-proxy", "ports": [{"containerPort": 4, "name": "p"}]},
    ]
    found = {"metadata": {"name": "x"}, "spec": {"containers": own}}
    assert read_pod(found).ports == (1, 2)
    wanted: list[dict[str, Any]] = [{"port": 80, "targetPort": name} for name in "abcdp"]
    wanted += [{"port": 7}, {"port": 8, "protocol": "UDP"}, {"port": 9, "protocol": "TCP", "targetPort": 7}]
    assert target_ports({"spec": {"ports": wanted}}, found) == {
        1: wanted[0], 2: wanted[1], 4: wanted[4], 7: wanted[5],
    }  # fmt: skip


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "TRUE", "True", "yes", "tRUE", "on", "0", ""])
def test_words_that_go_reads_as_true(word: str) -> None:
    """strconv.ParseBool takes these six."""
    no = word in ("yes", "tRUE", "on", "0", "")
    assert past_addresses({**pod(env(DUAL_STACK=word)), **BOTH}) == (("fd00::1",) if no else ())
