# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How add-ons are reached: a URL of their own behind a gateway of the mesh, and by whom at all."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents.json_text import json_text
from ...errors import InputError, Problem
from ...fields import labels_of, mapping_at, mappings_at, name_of, text_at
from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import CREDENTIAL, HOST
from .manifests import WORKLOADS
from .safety import KIALI_CONFIG, kiali_place, read_kiali, section

Obj = dict[str, Any]
ACCESS_SPEC: dict[str, dict[str, Any]] = {
    "urls": {"type": "dict", "default": {}},
    "network_policies": {"type": "dict", "default": {}},
}
"""The options of a module that asks for it, as parts of its argument spec."""
KIALI = "kiali"
SERVICES: Mapping[str, tuple[str, int]] = {"grafana": ("grafana", 3000), KIALI: ("kiali", 20001)}
"""Service and port of the add-ons that ask who somebody is (samples/addons of the Istio release)."""
OPEN = ("jaeger", "loki", "prometheus")
_SPANS = (4317, 4318, 9411)
"""Where proxies of any namespace send traces to (OTLP and Zipkin)."""
_SELECTORS = frozenset(("namespaceSelector", "podSelector"))


@dataclasses.dataclass(frozen=True, slots=True)
class Url:
    """Where people reach an add-on.

    :param certificate: name of the credential, in the namespace of the gateway's pods.
    :param selector: labels of these pods.
    """

    host: str
    certificate: str
    selector: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Ways to the add-ons of a list.

    :param urls: by add-on. :param policies: by add-on, who may call it besides what is known to need it, as
        peers of a NetworkPolicy; add-ons without an entry get none.
    """

    urls: Mapping[str, Url] = dataclasses.field(default_factory=dict)
    policies: Mapping[str, Sequence[Mapping[str, Any]]] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], enabled: Sequence[str]) -> Access:
        """Reads the options of ``ACCESS_SPEC``.

        :param params: with those of ``SAFETY_SPEC``. :param enabled: all add-ons.
        :raises InputError: with every problem.
        """
        problems = Problems()
        given = {"addons_urls": params["urls"], "addons_network_policies": params["network_policies"]}
        reader = Reader(given, "", problems)
        urls = {name: _url(name, one) for name, one in reader.table("addons_urls").items()}
        policies = {
            str(name): _peers(f"addons_network_policies.{name}", peers, problems)
            for name, peers in params["network_policies"].items()
        }
        for option, names in (("addons_urls", urls), ("addons_network_policies", policies)):
            for name in sorted(set(names) - set(enabled)):
                problems.add(f"{option}.{name}", "is not in addons_enabled", "unknown-addon")
        for name in sorted(set(urls) & set(map(str, params["as_released"]))):
            message = "is in addons_as_released, which lets anybody in: leave one of them out"
            problems.add(f"addons_urls.{name}", message, "open-addon")
        hosts = [url.host for url in urls.values()]
        for name, url in urls.items():
            if hosts.count(url.host) > 1:
                problems.add(f"addons_urls.{name}.host", "is that of another add-on, too", "unique")
        if problems.found:
            raise InputError(list(problems.found))
        return cls(urls, policies)


def _url(name: str, reader: Reader) -> Url:
    if name in OPEN:
        message = "asks nobody who he is: put something in front of it that does, and expose that"
        reader.fault("", message, "open-addon")
    elif name not in SERVICES:
        reader.fault("", f"has no page that is known ({', '.join(SERVICES)} have)", "unknown-addon")
    host, certificate = reader.text("host", HOST), reader.text("certificate", CREDENTIAL)
    selector = reader.labels("selector") or {"istio": "ingressgateway"}
    reader.finish()
    return Url(host, certificate, selector)


def _peers(where: str, peers: Any, problems: Problems) -> list[Mapping[str, Any]]:
    if not isinstance(peers, list):
        problems.add(where, "is no list of peers", "peers")
        return []
    for index, peer in enumerate(peers):
        keys = set(peer) if isinstance(peer, Mapping) else set()
        if keys != {"ipBlock"} and not (keys and keys <= _SELECTORS):
            message = "is no peer of a NetworkPolicy: ipBlock alone, or namespaceSelector and podSelector"
            problems.add(f"{where}[{index}]", message, "peers")
    return peers


def reachable(objects: Sequence[Mapping[str, Any]], addon: str, access: Access, namespace: str) -> list[Obj]:
    """The objects of one add-on, told of its URL, with the Gateway, route and policies that it needs.

    :param namespace: theirs. :returns: copies, and what is new after them.
    :raises InputError: Kiali's configuration is no mapping, or there is no Service to lead to.
    """
    found = [copy.deepcopy(dict(item)) for item in objects]
    url = access.urls.get(addon)
    if url is not None:
        for item in found:
            _tell(item, addon, url)
    made = [] if url is None else _way_in(addon, url, _home(found, addon, namespace))
    if addon in access.policies:
        made += [_policy(addon, item, access, namespace) for item in found if item.get("kind") in WORKLOADS]
    return [*found, *made]


def _tell(item: Obj, addon: str, url: Url) -> None:
    """Both make links and log-ins from the URL that they are told."""
    if addon == KIALI and item.get("kind") == "ConfigMap" and KIALI_CONFIG in mapping_at(item, "data"):
        config = read_kiali(item)
        server = {"web_fqdn": url.host, "web_port": "443", "web_schema": "https"}
        section(config, "server", kiali_place(item)).update(server)
        item["data"][KIALI_CONFIG] = json_text(config)
    if item.get("kind") in WORKLOADS:
        for container in mappings_at(item, "spec", "template", "spec", "containers"):
            if text_at(container, "name") == "grafana":
                _tell_grafana(container, url)


def _tell_grafana(container: Any, url: Url) -> None:
    name = "GF_SERVER_ROOT_URL"
    kept = [one for one in mappings_at(container, "env") if text_at(one, "name") != name]
    container["env"] = [*kept, {"name": name, "value": f"https://{url.host}/"}]


def _home(objects: Sequence[Obj], addon: str, namespace: str) -> str:
    """The namespace of the Service that answers. :raises InputError: there is none."""
    name, _port = SERVICES[addon]
    for item in objects:
        if item.get("kind") == "Service" and name_of(item) == name:
            return text_at(item, "metadata", "namespace") or namespace
    raise InputError(
        [Problem(f"addons_urls.{addon}", f"needs a Service {name} in its source", "addon-source")]
    )


def _way_in(addon: str, url: Url, namespace: str) -> list[Obj]:
    service, port = SERVICES[addon]
    metadata = {"name": f"addon-{addon}", "namespace": namespace}
    tls = {"mode": "SIMPLE", "credentialName": url.certificate, "minProtocolVersion": "TLSV1_2"}
    servers = [
        {
            "port": {"number": 443, "name": f"https-addon-{addon}", "protocol": "HTTPS"},
            "hosts": [url.host],
            "tls": tls,
        },
        {
            "port": {"number": 80, "name": f"http-addon-{addon}", "protocol": "HTTP"},
            "hosts": [url.host],
            "tls": {"httpsRedirect": True},
        },
    ]
    target = {"host": service, "port": {"number": port}}
    specs: dict[str, Obj] = {
        "Gateway": {"selector": dict(url.selector), "servers": servers},
        "VirtualService": {
            "hosts": [url.host],
            "gateways": [metadata["name"]],
            "http": [{"route": [{"destination": target}]}],
        },
    }
    version = "networking.istio.io/v1"
    return [
        {"apiVersion": version, "kind": kind, "metadata": dict(metadata), "spec": spec}
        for kind, spec in specs.items()
    ]


def _policy(addon: str, workload: Obj, access: Access, namespace: str) -> Obj:
    """Lets in its own namespace, the gateway of its URL, proxies that send traces, and the named peers."""
    peers: list[Mapping[str, Any]] = [{"podSelector": {}}, *access.policies[addon]]
    if addon in access.urls:
        chosen = {"matchLabels": dict(access.urls[addon].selector)}
        peers.append({"namespaceSelector": {}, "podSelector": chosen})
    rules: list[Obj] = [{"from": peers}]
    if addon == "jaeger":
        rules.append({"from": [{"namespaceSelector": {}}], "ports": [{"port": port} for port in _SPANS]})
    pods = mapping_at(workload, "spec", "template")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"addon-{name_of(workload)}",
            "namespace": text_at(workload, "metadata", "namespace") or namespace,
        },
        "spec": {
            "podSelector": mapping_at(workload, "spec", "selector") or {"matchLabels": labels_of(pods)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }
