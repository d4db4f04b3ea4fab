"""Writes docs/rbac from the rights that the code declares: ``python -m tools.rbac [--check]``.

``operations/rights/table.py`` is the one table: the preflights ask the API server for exactly these rights,
and the roles in docs/rbac grant exactly these. One ClusterRole for each kind of place and each option, bound
in the namespaces of the place; only what cannot be less is bound in the whole cluster, with its reason.
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
SHOP, ISTIO, AUTHORITY = "ecommerce", "istio-system", "servicemesh-system"
# The namespaces of inventories/example and inventories/lab.
NAMESPACES: dict[str, tuple[str, ...]] = {
    table.CONTROL_PLANE: (ISTIO,),
    table.GATEWAYS: (ISTIO,),
    table.SERVICES: (SHOP,),
    table.OBJECTS: (SHOP,),
    table.ADDONS: (ISTIO,),
    table.RATE_LIMITS: (SHOP,),
    table.CA: (AUTHORITY,),
    table.SERVICE: (SHOP,),
    table.ROUTES: (SHOP,),
    table.CALLERS: (SHOP, ISTIO),
    table.SYNTHETIC: (SHOP,),
    table.METRICS: (ISTIO,),
    table.NODES: ("kube-node-lease",),
}
RBAC = "rbac.authorization.k8s.io"
HEAD = """# Generated from the rights that the code declares (operations/rights/table.py),
# written by `python -m tools.rbac`. Apply with: kubectl apply --server-side -f docs/rbac/{name}.yaml
# {about}
# docs/rbac/README.md says which namespaces and names to put in their place.
"""
ABOUT = {
    "site": "What playbooks/site.yml needs, with istioctl or Helm.",
    "canary": "What playbooks/canary*.yml need.",
    "mesh_ca": "What playbooks/rotate_mesh_ca.yml needs.",
    "diagnose": "What playbooks/diagnose.yml needs.",
    "observe": "What playbooks/observe.yml needs.",
    "trust": "What playbooks/trust.yml needs.",
    "reports": "What `mesh_reports_keep` needs besides.",
    "deadman": "What the Job of `canary_deadman: job` needs: bind it to the account of the Job.",
}
Key = tuple[str, str]
"""Kind of place, and the option that needs the right (empty: always)."""


def rules(needed: Iterable[table.Right]) -> list[dict[str, Any]]:
    """RBAC rules: resources of one group that need the same verbs on the same names share a rule."""
    verbs: dict[tuple[str, str, str], set[str]] = {}
    for right in needed:
        verbs.setdefault((right.group, right.names, right.resource), set()).update(right.verbs)
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, names, resource), found in sorted(verbs.items()):
        grouped.setdefault((group, names, tuple(sorted(found))), []).append(resource)
    known = table.names_of()
    return [
        {
            "apiGroups": [group],
            "resources": resources,
            **({"resourceNames": list(known[names])} if names else {}),
            "verbs": list(found),
        }
        for (group, names, found), resources in sorted(grouped.items())
    ]


def by_key(needed: Iterable[table.Right]) -> dict[Key, list[table.Right]]:
    """The rights of each role. :returns: (kind of place, option) -> rights, in the order of the table."""
    found: dict[Key, list[table.Right]] = {}
    for right in needed:
        for place in right.places:
            for when in right.when or ("",):
                found.setdefault((place, when), []).append(right)
    order = [(place, when) for place in table.PLACES for when in ("", *table.WHEN)]
    return {key: found[key] for key in order if key in found}


def role_name(name: str, key: Key) -> str:
    """The ClusterRole of a use, such as ``servicemesh-site-control-plane-helm``."""
    return "-".join(part.replace(" ", "-") for part in ("servicemesh", name, *key) if part)


def documents(name: str, needed: Sequence[table.Right]) -> list[dict[str, Any]]:
    """The namespaces, which an administrator makes, one ClusterRole for each key, and its bindings."""
    roles = by_key(needed)
    namespaces = dict.fromkeys(space for place, _when in roles for space in NAMESPACES.get(place, ()))
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in namespaces
    ]
    for key, rights in roles.items():
        objects.append(_role(role_name(name, key), rights))
        objects += [
            _binding(role_name(name, key), space)
            for space in ([""] if key[0] == table.CLUSTER else NAMESPACES[key[0]])
        ]
    return objects


def _role(name: str, rights: Iterable[table.Right]) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules(rights)}


def _binding(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": GROUP}],
    }


def _text(objects: list[dict[str, Any]]) -> str:
    """One document: ansible-test's yamllint refuses several, and kubectl takes a List as well."""
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    return yaml.safe_dump(whole, explicit_start=True, sort_keys=True, width=120)


