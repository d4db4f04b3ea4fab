"""Several kubeconfig files as one, by the rules of client-go. The oracle is in tests/integration/kube."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.kubeconfig import (
    merged,
    problems_of,
    read_kubeconfig,
)


def config(
    clusters: dict[str, Any] | None = None,
    users: dict[str, Any] | None = None,
    contexts: dict[str, Any] | None = None,
    current: str | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "clusters": [{"name": name, "cluster": entry} for name, entry in (clusters or {}).items()],
        "users": [{"name": name, "user": entry} for name, entry in (users or {}).items()],
        "contexts": [{"name": name, "context": entry} for name, entry in (contexts or {}).items()],
    }
    return made | ({"current-context": current} if current is not None else {})


def write(directory: Path, name: str, content: Any) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


NOT_TEXT = "as-groups or as-user-extra holds something else than text"
ONE = {"server": "https://one"}
CONTEXT = {"cluster": "c", "user": "u"}


def refusal(*arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_kubeconfig(*arguments)
    (problem,) = caught.value.problems
    return f"{problem.where}: {problem.message}"


def test_the_first_file_gives_whole_entries_and_the_current_context(tmp_path: Path) -> None:
    first = write(tmp_path, "a", config({"c": ONE}, contexts={"x": CONTEXT}, current=""))
    second = config(
        {"c": {"server": "https://two", "tls-server-name": "t"}}, {"u": {"token": "t2"}}, current="x"
    )
    third = config(users={"u": {"token": "t3", "as": "dev"}}, contexts={"y": CONTEXT}, current="y")
    paths = [first, write(tmp_path, "b", second), write(tmp_path, "c", third)]
    found = read_kubeconfig(paths, "here")
    assert found is not None
    assert found.select() == (ONE, {"token": "t2"})
    assert (found.current_context, list(found.contexts), found.where) == ("x", ["x", "y"], "here")
    backwards = read_kubeconfig(paths[::-1], "here")
    assert backwards is not None
    assert backwards.current_context == "y"
    assert backwards.select("x")[1] == {"token": "t3", "as": "dev"}


def test_missing_and_empty_files_are_skipped(tmp_path: Path) -> None:
    there = write(tmp_path, "a", config({"c": ONE}, {"u": {}}, {"x": CONTEXT}, "x"))
    found = read_kubeconfig([str(tmp_path / "no"), "", write(tmp_path, "e", ""), there], "here")
    assert found is not None
    assert found.select() == (ONE, {})
    assert read_kubeconfig([str(tmp_path / "no"), ""], "here") is None


def test_a_file_that_is_named_twice_is_read_once_and_home_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "k", config({"c": ONE}, {"u": {}}, {"x": CONTEXT}, "x"))
    found = read_kubeconfig(["~/k", "~/k"], "here")
    assert found is not None
    assert found.select()[0] == ONE


def test_paths_count_from_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {
        "client-certificate": "me.crt",
        "client-key": "../keys/me.key",
        "tokenFile": "/run/token",
        "exec": {"command": "./bin/login"},
    }
    cluster = {"server": "https://s", "certificate-authority": "./pki/ca.crt"}
    write(tmp_path, "a/config", config({"c": cluster}))
    write(tmp_path, "b/config", config(users={"u": user}, contexts={"x": CONTEXT}, current="x"))
    monkeypatch.chdir(tmp_path)
    found = read_kubeconfig(["a/config", "b/config"], "here")
    assert found is not None
    selected = found.select()
    assert selected[0]["certificate-authority"] == f"{tmp_path}/a/pki/ca.crt"
    assert selected[1] == {
        "client-certificate": f"{tmp_path}/b/me.crt",
        "client-key": f"{tmp_path}/keys/me.key",
        "tokenFile": "/run/token",
        "exec": {"command": f"{tmp_path}/b/bin/login"},
    }


def test_a_link_is_not_followed_for_its_directory(tmp_path: Path) -> None:
    write(tmp_path, "far/config", config(users={"u": {"tokenFile": "t"}}, contexts={"x": CONTEXT}))
    (tmp_path / "near").mkdir()
    (tmp_path / "near/config").symlink_to("../far/config")
    found = read_kubeconfig([str(tmp_path / "near/config")], "here")
    assert found is not None
    assert found.users["u"]["tokenFile"] == f"{tmp_path}/near/t"


def test_a_command_without_a_slash_is_looked_up_in_path() -> None:
    users = {"u": {"exec": {"command": "aws"}}, "v": {"exec": {}}, "w": {"exec": None}}
    found = merged([("x", Path("/d"), config(users=users))], "here")
    assert [dict(found.users[name]) for name in "uvw"] == [
        {"exec": {"command": "aws"}},
        {"exec": {}},
        {"exec": None},
    ]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("", "names no current-context and no context was given (it has: lost, stray, whole)"),
        ("gone", "has no context 'gone' (it has: lost, stray, whole)"),
        ("lost", "context 'lost' names the unknown cluster 'no'"),
        ("stray", "context 'stray' names the unknown user 'nobody'"),
    ],
)
def test_what_leaves_open_which_cluster_is_meant(context: str, message: str) -> None:
    contexts = {
        "lost": {"cluster": "no", "user": "u"},
        "stray": {"cluster": "c", "user": "nobody"},
        "whole": {"cluster": "c"},
    }
    found = merged([("x", Path("/"), config({"c": ONE}, {"u": {}}, contexts))], "here")
    with pytest.raises(InputError) as caught:
        found.select(context)
    (problem,) = caught.value.problems
    assert (problem.where, problem.message, problem.rule) == ("here", message, "kubeconfig-context")
    assert found.select("whole") == (ONE, {})


def test_an_empty_kubeconfig_has_no_context() -> None:
    found = merged([("x", Path("/"), None)], "here")
    with pytest.raises(InputError, match=r"it has: none"):
        found.select()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "is not a kubeconfig"),
        ({"kind": "Pod"}, "is a Pod, not a kubeconfig"),
        ({"clusters": 7}, "clusters is int, not a list"),
        ({"clusters": ["x"]}, "clusters.0 is str, not a mapping"),
        ({"clusters": [{"name": 7}]}, "name is int, not a string"),
        ({"current-context": ["x"]}, "current-context is list, not a string"),
        (config({"c": {"server": 1}}), "clusters[c]: server is int, not a string"),
        (config({"c": []}), "cluster is list, not a mapping"),
        (
            config({"c": {"insecure-skip-tls-verify": "no"}}),
            "clusters[c]: insecure-skip-tls-verify is not true or false",
        ),
        (config(contexts={"x": {"user": {}}}), "contexts[x]: user is dict, not a string"),
        (config(users={"u": {"token": 5}}), "users[u]: token is int, not a string"),
        (config(users={"u": {"as-groups": "g"}}), "users[u]: as-groups is str, not a list"),
        (config(users={"u": {"as-groups": [1]}}), f"users[u]: {NOT_TEXT}"),
        (config(users={"u": {"as-user-extra": {"k": [1]}}}), f"users[u]: {NOT_TEXT}"),
        (config(users={"u": {"as-user-extra": {"k": "v"}}}), "users[u]: k is str, not a list"),
        (config(users={"u": {"exec": {"args": [1]}}}), "users[u]: exec.args holds something else than text"),
        (config(users={"u": {"exec": {"env": ["x"]}}}), "users[u]: exec.env.0 is str, not a mapping"),
        (
            config(users={"u": {"exec": {"env": [{"name": "PIN", "value": 123456}]}}}),
            "users[u]: exec.env holds something else than text",
        ),
        (config(users={"u": {"exec": "x"}}), "users[u]: exec is str, not a mapping"),
        (
            {"users": [{"name": "u"}, {"name": "u"}]},
            "has two users of the name 'u'",
        ),
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path, "k", content)
    assert refusal([path], "here") == f"kubeconfig {path}: {message}"


@pytest.mark.parametrize("flag", [True, False, None])
def test_flags(flag: bool | None) -> None:
    found = merged([("x", Path("/"), config({"c": {"insecure-skip-tls-verify": flag}}))], "here")
    assert found.clusters["c"]["insecure-skip-tls-verify"] is flag


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert refusal([str(tmp_path)], "x") == f"kubeconfig {tmp_path}: cannot be read: Is a directory"
    (tmp_path / "latin").write_bytes(b"a: \xe4")
    assert "cannot be read: not UTF-8 text" in refusal([str(tmp_path / "latin")], "x")
    with pytest.raises(InputError, match="k:2"):
        read_kubeconfig([write(tmp_path, "k", "a: [s3cret")], "x")


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    path = write(tmp_path, "k", config(users={"u": {"token": ["s3cret"], "password": {"s3cret": 1}}}))
    assert "s3cret" not in refusal([path], "x")


CERTIFICATE = {"client-certificate-data": "x", "client-key-data": "y"}
API = "client.authentication.k8s.io/v1"
PLUGIN = {"command": "x", "apiVersion": API, "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("cluster", "user", "expected"),
    [
        (ONE, {}, []),
        (ONE, {"token": "t"}, []),
        (ONE, {"username": "u", "password": "p"}, []),
        (ONE, CERTIFICATE, []),
        (ONE, {"exec": PLUGIN}, []),
        (ONE, {"as": "a", "as-groups": ["g"], "as-uid": "1", "as-user-extra": {"k": ["v"]}}, []),
        ({}, {}, ["the cluster has no server"]),
        ({**ONE, "insecure-skip-tls-verify": True}, {}, []),
        (
            {**ONE, "insecure-skip-tls-verify": True, "certificate-authority-data": "x"},
            {},
            ["insecure-skip-tls-verify and certificate-authority exclude each other"],
        ),
        (
            {**ONE, "certificate-authority": "/no", "certificate-authority-data": "x"},
            {},
            ["certificate-authority and certificate-authority-data exclude each other"],
        ),
        ({**ONE, "certificate-authority": "/no"}, {}, ["certificate-authority: no such file: /no"]),
        (
            ONE,
            {"client-certificate": "/no", "client-key": "/neither"},
            ["client-certificate: no such file: /no", "client-key: no such file: /neither"],
        ),
        (
            ONE,
            {**CERTIFICATE, "client-key": "/no"},
            ["client-key and client-key-data exclude each other"],
        ),
        (ONE, {"client-certificate-data": "x"}, ["client-certificate needs a client-key"]),
        (ONE, {"token": "t", "username": "u"}, ["token and username exclude each other"]),
        (ONE, {"token": "t", "password": "p"}, ["token and username exclude each other"]),
        (ONE, {"tokenFile": "/t", "password": "p"}, ["token and username exclude each other"]),
        (ONE, {"as-groups": ["g"]}, ["as-uid, as-groups and as-user-extra need as"]),
        (ONE, {"as-uid": "1"}, ["as-uid, as-groups and as-user-extra need as"]),
        (ONE, {"as-user-extra": {"k": ["v"]}}, ["as-uid, as-groups and as-user-extra need as"]),
        (ONE, {"exec": {"apiVersion": API, "interactiveMode": "Never"}}, ["exec needs command"]),
        (ONE, {"exec": {"command": "x"}}, ["exec needs apiVersion"]),
        (
            ONE,
            {"exec": {**PLUGIN, "env": [{"value": "x"}]}},
            ["exec: an environment variable has no name"],
        ),
        (
            ONE,
            {"exec": PLUGIN, "auth-provider": {"name": "oidc"}},
            ["exec and auth-provider exclude each other"],
        ),
        (
            ONE,
            {"exec": {**PLUGIN, "interactiveMode": "Always"}},
            ["exec: its plugin asks questions (interactiveMode Always), which nobody can answer here"],
        ),
        (
            ONE,
            {"exec": {"command": "x", "apiVersion": API}},
            ["exec: interactiveMode is none of Never, IfAvailable, Always"],
        ),
        (ONE, {"exec": {"command": "x", "apiVersion": f"{API}beta1"}}, []),
        (
            ONE,
            {"exec": {"command": "x", "apiVersion": f"{API}alpha1"}},
            [f"exec: apiVersion is none of {API}, {API}beta1"],
        ),
        (
            ONE,
            {"auth-provider": {"name": "gcp"}},
            [
                "auth-provider gcp is gone from kubectl, istioctl and helm; "
                "use exec with gke-gcloud-auth-plugin"
            ],
        ),
        (ONE, {"auth-provider": {"name": "oidc"}}, []),
    ],
)
def test_what_kubectl_refuses(cluster: dict[str, Any], user: dict[str, Any], expected: list[str]) -> None:
    assert problems_of(cluster, user) == expected


def test_files_that_are_there_are_no_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "f", "x")
    cluster = {**ONE, "certificate-authority": path}
    assert problems_of(cluster, {"client-certificate": path, "client-key": path}) == []


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        (
            "clusters",
            "server certificate-authority certificate-authority-data tls-server-name proxy-url",
        ),
        ("contexts", "cluster user namespace"),
        (
            "users",
            "client-certificate client-key tokenFile client-certificate-data client-key-data token username"
            " password as as-uid",
        ),
    ],
)
def test_every_field_that_is_text(tmp_path: Path, section: str, keys: str) -> None:
    for key in keys.split():
        path = write(tmp_path, "k", config(**{section: {"n": {key: 5}}}))
        assert refusal([path], "here") == f"kubeconfig {path}: {section}[n]: {key} is int, not a string"


@pytest.mark.parametrize("key", ["insecure-skip-tls-verify", "disable-compression"])
def test_every_field_that_is_true_or_false(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, "k", config({"c": {key: 1}}))
    assert refusal([path], "here") == f"kubeconfig {path}: clusters[c]: {key} is not true or false"
