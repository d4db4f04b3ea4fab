"""docs/rbac grants exactly what the code declares, in the places where it is needed."""

from __future__ import annotations

from pathlib import Path

import yaml

from tools import rbac


def test_the_files_are_what_the_code_declares() -> None:
    for name, content in rbac.files().items():
        assert (rbac.DIRECTORY / name).read_text(encoding="utf-8") == content, name


def test_what_is_not_bound_everywhere_stays_in_its_place() -> None:
    """Secrets and commands in containers in namespaces only, but for istioctl's list; no wildcards."""
    for name, content in rbac.files().items():
        if not name.endswith(".yaml"):
            continue
        items = yaml.safe_load(content)["items"]
        everywhere = {item["roleRef"]["name"] for item in items if item["kind"] == "ClusterRoleBinding"}
        for role in (item for item in items if item["kind"] == "ClusterRole"):
            resources = {resource for rule in role["rules"] for resource in rule["resources"]}
            verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
            assert "*" not in resources | verbs, name
            if role["metadata"]["name"] in everywhere - {f"{rbac_name(name)}-cluster-istioctl"}:
                strong = {"secrets", "pods/exec", "pods/portforward", "pods/eviction", "services/proxy"}
                assert not resources & strong, name


def rbac_name(file: str) -> str:
    return f"servicemesh-{Path(file).stem}"


def test_every_declared_verb_is_granted() -> None:
    for part, needed in rbac.table.RIGHTS.items():
        rules = rbac.rules(needed)
        for right in needed:
            names = sorted(rbac.table.names_of()[right.names]) if right.names else None
            verbs = {
                verb
                for rule in rules
                if right.group in rule["apiGroups"]
                and right.resource in rule["resources"]
                and (sorted(rule["resourceNames"]) if "resourceNames" in rule else None) == names
                for verb in rule["verbs"]
            }
            assert set(right.verbs) <= verbs, (part, right)


def test_the_readme_gives_the_reason_of_every_right_in_the_whole_cluster() -> None:
    text = rbac.readme()
    for needed in rbac.table.RIGHTS.values():
        for right in needed:
            if rbac.table.CLUSTER in right.places:
                assert right.why[1:] in text, right
    for key in (*rbac.table.PLACES, *rbac.table.WHEN):
        assert key == rbac.table.CLUSTER or f"| {key.replace(' ', '-')} |" in text
