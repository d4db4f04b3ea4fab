"""Requests to an API server that answers late, badly, in part, or not at all."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts, keydir
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import SystemClock
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.transport import Response, Transport

from ..support.certificates import OTHER_ROOT, ROOT, ROOT_KEY, certificate, ec_key, key_pem, pem
from ..support.clock import FakeClock
from ..support.http_server import Answer, ScriptedServer
from ..support.programs import program

BUSY = Answer(503, {"kind": "Status", "message": "busy", "reason": "ServiceUnavailable"})
FINE = Answer(body={"a": 1})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=FINE) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest pause that chance allows."""
    monkeypatch.setattr(attempts.random, "uniform", lambda _low, high: high)


Connected = Callable[..., Transport]


@pytest.fixture
def connected(server: ScriptedServer, clock: FakeClock) -> Iterator[Connected]:
    opened: list[Transport] = []

    def make(
        *,
        threads: int = 4,
        deadline: float | None = None,
        stop: Callable[[], bool] | None = None,
        time: Any = clock,
        **options: Any,
    ) -> Transport:
        given = ConnectionOptions(**{"host": server.url, "api_key": "t", **options})
        opened.append(Transport(given, threads=threads, deadline=deadline, stop=stop, clock=time))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def ask(to: Transport, method: str = "GET", path: str = "/x", **more: Any) -> Response:
    options: dict[str, Any] = {
        "body": None,
        "content_type": "application/json",
        "query": None,
        "timeout": 5.0,
        "accept": "application/json",
        "subject": "Pod shop/web",
    }
    return to.send(method, path, **{**options, **more})


