"""Writes docs/rbac out of the table of rights that preflight asks about: ``python -m tools.rbac``.

The table (plugins/module_utils/operations/preflight_rights.py) is the one place; a unit test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .paths import COLLECTIONS, ROOT

sys.path.insert(0, str(COLLECTIONS))

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import preflight_rights as rights

DIRECTORY = ROOT / "docs" / "rbac"
GROUP = "servicemesh:operators"
_HEADER = """\
# Generated from plugins/module_utils/operations/preflight_rights.py by `python -m tools.rbac`; do not edit.
# {text}
# Replace the group by the one of your operators: kubectl apply --server-side -f {file}
"""

USES = {
    "site": ("What playbooks/site.yml needs, with istioctl or Helm.", rights.PARTS),
}


def rules(parts: Iterable[str]) -> list[dict[str, list[str]]]:
    """RBAC rules of these parts: one per group and set of verbs, sorted, each resource once."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for part in parts:
        for right in rights.RIGHTS[part]:
            verbs.setdefault((right.group, right.resource), set()).update(right.verbs)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), names in verbs.items():
        grouped.setdefault((group, tuple(sorted(names))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(names)}
        for (group, names), resources in sorted(grouped.items())
    ]


def document(use: str) -> str:
    """The YAML file of one use: a ClusterRole, and its binding to the operators."""
    text, parts = USES[use]
    name = f"servicemesh-{use}"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules(parts),
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUP}],
    }
    header = _HEADER.format(text=text, file=f"docs/rbac/{use}.yml")
    return header + "".join(f"---\n{yaml.safe_dump(item, sort_keys=False)}" for item in (role, binding))


def main() -> int:
    """Write all files."""
    for use in USES:
        (DIRECTORY / f"{use}.yml").write_text(document(use))
    return 0


if __name__ == "__main__":
    sys.exit(main())