def uses() -> dict[str, Sequence[table.Right]]:
    """What gets a file of its own. :returns: its path without suffix -> the rights."""
    parts = {f"parts/{part}": table.RIGHTS[part] for part in table.PARTS}
    site = [right for needed in parts.values() for right in needed]
    named = ("canary", "diagnose", "mesh_ca", "observe", "reports", "trust")
    others = {name: table.RIGHTS[name] for name in named}
    return {"site": site, **others, **parts}


def files() -> dict[str, str]:
    """The files of docs/rbac. :returns: file name -> content."""
    found = {}
    for name, needed in uses().items():
        short = name.removeprefix("parts/")
        about = ABOUT.get(name, f"What playbooks/{short}.yml alone needs.")
        found[f"{name}.yaml"] = HEAD.format(name=name, about=about) + _text(documents(short, needed))
    # Bound by hand: the account is one per namespace.
    role = [_role("servicemesh-deadman", table.RIGHTS["deadman"])]
    found["deadman.yaml"] = HEAD.format(name="deadman", about=ABOUT["deadman"]) + _text(role)
    found["README.md"] = readme()
    return found


README = """<!-- Generated by `python -m tools.rbac` from operations/rights/table.py. -->
# Rights

`site.yaml` is what `playbooks/site.yml` needs, `parts/` what each of its playbooks needs alone,
`canary.yaml` is for rollouts, `mesh_ca.yaml` for the rotation of the mesh's CA, `trust.yaml` for the look
at certificates, `diagnose.yaml` for a diagnosis, `observe.yaml` for the look at what goes on,
`reports.yaml` for reports that are kept in the cluster, `deadman.yaml` for the account of a deadman's Job.
The preflights of a site and of a rollout ask the API server for exactly these rights, and so does a
rotation of the mesh's CA before its first write, but for those in the namespaces of workloads; what only
reads says what it could not look at. Unit tests run the code with these rights and no others, but for
`istio`, whose installers are programs; the lab's playbooks run as a user who has nothing else.

Each file but `deadman.yaml` holds one ClusterRole `servicemesh-USE-PLACE[-OPTION]` for each kind of place,
and binds it in the namespaces of `inventories/example` to the group `{group}`. Put your namespaces and
group in their place; a further namespace is one more RoleBinding:

    kubectl create rolebinding servicemesh-site-services -n NAMESPACE \\
      --clusterrole=servicemesh-site-services --group={group}

Leave out the roles of options that you do not use. Bind a ClusterRole of a namespace with a
ClusterRoleBinding when namespaces come and go faster than bindings. `servicemesh-mesh-cluster` (of
`parts/mesh.yaml`) is not necessary: without it the run looks for what left the mesh, and for proxies, in the
namespaces of the mesh only, and says so.

## Places

| in the name | where it is bound |
|---|---|
{places}

## Options

| in the name | needed for |
|---|---|
{options}

## In the whole cluster, and why

{cluster}

`resourceNames` are those of an Istio in `istio-system` without `istio_revision`, and of the add-ons of
the Istio release. With another namespace, revision or `istio_ca_root_secret` the names change
(`istiod-clusterrole-REVISION-NAMESPACE`); the run asks for the right ones and names each that is
missing. An own add-on that brings ClusterRoles needs its names added.
"""


def readme() -> str:
    """docs/rbac/README.md."""
    spaces = [place for place in table.PLACES if place != table.CLUSTER]
    return README.format(
        group=GROUP,
        places="\n".join(f"| {place.replace(' ', '-')} | {table.PLACES[place]} |" for place in spaces),
        options="\n".join(f"| {when.replace(' ', '-')} | {text} |" for when, text in table.WHEN.items()),
        cluster="\n".join(_reasons()),
    )


def _reasons() -> Iterable[str]:
    yield "| part | resources | verbs | why |"
    yield "|---|---|---|---|"
    for part, needed in table.RIGHTS.items():
        lines: dict[tuple[str, str, str], list[str]] = {}
        for right in needed:
            if table.CLUSTER not in right.places:
                continue
            limit = " (by name)" if right.names else ""
            when = f" With {table.WHEN[right.when[0]]}." if right.when else ""
            without = " A run works without." if right.optional else ""
            text = f"{right.why[0].upper()}{right.why[1:]}.{when}{without}"
            lines.setdefault((", ".join(right.verbs), limit, text), []).append(right.resource)
        for (verbs, limit, text), resources in lines.items():
            yield f"| {part} | {', '.join(resources)}{limit} | {verbs} | {text} |"


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
