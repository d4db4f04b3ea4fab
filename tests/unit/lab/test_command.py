"""The command line, the state it reports, credentials, and what is applied to every cluster."""

from __future__ import annotations

import base64
import json
import ssl

import pytest
import yaml
from cryptography import x509

from lab.__main__ import main
from lab.cluster import Cluster, allocate
from lab.essentials import clean_environment, names, rbac_documents
from lab.everything import Build
from lab.lifecycle import Health, last_lines
from lab.pki import OPERATOR, write_credentials
from lab.places import LAB
from lab.processes import Tree
from lab.status import program_lines

RUNNING = {
    "phase": "ready",
    "programs": {"etcd": {"pid": 7, "exit": None}, "kubelet": {"pid": 9, "exit": None}},
}
RECORD = {"build": "k", "node": True}
TREE = Tree((10,), 11)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("command", [["status"], ["kubeconfig"], ["logs"], ["load", "jaeger"]])
def test_a_cluster_that_is_not_there_is_one_clear_line(command, capsys):
    assert main([*command, "--name", "nobody"]) == 1
    error = capsys.readouterr().err
    assert error == "lab: there is no cluster 'nobody': python -m lab up --name nobody\n"


def test_a_bad_name_is_one_clear_line(capsys):
    assert main(["kubeconfig", "--name", "../etc"]) == 1
    assert "cannot name a cluster" in capsys.readouterr().err


def test_the_path_of_a_kubeconfig_is_all_of_the_output(capsys, state):
    allocate("k")
    assert main(["kubeconfig", "--name", "k", "--user", "operator"]) == 0
    assert capsys.readouterr().out == f"{state}/k/kubeconfig/operator\n"


def test_logs_are_listed_and_printed(capfd, state):
    allocate("k")
    (state / "k" / "logs").mkdir()
    (state / "k" / "logs" / "etcd.log").write_text("one\ntwo\nthree\n")
    assert main(["logs", "--name", "k"]) == 0
    assert main(["logs", "--name", "k", "etcd", "-n", "2"]) == 0
    assert capfd.readouterr().out == "etcd\ntwo\nthree\n"
    assert main(["logs", "--name", "k", "../cluster"]) == 1
    assert "there are: etcd" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("health", "complaint"),
    [
        (Health(TREE, RECORD, RUNNING), ""),
        (Health(Tree((), None), RECORD, RUNNING), "not running"),
        (Health(Tree((10,), None), RECORD, RUNNING), "not running"),
        (Health(TREE, {}, RUNNING), "its start is not complete"),
        (Health(TREE, RECORD, {**RUNNING, "phase": "starting"}), "its start is not complete (starting)"),
        (Health(TREE, RECORD, {}), "its start is not complete (nothing recorded)"),
        (
            Health(TREE, RECORD, {"phase": "ready", "programs": {"etcd": {"pid": 7, "exit": -9}}}),
            "etcd died",
        ),
    ],
)
def test_the_state_of_a_cluster_in_one_clause(health, complaint):
    assert health.complaint == complaint


def test_each_program_is_shown_with_its_pid_on_the_host():
    status = {"programs": {**RUNNING["programs"], "proxy": {"pid": 12, "exit": 2}}}
    lines = program_lines(Health(TREE, RECORD, status), {7: 4007})
    assert lines["etcd"] == "running   pid 4007"
    assert lines["proxy"] == "dead      exit code 2"
    assert lines["kubelet"].startswith("dead")


def test_the_end_of_a_log_is_quoted(state):
    cluster = allocate("k")
    (state / "k" / "logs").mkdir()
    (state / "k" / "logs" / "etcd.log").write_text("\n".join(f"line {n}" for n in range(30)))
    text = last_lines(cluster, "etcd", 2)
    assert text.endswith("etcd.log:\n  line 28\n  line 29")
    assert last_lines(cluster, "kubelet") == ""


def test_the_key_of_a_build_changes_with_every_part(tmp_path):
    parts = [tmp_path / "etcd-1", tmp_path / "kubernetes-1", tmp_path / "images-1"]
    key = Build(*parts).key()
    assert Build(*parts).key() == key
    for number in range(3):
        changed = [path.with_name(path.name + "x") if number == at else path for at, path in enumerate(parts)]
        assert Build(*changed).key() != key
    assert Build(parts[0], parts[1], None).key() != key


def test_proxies_of_the_person_are_not_the_clusters():
    given = {"PATH": "/bin", "https_proxy": "http://proxy:3128", "NO_PROXY": "x", "HTTP_PROXY": "y"}
    assert clean_environment(given) == {"PATH": "/bin"}


def test_roles_are_read_from_every_yaml_file_in_order(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.yaml").write_text("kind: B")
    (tmp_path / "sub" / "a.yml").write_text("kind: A")
    (tmp_path / "README.md").write_text("no YAML")
    assert rbac_documents(tmp_path) == "kind: B\n---\nkind: A"
    assert rbac_documents(tmp_path / "missing") == ""


@pytest.fixture
def credentials(state):
    cluster = Cluster("k", 4)
    cluster.state.mkdir()
    write_credentials(cluster)
    return cluster


def certificate(cluster, name):
    return x509.load_pem_x509_certificate((cluster.state / "pki" / f"{name}.crt").read_bytes())


def test_every_certificate_is_signed_by_the_clusters_authority(credentials):
    authority = certificate(credentials, "ca")
    names = {path.stem for path in (credentials.state / "pki").glob("*.crt")} - {"ca"}
    assert names >= {"apiserver", "admin", "operator", "node", "kcm", "scheduler", "proxy", "kubelet-client"}
    for name in names:
        certificate(credentials, name).verify_directly_issued_by(authority)


def test_the_api_server_answers_to_its_addresses(credentials):
    extension = certificate(credentials, "apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    addresses = {str(address) for address in extension.value.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", "10.244.4.1", "10.100.0.1"} <= addresses
    assert "kubernetes.default.svc.cluster.local" in extension.value.get_values_for_type(x509.DNSName)


def test_the_operator_is_not_an_administrator(credentials):
    subject = certificate(credentials, "operator").subject.rfc4514_string()
    assert subject == f"CN={OPERATOR[0]},O={OPERATOR[1]}"
    assert "system:masters" not in subject


def test_a_kubeconfig_is_complete_and_private(credentials):
    path = credentials.kubeconfig("operator")
    assert path.stat().st_mode & 0o077 == 0
    config = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.244.4.1:6443"
    assert config["current-context"] == "lab-k"
    context = ssl.create_default_context()
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    context.load_verify_locations(cadata=authority)
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]).startswith(
        b"-----BEGIN PRIVATE KEY"
    )


def test_the_operator_s_bindings_are_no_stale_ones() -> None:
    """Those of the second revision stand in braces: they were dropped as soon as they had been applied."""
    manifest = f"{rbac_documents()}\n---\n{(LAB / 'manifests' / 'revision-rights.yaml').read_text()}"
    bound = {
        item["metadata"]["name"]
        for document in yaml.safe_load_all(manifest)
        if document
        for item in document["items"]
        if item["kind"].endswith("Binding")
    }
    assert "servicemesh-lab-revision" in bound
    assert [name for name in bound if not names(manifest, name)] == []
    assert not any(names(manifest, name) for name in ("servicemesh-lab", "servicemesh-lab-revision-2", "lab"))
