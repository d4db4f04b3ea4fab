"""One server and one identity out of options and kubeconfig, for the client and the tools alike."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import target as target_module
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import (
    ConnectionOptions,
    secrets_in,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import (
    Target,
    target_of,
    tool_environment,
)


def inline(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example.com/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def seen(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **options: Any) -> Target:
    return target_of(ConnectionOptions(kubeconfig=inline(cluster, user), **options))


def refusals(options: ConnectionOptions) -> list[str]:
    with pytest.raises(InputError) as caught:
        target_of(options)
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


DEV = {"as": "dev", "as-groups": ["g"], "as-uid": "5", "as-user-extra": {"a/b%": ["1", "2"]}}


def test_a_kubeconfig_as_it_is() -> None:
    found = seen({"tls-server-name": "t", "disable-compression": True}, {"token": "t"})
    assert "s3cret" not in repr(seen(user={"token": "s3cret"}, proxy="http://u:s3cret@p"))
    assert found.host == "https://api.example.com"
    assert (found.verifies, found.compresses, found.proxy) == (True, False, "")
    assert found.user == {"token": "t"}


def test_a_server_without_a_scheme_is_https() -> None:
    assert target_of(ConnectionOptions(host="api:6443")).host == "https://api:6443"
    assert target_of(ConnectionOptions(host="http://api/")).host == "http://api"


def test_a_host_stands_alone_unless_a_kubeconfig_is_named(tmp_path: Path) -> None:
    alone = ConnectionOptions(host="https://h", default_kubeconfig=str(tmp_path / "no"))
    assert (target_of(alone).cluster, target_of(alone).user) == ({"server": "https://h"}, {})
    both = seen({"tls-server-name": "t"}, {"token": "t"}, host="https://h")
    assert (both.cluster, both.user) == ({"server": "https://h", "tls-server-name": "t"}, {"token": "t"})
    assert refusals(ConnectionOptions(host="https://h", context="x", default_kubeconfig="/no")) == [
        "kubeconfig /no: no such file"
    ]


def test_impersonation_of_the_kubeconfig() -> None:
    assert seen(user={"token": "t", **DEV}).impersonation() == [
        ("Impersonate-User", "dev"),
        ("Impersonate-Uid", "5"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Extra-a%2Fb%25", "1"),
        ("Impersonate-Extra-a%2Fb%25", "2"),
    ]
    assert seen(user={"token": "t"}).impersonation() == []


def test_options_say_whom_to_act_as_instead() -> None:
    found = seen(user={"token": "t", **DEV}, impersonate_user="eve", impersonate_groups=("h",))
    assert found.user == {"token": "t", "as": "eve", "as-groups": ["h"]}
    found = seen(user={"token": "t", **DEV}, impersonate_groups=("h",))
    assert found.user == {"token": "t", **DEV, "as-groups": ["h"]}
    assert refusals(ConnectionOptions(host="https://h", impersonate_groups=("h",))) == [
        "connection: as-uid, as-groups and as-user-extra need as"
    ]


def test_a_credential_of_the_options_replaces_the_kubeconfigs_but_not_whom_it_acts_as(tmp_path: Path) -> None:
    pem = tmp_path / "me.pem"
    pem.write_text("x")
    plugin = {"command": "x", "apiVersion": "client.authentication.k8s.io/v1beta1"}
    old = {"exec": plugin, "client-key-data": "k", "token": "old", **DEV}
    assert seen(user=old, api_key=" new\n").user == {"token": "new", **DEV}
    assert seen(user=old, username="u", password="p").user == {"username": "u", "password": "p", **DEV}
    assert seen(user=old, client_cert=str(pem)).user == {
        "client-certificate": str(pem),
        "client-key": str(pem),
        **DEV,
    }
    certificate = {"client-certificate-data": "c", "client-key-data": "k"}
    assert seen(user=certificate, client_key=str(pem)).user == {
        "client-certificate-data": "c",
        "client-key": str(pem),
    }


def test_trust_of_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ca.crt").write_text("x")
    inline_ca = {"certificate-authority-data": "eA=="}
    assert seen(inline_ca, ca_cert="ca.crt").cluster["certificate-authority"] == str(tmp_path / "ca.crt")
    assert "certificate-authority-data" not in seen(inline_ca, ca_cert="ca.crt").cluster
    skipping = {"insecure-skip-tls-verify": True}
    assert not seen(skipping).verifies
    assert seen(skipping, validate_certs=True).verifies
    assert seen(inline_ca, validate_certs=True).cluster["certificate-authority-data"] == "eA=="
    untrusting = seen(inline_ca, validate_certs=False).cluster
    assert untrusting == {"server": "https://api.example.com", "insecure-skip-tls-verify": True}
    assert not seen({"certificate-authority": str(tmp_path / "no")}, validate_certs=False).verifies


def test_missing_files_are_named_by_their_option() -> None:
    options = ConnectionOptions(host="https://h", ca_cert="/no", client_cert="/no2", client_key="/no3")
    assert refusals(options) == [
        "ca_cert: no such file: /no",
        "client_cert: no such file: /no2",
        "client_key: no such file: /no3",
    ]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"username": "u"}, "username: and password belong together"),
        ({"password": "p"}, "username: and password belong together"),
        ({"username": "u", "password": "p", "api_key": "k"}, "username: and api_key exclude each other"),
    ],
)
def test_no_credential_of_the_options_is_left_out_in_silence(given: dict[str, str], refusal: str) -> None:
    assert refusals(ConnectionOptions(kubeconfig=inline(user={"token": "other"}), **given)) == [refusal]


KEY = f"-----BEGIN PRIVATE KEY-----\n{'MIIEvQIBADANBgkqhkiG9w0B' * 3}\n-----END PRIVATE KEY-----\n"
IN_BASE64 = base64.b64encode(KEY.encode()).decode()
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{'eyJpc3MiOiJrdWJlcm5l' * 9}.c2lnbmF0dXJl"
KUBECONFIG = base64.b64encode(yaml.safe_dump(inline(user={"token": "s3cret"})).encode()).decode()


class TestTheContentWhereAPathIsWanted:
    """Nobody sees the key, token or kubeconfig that somebody gave instead of the name of its file."""

    @pytest.mark.parametrize("content", [KEY, IN_BASE64, TOKEN])
    def test_of_an_option(self, content: str) -> None:
        options = ConnectionOptions(
            host="https://h", client_cert=content, client_key=content, ca_cert=content
        )
        for refusal in refusals(options):
            assert refusal.endswith("(not shown: it looks like the content of a file, and a path is wanted)")

    @pytest.mark.parametrize("content", [KEY, IN_BASE64, TOKEN])
    def test_of_a_kubeconfig_in_a_file(self, tmp_path: Path, content: str) -> None:
        user = {"client-certificate": content, "client-key": content}
        file = tmp_path / "kubeconfig"
        file.write_text(json.dumps(inline(user=user)), "utf-8")
        found = refusals(ConnectionOptions(kubeconfig=str(file)))
        assert [text.rpartition(": ")[2] for text in found] == [
            "it looks like the content of a file, and a path is wanted)"
        ] * 2

    @pytest.mark.parametrize("given", ["kubeconfig", "default_kubeconfig"])
    def test_of_the_kubeconfig_itself(self, given: str) -> None:
        (found,) = refusals(ConnectionOptions(**{given: TOKEN}))
        assert TOKEN[:20] not in found

    def test_a_kubeconfig_in_base64_is_told_as_such(self) -> None:
        for content in (KUBECONFIG, f"{KUBECONFIG[:76]}\n{KUBECONFIG[76:]}\n"):
            (found,) = refusals(ConnectionOptions(kubeconfig=content))
            assert found.startswith("kubeconfig: is base64: give what it stands for")
            assert secrets_in({"kubeconfig": content})

    def test_a_path_is_shown(self, tmp_path: Path) -> None:
        (found,) = refusals(ConnectionOptions(kubeconfig=f"{tmp_path}/a:{tmp_path}/b"))
        assert found == f"kubeconfig {tmp_path}/a:{tmp_path}/b: no such file"


def test_what_kubectl_refuses_is_refused_with_its_place() -> None:
    options = ConnectionOptions(kubeconfig=inline(user={"token": "t", "username": "u"}))
    assert refusals(options) == ["kubeconfig: token and username exclude each other"]


@pytest.mark.parametrize("value", ["s3cret\nX-Evil: 1", "s3cret\rx", "s3\x00cret", "s3cret\x7f"])
def test_what_no_header_can_hold_is_refused_and_not_shown(value: str) -> None:
    (message,) = refusals(ConnectionOptions(host="https://h", api_key=value))
    assert message.startswith("api_key: it holds a line break or another control character")
    assert "s3" not in message
    with pytest.raises(InputError, match="the value for Impersonate-Group") as caught:
        target_of(
            ConnectionOptions(host="https://h", impersonate_user="u", impersonate_groups=("ok", value))
        ).impersonation()
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("https://me:s3cret@api", "the server's URL holds a login: give it as username and password"),
        ("https://s3cret@api", "the server's URL holds a login: give it as username and password"),
        ("https://[s3cret", "the server is no http or https URL"),
        ("https://api:s3cret", "the server is no http or https URL"),
        ("https://api/s3cret x", "the server is no http or https URL"),
        ("https://api\ns3cret", "the server is no http or https URL"),
        ("ftp://s3cret", "the server is no http or https URL"),
        ("https://", "the server is no http or https URL"),
        ("https://api/?token=s3cret", "the server's URL has a query or a fragment"),
    ],
)
def test_a_server_that_cannot_be_one_is_refused_and_not_shown(server: str, message: str) -> None:
    assert refusals(ConnectionOptions(host=server)) == [f"connection: {message}"]
    with pytest.raises(InputError) as caught:
        seen({"server": server})
    assert "s3cret" not in str(caught.value)


def test_the_content_of_a_kubeconfig_may_be_a_text() -> None:
    content = inline(user={"token": "t"})
    for text in (json.dumps(content), f"\n{json.dumps(content, indent=1)}", yaml.safe_dump(content)):
        assert target_of(ConnectionOptions(kubeconfig=text)).user == {"token": "t"}


@pytest.mark.parametrize(
    "text",
    [
        "token: s3cret\n- x",
        "{s3cret",
        "s3cret\ns3cret",
        "a: *s3cret\nb: 1",
        "a: !s3cret x\nb: 1",
        'a: "s3cret\nb: "c"',
        "users: [{name: a, user: {token: {s3cret: 1}}}]\nkind: Config",
    ],
)
def test_a_broken_content_is_not_shown(text: str) -> None:
    assert "s3cret" not in "".join(refusals(ConnectionOptions(kubeconfig=text)))


def test_something_else_is_no_kubeconfig() -> None:
    (message,) = refusals(ConnectionOptions(kubeconfig=["s3cret"]))
    assert message == "kubeconfig: is neither a path nor the content of a kubeconfig"


PROXIES = {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": "internal"}


class TestProxies:
    def test_the_option_wins_over_the_kubeconfig(self) -> None:
        found = seen({"proxy-url": "http://k"}, proxy="http://o")
        assert (found.proxy, found.cluster["proxy-url"]) == ("http://o", "http://o")

    def test_an_excluded_server_has_none_for_the_tools_either(self) -> None:
        found = seen({"proxy-url": "http://k"}, no_proxy="example.com", environment=PROXIES)
        assert found.proxy == ""
        assert "proxy-url" not in found.cluster

    def test_the_environment_counts_when_nothing_else_does(self) -> None:
        assert seen(environment=PROXIES).proxy == "http://proxy:3128"
        assert seen({"proxy-url": "http://k"}, environment=PROXIES).proxy == "http://k"
        assert seen(environment=PROXIES, no_proxy="api.example.com").proxy == ""
        excluded = {**PROXIES, "NO_PROXY": "example.com"}
        assert seen(environment=excluded).proxy == ""
        # The option replaces the variable.
        assert seen(environment=excluded, no_proxy="other").proxy == "http://proxy:3128"


IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class TestWithoutAKubeconfig:
    @pytest.fixture
    def account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(target_module, "SERVICE_ACCOUNT", tmp_path)
        for name in ("token", "ca.crt"):
            (tmp_path / name).write_text("x")
        return tmp_path

    def options(self, **more: Any) -> ConnectionOptions:
        known: dict[str, Any] = {"environment": IN_A_POD, "in_cluster": True}
        return ConnectionOptions(default_kubeconfig="/no", **{**known, **more})

    def test_the_pods_own_account_is_the_last_resort(self, account: Path) -> None:
        found = target_of(self.options())
        assert found.cluster == {
            "server": "https://10.0.0.1:443",
            "certificate-authority": str(account / "ca.crt"),
        }
        assert (found.user, found.where) == (
            {"tokenFile": str(account / "token")},
            "the pod's service account",
        )

    def test_a_user_without_a_home_has_no_kubeconfig_there(self, account: Path) -> None:
        """A pod's arbitrary user has neither HOME nor an entry; ``Path.expanduser`` raises then."""
        nobody = "~nobody-of-this-name/.kube/config"
        known: dict[str, Any] = {"environment": IN_A_POD, "in_cluster": True}
        found = target_of(ConnectionOptions(default_kubeconfig=nobody, **known))
        assert found.where == "the pod's service account"
        assert refusals(ConnectionOptions(kubeconfig=nobody)) == [f"kubeconfig {nobody}: no such file"]
        assert refusals(ConnectionOptions(host="h", ca_cert=nobody)) == [f"ca_cert: no such file: {nobody}"]

    def test_an_address_of_version_6_has_brackets(self, account: Path) -> None:
        options = self.options(environment={**IN_A_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})
        assert target_of(options).host == "https://[fd00::1]:443"

    @pytest.mark.parametrize("lost", ["token", "ca.crt"])
    def test_an_account_that_is_not_whole_is_none(self, account: Path, lost: str) -> None:
        (account / lost).unlink()
        (message,) = refusals(self.options())
        assert message == "kubeconfig /no: no such file, and the pod that this runs in has no service account"

    @pytest.mark.parametrize("lost", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_without_an_address_there_is_none(self, account: Path, lost: str) -> None:
        environment = {key: value for key, value in IN_A_POD.items() if key != lost}
        assert "has no service account" in refusals(self.options(environment=environment))[0]

    @pytest.mark.parametrize("given", [{"kubeconfig": "/other"}, {"context": "x"}, {"in_cluster": False}])
    def test_who_names_a_kubeconfig_means_it(self, account: Path, given: dict[str, Any]) -> None:
        (message,) = refusals(self.options(**given))
        assert message.endswith(": no such file")


def test_an_explicit_list_of_files_may_have_holes(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(inline()))
    options = ConnectionOptions(kubeconfig=f"{tmp_path}/no:{path}")
    assert target_of(options).host == "https://api.example.com"
    assert target_of(options).where == f"kubeconfig {tmp_path}/no:{path}"


def test_relative_paths_of_an_inline_kubeconfig_count_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert seen(user={"tokenFile": "t"}).user == {"tokenFile": str(tmp_path / "t")}


class TestTools:
    def test_they_get_a_private_file_that_goes_away(self) -> None:
        options = ConnectionOptions(host="https://api.example.com", api_key="s3cret", no_proxy="x")
        given = {"PATH": "/bin", "HELM_KUBETOKEN": "other", "KUBECONFIG": "/other", "NO_PROXY": "y"}
        with tool_environment(options, given) as (environment, secrets):
            path = Path(environment.pop("KUBECONFIG"))
            assert environment == {"PATH": "/bin", "NO_PROXY": "x"}
            assert "s3cret" in secrets
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert json.loads(path.read_text()) == target_of(options).kubeconfig()
        assert not path.parent.exists()

    def test_it_is_removed_when_the_tool_fails(self) -> None:
        with (
            pytest.raises(RuntimeError),
            tool_environment(ConnectionOptions(host="https://h"), {}) as (environment, _secrets),
        ):
            raise RuntimeError
        assert not Path(environment["KUBECONFIG"]).parent.exists()

    def test_it_names_one_cluster_one_user_and_the_current_context(self) -> None:
        content = seen(user={"token": "t", **DEV}).kubeconfig()
        assert content["current-context"] == content["contexts"][0]["name"]
        again = target_of(ConnectionOptions(kubeconfig=content))
        assert (again.cluster, again.user) == (
            {"server": "https://api.example.com"},
            {"token": "t", **DEV},
        )


def test_a_server_without_a_scheme_is_refused_and_not_shown() -> None:
    """kubectl would ask it by plain HTTP, and leave the credentials out; it may hold a login."""
    for server in ("10.0.0.1:6443", "s3cret.example.com"):
        with pytest.raises(InputError, match="write https:// before it") as caught:
            seen(cluster={"server": server})
        assert server not in str(caught.value)
    assert (
        seen(host="10.0.0.1:6443").kubeconfig()["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    )


def test_what_the_tools_get_is_what_the_client_asks() -> None:
    found = seen(cluster={"server": "https://api//k8s//x/"}, user={"token": "abc\n"})
    assert found.host == found.kubeconfig()["clusters"][0]["cluster"]["server"] == "https://api/k8s/x"
    assert found.kubeconfig()["users"][0]["user"] == {"token": "abc"}
