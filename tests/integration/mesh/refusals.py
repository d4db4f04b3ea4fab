"""What a catalogue and Istio refuse alike: the same bad value, in the catalogue and in the object that it renders to.

The object side is written down in Istio's own fields, from the object of the good catalogue. What istiod only warns of
counts as refused. Not here is what istiod takes and Envoy refuses (a status above 599), and what does nothing at
all (a host twice, a ServiceEntry without ports or endpoints, a selector that no label can fit).
"""

# ruff: noqa: E501 - one row per rule
from __future__ import annotations

import copy
import dataclasses
from typing import Any

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Refused:
    """One rule.

    :param where: in `full_catalogue.yml`. :param kind, obj: the object with that setting.
    :param field: of its spec. :param spelled: the value there, if it is written in another way.
    """

    name: str
    where: Path
    value: Any
    kind: str
    obj: str
    field: Path
    spelled: Any = None

    def catalogue(self, good: dict[str, Any]) -> dict[str, Any]:
        return changed(good, self.where, self.value)

    def object(self, good: dict[str, Any]) -> dict[str, Any]:
        spelled = self.value if self.spelled is None else self.spelled
        return changed(good, ("spec", *self.field), spelled)


def changed(good: dict[str, Any], where: Path, value: Any) -> dict[str, Any]:
    """A copy with one value in another place or with another content."""
    found = copy.deepcopy(good)
    holder: Any = found
    for step in where[:-1]:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[step]
    holder[where[-1]] = value
    return found


WEB, API, LEDGER, QUEUE, SHOWN, COUNTED = (("mesh_services", index) for index in range(6))
PAY, MAIL, STOCK, ANY, LEGACY = (("mesh_external_services", index) for index in range(5))
SERVER = ("mesh_gateways", 0, "servers", 0)
ROUTE = ("VirtualService", "shop/api-routes")
RULE = ("DestinationRule", "shop/api")
POLICY = ("trafficPolicy",)
GATE = ("Gateway", "edge/public")
SPLIT = -1  # the last route of a delegate takes what no other matched
BETA = -2

ROWS = [
    Refused("status below 200", (*API, "fault", "abort", "status"), 199, *ROUTE, ("http", 0, "fault", "abort", "httpStatus")),
    Refused("delay of nothing", (*API, "fault", "delay", "fixed"), "0s", *ROUTE, ("http", 0, "fault", "delay", "fixedDelay")),
    Refused("delay in microseconds", (*API, "fault", "delay", "fixed"), "100us", *ROUTE, ("http", 0, "fault", "delay", "fixedDelay"), "0.0001s"),
    Refused("percent above 100", (*API, "fault", "delay", "percent"), 101, *ROUTE, ("http", 0, "fault", "delay", "percentage", "value")),
    Refused("percent below 0", (*API, "fault", "delay", "percent"), -1, *ROUTE, ("http", 0, "fault", "delay", "percentage", "value")),
    Refused("mirror above 100", (*API, "mirror", "percent"), 101, *ROUTE, ("http", SPLIT, "mirrorPercentage", "value")),
    Refused("regex with an open group", (*API, "variants", 0, "when", "header", "x-re"), {"regex": "(v"}, *ROUTE, ("http", BETA, "match", 0, "headers", "x-re")),
    Refused("regex with lookahead", (*API, "variants", 0, "when", "header", "x-re"), {"regex": "(?=v)"}, *ROUTE, ("http", BETA, "match", 0, "headers", "x-re")),
    Refused("regex that repeats nothing", (*API, "variants", 0, "when", "header", "x-re"), {"regex": "*v"}, *ROUTE, ("http", BETA, "match", 0, "headers", "x-re")),
    Refused("regex with a backreference", (*API, "variants", 0, "when", "query", "q"), {"regex": r"(a)\1"}, *ROUTE, ("http", BETA, "match", 0, "queryParams", "q")),
    Refused("regex with a bad class", (*API, "cors", "origins", 1), {"regex": "[z-a]"}, *ROUTE, ("http", SPLIT, "corsPolicy", "allowOrigins", 1)),
    Refused("retry words", (*API, "retries", "on"), ["sometimes"], *ROUTE, ("http", SPLIT, "retries", "retryOn"), "sometimes"),
    Refused("negative attempts", (*API, "retries", "attempts"), -1, *ROUTE, ("http", SPLIT, "retries", "attempts")),
    Refused("try in microseconds", (*WEB, "retries", "per_try_timeout"), "100us", "VirtualService", "shop/web-routes", ("http", SPLIT, "retries", "perTryTimeout"), "0.0001s"),
    Refused("timeout in microseconds", (*API, "timeout"), "100us", *ROUTE, ("http", SPLIT, "timeout"), "0.0001s"),
    Refused("duration without a unit", (*API, "timeout"), "ten", *ROUTE, ("http", SPLIT, "timeout")),
    Refused("subset with an underscore", (*API, "versions", "v_1"), {}, *RULE, ("subsets", 0, "name"), "v_1"),
    Refused("subset of 64 letters", (*API, "versions", "v" * 64), {}, *RULE, ("subsets", 0, "name"), "v" * 64),
    Refused("label that is none", (*API, "versions", "v1", "labels"), {"version": "-"}, *RULE, ("subsets", 0, "labels"), {"version": "-"}),
    Refused("label key that is none", (*API, "versions", "v1", "labels"), {"a b": "1"}, *RULE, ("subsets", 0, "labels"), {"a b": "1"}),
    Refused("ejection above 100 %", (*API, "circuit_breaker", "max_ejection_percent"), 101, *RULE, (*POLICY, "outlierDetection", "maxEjectionPercent")),
    Refused("health above 100 %", (*API, "circuit_breaker", "min_health_percent"), 101, *RULE, (*POLICY, "outlierDetection", "minHealthPercent")),
    Refused("interval in microseconds", (*API, "circuit_breaker", "interval"), "100us", *RULE, (*POLICY, "outlierDetection", "interval"), "0.0001s"),
    Refused("ejection in microseconds", (*API, "circuit_breaker", "base_ejection_time"), "100us", *RULE, (*POLICY, "outlierDetection", "baseEjectionTime"), "0.0001s"),
    Refused("connecting in microseconds", (*API, "connection_pool", "connect_timeout"), "100us", *RULE, (*POLICY, "connectionPool", "tcp", "connectTimeout"), "0.0001s"),
    Refused("idle in microseconds", (*API, "connection_pool", "idle_timeout"), "100us", *RULE, (*POLICY, "connectionPool", "http", "idleTimeout"), "0.0001s"),
    Refused("age in microseconds", (*API, "connection_pool", "max_connection_duration"), "100us", *RULE, (*POLICY, "connectionPool", "tcp", "maxConnectionDuration"), "0.0001s"),
    Refused("negative connections", (*API, "connection_pool", "max_connections"), -1, *RULE, (*POLICY, "connectionPool", "tcp", "maxConnections")),
    Refused("negative pending", (*API, "connection_pool", "max_pending"), -1, *RULE, (*POLICY, "connectionPool", "http", "http1MaxPendingRequests")),
    Refused("weights of 90", (*API, "load_balancing", "locality"), {"distribute": [{"from": "eu", "to": {"eu": 60, "us": 30}}]}, *RULE, (*POLICY, "loadBalancer", "localityLbSetting")),
    Refused("weights with a zero", (*API, "load_balancing", "locality"), {"distribute": [{"from": "eu", "to": {"eu": 100, "us": 0}}]}, *RULE, (*POLICY, "loadBalancer", "localityLbSetting")),
    Refused("failover to itself", (*API, "load_balancing", "locality"), {"failover": [{"from": "eu", "to": "eu"}]}, *RULE, (*POLICY, "loadBalancer", "localityLbSetting")),
    Refused("failover of a zone", (*API, "load_balancing", "locality"), {"failover": [{"from": "eu/a", "to": "us"}]}, *RULE, (*POLICY, "loadBalancer", "localityLbSetting")),
    Refused("both ways", (*API, "load_balancing", "locality"), {"failover": [{"from": "eu", "to": "us"}], "distribute": [{"from": "eu", "to": {"us": 100}}]}, *RULE, (*POLICY, "loadBalancer", "localityLbSetting")),
    Refused("unknown algorithm", (*API, "load_balancing", "policy"), "FASTEST", *RULE, (*POLICY, "loadBalancer", "simple")),
    Refused("two hashes", (*LEDGER, "load_balancing", "hash"), {"header": "x", "source_ip": True}, "DestinationRule", "back/ledger", (*POLICY, "loadBalancer", "consistentHash"), {"httpHeaderName": "x", "useSourceIp": True}),
    Refused("cookie without a name", (*SHOWN, "load_balancing", "hash", "cookie"), "", "DestinationRule", "shop/shown", (*POLICY, "loadBalancer", "consistentHash", "httpCookie", "name")),
    Refused("server port above 65535", (*SERVER, "port"), 65536, *GATE, ("servers", 0, "port", "number")),
    Refused("server port 0", (*SERVER, "port"), 0, *GATE, ("servers", 0, "port", "number")),
    Refused("server protocol", (*SERVER, "protocol"), "SMTP", *GATE, ("servers", 0, "port", "protocol")),
    Refused("server mode", (*SERVER, "mode"), "STRICT", *GATE, ("servers", 0, "tls", "mode")),
    Refused("cipher twice", (*SERVER, "cipher_suites"), ["ECDHE-RSA-AES256-GCM-SHA384"] * 2, *GATE, ("servers", 0, "tls", "cipherSuites")),
    Refused("unknown cipher", (*SERVER, "cipher_suites"), ["ROT13"], *GATE, ("servers", 0, "tls", "cipherSuites")),
    Refused("host with a wildcard inside", (*SERVER, "host"), "api.*.com", *GATE, ("servers", 0, "hosts"), ["./api.*.com"]),
    Refused("host with half a wildcard", (*SERVER, "host"), "*api.example.com", *GATE, ("servers", 0, "hosts"), ["./*api.example.com"]),
    Refused("host with a blank", (*SERVER, "host"), "api example.com", *GATE, ("servers", 0, "hosts"), ["./api example.com"]),
    Refused("passing through with a redirect", ("mesh_gateways", 0, "servers", 4, "https_redirect"), True, *GATE, ("servers", 5, "tls"), {"mode": "PASSTHROUGH", "httpsRedirect": True}),
    Refused("port of an outside host", (*PAY, "ports", 0, "number"), 65536, "ServiceEntry", "shop/pay", ("ports", 0, "number")),
    Refused("protocol of an outside host", (*PAY, "ports", 0, "protocol"), "SMTP", "ServiceEntry", "shop/pay", ("ports", 0, "protocol")),
    Refused("two ports of one number", (*STOCK, "ports", 1, "number"), 80, "ServiceEntry", "back/stock", ("ports", 1, "number")),
    Refused("two ports of one name", (*STOCK, "ports", 1, "name"), "http-80", "ServiceEntry", "back/stock", ("ports", 1, "name")),
    Refused("outside host with a blank", (*MAIL, "hosts"), ["mail example.org"], "ServiceEntry", "shop/mail", ("hosts",)),
    Refused("outside host that is every host", (*ANY, "hosts"), ["*"], "ServiceEntry", "back/any", ("hosts",)),
    Refused("no outside host", (*MAIL, "hosts"), [], "ServiceEntry", "shop/mail", ("hosts",)),
    Refused("a wildcard looked up by DNS", (*ANY, "resolution"), "DNS", "ServiceEntry", "back/any", ("resolution",)),
    Refused("endpoints with NONE", (*LEGACY, "resolution"), "NONE", "ServiceEntry", "shop/legacy", ("resolution",)),
    Refused("a name as STATIC endpoint", (*LEGACY, "endpoints"), ["db.example.org"], "ServiceEntry", "shop/legacy", ("endpoints",), [{"address": "db.example.org"}]),
    Refused("network that is none", (*LEGACY, "addresses"), ["10.0.0.0/33"], "ServiceEntry", "shop/legacy", ("addresses",)),
    Refused("address that is none", (*LEGACY, "addresses"), ["10.0.0"], "ServiceEntry", "shop/legacy", ("addresses",)),
    Refused("network of a caller", (*LEDGER, "callers", 2, "ip_blocks"), ["10.0.0.0/33"], "AuthorizationPolicy", "back/ledger", ("rules", 0, "from", 0, "source", "ipBlocks")),
    Refused("two wildcards in a path", (*WEB, "callers", 1, "paths"), ["/a/{**}/{**}"], "AuthorizationPolicy", "shop/web", ("rules", 0, "to", 0, "operation", "paths")),
    Refused("half a template in a path", (*WEB, "callers", 1, "paths"), ["/a{*}"], "AuthorizationPolicy", "shop/web", ("rules", 0, "to", 0, "operation", "paths")),
    Refused("mode of mutual TLS", (*LEDGER, "mtls", "mode"), "SOMETIMES", "PeerAuthentication", "back/ledger", ("mtls", "mode")),
    Refused("sampling above 100 %", ("mesh_telemetry", "trace_sampling_percent"), 100.5, "Telemetry", "shop/mesh-telemetry", ("tracing", 0, "randomSamplingPercentage")),
    Refused("unknown metric", ("mesh_telemetry", "metrics", "disabled"), ["SIZE"], "Telemetry", "shop/mesh-telemetry", ("metrics", 0, "overrides"), [{"match": {"metric": "SIZE"}, "disabled": True}]),
]  # fmt: skip
