"""The ledger counts what the servers' own proxies counted: every rule of the shop is called, and each call
is one decision of an RBAC filter."""

from __future__ import annotations

import re
from collections import Counter

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.admin import admin_get
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify

from ...unit.support.arguments import validated

DECISION = re.compile(r"^http\.inbound_.*\.rbac\.(allowed|denied): (\d+)$", re.MULTILINE)
CAUSED = re.compile(
    r"^\S*istio_requests_total\.reporter\.source\..*\.cluster\.outbound\|\d+\|[^|]*\|"
    r"([^.]+)\.([^.]+)\.svc\..*\.response_code\.(\d+)\..*: (\d+)$",
    re.MULTILINE,
)
"""What the shop's services asked each other, because a probe's call made them."""


def decisions(client) -> Counter[tuple[str, str]]:
    """By service and decision, what the inbound filters of all its pods have counted, less what the shop
    itself asked."""
    found: Counter[tuple[str, str]] = Counter()
    for proxy in running_proxies(client.list("v1", "Pod", "ecommerce").items):
        name = f"{proxy.namespace}/{proxy.labels['app']}"
        for decision, number in DECISION.findall(admin_get(client, proxy, "stats?filter=rbac")):
            found[name, decision] += int(number)
        text = admin_get(client, proxy, "stats?filter=istio_requests_total.reporter.source")
        for service, namespace, code, number in CAUSED.findall(text):
            found[f"{namespace}/{service}", "denied" if code == "403" else "allowed"] -= int(number)
    return found


def test_every_rule_is_called_and_every_call_was_decided_by_its_server(client, kubeconfig, raw):
    checked = validated(
        verify.ARGUMENT_SPEC,
        {
            "kubeconfig": kubeconfig,
            "catalogue": raw,
            "probe_image": "lab.local/service:1",
            "unsafe_methods": True,
            "gateway_ca_secret": {"namespace": "servicemesh-system", "name": "servicemesh-ca"},
            "checks": ["plaintext", "gateways", "authorization"],
        },
    )
    before = decisions(client)
    result = verify.run(checked, Context())
    after = decisions(client)
    ledger = result["ledger"]
    assert result["status"] == "pass", result["problems"]
    assert ledger["callers"] == {"stated": 9, "called": 9}
    assert ledger["rules"]["called"] == ledger["rules"]["stated"] > 9
    assert ledger["uncalled"] == []
    for service, numbers in ledger["calls"].items():
        counted = {word: after[service, word] - before[service, word] for word in ("allowed", "denied")}
        assert counted == {"allowed": numbers["let_in"], "denied": numbers["refused"]}, service
