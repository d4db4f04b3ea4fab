"""Connection options: arguments first, then the environment."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import (
    CONNECTION_SPEC,
    ENVIRONMENT,
    HANDOVER,
    ConnectionOptions,
    secrets_in,
)


def test_an_argument_wins_over_the_environment():
    environment = {"K8S_AUTH_API_KEY": "theirs", "K8S_AUTH_PROXY": "http://p"}
    options = ConnectionOptions.from_params({"host": "https://a", "api_key": "ours"}, environment)
    assert (options.host, options.api_key, options.proxy) == ("https://a", "ours", "http://p")


WHOLE = {"K8S_AUTH_API_KEY": "z", "K8S_AUTH_VERIFY_SSL": "no", "K8S_AUTH_PROXY": "http://z"}


@pytest.mark.parametrize(
    ("params", "environment"),
    [
        ({"kubeconfig": "/a", "context": "a"}, {"K8S_AUTH_HOST": "https://z"}),
        ({"kubeconfig": "/a"}, {"K8S_AUTH_KUBECONFIG": "/z"}),
        ({"kubeconfig": "/a"}, {"K8S_AUTH_CONTEXT": "z"}),
        ({"host": "https://a"}, {"K8S_AUTH_KUBECONFIG": "/z"}),
        ({"host": "https://a"}, {"K8S_AUTH_HOST": "https://z"}),
        ({"context": "a"}, {"K8S_AUTH_HOST": "https://z"}),
    ],
)
def test_of_two_sources_that_name_a_cluster_the_first_counts_whole(params, environment):
    given = {**WHOLE, **environment}
    options = ConnectionOptions.from_params(params, given)
    alone = ConnectionOptions.from_params(params, {})
    assert options == dataclasses.replace(alone, environment=given, unused=options.unused)
    assert set(options.unused) == given.keys() - {ENVIRONMENT[option] for option in params}


@pytest.mark.parametrize(
    ("params", "environment", "context", "host"),
    [
        ({"context": "a"}, {"K8S_AUTH_KUBECONFIG": "/z"}, "a", None),
        ({"context": "a"}, {"K8S_AUTH_CONTEXT": "a"}, "a", None),
        ({"api_key": "a"}, {"K8S_AUTH_HOST": "https://z"}, None, "https://z"),
        ({"host": "https://a"}, {}, None, "https://a"),
    ],
)
def test_sources_that_complete_each_other_are_one(params, environment, context, host):
    options = ConnectionOptions.from_params(params, {**WHOLE, **environment})
    assert (options.context, options.host, options.proxy) == (context, host, "http://z")
    assert options.unused == ()


def test_a_kubeconfig_says_who_we_are_and_whom_we_trust():
    options = ConnectionOptions.from_params({"kubeconfig": "/a"}, WHOLE)
    assert (options.api_key, options.validate_certs, options.proxy) == (None, None, None)
    assert options.unused == ("K8S_AUTH_API_KEY", "K8S_AUTH_VERIFY_SSL", "K8S_AUTH_PROXY")


def test_another_context_of_the_environments_kubeconfig_takes_nothing_else_from_there():
    environment = {**WHOLE, "K8S_AUTH_KUBECONFIG": "/z", "K8S_AUTH_CONTEXT": "z"}
    options = ConnectionOptions.from_params({"context": "a"}, environment)
    assert (options.kubeconfig, options.context, options.api_key, options.proxy) == ("/z", "a", None, None)


@pytest.mark.parametrize(
    "given", [{"api_key": "a"}, {"username": "a", "password": "b"}, {"client_cert": "/a", "client_key": "/b"}]
)
def test_who_we_are_comes_from_one_source(given):
    identity = {
        "K8S_AUTH_API_KEY": "z",
        "K8S_AUTH_USERNAME": "z",
        "K8S_AUTH_PASSWORD": "z",
        "K8S_AUTH_CERT_FILE": "z",
        "K8S_AUTH_KEY_FILE": "z",
    }
    options = ConnectionOptions.from_params(given, {**identity, "K8S_AUTH_HOST": "https://z"})
    alone = ConnectionOptions.from_params({**given, "host": "https://z"}, {})
    told = dataclasses.replace(options, unused=(), environment={})
    assert told == dataclasses.replace(alone, environment={})
    assert set(options.unused) == identity.keys() - {ENVIRONMENT[option] for option in given}


def test_the_default_is_the_variable_or_the_home():
    assert ConnectionOptions.from_params({}, {"KUBECONFIG": "/a:/b"}).default_kubeconfig == "/a:/b"
    assert ConnectionOptions.from_params({}, {"KUBECONFIG": ""}).default_kubeconfig == "~/.kube/config"
    assert ConnectionOptions.from_params({}, {"KUBERNETES_SERVICE_HOST": "1"}).in_cluster
    assert not ConnectionOptions.from_params({}, {}).in_cluster


def test_an_empty_argument_counts_as_not_given():
    assert ConnectionOptions.from_params({"context": ""}, {"K8S_AUTH_CONTEXT": "c"}).context == "c"


def test_false_is_an_answer():
    assert (
        ConnectionOptions.from_params(
            {"validate_certs": False}, {"K8S_AUTH_VERIFY_SSL": "yes"}
        ).validate_certs
        is False
    )
    assert ConnectionOptions.from_params({}, {"K8S_AUTH_VERIFY_SSL": "no"}).validate_certs is False
    assert ConnectionOptions.from_params({}, {}).validate_certs is None


def test_groups_of_the_environment_are_separated_by_commas():
    options = ConnectionOptions.from_params({}, {"K8S_AUTH_IMPERSONATE_GROUPS": "a, b,"})
    assert options.impersonate_groups == ("a", "b")


def test_every_option_has_a_variable():
    assert set(ENVIRONMENT) == set(CONNECTION_SPEC) - {HANDOVER}


def test_credentials_do_not_show():
    assert "hunter2" not in repr(ConnectionOptions(api_key="hunter2", password="hunter2"))


def test_secrets_of_an_inline_kubeconfig_are_found():
    plugin = {"command": "x", "env": [{"name": "A", "value": "e1"}, {"name": "B", "value": ""}]}
    users = [
        {"name": "u", "user": {"token": "t1", "client-key-data": "k1", "username": "open", "password": 7}},
        {"name": "v", "user": {"exec": plugin}},
    ]
    content = {"users": users, "clusters": [{"cluster": {"certificate-authority-data": "public"}}]}
    assert secrets_in({"kubeconfig": content}) == {"t1", "k1", "e1"}
    assert secrets_in({"kubeconfig": "/path"}) == set()


def test_the_password_of_a_proxy_is_a_secret():
    sent = {"me:p@ss", "bWU6cEBzcw==", "Basic bWU6cEBzcw=="}
    for option in ("proxy", "host"):
        found = secrets_in({option: "http://me:p%40ss@proxy:3128"})
        assert found >= {"p@ss", "p%40ss"} | sent
        assert not found & {"me", "proxy", "Basic"}
    assert secrets_in({"proxy": "http://me@proxy:3128"}) == set()
    assert secrets_in({"proxy": "http://proxy:3128"}) == set()


def test_the_login_of_every_url_is_a_secret():
    """Of an option, and of a part of one."""
    for options in ({"url": "https://me:word@mirror/x"}, {"prometheus": {"url": "https://me:word@mirror"}}):
        assert secrets_in(options) >= {"word", "me:word", "bWU6d29yZA==", "Basic bWU6d29yZA=="}
    assert secrets_in({"advice": "me:word@mirror", "a": {"b": ["https://me:word@x"]}, "n": 1}) == set()


def test_every_longer_line_of_a_broken_kubeconfig_is_a_secret():
    content = "users:\n  token: 'abcdefghijkl'\n  - {{ nothing\n"
    found = secrets_in({"kubeconfig": content})
    assert {"token: 'abcdefghijkl'", "abcdefghijkl"} <= found
    assert "users:" not in found and "" not in found


def test_secrets_of_an_inline_kubeconfigs_text_are_found():
    content = "users:\n- name: u\n  user: {token: the-token-of-u}\n"
    assert "the-token-of-u" in secrets_in({"kubeconfig": content})


ALIASES = {
    "validate_certs": "verify_ssl",
    "ca_cert": "ssl_ca_cert",
    "client_cert": "cert_file",
    "client_key": "key_file",
}


def test_arguments_are_those_of_kubernetes_core_and_secrets_are_not_logged():
    types = {"kubeconfig": "raw", "validate_certs": "bool", "impersonate_groups": "list"}
    types |= dict.fromkeys(("ca_cert", "client_cert", "client_key"), "path")
    for name, entry in CONNECTION_SPEC.items():
        assert set(entry) <= {"type", "no_log", "aliases", "elements"}
        assert entry["type"] == types.get(name, "str")
        assert entry.get("aliases") == ([ALIASES[name]] if name in ALIASES else None)
        assert entry.get("no_log", False) is (name in {"api_key", "password", HANDOVER})
        assert entry.get("elements") == ("str" if name == "impersonate_groups" else None)
    # A name with "key" in it would be taken for a secret otherwise.
    assert CONNECTION_SPEC["client_key"]["no_log"] is False
    assert list(CONNECTION_SPEC) == [
        "kubeconfig", "context", "host", "api_key", "username", "password", "validate_certs", "ca_cert",
        "client_cert", "client_key", "proxy", "no_proxy", "impersonate_user", "impersonate_groups", HANDOVER,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("kubeconfig", "KUBECONFIG"),
        ("context", "CONTEXT"),
        ("host", "HOST"),
        ("api_key", "API_KEY"),
        ("username", "USERNAME"),
        ("password", "PASSWORD"),
        ("ca_cert", "SSL_CA_CERT"),
        ("client_cert", "CERT_FILE"),
        ("client_key", "KEY_FILE"),
        ("proxy", "PROXY"),
        ("no_proxy", "NO_PROXY"),
        ("impersonate_user", "IMPERSONATE_USER"),
    ],
)
def test_every_variable_by_its_name(option, variable):
    assert getattr(ConnectionOptions.from_params({}, {f"K8S_AUTH_{variable}": "x"}), option) == "x"


@pytest.mark.parametrize("word", ["0", "false", "no", "off", "n", "f", " No ", "OFF"])
def test_words_that_mean_no(word):
    assert ConnectionOptions.from_params({}, {"K8S_AUTH_VERIFY_SSL": word}).validate_certs is False
    assert ConnectionOptions.from_params({}, {"K8S_AUTH_VERIFY_SSL": f"{word}x"}).validate_certs is True


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "password",
        "client-key-data",
        "client-secret",
        "id-token",
        "access-token",
        "refresh-token",
        "secret",
    ],
)
def test_every_secret_field_of_a_kubeconfig(key):
    assert secrets_in({"kubeconfig": {"users": [{"user": {key: "x1", "other": "y"}}]}}) == {"x1"}
    assert secrets_in({"kubeconfig": {"users": [{"user": {key: "x123"}}]}}) >= {"x123"}


def test_logins_of_urls_are_secrets():
    assert secrets_in({"proxy": "http://u:p%41ss@h:1", "host": "https://u:other@h"}) >= {
        "p%41ss",
        "pAss",
        "other",
    }
    assert secrets_in({"proxy": "http://h:1", "host": None}) == set()


def test_of_a_kubeconfig_that_is_broken_every_longer_line_is_a_secret():
    text = "users: [\n  short: line\n  a-long-enough-name: 'a-long-enough-secret'\n"
    assert secrets_in({"kubeconfig": text}) >= {
        "a-long-enough-name: 'a-long-enough-secret'",
        "a-long-enough-secret",
    }
    assert "line" not in secrets_in({"kubeconfig": text})
