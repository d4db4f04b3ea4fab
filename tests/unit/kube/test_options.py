"""Connection options: arguments first, then the environment."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import (
    CONNECTION_SPEC,
    ENVIRONMENT,
    ConnectionOptions,
    secrets_in,
)


def test_an_argument_wins_over_the_environment():
    environment = {"K8S_AUTH_HOST": "https://e", "K8S_AUTH_CONTEXT": "from-environment"}
    options = ConnectionOptions.from_params({"host": "https://a", "context": None}, environment)
    assert (options.host, options.context) == ("https://a", "from-environment")


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
    assert set(ENVIRONMENT) == set(CONNECTION_SPEC)


def test_host_and_credential_stand_alone_unless_a_kubeconfig_is_named():
    assert ConnectionOptions(host="https://a", api_key="x").stands_alone
    assert not ConnectionOptions(host="https://a", api_key="x", kubeconfig="/k").stands_alone
    assert not ConnectionOptions(host="https://a").stands_alone


def test_credentials_do_not_show():
    assert "hunter2" not in repr(ConnectionOptions(api_key="hunter2", password="hunter2"))


def test_secrets_of_an_inline_kubeconfig_are_found():
    content = {
        "users": [{"name": "u", "user": {"token": "t1", "client-key-data": "k1", "username": "open"}}],
        "clusters": [{"cluster": {"certificate-authority-data": "public"}}],
    }
    assert secrets_in(content) == {"t1", "k1"}
    assert secrets_in("/path") == set()
