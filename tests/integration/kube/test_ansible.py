"""Module and action plugin under real ansible-playbook: where it runs does not matter for the result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.kept_code import keeping

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
CALLBACK = """
import json, os
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "collect"
    def keep(self, result, *_, **__):
        with open(os.environ["COLLECT"], "a") as file:
            file.write(json.dumps(result._result, default=str) + "\\n")
    v2_runner_on_ok = v2_runner_on_failed = keep
"""
# A connection that runs things here, but says that it does not.
CONNECTION = """
DOCUMENTATION = '''
name: elsewhere
short_description: local, under another name
description: local, under another name
author: tests
'''
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "elsewhere"
"""
SECRET = "hunter2-planted-secret"


class Ansible:
    """ansible-playbook with plugins of the test's own; returns results and everything that was printed."""

    limit = 120.0
    at_start = ""  # of each Python

    def __init__(self, directory: Path, kubeconfig: str) -> None:
        self.directory, self.kubeconfig = directory, kubeconfig
        self._keeping = keeping(directory, self.at_start)
        for kind, name, text in (("callback", "collect", CALLBACK), ("connection", "elsewhere", CONNECTION)):
            (directory / kind).mkdir()
            (directory / kind / f"{name}.py").write_text(text)

    def command(self, *options, plays):
        """:param plays: the tasks of each, and its other keywords."""
        text = json.dumps(
            [
                {
                    "hosts": "all",
                    "gather_facts": False,
                    "module_defaults": {"group/servicemesh.istio.cluster": {"kubeconfig": self.kubeconfig}},
                    "tasks": tasks,
                    **play,
                }
                for tasks, play in plays
            ]
        )
        (self.directory / "play.yml").write_text(text)
        return [str(PLAYBOOK), "-i", "one,", *options, str(self.directory / "play.yml")]

    def environment(self):
        return {
            **os.environ,
            **self._keeping,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.directory / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "collect",
            "ANSIBLE_CONNECTION_PLUGINS": str(self.directory / "connection"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "COLLECT": str(self.directory / "results"),
        }

    def run(self, tasks, *options, **play):
        return self.run_all([(tasks, play)], *options)

    def run_all(self, plays, *options):
        """One process for all: half of a short play's time is the start of ansible-playbook."""
        (self.directory / "results").unlink(missing_ok=True)
        done = subprocess.run(
            self.command(*options, plays=plays),
            env=self.environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=self.limit,
            check=False,
        )
        results = [json.loads(line) for line in (self.directory / "results").read_text().splitlines()]
        return results, done.stdout + done.stderr


@pytest.fixture
def ansible(tmp_path, api):
    return Ansible(tmp_path, api)


PLACES = {
    "controller": {"connection": "local", "vars": {"ansible_python_interpreter": sys.executable}},
    "controller, discovery": {"connection": "local"},
    "module, another interpreter": {
        "connection": "local",
        "vars": {"ansible_python_interpreter": str(Path(sys.executable).with_name("python3"))},
    },
    "module, environment": {
        "connection": "local",
        "vars": {"ansible_python_interpreter": sys.executable},
        "environment": {"SOME": "thing"},
    },
    "module, another connection": {
        "connection": "elsewhere",
        "vars": {"ansible_python_interpreter": sys.executable},
    },
    "controller, delegated": {
        "connection": "elsewhere",
        "vars": {"ansible_python_interpreter": sys.executable},
        "delegate": {"delegate_to": "localhost", "vars": {"ansible_connection": "local"}},
    },
}


def tasks(space, directory):
    (directory / "files").mkdir(exist_ok=True)
    (directory / "files" / "a.yml").write_text(
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: '1'}\n"
        f"metadata: {{name: from-file, namespace: {space}}}\n"
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": space},
        "stringData": {"password": SECRET},
    }
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": space}, "dta": {}}
    steps = [
        {"src": ["a.yml"], "definition": secret, "mesh_name": space, "prune": True},
        {"src": ["a.yml"], "definition": secret, "mesh_name": space, "prune": True},
        {"src": ["a.yml"], "mesh_name": space, "prune": True},
        {"definition": bad},
        {"definition": "a: 1\na: 2"},
        {"src": ["nowhere.yml"]},
        {"definition": secret, "wait_timeout": "soon"},
        {"definition": secret, "kubeconfig": "/nowhere"},
        {
            "definition": [{**secret, "metadata": {"name": "from-file", "namespace": space}}],
            "state": "absent",
        },
        {"src": ["a.yml"], "definition": secret, "state": "absent"},
    ]
    return [{"servicemesh.istio.resources": step, "ignore_errors": True, "name": "t"} for step in steps]


