"""What people write into kubeconfigs, shape by shape: what we accept, kubectl accepts, and sends the same.

The generated sets (test_kubeconfig_oracle.py) vary what belongs into a kubeconfig; these vary what does not,
or how it is written. Where we refuse what kubectl takes, the shape stands in STRICTER with the reason.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import tool_environment

from .test_kubeconfig_oracle import Server, kubectl

__all__ = ["kubectl"]

V1 = "apiVersion: client.authentication.k8s.io/v1"
TEMPLATE = """apiVersion: v1
kind: Config
clusters:
- name: c
  cluster:
    server: URL
    certificate-authority-data: CA
CLUSTER
users:
- name: u
  user:
USER
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
"""


def config(user: str = "token: abc", cluster: str = "") -> str:
    text = TEMPLATE.replace("CLUSTER\n", textwrap.indent(cluster, "    ") + "\n" if cluster else "")
    return text.replace("USER", textwrap.indent(user, "    "))


PLAIN = config()
INSECURE = PLAIN.replace("    certificate-authority-data: CA\n", "    insecure-skip-tls-verify: FLAG\n")


def plugin(name: str, version: str = "v1", **more: str) -> str:
    given = {"command": f"DIR/{name}", "interactiveMode": "Never", **more}
    words = ", ".join(f"{key}: {value}" for key, value in given.items() if value)
    return config(f"exec: {{apiVersion: client.authentication.k8s.io/{version}, {words}}}")


SHAPES = {
    "plain": PLAIN,
    "a byte order mark": "\ufeff" + PLAIN,
    "lines of Windows": PLAIN.replace("\n", "\r\n"),
    "a document's marks": f"---\n{PLAIN}...\n",
    "a key twice": PLAIN + "current-context: y\n",
    "two contexts of a name": PLAIN.replace(
        "current-", "- name: x\n  context: {cluster: no, user: u}\ncurrent-"
    ),
    "an unknown key": PLAIN + "foo: bar\n",
    "an unknown key of a user": config("token: abc\nfoo: bar"),
    "a key in capitals": PLAIN.replace("    server:", "    Server:"),
    "a numeric token": config("token: 12345"),
    "a boolean token": config("token: yes"),
    "a token that is a date": config("token: 2020-01-01"),
    "a token's newline, quoted": config('token: "abc\\n"'),
    "a token's newline, folded": config("token: >\n  abc"),
    "a token's newline, literal": config("token: |\n  abc"),
    "no token, a file": config("token: null\ntokenFile: DIR/token"),
    "a token and a file": config("token: abc\ntokenFile: DIR/token"),
    "a file of Windows": config("tokenFile: DIR/token-crlf"),
    "an empty file": config("tokenFile: DIR/token-empty"),
    "a missing file": config("tokenFile: DIR/none"),
    "a file with a byte order mark": config("tokenFile: DIR/token-bom"),
    "a password with a colon": config('username: "a"\npassword: "b:c"'),
    "a login beyond ASCII": config('username: "ä"\npassword: "ß"'),
    "a login and a token": config("username: a\npassword: b\ntoken: abc"),
    "a provider that is gone": config("auth-provider: {name: gcp, config: {access-token: zzz}}"),
    "a plugin": plugin("login"),
    "a plugin without interactiveMode": plugin("login", interactiveMode=""),
    "a plugin of v1beta1 without it": plugin("login-v1beta1", "v1beta1", interactiveMode=""),
    "a plugin of v1alpha1": plugin("login-v1alpha1", "v1alpha1"),
    "a plugin with another interactiveMode": plugin("login", interactiveMode="Maybe"),
    "a plugin that asks": plugin("login", interactiveMode="Always"),
    "a plugin and a token": plugin("login").replace("    exec:", "    token: abc\n    exec:"),
    "a plugin without lists": plugin("login", env="null", args="null"),
    "a plugin that wants the cluster": plugin("login-cluster", provideClusterInfo="true"),
    "a plugin that wants its configuration": plugin("login-config", provideClusterInfo="true").replace(
        "users:",
        "    extensions:\n    - {name: client.authentication.k8s.io/exec, extension: {a: 1}}\nusers:",
    ),
    "acting as somebody": config('token: abc\nas: "bö b"\nas-groups: [a, b]\nas-user-extra: {Foo/Bar: [x]}'),
    "groups of nobody": config("token: abc\nas-groups: [a]"),
    "a slash at the end": PLAIN.replace("URL", "URL/"),
    "a path": PLAIN.replace("URL", "URL/k8s/clusters/c-x/"),
    "slashes in a row": PLAIN.replace("URL", "URL//k8s//x"),
    "a query": PLAIN.replace("URL", "URL/?a=b"),
    "no scheme": PLAIN.replace("URL", "HOST"),
    "a scheme in capitals": PLAIN.replace("URL", "HTTPS://HOST"),
    "a login in the URL": PLAIN.replace("URL", "https://bob:pw@HOST"),
    "a blank before the URL": PLAIN.replace("URL", '" URL"'),
    "no proxy": config(cluster='proxy-url: ""'),
    "a proxy nobody speaks": config(cluster="proxy-url: ftp://x"),
    "a flag as text": INSECURE.replace("FLAG", '"true"'),
    "a flag of YAML 1.1": INSECURE.replace("FLAG", "on"),
    "a flag and an authority": config(cluster="insecure-skip-tls-verify: true"),
    "another name in the certificate": config(cluster="tls-server-name: api.internal"),
    "a name that is not in it": config(cluster="tls-server-name: other.internal"),
    "an authority that is no base64": PLAIN.replace("CA\n", "CA%%\n"),
    "an authority that is no PEM": PLAIN.replace("CA\n", "aGVsbG8=\n"),
    "an authority with blanks": PLAIN.replace("CA\n", ">-\n      CA1\n      CA2\n"),
    "an authority in lines": PLAIN.replace("CA\n", "|\n      CA1\n      CA2\n"),
    "an authority with a tag": PLAIN.replace("CA\n", "!!binary CA\n"),
    "an unknown user": PLAIN.replace("user: u}", "user: z}"),
    "an unknown cluster": PLAIN.replace("cluster: c,", "cluster: z,"),
    "users by name": PLAIN.replace("- name: u\n  user:\n    token: abc", "  u: {token: abc}"),
    "a numeric context": PLAIN.replace("current-context: x", "current-context: 1").replace(
        "name: x", "name: '1'"
    ),
    "a merge key": "x: &d {token: abc}\n" + config("<<: *d"),
    "another kind": PLAIN.replace("kind: Config", "kind: List"),
    "another version": PLAIN.replace("apiVersion: v1", "apiVersion: v2"),
    "neither": PLAIN.replace("kind: Config\n", "").replace("apiVersion: v1\n", ""),
    "tabs": PLAIN.replace("    server", "\tserver"),
    "a null character": PLAIN + "\x00",
    "nothing": "",
    "half a pair": config("client-certificate-data: CA"),
    "two documents": f"{PLAIN}---\n{PLAIN.replace('abc', 'def')}",
}
STRICTER = {
    "a file with a byte order mark": "no server takes such a token",
    "a query": "client-go drops it in silence",
    "a login in the URL": "it would stand in every message that names the server",
    "two documents": "kubectl reads the first one only",
}
LOOSER = {
    "a token's newline, quoted": "without it, which is what was meant; kubectl stops at the header",
    "a token's newline, folded": "the same",
    "a token's newline, literal": "the same",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("shapes")
    for name, content in (
        ("token", b"filed\n"),
        ("token-crlf", b"filed\r\n"),
        ("token-empty", b""),
        ("token-bom", b"\xef\xbb\xbfx\n"),
    ):
        (directory / name).write_bytes(content)
    checks = {
        "login-cluster": 'echo "$KUBERNETES_EXEC_INFO" | grep -q certificate-authority-data || exit 3',
        "login-config": """echo "$KUBERNETES_EXEC_INFO" | grep -q '"config":{"a":1}' || exit 3""",
    }
    for name in ("login", "login-v1beta1", "login-v1alpha1", *checks):
        version = name.partition("-")[2] if name.startswith("login-v1") else "v1"
        answer = {"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential"}
        path = directory / name
        said = json.dumps({**answer, "status": {"token": "given"}})
        path.write_text(f"#!/bin/sh\n{checks.get(name, '')}\necho '{said}'\n")
        path.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    running = Server(place)
    yield running
    running.close()


def get(kubectl: str, environment: dict[str, str]) -> bool:
    done = subprocess.run(
        [kubectl, "get", "--raw", "/version"],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("name", SHAPES)
def test_client_and_tools_read_it_as_kubectl_does(
    kubectl: str, server: Server, place: Path, name: str
) -> None:
    authority = base64.b64encode(server.authorities[0]).decode()
    text = (
        SHAPES[name]
        .replace("CA1", authority[:68])
        .replace("CA2", authority[68:])
        .replace("CA\n", f"{authority}\n")
    )
    text = text.replace("CA%%", f"{authority[:-4]}%%==").replace("URL", server.url).replace("DIR", str(place))
    file = place / "kubeconfig"
    file.write_text(text.replace("HOST", server.url.removeprefix("https://")), newline="")
    environment = {"KUBECONFIG": str(file), "PATH": os.environ["PATH"], "HOME": str(place)}

    theirs = get(kubectl, environment)
    wanted = server.taken()
    options = ConnectionOptions.from_params({}, environment)
    try:
        with connect(options, deadline=5) as client:
            client.server_version()
        refused = ""
    except MeshError as error:
        refused = error.message
    got = server.taken()
    tools = False
    if not refused:
        with tool_environment(options, environment) as (given, _secrets):
            tools = get(kubectl, given)
    by_tools = server.taken()

    if name in STRICTER:
        assert theirs and refused and not got
    elif name in LOOSER:
        assert not theirs and not refused and tools and got == by_tools != []
    else:
        assert theirs == (not refused), refused
        assert got == wanted
        assert by_tools == wanted


def test_what_stands_apart_is_a_shape() -> None:
    assert {*STRICTER, *LOOSER} <= {*SHAPES}
    assert yaml.safe_load(PLAIN)["users"] == [{"name": "u", "user": {"token": "abc"}}]