def failure(to: Transport, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(to, **more)
    return caught.value


class TestRequests:
    def test_what_is_sent(self, server: ScriptedServer, connected: Connected) -> None:
        to = connected(impersonate_user="jürgen", impersonate_groups=("a", "b"))
        answer = ask(
            to,
            "PATCH",
            "/x",
            body={"b": [1]},
            content_type="application/merge-patch+json",
            query=[("q", "1"), ("q", "ä")],
            extra_headers={"If-None-Match": '"e"'},
        )
        assert (answer.status, answer.data, answer.doubtful) == (200, {"a": 1}, False)
        (request,) = server.requests
        assert (request.method, request.path, request.body) == ("PATCH", "/x?q=1&q=%C3%A4", {"b": [1]})
        expected = {
            "accept": ["application/json"],
            "accept-encoding": ["gzip"],
            "authorization": ["Bearer t"],
            "content-type": ["application/merge-patch+json"],
            "if-none-match": ['"e"'],
            "impersonate-user": ["jürgen"],
            "impersonate-group": ["a", "b"],
            "user-agent": ["servicemesh.istio"],
        }
        assert {name: request.headers[name] for name in expected} == expected

    def test_without_a_body_there_is_no_content_type(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        ask(connected(), query={"a": ["1", "2"]})
        assert "content-type" not in server.requests[0].headers
        assert server.requests[0].path == "/x?a=1&a=2"

    def test_the_path_of_the_server_stays(self, server: ScriptedServer, connected: Connected) -> None:
        ask(connected(host=f"{server.url}/k8s/clusters/c/"))
        assert server.requests[0].path == "/k8s/clusters/c/x"

    def test_compressed_answers(self, server: ScriptedServer, connected: Connected) -> None:
        body = {"a": "x" * 200_000}
        server.script = [
            Answer(body=gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"})
        ]
        assert ask(connected()).data == body

    def test_who_wants_no_compression_gets_none(self, server: ScriptedServer, connected: Connected) -> None:
        cluster = {"server": server.url, "disable-compression": True}
        content = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
        }
        ask(connected(host=None, api_key=None, kubeconfig=content))
        assert server.requests[0].headers["accept-encoding"] == ["identity"]
        assert "authorization" not in server.requests[0].headers

    def test_text_is_text(self, server: ScriptedServer, connected: Connected) -> None:
        plain = {"Content-Type": "text/plain"}
        server.script = [Answer(body="früh".encode(), headers=plain), Answer(body=b"", headers=plain), FINE]
        to = connected()
        assert ask(to, accept="*/*").data == "früh"
        assert ask(to, accept="*/*").data is None
        assert ask(to, accept="*/*").data == {"a": 1}

    def test_warnings_of_the_server(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [Answer(headers={"Warning": '299 - "a \\"b\\"", 299 - "c"'})]
        assert ask(connected()).warnings == ['a "b"', "c"]

    def test_answers_without_a_body(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [Answer(304, b"", {"ETag": "e"}), Answer(204, b"")]
        to = connected()
        assert (ask(to).status, ask(to).data) == (304, None)
        assert len(server.requests) == 2

    def test_redirects_are_not_followed(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [Answer(302, {}, {"Location": "http://127.0.0.1:1/"})]
        assert failure(connected()).status == 302
        assert len(server.requests) == 1

    def test_no_more_requests_at_once_than_threads(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.hold = 0.05
        to = connected(threads=2)
        threads = [threading.Thread(target=ask, args=(to,)) for _unused in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(server.requests), server.most_at_once) == (6, 2)


class TestRetries:
    def test_what_may_pass_is_tried_again(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        server.script = [BUSY, Answer(429, {}), Answer(502, b"<html>", {"Content-Type": "text/html"}), FINE]
        begin = clock.time
        answer = ask(connected())
        assert (answer.data, answer.doubtful, len(server.requests)) == ({"a": 1}, True, 4)
        assert clock.time - begin == pytest.approx(1 + 2 + 4, abs=0.1)

    def test_a_refused_write_is_not_doubtful(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [BUSY, Answer(429, {}), FINE]
        assert not ask(connected()).doubtful

    @pytest.mark.parametrize(
        ("asked", "seconds"), [("7", 7.5), ("600", 60.5), ("soon", 1.0), ("", 1.0), (" 3 ", 3.5)]
    )
    def test_the_server_says_when(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock, asked: str, seconds: float
    ) -> None:
        server.script = [Answer(429, {}, {"Retry-After": asked}), FINE]
        begin = clock.time
        ask(connected())
        assert clock.time - begin == pytest.approx(seconds, abs=0.02)

    @pytest.mark.parametrize("asked", ["²", "-1", "9" * 400, "1e5", "\t"])
    def test_a_nonsense_pause_is_none(self, server: ScriptedServer, connected: Connected, asked: str) -> None:
        server.script = [Answer(429, {}, {"Retry-After": asked}), FINE]
        assert ask(connected()).data == {"a": 1}

    @pytest.mark.parametrize("status", [500, 504])
    def test_an_internal_error_that_repeats_is_told_soon(
        self, server: ScriptedServer, connected: Connected, status: int
    ) -> None:
        server.always = Answer(status, {"kind": "Status", "message": "webhook"})
        found = failure(connected())
        assert (found.status, found.message, len(server.requests)) == (status, "Pod shop/web: webhook", 5)
        assert found.details["outcome"] == "unknown"

    def test_a_server_that_restarts_is_waited_for_within_bounds(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        server.always = BUSY
        begin = clock.time
        found = failure(connected())
        assert (found.status, found.reason) == (503, "ServiceUnavailable")
        assert "outcome" not in found.details
        assert 75 < clock.time - begin <= 90
        assert len(server.requests) == 12

    def test_a_deadline_ends_it(self, server: ScriptedServer, connected: Connected, clock: FakeClock) -> None:
        server.always = BUSY
        begin = clock.time
        to = connected(deadline=5.0)
        assert to.remaining() == 5.0
        assert failure(to).status == 503
        assert clock.time - begin == pytest.approx(3, abs=0.1)
        assert connected().remaining() is None

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 422])
    def test_what_cannot_pass_is_told_at_once(
        self, server: ScriptedServer, connected: Connected, status: int
    ) -> None:
        server.always = Answer(status, {"kind": "Status", "message": "no", "reason": "R"})
        found = failure(connected())
        assert (found.status, found.reason, len(server.requests)) == (status, "R", 1)
        assert "outcome" not in found.details

    def test_an_unknown_field_is_no_internal_error(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.always = Answer(500, {"kind": "Status", "message": "failed to create typed patch object"})
        assert failure(connected()).reason == "Invalid"
        assert len(server.requests) == 1

    def test_a_refusal_after_doubt_stays_doubtful(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [Answer(504, {}), Answer(409, {"kind": "Status", "message": "exists"})]
        assert failure(connected()).details["outcome"] == "unknown"


class TestHalfAnswers:
    @pytest.mark.parametrize(
        "answer",
        [
            Answer(body=b""),
            Answer(body=b"<html>", headers={"Content-Type": "text/html"}),
            Answer(body=b'{"a": '),
            Answer(body=b"\xff\xfe{}"),
            Answer(body=b"[" * 100_000 + b"]" * 100_000),
        ],
    )
    def test_what_is_not_json_is_asked_again_and_told(
        self, server: ScriptedServer, connected: Connected, answer: Answer
    ) -> None:
        server.always = answer
        found = failure(connected())
        assert (found.status, found.reason, len(server.requests)) == (0, "NotJSON", 5)
        assert found.details["outcome"] == "unknown"
        server.script = [answer, FINE]
        assert ask(connected()).data == {"a": 1}

    def test_an_answer_that_is_cut_off_is_asked_again(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.script = [Answer(body={"a": "x" * 100}, how="cut"), FINE]
        answer = ask(connected())
        assert (answer.data, answer.doubtful) == ({"a": 1}, True)

    def test_a_chunked_answer_that_is_cut_off_is_asked_again(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        chunked = {"Transfer-Encoding": "chunked", "Content-Length": ""}
        whole = b'8\r\n{"a": 2}\r\n0\r\n\r\n'
        server.script = [Answer(body=whole, headers=chunked, how="cut"), Answer(body=whole, headers=chunked)]
        to = connected()
        assert ask(to).data == {"a": 2}
        assert len(server.requests) == 2

    def test_a_page_with_an_error_is_told_as_one(self, server: ScriptedServer, connected: Connected) -> None:
        server.always = Answer(403, b"<html>login</html>", {"Content-Type": "text/html"})
        assert "is not JSON: a proxy may be in between" in failure(connected()).message

    @pytest.mark.parametrize("how", ["drip", "dripping head", "endless"])
    def test_an_answer_that_does_not_end_is_given_up(
        self, server: ScriptedServer, connected: Connected, how: str
    ) -> None:
        """It would outlive every limit: each byte comes in time."""
        server.always = Answer(body=b'{"a": "' + b"x" * 500, how=how)
        begin = time.monotonic()
        found = failure(connected(), timeout=0.3)
        assert time.monotonic() - begin < 2
        assert found.message.endswith("cannot be reached: no answer in time")
        assert found.details["outcome"] == "unknown"

    @pytest.mark.parametrize("how", ["drip", "dripping head", "endless", "silent"])
    def test_a_deadline_ends_it_as_well(self, server: ScriptedServer, connected: Connected, how: str) -> None:
        server.always = Answer(body=b'{"a": "' + b"x" * 500, how=how)
        begin = time.monotonic()
        assert failure(connected(deadline=0.3, time=SystemClock()), timeout=30).reason == "Unreachable"
        assert time.monotonic() - begin < 2

    def test_a_slow_answer_is_whole(self, server: ScriptedServer, connected: Connected) -> None:
        server.script = [Answer(body={"a": "x" * 20}, how="drip")]
        assert ask(connected()).data == {"a": "x" * 20}


class TestNoAnswer:
    def refused(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}"

    def test_a_wrong_address_is_told_soon(self, connected: Connected, clock: FakeClock) -> None:
        begin, url = clock.time, self.refused()
        found = failure(connected(host=url))
        assert found.message == f"the API server at {url} cannot be reached: connection refused"
        assert (found.status, found.reason, found.details["cause"]) == (
            0,
            "Unreachable",
            "connection refused",
        )
        assert "outcome" not in found.details
        assert clock.time - begin == pytest.approx(1 + 2, abs=0.1)

    def test_a_server_that_answered_once_is_waited_for(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        to = connected()
        assert not to.answered
        ask(to)
        assert to.answered
        server.always = Answer(how="none")
        begin = clock.time
        found = failure(to)
        assert found.details["cause"] == "the connection broke"
        assert found.details["outcome"] == "unknown"
        assert clock.time - begin > 75

    def test_who_was_silent_for_long_is_asked_once_until_it_answers(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        """A hundred requests to a server that hangs would wait a hundred times as long."""
        to = connected()
        ask(to)
        server.always = Answer(how="none")
        failure(to)
        begin, asked = clock.time, len(server.requests)
        for _number in range(100):
            assert failure(to).reason == "Unreachable"
        assert (clock.time, len(server.requests)) == (begin, asked + 100)
        server.always = Answer()
        ask(to)
        server.always = Answer(how="none")
        failure(to)
        assert clock.time - begin > 75, "it has answered: it is waited for again"

    def test_who_was_silent_for_long_gets_less_time_to_answer(self) -> None:
        class Hanging:
            clock, host, given_up, answered = FakeClock(), "h", False, True

            def remaining(self) -> None:
                return None

            def pause(self, seconds: float, subject: str = "") -> None:
                raise AssertionError

        to = Hanging()
        assert attempts.Attempts(to, "").timeout(30.0).read_timeout == 30.0
        to.given_up = True
        assert attempts.Attempts(to, "").timeout(30.0).read_timeout == 5.0
        assert attempts.Attempts(to, "").timeout(2.0).read_timeout == 2.0

    def test_a_broken_first_contact_is_tried_three_times(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.always = Answer(how="none")
        assert failure(connected()).details["outcome"] == "unknown"
        assert len(server.requests) == 3

    def test_a_silent_server_is_not_waited_for_for_ever(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.always = Answer(how="silent")
        found = failure(connected(), timeout=0.2)
        assert (found.details["cause"], len(server.requests)) == ("no answer in time", 1)

    def test_a_certificate_of_somebody_else_is_told_at_once(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        key = ec_key()
        made = certificate("server", key, issuer=("root", ROOT_KEY), hosts=("localhost",))
        (tmp_path / "chain").write_bytes(pem(made) + key_pem(key))
        (tmp_path / "other.crt").write_bytes(pem(OTHER_ROOT))
        server.secure(str(tmp_path / "chain"))
        found = failure(connected(host=server.url, ca_cert=str(tmp_path / "other.crt")))
        assert "its certificate is not trusted" in found.message
        assert ask(connected(host=server.url, validate_certs=False)).data == {"a": 1}

    def test_trust_by_a_file_and_another_name(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        key = ec_key()
        made = certificate("server", key, issuer=("root", ROOT_KEY), hosts=("api.internal",))
        (tmp_path / "chain").write_bytes(pem(made) + key_pem(key))
        (tmp_path / "ca.crt").write_bytes(pem(ROOT))
        server.secure(str(tmp_path / "chain"))
        cluster = {"server": server.url, "certificate-authority": str(tmp_path / "ca.crt")}
        content: dict[str, Any] = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
        }
        wrong = failure(connected(host=None, kubeconfig=content))
        assert "its certificate is not trusted" in wrong.message
        cluster["tls-server-name"] = "api.internal"
        assert ask(connected(host=None, kubeconfig=content)).data == {"a": 1}

    def test_a_chain_is_judged_as_kubectl_judges_it(
        self,
        server: ScriptedServer,
        connected: Connected,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Python 3.13 wants identifiers, which the CA of an older EKS has not, and 3.12 a root."""
        key, issuer_key = ec_key(), ec_key()
        issuer = certificate("issuer", issuer_key, issuer=("root", ROOT_KEY), ca=True, identifiers=False)
        made = certificate(
            "server", key, issuer=("issuer", issuer_key), hosts=("localhost",), identifiers=False
        )
        (tmp_path / "chain").write_bytes(pem(made) + key_pem(key))
        (tmp_path / "ca.crt").write_bytes(pem(issuer))
        server.secure(str(tmp_path / "chain"))
        real = urllib3.util.ssl_.create_urllib3_context

        def of_python_3_13(*given: Any, **named: Any) -> ssl.SSLContext:
            context = real(*given, **named)
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            return context

        url = server.url.replace("127.0.0.1", "localhost")
        assert ask(connected(host=url, ca_cert=str(tmp_path / "ca.crt"))).data == {"a": 1}
        monkeypatch.setattr(urllib3.util.ssl_, "create_urllib3_context", of_python_3_13)
        assert ask(connected(host=url, ca_cert=str(tmp_path / "ca.crt"))).data == {"a": 1}


class TestCredentials:
    def test_a_fixed_token_that_is_refused_is_told_at_once(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.always = Answer(401, {})
        found = failure(connected())
        assert "does not accept the credential" in found.message
        assert len(server.requests) == 1

    def kubeconfig(self, directory: Path, server: ScriptedServer, token: str) -> str:
        (directory / "token").write_text(token)
        path = directory / "config"
        content = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
        }
        path.write_text(json.dumps(content))
        return str(path)

    def test_a_renewed_one_is_tried_once(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        to = connected(host=None, api_key=None, kubeconfig=self.kubeconfig(tmp_path, server, "old"))
        (tmp_path / "token").write_text("new")
        server.script = [Answer(401, {}), FINE]
        assert ask(to).data == {"a": 1}
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent == [["Bearer old"], ["Bearer new"]]

    def test_only_what_an_api_server_refuses_is_renewed(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        """What a Service or a node wants of its own, no credential of the kubeconfig can give."""
        to = connected(host=None, api_key=None, kubeconfig=self.kubeconfig(tmp_path, server, "old"))
        (tmp_path / "token").write_text("new")
        server.script = [Answer(401, {}), Answer(401, {"kind": "Status"}), FINE]
        assert failure(to, path="/services/p/proxy/").status == 401
        assert ask(to, path="/services/p/proxy/").data == {"a": 1}
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent == [["Bearer old"], ["Bearer old"], ["Bearer new"]]

    def test_one_that_was_accepted_is_renewed_as_often_as_it_ends(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        """A long run outlives several tokens; only one that was never accepted is renewed in vain."""
        to = connected(host=None, api_key=None, kubeconfig=self.kubeconfig(tmp_path, server, "t0"))
        for number in range(1, 4):
            (tmp_path / "token").write_text(f"t{number}")
            server.script = [Answer(401, {}), FINE]
            assert ask(to).data == {"a": 1}
        sent = [request.headers["authorization"][0] for request in server.requests]
        assert sent == [f"Bearer t{number}" for number in (0, 1, 1, 2, 2, 3)]

    def test_renewing_in_vain_ends(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        to = connected(host=None, api_key=None, kubeconfig=self.kubeconfig(tmp_path, server, "old"))
        server.always = Answer(401, {})
        (tmp_path / "token").write_text("new")
        assert failure(to).status == 401
        (tmp_path / "token").write_text("newer")
        assert failure(to).status == 401
        assert len(server.requests) == 3

    def test_who_was_late_uses_what_another_thread_renewed(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        to = connected(host=None, api_key=None, kubeconfig=self.kubeconfig(tmp_path, server, "old"))
        _headers, generation = to.authorization()
        (tmp_path / "token").write_text("new")
        assert to.renew(generation)
        assert to.renew(generation)
        assert to.authorization() == ([("Authorization", "Bearer new")], generation + 1)

    def test_a_kubeconfig_that_was_written_anew_is_read_again(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        path = self.kubeconfig(tmp_path, server, "old")
        to = connected(host=None, api_key=None, kubeconfig=path)
        Path(path).write_text(Path(path).read_text().replace('"tokenFile": "token"', '"token": "other"'))
        server.script = [Answer(401, {}), FINE]
        ask(to)
        assert server.requests[1].headers["authorization"] == ["Bearer other"]


SLOW_PLUGIN = """#!/bin/sh
echo started >> "$0.log"
sleep {seconds}
echo '{{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",'
echo '"status": {{"token": "t"}}}}'
"""


class TestSlowPlugins:
    def content(self, directory: Path, server: ScriptedServer, seconds: float) -> dict[str, Any]:
        path = directory / "plugin"
        path.write_text(SLOW_PLUGIN.format(seconds=seconds))
        path.chmod(0o700)
        plugin = {"command": str(path), "apiVersion": "client.authentication.k8s.io/v1beta1"}
        return {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"exec": plugin}}],
        }

    def test_it_ends_with_the_deadline(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        content = self.content(tmp_path, server, 0)
        to = connected(host=None, api_key=None, kubeconfig=content, deadline=0.6, time=SystemClock())
        (tmp_path / "plugin").write_text(SLOW_PLUGIN.format(seconds=30))
        server.always = Answer(401, {})
        begin = time.monotonic()
        found = failure(to)
        assert found.reason == "Credentials"
        assert "plugin' failed: it did not end within 0." in found.message
        assert time.monotonic() - begin < 3

    def test_the_time_of_the_server_begins_after_it(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        content = self.content(tmp_path, server, 0.7)
        to = connected(host=None, api_key=None, kubeconfig=content, deadline=0.6, time=SystemClock())
        assert ask(to).data == {"a": 1}

    def test_who_waits_for_it_sees_a_stop_and_no_lock_is_held(
        self, server: ScriptedServer, connected: Connected, tmp_path: Path
    ) -> None:
        stopped = threading.Event()
        content = self.content(tmp_path, server, 0)
        to = connected(host=None, api_key=None, kubeconfig=content, stop=stopped.is_set, time=SystemClock())
        (tmp_path / "plugin").write_text(SLOW_PLUGIN.format(seconds=3))
        server.always = Answer(401, {})
        results: list[str] = []

        def call() -> None:
            results.append(failure(to).reason)

        threads = [threading.Thread(target=call) for _unused in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)  # one of them runs the plugin now, the others wait for it
        assert to._auth.acquire(timeout=0.5)
        to._auth.release()
        stopped.set()
        begin = time.monotonic()
        while len(results) < 3 and time.monotonic() - begin < 1.5:
            time.sleep(0.05)
        assert results == ["Interrupted"] * 3
        for thread in threads:
            thread.join()
        assert (tmp_path / "plugin.log").read_text().count("started") == 2


class TestDeadlines:
    def test_nothing_is_sent_after_it(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        to = connected(deadline=5.0)
        ask(to)
        clock.sleep(5)
        found = failure(to)
        assert (found.reason, len(server.requests)) == ("Deadline", 1)
        assert found.message == "Pod shop/web: the time for all requests is over: this one was not sent"

    def test_who_waits_for_a_slot_sees_it(self, server: ScriptedServer, connected: Connected) -> None:
        server.hold = 1.0
        to = connected(threads=1, deadline=0.4, time=SystemClock())
        reasons: list[str] = []
        threads = [
            threading.Thread(target=lambda: reasons.append(failure(to).reason)) for _unused in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=5)
        assert sorted(reasons) == ["Deadline", "Deadline", "Unreachable"]


class TestStops:
    def test_nothing_is_sent_after_a_stop(self, server: ScriptedServer, connected: Connected) -> None:
        to = connected(stop=lambda: True)
        assert to.stopped
        assert failure(to).reason == "Interrupted"
        assert server.requests == []

    def test_what_has_to_be_taken_away_is_sent_all_the_same(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        to = connected(stop=lambda: True)
        with to.although_stopped():
            assert not to.stopped
            ask(to, "DELETE")
        assert to.stopped
        assert failure(to).reason == "Interrupted"
        assert [request.method for request in server.requests] == ["DELETE"]

    def test_a_pause_ends_with_a_stop(
        self, server: ScriptedServer, connected: Connected, clock: FakeClock
    ) -> None:
        begin = clock.time
        to = connected(stop=lambda: clock.time > begin + 0.6)
        server.always = BUSY
        assert failure(to).reason == "Interrupted"
        assert (len(server.requests), clock.time - begin) == (1, pytest.approx(0.75))


class TestKeys:
    def left(self, base: Path) -> list[Path]:
        return list(base.glob(f"{keydir.PREFIX}*"))

    def test_they_go_with_the_connection(
        self, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        options = ConnectionOptions(host=server.url)
        made = Transport(options, threads=1, deadline=None, stop=None)
        assert len(self.left(tmp_path)) == 1
        made.close()
        assert self.left(tmp_path) == []

    def test_a_connection_that_cannot_be_made_leaves_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        with pytest.raises(InputError):
            Transport(ConnectionOptions(kubeconfig="/no"), threads=1, deadline=None, stop=None)
        assert self.left(tmp_path) == []


def test_a_proxy_gets_its_login(connected: Connected) -> None:
    with ScriptedServer(always=FINE) as proxy:
        url = f"http://me:p%40ss@127.0.0.1:{proxy.port}"
        assert ask(connected(host="http://api.invalid", proxy=url)).data == {"a": 1}
    (request,) = proxy.requests
    assert request.path == "http://api.invalid/x"
    assert request.headers["proxy-authorization"] == ["Basic bWU6cEBzcw=="]


def test_a_proxy_that_quotes_its_login_gives_nothing_away(connected: Connected) -> None:
    body = {
        "kind": "Status",
        "message": "Basic bWU6cEBzcw== is me:p@ss (p@ss, p%40ss)",
        "reason": "Forbidden",
    }
    with ScriptedServer(always=Answer(403, body)) as proxy:
        to = connected(host="http://api.invalid", proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        assert failure(to).message.endswith("<hidden> is <hidden> (<hidden>, <hidden>)")


def tunnel(login: str) -> tuple[socket.socket, list[str]]:
    """A proxy for one tunnel after another; asks for a login, and notes what it was asked."""
    listening = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            try:
                near, _address = listening.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(1)
            asked.append(head.decode())
            if f"basic {login}".lower() not in head.decode().lower():
                near.sendall(b"HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n")
                near.close()
                continue
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            far = socket.create_connection(("127.0.0.1", port))
            near.sendall(b"HTTP/1.1 200 yes\r\n\r\n")
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listening, asked


def test_a_tunnel_through_a_proxy_with_a_login(
    server: ScriptedServer, connected: Connected, tmp_path: Path
) -> None:
    key = ec_key()
    made = certificate("server", key, issuer=("root", ROOT_KEY), hosts=("localhost",))
    (tmp_path / "chain").write_bytes(pem(made) + key_pem(key))
    (tmp_path / "ca.crt").write_bytes(pem(ROOT))
    server.secure(str(tmp_path / "chain"))
    url = server.url.replace("127.0.0.1", "localhost")
    login = base64.b64encode(b"me:p@ss").decode()
    listening, asked = tunnel(login)
    with listening:
        proxy = f"http://me:p%40ss@127.0.0.1:{listening.getsockname()[1]}"
        to = connected(host=url, ca_cert=str(tmp_path / "ca.crt"), proxy=proxy)
        server.script = [Answer(body={"a": "x" * 300_000}), FINE]
        assert len(ask(to).data["a"]) == 300_000
        assert ask(to).data == {"a": 1}
        assert len(asked) == 1
        assert asked[0].startswith("CONNECT localhost:")
        wrong = connected(host=url, ca_cert=str(tmp_path / "ca.crt"), proxy=proxy.replace("p%40ss", "other"))
        found = failure(wrong)
        assert found.details["cause"] == "the proxy does not let the connection through (HTTP 407)"
        assert "other" not in found.message


def test_a_proxy_that_refuses_is_named(connected: Connected) -> None:
    with ScriptedServer(always=Answer(407, b"")) as proxy:
        to = connected(host="https://api.invalid", proxy=proxy.url)
        assert failure(to).details["cause"] == "the proxy does not let the connection through (HTTP 407)"


def test_a_certificate_that_nobody_can_load_is_named_by_where_it_comes_from(
    connected: Connected, tmp_path: Path
) -> None:
    """A person looks for it in the kubeconfig; of a plugin's certificate that would be in vain."""
    key, other = ec_key(), ec_key()
    text = {
        "clientCertificateData": pem(certificate("me", key)).decode(),
        "clientKeyData": key_pem(other).decode(),
    }
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": text}
    command = program(tmp_path, "plugin", f"cat <<'EOF'\n{json.dumps(answer)}\nEOF")
    plugin = {"apiVersion": answer["apiVersion"], "command": str(command), "interactiveMode": "Never"}
    data = {
        "client-certificate-data": base64.b64encode(text["clientCertificateData"].encode()).decode(),
        "client-key-data": base64.b64encode(text["clientKeyData"].encode()).decode(),
    }
    said = {}
    for name, user in (("plugin", {"exec": plugin}), ("data", data)):
        file = tmp_path / f"{name}.yml"
        file.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                    "users": [{"name": "u", "user": user}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "c",
                }
            )
        )
        with pytest.raises(InputError) as caught:
            ask(connected(host=None, api_key=None, kubeconfig=str(file)))
        said[name] = str(caught.value)
    assert all("the key is that of another certificate" in text for text in said.values())
    assert "(its credential plugin's certificate)" in said["plugin"]
    assert "plugin" not in said["data"].replace(str(tmp_path), "")