def comparable(results):
    """Without what Ansible itself adds: how the interpreter was found, where a message was made."""
    kept = []
    for result in results:
        dropped = (
            "ansible_facts",
            "_ansible_no_log",
            "_ansible_delegated_vars",
            "warnings",
            "exception",
            "deprecations",
        )
        kept.append({key: value for key, value in result.items() if key not in dropped})
        if "wait_timeout" in str(kept[-1].get("msg")):
            kept[-1] = {"failed": True}  # the validator's sentence differs between module and plugin
    return kept


def test_the_result_is_the_same_wherever_it_runs(ansible, space):
    plays = []
    for place in PLACES.values():
        delegate = place.get("delegate", {})
        play = {key: value for key, value in place.items() if key != "delegate"}
        plays.append(([{**task, **delegate} for task in tasks(space, ansible.directory)], play))
    results, output = ansible.run_all(plays, "--diff")
    number = len(plays[0][0])
    assert len(results) == number * len(plays), output
    assert "Traceback" not in output
    seen = {name: comparable(results[at * number : (at + 1) * number]) for at, name in enumerate(PLACES)}
    reference = seen.pop("controller")
    assert [bool(result.get("changed")) for result in reference] == [True, *[False] * 8, True]
    assert ["msg" in result or "failed" in result for result in reference] == [False] * 3 + [True] * 5 + [
        False
    ] * 2
    for name, found in seen.items():
        assert found == reference, name


def test_check_mode_reaches_both(ansible, space, kube):
    step = tasks(space, ansible.directory)[:1]
    both = [(step, PLACES[place]) for place in ("controller", "module, another connection")]
    results, _ = ansible.run_all(both, "--check")
    assert [result["changed"] for result in results] == [True, True]
    assert kube.get("v1", "Secret", "s", space) is None


def test_no_secret_shows_at_any_verbosity(ansible, space, api):
    import yaml

    inline = {"kubeconfig": yaml.safe_load(Path(api).read_text())}
    every = tasks(space, ansible.directory)
    # The last one takes out what the first one made: each place shows its making.
    steps = [*every[:3], {"servicemesh.istio.resources": {**inline, "src": ["a.yml"]}}, every[-1]]
    places = ("controller", "module, another connection", "module, environment")
    results, output = ansible.run_all([(steps, PLACES[place]) for place in places], "-vvvv", "--diff")
    assert [bool(result.get("changed")) for result in results] == [True, False, False, True, True] * len(
        places
    )
    key = inline["kubeconfig"]["users"][0]["user"]["client-key-data"]
    for planted in (SECRET, key):
        assert planted not in output
    import base64

    assert base64.b64encode(SECRET.encode()).decode() not in output


