"""The client against a real API server, and its errors when there is none."""

from __future__ import annotations

import copy
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    InputError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import keydir
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed, missing_rights
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from ...faults.kube_proxy import STATUS, Fault


def config_map(space, name="one", **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": space},
        "data": data,
    }


def config(api, tmp_path, change):
    content = yaml.safe_load(Path(api).read_text())
    change(content)
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return ConnectionOptions.from_params({"kubeconfig": str(path)}, {})


def test_reads_and_writes(kube, space):
    assert kube.server_version()["gitVersion"].startswith("v1.")
    assert kube.get("v1", "ConfigMap", "one", space) is None
    created, new = kube.apply_told(config_map(space, a="1"))
    assert new and created["data"] == {"a": "1"}
    time.sleep(1.1)  # within the second of its creation an object counts as just created
    assert kube.apply_told(config_map(space, a="2"))[1] is False
    assert kube.patch("v1", "ConfigMap", "one", space, {"data": {"b": "3"}})["data"] == {"a": "2", "b": "3"}
    assert [
        item["kind"] for item in kube.list("v1", "ConfigMap", space, field_selector="metadata.name=one").items
    ] == ["ConfigMap"]
    assert kube.delete("v1", "ConfigMap", "one", space, uid="another") is False
    assert kube.delete("v1", "ConfigMap", "one", space, uid=created["metadata"]["uid"]) is True
    assert kube.delete("v1", "ConfigMap", "one", space) is False


def test_a_missing_kind_is_no_error_when_listed(kube):
    assert kube.list("nowhere.example/v1", "Nothing").missing
    with pytest.raises(ApiError) as caught:
        kube.resource("nowhere.example/v1", "Nothing")
    assert caught.value.reason == "NoKind"


def test_lists_are_read_page_by_page(kube, space, monkeypatch):
    monkeypatch.setattr("ansible_collections.servicemesh.istio.plugins.module_utils.kube.client.PAGE", 2)
    for number in range(5):
        kube.apply(config_map(space, f"page-{number}", n="1"))
    names = [item["metadata"]["name"] for item in kube.list("v1", "ConfigMap", space).items]
    assert [name for name in names if name.startswith("page-")] == [f"page-{number}" for number in range(5)]


def test_conflicts_name_the_manager_and_the_field(kube, space):
    kube.apply(config_map(space, a="1"), field_manager="somebody")
    with pytest.raises(ConflictError) as caught:
        kube.apply(config_map(space, a="2"))
    assert (caught.value.manager, caught.value.fields) == ("somebody", (".data.a",))
    assert kube.apply(config_map(space, a="2"), force=True)["data"] == {"a": "2"}


def test_unknown_fields_are_refused(kube, space):
    bad = {**config_map(space), "dta": {}}
    started = time.monotonic()
    with pytest.raises(ApiError, match="dta") as caught:
        kube.apply(bad)
    assert "outcome" not in caught.value.details
    assert time.monotonic() - started < 30, "an error that stays is not tried again"


def test_rights_are_asked_for(kube):
    assert (
        missing_rights(kube, [AccessNeed("list", "", "pods"), AccessNeed("get", "", "secrets", "default")])
        == []
    )


def test_rights_that_are_missing_are_named(api):
    options = ConnectionOptions.from_params(
        {"kubeconfig": api, "impersonate_user": "nobody", "impersonate_groups": ["a", "b"]}, {}
    )
    needs = [
        AccessNeed("list", "", "pods", "default"),
        AccessNeed("create", "", "pods", "default", subresource="exec"),
    ]
    with connect(options) as client:
        assert missing_rights(client, needs) == needs
        with pytest.raises(ApiError) as caught:
            client.list("v1", "Pod")
    assert caught.value.status == 403
    assert 'User "nobody" cannot list resource "pods"' in caught.value.message


