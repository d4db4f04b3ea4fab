"""What a run of role mesh with nothing to do costs: one LIST per kind that it can own, and one more."""

from __future__ import annotations

import time

from ...faults.kube_proxy import FaultProxy
from .runs import playbook


def test_a_mesh_without_changes_costs_one_list_per_kind(admin, kinds, tmp_path):
    # Without the proxy, which cannot carry the exec by which changes are proved.
    settled = playbook("playbooks/mesh.yml")
    assert settled.code == 0, settled.output
    with FaultProxy(admin, tmp_path) as proxy:
        through = {"mesh_connection": {"host": proxy.url, "api_key": "none"}}
        began = time.monotonic()
        again = playbook("playbooks/mesh.yml", extra=through)
        seconds = time.monotonic() - began
    assert again.recap["changed"] == 0, again.output
    asked = proxy.methods
    print(f"{sum(asked.values())} requests ({asked}) for {len(kinds)} kinds, playbook {seconds:.1f} s")
    assert asked.pop("LIST") == len(kinds)
    assert sum(asked.values()) <= 1, [seen.path for seen in proxy.requests]