def test_an_interrupt_ends_the_work_and_removes_the_keys(ansible, space):
    never = {
        "servicemesh.istio.resources": {
            "definition": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "w", "namespace": space},
            },
            "wait": True,
            "wait_timeout": 100,
            "wait_for": [{"jmespath": "data.never", "equals": "x"}],
        }
    }
    keys = ansible.directory / "keys"
    keys.mkdir()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(
            ansible.command(plays=[([never], PLACES["controller"])]),
            env={**ansible.environment(), "TMPDIR": str(keys), "XDG_RUNTIME_DIR": ""},
            cwd=ansible.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for line in process.stdout:
            if b"waiting for" in line:
                break
        assert list(keys.glob("servicemesh-istio-keys-*"))
        process.send_signal(number)
        process.wait(timeout=20)
        process.stdout.close()
        deadline = time.monotonic() + 10
        while list(keys.glob("servicemesh-istio-keys-*")):
            assert time.monotonic() < deadline, f"signal {number}: key files are left behind"
            time.sleep(0.1)


def test_a_first_and_a_second_run_are_quick(ansible, space):
    """Generous: what counts is that nothing scales with the objects or sleeps."""
    steps = tasks(space, ansible.directory)[:2]
    started = time.monotonic()
    ansible.run(steps, **PLACES["controller"])
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("place", ["controller", "module, another connection", "module, another interpreter"])
def test_templates_and_vaults_are_opened_on_the_controller(ansible, space, place, tmp_path):
    """Rendered with the host's variables and decrypted in memory, wherever the task runs; never shown."""
    (tmp_path / "templates").mkdir()
    part = "data: {who: '{{ who }}', host: '{{ inventory_hostname }}'}\n"
    (tmp_path / "templates" / "part.j2").write_text(part)
    head = "apiVersion: v1\nkind: ConfigMap\n"
    (tmp_path / "templates" / "map.yml.j2").write_text(
        head + "metadata: {name: rendered, namespace: {{ space }}}\n{% include 'part.j2' %}\n"
    )
    (tmp_path / "password").write_text("open sesame\n")
    secret = tmp_path / "secret.yml"
    secret.write_text(head + f"metadata: {{name: vaulted, namespace: {space}}}\ndata: {{a: {SECRET}}}\n")
    config = tmp_path / "config"
    config.write_text(Path(ansible.kubeconfig).read_text())
    vault = [str(PLAYBOOK.with_name("ansible-vault")), "encrypt", "--vault-password-file", "password"]
    subprocess.run([*vault, str(secret), str(config)], cwd=tmp_path, check=True, capture_output=True)
    assert config.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    ansible.kubeconfig = str(config)
    variables = {**PLACES[place].get("vars", {}), "who": "{{ 'web' }}", "space": space}
    task = {"servicemesh.istio.resources": {"template": "map.yml.j2", "src": ["secret.yml"], "wait": True}}
    play = {**{key: value for key, value in PLACES[place].items() if key != "vars"}, "vars": variables}
    options = ("--vault-password-file", "password", "-vvvv", "--diff")
    if place == "module, another connection":
        play["module_defaults"] = {}  # a path on a target is the target's; the mapping below goes along
        task["servicemesh.istio.resources"]["kubeconfig"] = "{{ lookup('file', 'config') | from_yaml }}"
    (first, again), printed = ansible.run([task, task], *options, **play)
    assert first.get("failed") is not True, first
    assert first["counts"]["created"] == 2
    assert not again["changed"]
    assert SECRET not in printed
    assert "client-key-data: LS0" not in printed


def test_a_vault_without_its_password_is_one_sentence(ansible, space, tmp_path):
    (tmp_path / "password").write_text("open sesame\n")
    secret = tmp_path / "secret.yml"
    secret.write_text("a: 1\n")
    vault = [str(PLAYBOOK.with_name("ansible-vault")), "encrypt", "--vault-password-file", "password"]
    subprocess.run([*vault, str(secret)], cwd=tmp_path, check=True, capture_output=True)
    task = {"servicemesh.istio.resources": {"src": ["secret.yml"]}}
    results, _printed = ansible.run([task], connection="local")
    assert "is encrypted with Ansible Vault, and no password of this run opens it" in results[-1]["msg"]


def test_an_undefined_variable_names_the_template(ansible, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.j2").write_text("a: {{ missing }}\n")
    task = {"servicemesh.istio.resources": {"template": "a.j2"}}
    results, _printed = ansible.run([task], connection="local")
    assert "a.j2 cannot be rendered: " in results[-1]["msg"]
    assert "'missing' is undefined" in results[-1]["msg"]