def test_impersonated_groups_reach_the_server(api):
    options = ConnectionOptions.from_params(
        {"kubeconfig": api, "impersonate_user": "nobody", "impersonate_groups": ["a", "system:masters"]}, {}
    )
    with connect(options) as client:
        assert client.list("v1", "Namespace").items


def test_key_files_are_private_and_go_with_the_connection(api, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with connect(ConnectionOptions.from_params({"kubeconfig": api}, {})) as client:
        client.server_version()
        directory = next(tmp_path.glob(f"{keydir.PREFIX}*"))
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in directory.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_keys_of_a_killed_run_are_swept_but_not_those_of_a_living_one(api, tmp_path):
    code = (
        "import sys, time\n"
        "from ansible_collections.servicemesh.istio.plugins.module_utils.kube import client, options\n"
        "c = client.connect(options.ConnectionOptions.from_params({'kubeconfig': sys.argv[1]}, {}))\n"
        "c.server_version(); print('ready', flush=True); time.sleep(60)\n"
    )
    collections = str(Path(__file__).resolve().parents[3] / "collections")
    environment = {**os.environ, "PYTHONPATH": collections, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""}
    started = [
        subprocess.Popen([sys.executable, "-c", code, api], env=environment, stdout=subprocess.PIPE)
        for _unused in range(2)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.glob(f"{keydir.PREFIX}*"))) == 2
        started[0].kill()
        started[0].wait()
        keydir.sweep(tmp_path)
        assert len(list(tmp_path.glob(f"{keydir.PREFIX}*"))) == 1
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()


def test_no_context_is_guessed(api, tmp_path):
    options = config(api, tmp_path, lambda content: content.pop("current-context"))
    with pytest.raises(InputError, match="names no current-context and no context was given"):
        connect(options)


def test_an_unknown_context_lists_the_known_ones(api):
    with pytest.raises(InputError, match=r"has no context 'nope' \(it has: "):
        connect(ConnectionOptions.from_params({"kubeconfig": api, "context": "nope"}, {}))


@pytest.mark.parametrize("text", ["", "just text", "a: [", "clusters: 7", "\x00"])
def test_a_broken_kubeconfig_is_an_input_error(tmp_path, text):
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InputError, match="broken"):
        connect(ConnectionOptions.from_params({"kubeconfig": str(path)}, {}))


def test_errors_never_show_the_kubeconfigs_secrets(api, tmp_path):
    def spoil(content):
        content["users"][0]["user"] = {"auth-provider": {"name": "gcp"}, "token": "hunter2"}

    options = config(api, tmp_path, spoil)
    with pytest.raises((InputError, ApiError)) as caught:
        connect(options).server_version()
    assert "hunter2" not in str(caught.value) + repr(caught.value.details) + repr(options)


def test_an_unreachable_server_is_one_sentence_and_quick():
    started = time.monotonic()
    with (
        connect(ConnectionOptions(host="https://127.0.0.1:1", api_key="x")) as client,
        pytest.raises(ApiError) as caught,
    ):
        client.server_version()
    assert (
        caught.value.message == "the API server at https://127.0.0.1:1 cannot be reached: connection refused"
    )
    assert time.monotonic() - started < 60


def test_an_unknown_host_is_one_sentence_and_quick():
    started = time.monotonic()
    with (
        connect(ConnectionOptions(host="https://nowhere.invalid", api_key="x")) as client,
        pytest.raises(ApiError) as caught,
    ):
        client.server_version()
    assert caught.value.message.endswith("cannot be reached: the name does not resolve")
    assert time.monotonic() - started < 60


def test_an_untrusted_certificate_is_named_and_not_retried(api, tmp_path):
    host = yaml.safe_load(Path(api).read_text())["clusters"][0]["cluster"]["server"]
    started = time.monotonic()
    with (
        connect(ConnectionOptions(host=host, api_key="x")) as client,
        pytest.raises(ApiError, match="not trusted"),
    ):
        client.server_version()
    assert time.monotonic() - started < 60


