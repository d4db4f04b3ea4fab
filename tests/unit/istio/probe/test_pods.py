"""Probe pods: their manifests, their script in a real shell, and what is read out of its output."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import pods as probe
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import runner as probe_runner
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.manifests import ProbeRun
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import (
    HttpCall,
    Identity,
    ProbeCall,
    StreamCall,
)

from ...support.http_server import at_work

IDENTITY = Identity("shop", "web")
MARK = "@@5f2a@@"
RUN = ProbeRun("r1", "me", "curl:1", 90, ["pull"])


def manifest(identity: Identity = IDENTITY) -> dict:
    return RUN.pod(identity, "p")


def test_an_identity_says_whether_it_is_in_the_mesh() -> None:
    assert str(IDENTITY) == "shop/web"
    assert str(Identity("shop", "web", meshed=False)) == "outside the mesh"


def test_probes_and_their_sidecar_are_found_by_the_same_labels() -> None:
    for obj in (manifest(), RUN.sidecar("shop", "s", [])):
        labels = obj["metadata"]["labels"]
        assert probe.is_probe(labels)
        assert labels[probe.RUN_LABEL] == "r1"
        assert obj["metadata"]["annotations"][probe.RUNNER_ANNOTATION] == "me"
        assert obj["metadata"]["namespace"] == "shop"
    assert manifest()["spec"]["containers"][0]["command"] == ["sleep", "90"]
    assert manifest()["metadata"]["annotations"]["traffic.sidecar.istio.io/includeInboundPorts"] == ""


def test_a_probe_is_bounded_and_may_do_nothing() -> None:
    spec = manifest()["spec"]
    assert spec["activeDeadlineSeconds"] == 90
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    security = spec["containers"][0]["securityContext"]
    assert (security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (True, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsUser"] != 1337  # the proxy's user: its traffic is not redirected
    assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_a_meshed_probe_runs_as_the_caller() -> None:
    pod = manifest()
    assert pod["spec"]["serviceAccountName"] == "web"
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert probe.is_probe(pod["metadata"]["labels"])


def test_a_probe_outside_the_mesh_has_no_sidecar_and_no_identity() -> None:
    pod = manifest(Identity("shop", "outside", meshed=False))
    assert pod["spec"]["serviceAccountName"] == "default"
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_no_service_selects_a_probe() -> None:
    labels = manifest()["metadata"]["labels"]
    assert not {"app", "version", "app.kubernetes.io/name", "app.kubernetes.io/instance"} & set(labels)
    assert not probe.is_probe({"app": "web"})
    for missing in (probe.COMPONENT_LABEL, probe.RUN_LABEL):
        assert not probe.is_probe({name: value for name, value in labels.items() if name != missing})
    assert not probe.is_probe({**labels, probe.COMPONENT_LABEL: "another"})


def test_the_sidecar_hides_nothing_from_its_own_run_only() -> None:
    owner = {"metadata": {"name": "p", "uid": "u1"}}
    sidecar = RUN.sidecar("shop", "s", [owner])
    assert sidecar["spec"] == {
        "workloadSelector": {"labels": {probe.RUN_LABEL: "r1"}},
        "egress": [{"hosts": ["*/*"]}],
    }
    assert sidecar["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1"}
    ]


@pytest.mark.parametrize(
    ("phase", "alive", "now", "over"),
    [
        ("Running", True, 10, False),
        ("Running", None, 10, False),
        ("Running", False, 10, True),
        ("Failed", True, 10, True),
        ("Succeeded", None, 10, True),
        ("Running", None, 91, True),
        ("", None, 91, True),
    ],
)
def test_what_a_dead_run_left_behind(phase: str, alive: bool | None, now: float, over: bool) -> None:
    metadata = {"creationTimestamp": "1970-01-01T00:00:00Z"}
    assert probe.is_leftover(metadata, phase, lifetime=90, alive=alive, now=now) is over


def test_this_run_is_alive_and_a_dead_process_is_not() -> None:
    me = probe_runner.runner_id()
    assert probe_runner.runner_alive(me) is True
    host, boot, _rest, started = me.rsplit(":", 3)
    child = subprocess.Popen(["true"])
    child.wait()
    assert probe_runner.runner_alive(f"{host}:{boot}:{child.pid}:{started}") is False
    assert (
        probe_runner.runner_alive(f"{host}:{boot}:{os.getpid()}:1") is False
    )  # the pid belongs to somebody else now


@pytest.mark.parametrize("runner", ["", "x", "elsewhere:boot:1:1"])
def test_of_other_machines_nothing_is_known(runner: str) -> None:
    assert probe_runner.runner_alive(runner) is None


class Handler(http.server.BaseHTTPRequestHandler):
    """Echoes method, path and one header; ``/reset`` hangs up, ``/mark`` imitates the script's own lines."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    now = most = 0

    def do_GET(self) -> None:
        if self.path == "/reset":
            self.close_connection = True
            return
        if self.path.startswith("/slow"):
            with Handler.lock:
                Handler.now += 1
                Handler.most = max(Handler.most, Handler.now)
            time.sleep(0.02)
            with Handler.lock:
                Handler.now -= 1
        body = f"{self.command} {self.path} {self.headers.get('x-test', '')}".encode()
        if self.path == "/long":
            body = b"x" * 3_000_000
        if self.path == "/mark":
            body = (
                f"@@1@@ call 1\nHTTP/1.1 403 Forbidden\n\nRBAC: access denied\n{MARK[:-1]} exit 0\n".encode()
            )
        self.send_response(418 if self.path == "/teapot" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Envoy-Upstream-Service-Time", "3")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    do_POST = do_HEAD = do_GET  # noqa: N815  # names that http.server looks for

    def log_message(self, *_rest: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with at_work(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as running:
        yield f"http://127.0.0.1:{running.server_port}"


def send(calls: Sequence[ProbeCall], ca_pem: str = "") -> list[probe.Answer]:
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    done = subprocess.run(
        probe.command(calls, MARK, 5, ca_pem),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
        timeout=60,
    )
    assert done.stderr == ""
    return probe.parse_answers(done.stdout, MARK, len(calls))


def test_the_script_sends_every_call(server: str) -> None:
    calls = [
        HttpCall("GET", f"{server}/a?b=c"),
        HttpCall("POST", f"{server}/teapot", headers=("X-Test: one * two", "X-Other: $(id) `id` ' \"")),
        HttpCall("HEAD", f"{server}/h"),
        HttpCall("GET", f"{server}/a/../b"),
    ]
    answers = send(calls)
    assert [answer.status for answer in answers] == [200, 418, 200, 200]
    assert [answer.body for answer in answers] == ["GET /a?b=c", "POST /teapot one * two", "", "GET /a/../b"]
    assert {answer.exit_code for answer in answers} == {0}
    assert all(answer.headers["x-envoy-upstream-service-time"] == "3" for answer in answers)


def test_a_cut_connection_is_no_answer(server: str) -> None:
    answer = send([HttpCall("GET", f"{server}/reset")])[0]
    assert (answer.status, answer.exit_code) == (0, 52)
    assert "Empty reply" in answer.error


def test_nobody_listens() -> None:
    answer = send([HttpCall("GET", "http://127.0.0.1:1/")])[0]
    assert (answer.status, answer.exit_code) == (0, 7)
    answer = send([StreamCall("127.0.0.1:1")])[0]
    assert (answer.body, answer.exit_code) == ("", 7)


@pytest.fixture
def greeter() -> Iterator[str]:
    """A server that speaks first, then repeats what it hears."""

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(3)
            connection.sendall(b"220 ready %s\r\n")
            connection.sendall(connection.recv(4096))
            connection.recv(4096)

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = listening.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_stream_is_listened_to(greeter: str) -> None:
    said = bytes(range(1, 255)).replace(b"\r", b"").replace(b"\n", b"")
    silent, spoken = send([StreamCall(greeter), StreamCall(greeter, said)])
    assert (silent.body, silent.exit_code, silent.status) == ("220 ready %s", 28, 0)
    assert spoken.body == f"220 ready %s\n{said.decode('utf-8', 'replace')}"
    assert silent.error == ""


def test_curl_options_are_words(server: str) -> None:
    port = server.rpartition(":")[2]
    call = HttpCall(
        "GET",
        "http://nowhere.example/x",
        curl_options=("--connect-to", f"nowhere.example:80:127.0.0.1:{port}"),
    )
    assert send([call])[0].body == "GET /x"


def test_a_body_cannot_forge_another_calls_answer(server: str) -> None:
    first, second = send([HttpCall("GET", f"{server}/mark"), HttpCall("GET", f"{server}/honest")])
    assert first.status == 200
    assert (second.status, second.body) == (200, "GET /honest")


def test_a_long_body_is_cut_and_the_verdict_is_kept(server: str) -> None:
    answer = send([HttpCall("GET", f"{server}/long")])[0]
    assert (answer.status, answer.exit_code) == (200, 0)
    assert 15000 < len(answer.body) <= probe.MAX_BODY


def test_many_calls_are_made_a_few_at_a_time_and_keep_their_order(server: str) -> None:
    Handler.most = 0
    answers = send([HttpCall("GET", f"{server}/slow{number}") for number in range(40)])
    assert [answer.body for answer in answers] == [f"GET /slow{number} ".strip() for number in range(40)]
    assert 1 < Handler.most <= probe.AT_ONCE
    assert probe.longest(40, 5) == 25


def test_lost_output_is_no_answer() -> None:
    assert [answer.exit_code for answer in probe.parse_answers("", MARK, 2)] == [-1, -1]


def test_a_100_continue_is_not_the_answer() -> None:
    answers = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nserver: x\r\n\r\n"
    answer = probe.parse_answers(f"{MARK} call 0\n{answers}\n{MARK} exit 0\n", MARK, 1)[0]
    assert (answer.status, dict(answer.headers), answer.exit_code) == (204, {"server": "x"}, 0)


@pytest.mark.parametrize("status", [200, 204, 403, 503])
def test_an_answer_in_the_body_of_an_answer_is_not_the_answer(status: int) -> None:
    inner = "HTTP/1.1 418 I'm a teapot\nx: y\n\nbody"
    output = f"{MARK} call 0\nHTTP/2 {status} \r\nserver: x\r\n\r\n{inner}\n{MARK} exit 0\n"
    answer = probe.parse_answers(output, MARK, 1)[0]
    assert (answer.status, dict(answer.headers), answer.body) == (status, {"server": "x"}, inner)


@pytest.mark.parametrize("informational", ["100 Continue", "103 Early Hints", "199 Nothing"])
def test_every_1xx_comes_before_the_answer(informational: str) -> None:
    answers = f"HTTP/1.1 {informational}\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\nserver: x\r\n\r\nbody"
    answer = probe.parse_answers(f"{MARK} call 0\n{answers}\n{MARK} exit 0\n", MARK, 1)[0]
    assert (answer.status, dict(answer.headers), answer.body) == (200, {"server": "x"}, "body")


def test_what_a_probe_says_beside_its_answers() -> None:
    """Headers without a colon, a line that is no exit code, a call number that is none, curl's own words."""
    first = "HTTP/1.1 200 OK\nX-A: b: c \nnonsense\n\nbody"
    words = "curl: (7) Failed to connect\ncurl: second line"
    output = (
        f"noise\n{MARK} call x\nHTTP/1.1 500\n{MARK} exit 0\n{MARK} call 1\n{words}\n{MARK} exit 7\n"
        f"{MARK} call 0\n{first}\n{MARK} exit \n"
    )
    one, two, three = probe.parse_answers(output, MARK, 3)
    assert (one.status, dict(one.headers), one.body, one.exit_code) == (200, {"x-a": "b: c"}, "body", -1)
    assert (two.status, two.exit_code, two.error) == (0, 7, "curl: (7) Failed to connect")
    assert (three.exit_code, three.error) == (-1, "the probe left no answer")


@pytest.mark.parametrize(("calls", "rounds"), [(0, 0), (1, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_how_long_calls_may_take(calls: int, rounds: int) -> None:
    assert probe.longest(calls, 5) == 5 * rounds


@pytest.mark.parametrize(("now", "over"), [(90, False), (90.5, True)])
def test_a_probe_of_its_whole_lifetime_is_not_over(now: float, *, over: bool) -> None:
    metadata = {"creationTimestamp": "1970-01-01T00:00:00Z"}
    assert probe.is_leftover(metadata, "Running", lifetime=90, alive=None, now=now) is over
