"""docs/rbac grants exactly what the code declares; Secrets in namespaces only, but for istioctl's list."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]

from tools import rbac  # noqa: E402


def test_the_files_are_what_the_code_declares() -> None:
    for name, content in rbac.files().items():
        assert (rbac.DIRECTORY / name).read_text(encoding="utf-8") == content, name


def test_secrets_are_granted_in_namespaces_only() -> None:
    for name, content in rbac.files().items():
        for document in yaml.safe_load(content)["items"]:
            if document["kind"] == "ClusterRole" and not document["metadata"]["name"].endswith("-istioctl"):
                granted = {resource for rule in document["rules"] for resource in rule["resources"]}
                assert "secrets" not in granted, name
                assert "*" not in granted, name


def test_every_declared_verb_is_granted() -> None:
    for part, needed in rbac.table.RIGHTS.items():
        rules = rbac.rules(needed)
        for right in needed:
            if right.resource == "secrets":
                continue
            verbs = {
                verb
                for rule in rules
                if right.group in rule["apiGroups"] and right.resource in rule["resources"]
                for verb in rule["verbs"]
            }
            assert set(right.verbs) <= verbs, (part, right)
