"""A proxy before the API server loses answers, and what pods say: nothing passes over what did not arrive.

The proxy knows what arrived whole; which evidence a pass needs is written down here once more, from what the
guide promises and not from verify's code. The same with planted faults, many more runs and no cluster:
`tests/unit/operations/verify/test_lost_answers.py`.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from . import runs
from .conftest import sized
from .lossy import LossyProxy

RUNS = int(os.environ.get("PROOF_LOSSES") or sized(1, 30))
SHOP = "ecommerce"
CHECKS = ["injection", "policies", "mtls", "plaintext", "routes", "authorization", "sync"]


def pods_of(client: KubeClient) -> dict[str, list[str]]:
    """The pods of each service, by their label."""
    found: dict[str, list[str]] = {}
    for item in client.list("v1", "Pod", SHOP).items:
        name = item["metadata"].get("labels", {}).get("app", "")
        found.setdefault(name, []).append(item["metadata"]["name"])
    return found


def lacking(finding: dict[str, Any], pods: dict[str, list[str]], proxy: LossyProxy) -> Iterator[str]:
    """What evidence of a pass never arrived."""
    check, subject = finding["check"], finding["subject"]
    name = subject.rpartition("/")[2].partition(":")[0]
    read = {pod: {words for known, words in proxy.whole if known == pod} for pod, _words in proxy.whole}

    def dumped(pod: str, word: str) -> bool:
        return any(word in words for words in read.get(pod, ()))

    if check == "mtls" and name in pods:
        words = ("dynamic_listeners",) if ":" in subject else ("certs", "dynamic_active_secrets")
        yield from (f"{word} of {pod}" for pod in pods[name] for word in words if not dumped(pod, word))
    if check == "sync" and subject.startswith(f"Pod {SHOP}/") and not dumped(name, "dynamic_listeners"):
        yield f"dynamic_listeners of {name}"
    if check in ("plaintext", "authorization") and name in pods:
        asked = any(f"//{name}.{SHOP}." in words for _pod, words in proxy.whole)
        if not asked and "gateway" not in finding["message"]:
            yield f"a call of {name}"
    if check == "policies" and name in pods:
        for place in (SHOP, "istio-system"):
            path = f"/apis/security.istio.io/v1/namespaces/{place}/authorizationpolicies"
            if path not in proxy.listed:
                yield path


def test_nothing_passes_over_what_did_not_arrive(client, kubeconfig, raw, options, seed, tmp_path, capsys):
    counted: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    for number in range(RUNS):
        pods = pods_of(client)
        with LossyProxy(kubeconfig, Path(tmp_path), seed * 1000 + number) as proxy:
            given = {**options, "checks": CHECKS, "host": proxy.url, "probe_start_timeout": 20}
            try:
                result = runs.verified(None, raw, **given)
            except MeshError as error:
                counted["error"] += 1
                assert proxy.lost, error
                continue
        counted[result["status"]] += 1
        counted["lost"] += proxy.lost
        for finding in result["findings"]:
            if finding["verdict"] == "pass":
                counted["passed cells"] += 1
                wrong += [f"run {number}: {finding} without {what}" for what in lacking(finding, pods, proxy)]
            if finding["verdict"] == "fail":
                wrong.append(f"run {number} accuses: {finding}")
    with capsys.disabled():
        print(f"\n{RUNS} runs: {dict(counted)}, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])
