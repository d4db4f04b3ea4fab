"""A run that would do nothing and end well is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.servicemesh.istio.plugins.lookup import clusters

HOSTS = {
    "all": ["a", "b", "web", "localhost"],
    "ungrouped": ["localhost"],
    "istio": ["a", "b"],
    "web": ["web"],
}
FLAT = {"all": ["a", "b", "localhost"], "ungrouped": ["a", "b", "localhost"]}
OURS = "servicemesh.istio.site"


def run(
    monkeypatch: pytest.MonkeyPatch, wish: Any = "", groups: Any = None, tags: Any = (), **options: Any
) -> str:
    arguments = {"args": [OURS], **options}
    monkeypatch.setattr(clusters, "context", SimpleNamespace(CLIARGS=arguments))
    variables = {"groups": HOSTS if groups is None else groups, "ansible_run_tags": list(tags)}
    (found,) = clusters.LookupModule(loader=DataLoader()).run([wish], variables)
    return str(found)


@pytest.mark.parametrize(
    ("wish", "groups", "pattern"),
    [
        ("", HOSTS, "istio"),
        ("", FLAT, "all:!localhost"),
        ("", {**FLAT, "istio": []}, "all:!localhost"),
        ("a", HOSTS, "a"),
        (["a", "b"], HOSTS, "a,b"),
        ("localhost", FLAT, "localhost"),
        ("istio:!b", HOSTS, "istio:!b"),
    ],
)
def test_the_pattern(monkeypatch: pytest.MonkeyPatch, wish: Any, groups: Any, pattern: str) -> None:
    assert run(monkeypatch, wish, groups) == pattern


@pytest.mark.parametrize(
    ("wish", "groups", "words"),
    [
        ("", {"all": [], "ungrouped": []}, "none of its hosts is a cluster"),
        ("", {"all": ["localhost"], "ungrouped": ["localhost"]}, "none of its hosts is a cluster"),
        ("prod", HOSTS, "mesh_hosts is 'prod', which matches none"),
        ("a:!a", HOSTS, "matches none"),
    ],
)
def test_no_cluster_is_an_error(monkeypatch: pytest.MonkeyPatch, wish: str, groups: Any, words: str) -> None:
    with pytest.raises(AnsibleError, match="The inventory has no cluster") as caught:
        run(monkeypatch, wish, groups)
    assert words in str(caught.value)


def test_a_limit_beside_the_clusters_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleError, match=r"--limit web leaves none of the clusters \(a, b\)"):
        run(monkeypatch, subset="web")
    assert run(monkeypatch, subset="b,web") == "istio"
    assert run(monkeypatch, subset="web", args=["/srv/mine.yml"]) == "istio", "a person's own plays go on"


@pytest.mark.parametrize(
    ("playbook", "tag", "words"),
    [
        (OURS, "meshh", "did you mean mesh"),
        (OURS, "deploy", "no task has this tag"),
        ("servicemesh.istio.mesh", "verify", "no task has this tag"),
        (str(clusters.PLAYBOOKS / "canary_resume.yml"), "mesh", "no task has this tag"),
        ("/srv/mine.yml", "meshh", "did you mean mesh"),
    ],
)
def test_a_tag_that_no_task_has_is_an_error(
    monkeypatch: pytest.MonkeyPatch, playbook: str, tag: str, words: str
) -> None:
    with pytest.raises(AnsibleError, match=f"--tags {tag}: .*{words}"):
        run(monkeypatch, tags=[tag], args=[playbook])


@pytest.mark.parametrize(
    ("playbook", "tag"),
    [
        (OURS, "mesh"), (OURS, "all"), (OURS, "always"), ("servicemesh.istio.canary_rollback", "canary"),
        ("servicemesh.istio.rotate_certificates", "certificates"),
        ("servicemesh.istio.render", "render"), ("/srv/mine.yml", "deploy"), ("/srv/mine.yml", "verify"),
        (str(clusters.PLAYBOOKS / "site.yml"), "verify"),
    ],
)  # fmt: skip
def test_tags_that_exist_or_may_be_a_persons_own(
    monkeypatch: pytest.MonkeyPatch, playbook: str, tag: str
) -> None:
    assert run(monkeypatch, tags=[tag], args=[playbook]) == "istio"


def test_every_tag_of_the_playbooks_is_known() -> None:
    import yaml

    found = set()
    for path in clusters.PLAYBOOKS.glob("*.yml"):
        for play in yaml.safe_load(path.read_text(encoding="utf-8")):
            for task in play.get("tasks", []):
                found |= {*task["tags"]}
            if "hosts" in play:
                assert "servicemesh.istio.clusters" in play["hosts"], path.name
    assert found - {"always"} == {*clusters.TAGS}


def test_a_syntax_check_needs_no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, groups={}, syntax=True) == "all:!localhost"


@pytest.mark.parametrize("tag", ["trust", "render", "canary", "diagnose", "bill", "mesh_ca"])
def test_a_site_has_the_tags_of_its_parts_only(tag: str) -> None:
    """With another one it would look at the cluster, do nothing, and end well."""
    with pytest.raises(AnsibleError, match=f"--tags {tag}: no task has this tag"):
        clusters.check_tags([tag], ["site"])
    clusters.check_tags(
        ["preflight", "istio", "injection", "addons", "certificates", "mesh", "verify"], ["site"]
    )
