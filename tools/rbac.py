"""Writes docs/rbac from the rights that the code declares: ``python -m tools.rbac [--check]``.

``operations/rights/table.py`` is the one table: the preflights ask the API server for exactly these rights,
and the roles in docs/rbac grant exactly these. Secrets are granted per namespace; only istioctl's pruning
needs to list them in all, in a role of its own (`...-istioctl`) that an installation with Helm can leave out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from .paths import COLLECTIONS, ROOT

sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table

DIRECTORY = ROOT / "docs" / "rbac"
GROUP = "servicemesh:operators"
CONTROL_PLANE, AUTHORITY = "istio-system", "servicemesh-system"
HEAD = """# Generated from the rights that the code declares (operations/rights/table.py),
# written by `python -m tools.rbac`. Apply with: kubectl apply --server-side -f docs/rbac/{name}.yaml
# {about}
"""
ABOUT = {
    "site": "What playbooks/site.yml needs, with istioctl or Helm. Narrower: one file per part, below.",
    "canary": "What playbooks/canary*.yml need. Narrower: bind the ClusterRole in the namespaces of the "
    "service, its callers and the gateways.",
    "deadman": "What the Job of `canary_deadman: job` needs: bind it to the account of the Job.",
}


def rules(needed: Iterable[table.Right]) -> list[dict[str, Any]]:
    """RBAC rules: resources of one group that need the same verbs share a rule. Secrets are left out."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for right in needed:
        if right.resource != "secrets":
            verbs.setdefault((right.group, right.resource), set()).update(right.verbs)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), names in sorted(verbs.items()):
        grouped.setdefault((group, tuple(sorted(names))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(names)}
        for (group, names), resources in sorted(grouped.items())
    ]


def secret_verbs(needed: Iterable[table.Right], place: str) -> list[str]:
    """The verbs on Secrets in one kind of place."""
    found = {v for r in needed if r.resource == "secrets" and place in r.places for v in r.verbs}
    return sorted(found)


def _bound(kind: str, name: str, namespace: str | None, needed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    api = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": api, "kind": kind, "metadata": meta, "rules": needed},
        {
            "apiVersion": api,
            "kind": f"{kind}Binding",
            "metadata": dict(meta),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUP}],
        },
    ]


def documents(name: str, needed: Sequence[table.Right]) -> list[dict[str, Any]]:
    """One ClusterRole with its binding, and a Role per namespace whose Secrets are needed."""
    objects: list[dict[str, Any]] = []
    in_control_plane = sorted(
        set(secret_verbs(needed, table.CONTROL_PLANE)) | set(secret_verbs(needed, table.GATEWAYS))
    )
    for namespace, verbs in (
        (CONTROL_PLANE, in_control_plane),
        (AUTHORITY, secret_verbs(needed, table.CA)),
    ):
        if not verbs:
            continue
        # A Role needs its namespace, so an administrator makes both before the first run.
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}
        objects += _bound("Role", f"servicemesh-{name}-secrets", namespace, [rule])
    objects += _bound("ClusterRole", f"servicemesh-{name}", None, rules(needed))
    everywhere = secret_verbs(needed, table.CLUSTER)
    if everywhere:
        # A role of its own, to be left out with Helm: only istioctl's pruning lists Secrets.
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": everywhere}
        objects += _bound("ClusterRole", f"servicemesh-{name}-istioctl", None, [rule])
    return objects


def _text(objects: list[dict[str, Any]]) -> str:
    """One document: ansible-test's yamllint refuses several, and kubectl takes a List as well."""
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    return yaml.safe_dump(whole, explicit_start=True, sort_keys=True, width=120)


def files() -> dict[str, str]:
    """The files of docs/rbac. :returns: file name -> content."""
    found = {}
    parts = {f"parts/{part}": table.RIGHTS[part] for part in table.PARTS}
    site = [right for needed in parts.values() for right in needed]
    for name, needed in {"site": site, "canary": table.RIGHTS["canary"], **parts}.items():
        short = name.removeprefix("parts/")
        about = ABOUT.get(name, f"What playbooks/{short}.yml alone needs.")
        found[f"{name}.yaml"] = HEAD.format(name=name, about=about) + _text(documents(short, needed))
    # Bound by hand: the account is one per namespace.
    role = documents("deadman", table.RIGHTS["deadman"])[:1]
    found["deadman.yaml"] = HEAD.format(name="deadman", about=ABOUT["deadman"]) + _text(role)
    return found


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` say which are not what the code declares."""
    stale = []
    for name, content in files().items():
        path = DIRECTORY / name
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"docs/rbac/{name} {'is stale' if '--check' in arguments else 'written'}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
