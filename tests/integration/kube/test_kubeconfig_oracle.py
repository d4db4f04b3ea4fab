"""Our reading of kubeconfigs against kubectl's, on generated sets of files.

kubectl answers twice: what it reads (``config view``), and what it sends, to a server on this machine that
notes path and headers. Nothing of ours takes part in its answers.
"""

from __future__ import annotations

import datetime
import http.server
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.kubeconfig import read_kubeconfig
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import tool_environment

from lab.places import cache_root

from ...unit.support.certificates import DAY, OTHER_ROOT, ROOT, ROOT_KEY, certificate, ec_key, key_pem, pem
from .kubeconfig_sets import KubeconfigSet

SETS = 200
NOTED = ("authorization", "impersonate", "accept-encoding")


class Server:
    """Notes each request: its path, and the headers that say who asks."""

    def __init__(self, directory: Path) -> None:
        self.seen: list[tuple[str, list[tuple[str, str]]]] = []
        noted = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = sorted(
                    (name.lower(), value.encode("latin-1").decode())
                    for name, value in self.headers.items()
                    if name.lower().startswith(NOTED) and value != "identity"  # as good as no header
                )
                noted.append((self.path, headers))
                body = b'{"gitVersion": "v1.36.0"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authorities = [pem(ROOT), pem(OTHER_ROOT)]
        key = ec_key()
        hosts, now = ("localhost", "api.internal"), datetime.datetime.now(datetime.UTC)
        made = certificate("server", key, issuer=("root", ROOT_KEY), hosts=hosts, end=now + DAY)
        (directory / "server.pem").write_bytes(pem(made) + key_pem(key))
        context.load_cert_chain(directory / "server.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def taken(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """What was asked since the last look."""
        found = list(self.seen)
        self.seen.clear()
        return found


@pytest.fixture(scope="module")
def kubectl() -> str:
    path = cache_root() / "bin" / "kubectl"
    assert path.exists(), "the lab's programs are not built: python -m lab build"
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.close()


def asked(kubectl: str, files: KubeconfigSet, *arguments: str) -> subprocess.CompletedProcess[str]:
    context = [f"--context={files.context}"] if files.context else []
    return subprocess.run(
        [kubectl, *arguments, *context],
        cwd=files.directory,
        env={"PATH": os.environ["PATH"], "HOME": str(files.directory), "KUBECONFIG": files.variable},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def viewed(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user that kubectl sees, without what it writes although it is empty."""
    view = json.loads(text)
    cluster = view["clusters"][0]["cluster"] if view["clusters"] else {}
    user = view["users"][0]["user"] if view["users"] else {}
    if "exec" in user:
        plugin = {key: value for key, value in user["exec"].items() if value}
        user = {**user, "exec": plugin}
    return cluster, user


@pytest.mark.parametrize("seed", range(SETS))
def test_as_kubectl_reads_and_sends(
    kubectl: str, server: Server, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = KubeconfigSet(tmp_path, seed, server.url, server.authorities)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = {"KUBECONFIG": files.variable, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    options = ConnectionOptions.from_params({"context": files.context or None}, environment)

    shown = asked(kubectl, files, "config", "view", "--raw", "--minify", "-o", "json")
    merged = read_kubeconfig(files.files, "KUBECONFIG")
    try:
        selected = merged.select(files.context) if merged else None
    except MeshError:
        selected = None
    if shown.returncode != 0:
        assert selected is None, shown.stderr
    elif selected is not None:
        assert [plain(entry) for entry in selected] == [plain(entry) for entry in viewed(shown.stdout)]

    theirs = asked(kubectl, files, "get", "--raw", "/version")
    wanted = server.taken()
    try:
        with connect(options, deadline=5) as client:
            client.server_version()
        refused = ""
    except MeshError as error:
        refused = error.message
    got = server.taken()
    if selected is None:
        # kubectl asks somebody anonymously, or a terminal for a password: we ask nobody.
        assert refused and not got
        return
    if "Please enter Username" in theirs.stdout:  # there is no credential, and nobody to ask: we ask nobody
        assert "authorization" not in [name for _path, headers in got for name, _value in headers]
        return
    assert (theirs.returncode == 0) == (not refused), (theirs.stderr, refused)
    assert got == wanted

    # What a tool gets is the same once more.
    if not refused:
        with tool_environment(options, environment) as (given, _secrets):
            subprocess.run(
                [kubectl, "get", "--raw", "/version"], env=given, cwd="/", check=True, capture_output=True
            )
        assert server.taken() == wanted


def plain(entry: Any) -> dict[str, Any]:
    """An entry without what is empty, and without paths: those are proved by what is sent."""
    found = {key: value for key, value in entry.items() if value not in (None, False, "", [], {})}
    for path in ("tokenFile", "certificate-authority"):
        found.pop(path, None)
    if "exec" in found:
        found["exec"] = {key: value for key, value in found["exec"].items() if key != "command" and value}
    return found


def test_the_sets_hold_what_matters(tmp_path: Path) -> None:
    """Otherwise the comparison above would prove little."""
    made = [KubeconfigSet(tmp_path / str(seed), seed, "https://x", (b"", b"")) for seed in range(SETS)]
    assert sum(len({name for name in one.files if name}) > 1 for one in made) > SETS / 2
    usable = 0
    for one in made:
        paths = [str(one.directory / name) for name in one.files if name]
        try:
            found = read_kubeconfig(paths, "x")
            usable += found is not None and bool(found.select(one.context))
        except MeshError:
            continue
    assert usable > SETS / 3
