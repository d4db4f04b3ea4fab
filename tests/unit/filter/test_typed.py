"""Filters of the roles: text, durations, relative paths, one file per host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.filter import typed as variables

HOSTS = ["prod", "prod-eu", "eu"]


@pytest.mark.parametrize(
    ("path", "host", "hosts", "expected"),
    [
        ("report.json", "prod", ["prod"], "report.json"),
        ("report.json", "prod", ["prod", "test"], "report-prod.json"),
        ("/x/report.xml", "test", ["prod", "test"], "/x/report-test.xml"),
        ("/x/prod/report.json", "prod", ["prod", "test"], "/x/prod/report.json"),
        ("/x/report-prod.json", "prod", ["prod", "test"], "/x/report-prod.json"),
        ("/x/reproduction.json", "prod", ["prod", "test"], "/x/reproduction-prod.json"),
        ("/x/ca", "a.example.com", ["a.example.com", "b"], "/x/ca-a.example.com"),
        ("", "prod", ["prod", "test"], ""),
    ],
)
def test_a_file_of_each_host(path: str, host: str, hosts: list[str], expected: str) -> None:
    assert variables.host_path(path, host, hosts) == expected


@pytest.mark.parametrize("path", ["r.json", "prod-eu.json", "/prod/eu/r.json", "eu/r.json", "/a.b/prod"])
@pytest.mark.parametrize("directory", [False, True])
def test_no_two_hosts_have_one_path(path: str, directory: bool) -> None:
    found = [variables.host_path(path, host, HOSTS, directory) for host in HOSTS]
    assert len({*found}) == len(HOSTS)


ODD = ["../../etc", "a/../b", "a/b", "a%2Fb", "..", ".", "berlin west", "löwe", "x\x00y"]


@pytest.mark.parametrize("host", ODD)
@pytest.mark.parametrize("directory", [False, True])
def test_no_name_of_a_host_leaves_the_directory(host: str, directory: bool) -> None:
    found = Path(variables.host_path("/srv/out/r.json", host, ODD, directory))
    assert found.parent == Path("/srv/out/r.json" if directory else "/srv/out")
    assert found.name not in (".", "..") and "\x00" not in str(found)
    assert len({variables.host_path("/srv/out/r.json", other, ODD, directory) for other in ODD}) == len(ODD)


def test_a_directory_of_each_host() -> None:
    assert variables.host_path("rendered", "a", ["a", "b"], True) == "rendered/a"
    assert variables.host_path("rendered/a", "a", ["a", "b"], True) == "rendered/a"


@pytest.mark.parametrize("option", ["kubeconfig", "ca_cert", "client_cert", "client_key"])
def test_relative_paths_are_found_beside_playbook_inventory_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    for place in ("playbook", "inventory", "run"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "run")
    places = (str(tmp_path / "playbook"), str(tmp_path / "inventory"))
    assert variables.connection({option: "kind.yaml"}, *places) == {option: str(tmp_path / "run/kind.yaml")}
    for place in ("run", "inventory", "playbook"):
        (tmp_path / place / "kind.yaml").touch()
        assert variables.connection({option: "kind.yaml"}, *places) == {
            option: str(tmp_path / place / "kind.yaml")
        }
    assert variables.connection({option: "/etc/k"}, *places, "") == {option: "/etc/k"}


def test_several_kubeconfigs_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("KUBES", "/k")
    monkeypatch.chdir(tmp_path)
    found = variables.connection("kubeconfig=~/.kube/config:$KUBES/b:c,context=x")
    assert found == {"kubeconfig": f"/home/me/.kube/config:/k/b:{tmp_path}/c", "context": "x"}


def test_an_inline_kubeconfig_stays(tmp_path: Path) -> None:
    assert variables.connection({"kubeconfig": {"users": []}}, str(tmp_path)) == {"kubeconfig": {"users": []}}
    assert variables.connection({}) == {}


def test_text_and_seconds() -> None:
    assert variables.typed("a,b") == ["a", "b"] and variables.typed("a=1", "dict") == {"a": 1}
    assert (variables.seconds("2m"), variables.seconds(90), variables.seconds("500ms")) == (120, 90, 0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: variables.typed("x", "dict", "addons_sources"), "addons_sources: is 'x', not a mapping"),
        (
            lambda: variables.seconds("soon", "istio_timeout"),
            "istio_timeout: is 'soon', not a duration such as 90",
        ),
        (lambda: variables.connection("x"), "mesh_connection: not a mapping"),
    ],
)
def test_what_cannot_be_read_is_named(call: Any, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        call()


def test_the_content_of_a_kubeconfig_is_no_path() -> None:
    for content in ("clusters: []\nusers: []\n", '{"clusters": []}'):
        assert variables.connection({"kubeconfig": content}, "/play") == {"kubeconfig": content}
