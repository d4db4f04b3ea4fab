from __future__ import annotations

import base64
import http.client
import http.server
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio import metrics
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import (
    PROMETHEUS_SPEC,
    MetricsError,
    Prometheus,
    PrometheusOptions,
    fill_query,
)

from ..support.http_server import Answer, ScriptedServer, at_work


class Proxy:
    """An API server that answers with what the test says."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def service_proxy_get(
        self, namespace: str, service: str, port: Any, path: str, *, query: Any = None, timeout: float = 30.0
    ) -> Any:
        self.asked.append(query["query"])
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def prometheus(answer: Any) -> Prometheus:
    return Prometheus(PrometheusOptions(namespace="monitoring", service="prometheus"), Proxy(answer))


def vector(*values: str, **more: Any) -> dict[str, Any]:
    result = [{"metric": {"pod": str(i)}, "value": [1.0, value]} for i, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


def test_one_number() -> None:
    assert prometheus(vector("2.5")).number("up") == 2.5
    assert prometheus(vector()).number("up") is None
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "7"]}}
    assert prometheus(scalar).number("7") == 7.0


@pytest.mark.parametrize(
    "answer",
    [
        vector("1", "2"),
        vector("NaN"),
        vector("+Inf"),
        vector("-Inf"),
        vector("many"),
        vector("1", warnings=["partial response"]),
        {"status": "error", "error": "parse error"},
        {"status": "success", "data": {"resultType": "matrix", "result": []}},
        {"status": "success", "data": {"resultType": "string", "result": [1, "x"]}},
        {"status": "success", "data": {"resultType": "scalar", "result": [1.0]}},
        *(
            {"status": "success", "data": {"resultType": "vector", "result": [item]}}
            for item in ("x", None, [], {}, {"value": None}, {"value": [1.0]})
        ),
        {"status": "success", "data": {"resultType": "vector", "result": None}},
        {"status": "success", "data": None},
        {"status": "success"},
        [],
        None,
        7,
        "<html>sign in</html>",
        b"\xff\xfe",
        ApiError("no endpoints", status=503, reason="ServiceUnavailable"),
    ],
)
def test_anything_else_measures_nothing(answer: Any) -> None:
    with pytest.raises(MetricsError) as raised:
        prometheus(answer).number("up")
    assert "\n" not in str(raised.value)


def test_all_numbers_of_a_query_that_are_finite() -> None:
    answer = vector("1.5", "NaN", "-Inf", "2")
    assert prometheus(answer).vector("up") == [({"pod": "0"}, 1.5), ({"pod": "3"}, 2.0)]


@pytest.mark.parametrize(
    "item",
    [
        "x",
        None,
        {},
        {"metric": None, "value": [1, "2"]},
        {"metric": {}, "value": None},
        {"metric": {}, "value": [1]},
        {"metric": {}, "value": [1, "x"]},
    ],
)
def test_a_series_without_a_value_is_told(item: Any) -> None:
    answer = {"status": "success", "data": {"resultType": "vector", "result": [item]}}
    with pytest.raises(MetricsError, match="a series that has no value"):
        prometheus(answer).vector("up")


def test_raw_series_keep_their_scrape_times() -> None:
    answer = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [{"metric": {"pod": "a"}, "values": [[10.5, "1"], [12.5, "4"]]}],
        },
    }
    found = prometheus(answer)
    assert found.raw_series("x{}", 59.2) == [(frozenset({("pod", "a")}), [(10.5, 1.0), (12.5, 4.0)])]
    assert found._proxy.asked == ["x{}[60s]"]


@pytest.mark.parametrize(
    "series",
    [
        {"metric": {}, "values": []},
        {"metric": {}},
        {"values": [[1, "2"]]},
        "x",
        {"metric": {}, "values": [[1, "x"]]},
    ],
)
def test_broken_series_measure_nothing(series: Any) -> None:
    with pytest.raises(MetricsError):
        prometheus({"status": "success", "data": {"resultType": "matrix", "result": [series]}}).raw_series(
            "x", 1
        )


def test_too_many_series_measure_nothing() -> None:
    with pytest.raises(MetricsError, match="more than"):
        prometheus(vector(*["1"] * 50_001)).number("up")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "http://x", "service": "p", "namespace": "n"},
        {"service": "p"},
        {"url": "file:///etc/passwd"},
        {"url": "ftp://x"},
        {"url": "https://x/?tenant=a"},
        {"url": "https://x/#a"},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PrometheusOptions.from_params(options)


@pytest.mark.parametrize(
    "options",
    [
        {"matchers": {"not a label": "x"}},
        {"matchers": {'a="b",c': "x"}},
        {"matchers": {"cluster": 3}},
        {"headers": {"X Bad": "y"}},
        {"headers": {"Authorization": "Bearer s3cret"}},
        {"headers": {"X-Scope-OrgID": "a\r\nX-Other: s3cret"}},
        {"headers": {"X-Scope-OrgID": 7}},
        {"username": "me"},
        {"password": "s3cret"},
        {"username": "a:b", "password": "s3cret"},
        {"username": "me", "password": "s3cret", "bearer_token": "t"},
        {"url": "", "namespace": "n", "service": "p", "headers": {"X-Scope-OrgID": "s3cret"}},
    ],
)
def test_what_no_query_can_carry_is_refused_and_not_shown(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as raised:
        PrometheusOptions.from_params({"url": "http://p", **options})
    assert "s3cret" not in str(raised.value)
    assert "prometheus." in str(raised.value)


def test_secrets_of_a_central_prometheus_are_not_shown() -> None:
    secret = {"headers": {"X-Scope-OrgID": "s3cret"}, "username": "me", "password": "s3cret"}
    assert "s3cret" not in repr(PrometheusOptions.from_params({"url": "https://x", **secret}))


def test_the_token_is_not_shown() -> None:
    assert "s3cret" not in repr(PrometheusOptions.from_params({"url": "https://x", "bearer_token": "s3cret"}))


@pytest.mark.parametrize("value", ['a"} or vector(1)', "a\nb", "a{", "ä"])
def test_values_cannot_leave_their_matcher(value: str) -> None:
    with pytest.raises(InputError):
        fill_query('up{app="$service"}', {"service": value})


def test_unknown_placeholders_are_named() -> None:
    assert fill_query("up{$service}", {"service": "a"}) == "up{a}"
    with pytest.raises(InputError, match="pod"):
        fill_query("up{$pod}", {"service": "a"})


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    wanted: dict[str, Any] = {"status": 200, "body": b""}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted["authorization"] = self.headers.get("Authorization")
            wanted["tenant"] = self.headers.get("X-Scope-OrgID")
            self.send_response(wanted["status"])
            if "location" in wanted:
                self.send_header("Location", wanted["location"])
            self.end_headers()
            self.wfile.write(wanted["body"])

        def log_message(self, *_rest: object) -> None:
            pass

    with at_work(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as listening:
        yield f"http://127.0.0.1:{listening.server_port}", wanted


def test_a_url_is_asked_with_the_token(server: tuple[str, dict[str, Any]]) -> None:
    url, wanted = server
    wanted["body"] = json.dumps(vector("3")).encode()
    assert Prometheus(PrometheusOptions(url=url, bearer_token="t")).number("up") == 3.0
    assert wanted["authorization"] == "Bearer t"


def test_a_url_is_asked_as_a_tenant_with_user_and_password(server: tuple[str, dict[str, Any]]) -> None:
    url, wanted = server
    wanted["body"] = json.dumps(vector("3")).encode()
    given = {"url": url, "headers": {"X-Scope-OrgID": "shop"}, "username": "me", "password": "p:w"}
    assert Prometheus(PrometheusOptions.from_params(given)).number("up") == 3.0
    assert wanted["authorization"] == "Basic bWU6cDp3"
    assert wanted["tenant"] == "shop"


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_an_error_of_the_server_is_told_by_its_status(
    server: tuple[str, dict[str, Any]], status: int
) -> None:
    url, wanted = server
    wanted.update(status=status, body=b"<html>")
    with pytest.raises(MetricsError) as caught:
        Prometheus(PrometheusOptions(url=url)).number("up")
    assert caught.value.message == f"Prometheus at {url[7:]} answered with status {status}"


@pytest.mark.parametrize("status", [400, 422])
def test_a_query_that_it_refuses_is_told_in_its_words(
    server: tuple[str, dict[str, Any]], status: int
) -> None:
    url, wanted = server
    refusal = {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected }"}
    wanted.update(status=status, body=json.dumps(refusal).encode())
    with pytest.raises(MetricsError, match="parse error: unexpected }"):
        Prometheus(PrometheusOptions(url=url)).number("up")


def test_headers_do_not_follow_a_redirect(server: tuple[str, dict[str, Any]]) -> None:
    url, wanted = server
    wanted.update(status=302, location="")
    with ScriptedServer(always=Answer(body=vector("3"))) as elsewhere:
        wanted["location"] = f"{elsewhere.url}/api/v1/query"
        options = PrometheusOptions(url=url, headers={"X-Scope-OrgID": "shop"})
        assert Prometheus(options).number("up") == 3.0
    assert wanted["tenant"] == "shop"
    (request,) = elsewhere.requests
    assert "x-scope-orgid" not in {name.lower() for name in request.headers}


def test_the_token_does_not_follow_a_redirect(server: tuple[str, dict[str, Any]]) -> None:
    url, wanted = server
    wanted.update(status=302, location="")
    with ScriptedServer(always=Answer(body=vector("3"))) as elsewhere:
        wanted["location"] = f"{elsewhere.url}/api/v1/query"
        assert Prometheus(PrometheusOptions(url=url, bearer_token="t")).number("up") == 3.0
    assert wanted["authorization"] == "Bearer t"
    (request,) = elsewhere.requests
    assert "authorization" not in request.headers


@pytest.mark.parametrize("token", ["s3cret\nX: 1", "s3cret\x00", "s3cretß", "s3cret\ud800"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InputError, match=r"prometheus\.bearer_token") as caught:
        PrometheusOptions.from_params({"url": "http://p", "bearer_token": token})
    assert "s3" not in str(caught.value)
    assert PrometheusOptions.from_params({"url": "http://p", "bearer_token": " t\n"}).bearer_token == "t"


@pytest.mark.parametrize("url", ["http://", "http://p\n", "http://p x", "http://[p", "http://p:x", "ftp://p"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"prometheus\.url"):
        PrometheusOptions.from_params({"url": url})


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=vector("3"), how="cut"),
        Answer(body=vector("3"), how="none"),
        Answer(body=b"[" * 200_000),
        Answer(body=b""),
        Answer(400, b"{", {}, "cut"),
        Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Answer(302, b"", {"Location": "file:///etc/passwd"}),
        Answer(302, b"", {"Location": "http://["}),
    ],
)
def test_half_an_answer_of_a_url_is_no_defect(answer: Answer) -> None:
    with ScriptedServer(always=answer) as server, pytest.raises(MetricsError):
        Prometheus(PrometheusOptions(url=server.url, bearer_token="s3cret")).number("up")


def test_an_answer_that_drips_is_given_up() -> None:
    with (
        ScriptedServer(always=Answer(body=vector("3"), how="drip")) as server,
        pytest.raises(MetricsError, match="did not end its answer in time"),
    ):
        Prometheus(PrometheusOptions(url=server.url, timeout=0.2)).number("up")


@pytest.mark.parametrize(
    ("status", "body"), [(502, b"<html>"), (200, b"<html>"), (400, b'{"status":"error"}'), (401, b"")]
)
def test_bad_answers_of_a_url(server: tuple[str, dict[str, Any]], status: int, body: bytes) -> None:
    url, wanted = server
    wanted.update(status=status, body=body)
    with pytest.raises(MetricsError):
        Prometheus(PrometheusOptions(url=url)).number("up")


@pytest.mark.parametrize("error", [http.client.BadStatusLine("s3cret"), ValueError("s3cret")])
def test_what_is_no_http_is_told_without_its_words(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise error

    monkeypatch.setattr(metrics, "open_url", broken)
    with pytest.raises(MetricsError) as raised:
        Prometheus(PrometheusOptions(url="http://u:p@h:1/x")).number("up")
    assert str(raised.value) == f"Prometheus at h:1 did not answer properly: {type(error).__name__}"


def test_nobody_listens() -> None:
    """The message says where, and nothing of the URL that may be a secret."""
    with pytest.raises(MetricsError) as caught:
        Prometheus(PrometheusOptions(url="http://ops:s3cret@127.0.0.1:1/?key=s3cret", timeout=1)).number("up")
    assert str(caught.value) == "Prometheus at 127.0.0.1:1 did not answer: [Errno 111] Connection refused"


def test_option_prometheus_has_these_parts() -> None:
    assert PROMETHEUS_SPEC == {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "bearer_token": {"type": "str", "no_log": True},
            "ca_cert": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "namespace": {"type": "str"},
            "service": {"type": "str"},
            "port": {"type": "raw", "default": 9090},
            "timeout": {"type": "raw", "default": 10},
            "matchers": {"type": "dict", "default": {}},
            "replica_labels": {"type": "list", "elements": "str", "default": []},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
    }


@pytest.mark.parametrize("key", ["error", "warnings"])
@pytest.mark.parametrize("at", ["url", "proxy"])
def test_a_server_that_quotes_what_it_was_sent_gives_nothing_away(
    key: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login in each of the places where one can stand, quoted as it was sent and as it is meant."""
    login = base64.b64encode(b"me:hidden-word").decode()
    quoted = f"bad request with Basic {login} of me:hidden-word, for tenant-key"
    body = {"status": "success" if key == "warnings" else "error", key: quoted}
    with ScriptedServer(always=Answer(200, body)) as server:
        options: dict[str, Any] = {"headers": {"X-Scope": "tenant-key"}}
        if at == "proxy":
            monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:hidden-word@"))
            options |= {"url": "http://prometheus.invalid"}
        else:
            options |= {"url": server.url, "username": "me", "password": "hidden-word"}
        with pytest.raises(MetricsError, match="bad request with") as raised:
            Prometheus(PrometheusOptions.from_params(options)).number("up")
    assert login in str([request.headers for request in server.requests])
    for secret in (login, "hidden-word", "tenant-key"):
        assert secret not in str(raised.value)