def test_an_unknown_credential_is_named(api):
    host = yaml.safe_load(Path(api).read_text())["clusters"][0]["cluster"]["server"]
    options = ConnectionOptions(host=host, api_key="x", validate_certs=False)
    with (
        connect(options) as client,
        pytest.raises(ApiError, match="does not accept the credential") as caught,
    ):
        client.list("v1", "Pod")
    assert caught.value.status == 401


def with_plugin(api, tmp_path, body):
    """A kubeconfig whose credential comes from a program."""
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\n{body}")
    plugin.chmod(0o700)
    kubeconfig = yaml.safe_load(Path(api).read_text())
    user = copy.deepcopy(kubeconfig["users"][0]["user"])

    def change(content):
        content["users"][0]["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(plugin),
                "interactiveMode": "Never",
                "env": [
                    {"name": "CERT", "value": user["client-certificate-data"]},
                    {"name": "KEY", "value": user["client-key-data"]},
                ],
            }
        }

    return config(api, tmp_path, change)


CERTIFICATE = (
    "import base64, json, os, pathlib\n"
    "log = pathlib.Path(__file__ + '.log'); log.open('a').write('x')\n"
    "status = {'clientCertificateData': base64.b64decode(os.environ['CERT']).decode(),"
    " 'clientKeyData': base64.b64decode(os.environ['KEY']).decode()}\n"
    "answer = {'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}\n"
    "print(json.dumps(answer))\n"
)


def test_a_credential_plugin_is_run_once(api, tmp_path):
    with connect(with_plugin(api, tmp_path, CERTIFICATE)) as client:
        client.in_parallel(lambda number: client.server_version(), range(8))
    assert (tmp_path / "plugin.log").read_text() == "x"


def test_a_failing_credential_plugin_is_named(api, tmp_path):
    options = with_plugin(api, tmp_path, "import sys; sys.exit('no ticket')")
    with pytest.raises(ApiError, match=r"credential plugin '.*plugin' failed: .*no ticket"):
        connect(options)


def test_an_expired_credential_is_loaded_again_once(api, tmp_path, proxy):
    options = with_plugin(api, tmp_path, CERTIFICATE)
    proxy.reset(Fault(STATUS, status=401))
    options = ConnectionOptions(kubeconfig=options.kubeconfig, host=proxy.url)
    with connect(options) as client:
        assert client.server_version()
    assert (tmp_path / "plugin.log").read_text() == "xx"
    proxy.reset(Fault(STATUS, status=401, times=9))
    with connect(options) as client, pytest.raises(ApiError, match="expired or unknown"):
        client.server_version()
    assert len(proxy.requests) == 2


def test_warnings_of_the_server_are_kept_once(kube, space):
    kube.warnings.clear()
    for _unused in range(2):
        kube.request(
            "POST",
            f"/api/v1/namespaces/{space}/pods",
            body={
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p", "annotations": {"kubernetes.io/ingress.class": "x"}},
                "spec": {
                    "containers": [
                        {
                            "name": "a",
                            "image": "b",
                            "env": [{"name": "X", "value": "1"}, {"name": "X", "value": "2"}],
                        }
                    ]
                },
            },
            query={"dryRun": "All"},
        )
    assert len([text for text in kube.warnings if "hides previous definition" in text]) == 1


def test_discovery_is_cached_by_etag(proxy, monkeypatch, tmp_path):
    for expected in (200, 304):
        proxy.reset()
        with connect(ConnectionOptions(host=proxy.url, api_key="x")) as client:
            assert client.resource("networking.istio.io/v1", "VirtualService").plural == "virtualservices"
            assert client.resource("v1", "ConfigMap").plural == "configmaps"
        assert [(seen.path, seen.status) for seen in proxy.requests] == [("/apis", expected)]
    cache = list((Path(os.environ["XDG_CACHE_HOME"]) / "servicemesh.istio").glob("discovery-*"))
    assert [stat.S_IMODE(file.stat().st_mode) for file in cache] == [0o600]
