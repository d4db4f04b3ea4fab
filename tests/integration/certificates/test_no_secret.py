"""Keys of every source in no output, result, fact, temporary file, command line, event or journal.

The playbook runs as people run it when something is wrong: ``-vvvv --diff``, with a cache of facts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from .company import Company, openssl
from .conftest import ACCOUNT, HOME

ROOT = Path(__file__).resolve().parents[3]


class Watch:
    """What lies in a directory, and on the command lines and in the environments of its processes."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.seen: dict[str, bytes] = {}
        self._directory, self._pid = directory, pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._once()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self._once()

    def _once(self) -> None:
        for path in [*self._directory.rglob("*"), *self._processes()]:
            with contextlib.suppress(OSError):
                if path.is_file():
                    found = self.seen.get(str(path), b"")
                    text = path.read_bytes()
                    if text not in found:
                        self.seen[str(path)] = found + text

    def _processes(self) -> list[Path]:
        """Those of the session that the playbook leads."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getsid(int(entry.name)) == self._pid:
                        found += [entry / "cmdline", entry / "environ"]
        return found


def marks(*keys: str) -> set[bytes]:
    """Every line of the keys, and the same as a Secret holds it; long enough to be no accident."""
    found: set[bytes] = set()
    for key in keys:
        lines = [line.encode() for line in key.splitlines() if len(line) > 40 and "-----" not in line]
        found |= set(lines)
        whole = base64.b64encode(key.encode())
        found |= {whole[start : start + 60] for start in range(60, len(whole) - 60, 60)}
    assert found
    return found


@pytest.fixture
def run_playbook(edge, kubeconfig, tmp_path: Path):
    directory = tmp_path / "run"
    directory.mkdir()

    def run(variables: dict[str, Any], *, good: bool = True) -> tuple[str, Watch]:
        connection = {"ansible_connection": "local", "mesh_connection": {"kubeconfig": kubeconfig}}
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"lab": {**connection, **variables}}}}))
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "local"),
            "ANSIBLE_REMOTE_TEMP": str(directory / "remote"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(directory / "facts"),
            "ANSIBLE_LOG_PATH": str(directory / "log"),
        }
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-vvvv",
            "--diff",
            "-i",
            str(inventory),
        ]
        process = subprocess.Popen(
            [*command, str(ROOT / "playbooks" / "certificates.yml")],
            env=environment,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        watch = Watch(directory, process.pid)
        out, _err = process.communicate(timeout=180)
        watch.end()
        assert (process.returncode == 0) is good, out[-3000:]
        return out, watch

    return run


def test_keys_of_every_source_are_nowhere(edge, run_playbook, tmp_path: Path) -> None:
    edge.expose()
    company = Company(tmp_path, "company", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    servers = [{"host": edge.host, "certificate": edge.name}]
    variables: dict[str, Any] = {
        "mesh_name": edge.name,
        "certificates_ca_namespace": edge.name,
        "certificates_overlap": 0,
        "certificates_timeout": 30,
        "mesh_gateways": [
            {"name": "p", "workload_namespace": HOME, "service_account": ACCOUNT, "servers": servers}
        ],
    }
    told: list[tuple[str, Watch]] = [run_playbook(variables)]
    keys = [edge.secret()["data"]["tls.key"], edge.authority()["data"]["tls.key"]]
    asked = {**variables, "certificates_requested": [{"name": edge.name}], "certificates_force": [edge.name]}
    told.append(run_playbook(asked))
    waiting = edge.secret(f"{edge.name}-request")
    keys.append(waiting["data"]["tls.key"])
    request = base64.b64decode(waiting["data"]["tls.csr"]).decode()
    assert request.splitlines()[1] in told[-1][0], "the request is printed"
    answer = {"name": edge.name, "certificate": company.answer(request) + company.issuing, "ca": company.root}
    told.append(run_playbook({**variables, "certificates_requested": [answer]}))
    clients = [{"name": edge.name, "ca": company.root}]
    pair = {"name": edge.name, "private_key": company.make_key("own"), "ca": company.root}
    csr = tmp_path / "own.csr"
    names = f"subjectAltName=DNS:{edge.host}"
    openssl("req", "-new", "-key", company.path("own.key"), "-subj", "/CN=x", "-addext", names, "-out", csr)
    pair["certificate"] = company.answer(csr.read_text(), "own") + company.issuing
    given = {**variables, "certificates_provided": [pair], "certificates_client_cas": clients}
    told.append(run_playbook(given))
    wrong = {**pair, "certificate": company.answer(request, "other") + company.issuing}
    told.append(run_playbook({**given, "certificates_provided": [wrong]}, good=False))
    plain = [base64.b64decode(key).decode() for key in keys] + [pair["private_key"]]
    events = edge.client.list("v1", "Event", HOME).items
    lease = edge.client.get("coordination.k8s.io/v1", "Lease", "servicemesh-certificates", HOME)
    places = {f"output {number}": out.encode() for number, (out, _watch) in enumerate(told)}
    places |= {"events": json.dumps(events).encode(), "lease": json.dumps(lease).encode()}
    for _out, watch in told:
        places |= watch.seen
    assert len(places) > 20, "the temporary files and processes were seen"
    assert any(name.endswith("cmdline") for name in places)
    found = {name for name, text in places.items() if any(mark in text for mark in marks(*plain))}
    assert found == set()


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    """A key in a file that is there for a moment, and one on a command line."""
    script = "import sys, time, os; open('k', 'w').write(sys.argv[1]); time.sleep(0.5); os.remove('k')"
    process = subprocess.Popen(["python3", "-c", script, "x" * 50], cwd=tmp_path, start_new_session=True)
    watch = Watch(tmp_path, process.pid)
    process.wait(timeout=20)
    time.sleep(0.1)
    watch.end()
    places = {Path(name).name for name, text in watch.seen.items() if b"x" * 50 in text}
    assert {"k", "cmdline"} <= places
