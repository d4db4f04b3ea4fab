"""Answers of API servers, and of what stands in front of them, as errors."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, ConflictError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.failures import (
    causes_of,
    from_answer,
    is_untrusted,
    no_answer,
    what_came,
)

SEE = "; see the options ca_cert and validate_certs"


def status(**fields):
    return {"kind": "Status", "status": "Failure", **fields}


def test_the_servers_own_sentence_is_used():
    error = from_answer(403, status(message="pods is forbidden", reason="Forbidden"), "list pods")
    assert (error.message, error.status, error.reason) == ("list pods: pods is forbidden", 403, "Forbidden")


def test_a_proxys_page_is_not_shown():
    error = from_answer(502, "<html>secret</html>", "X")
    assert "secret" not in error.message
    assert "is not JSON: a proxy may be in between" in error.message


def test_conflicts_list_managers_and_fields():
    causes = [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a" using v1', "field": ".spec.x"},
        {"reason": "FieldManagerConflict", "message": 'conflict with "b" using v1', "field": ".spec.y"},
    ]
    error = from_answer(409, status(details={"causes": causes}), "X n/a")
    assert isinstance(error, ConflictError)
    assert (error.manager, error.fields) == ("a, b", (".spec.x", ".spec.y"))
    assert "'a' (.spec.x), 'b' (.spec.y)" in error.message


def test_a_stale_resource_version_is_no_ownership_conflict():
    error = from_answer(409, status(message="the object has been modified", reason="Conflict"), "X")
    assert error.__class__ is ApiError


def test_the_webhook_is_named():
    text = 'Internal error occurred: failed calling webhook "validation.istio.io": context deadline exceeded'
    assert from_answer(500, status(message=text), "X").details["webhook"] == "validation.istio.io"


def test_broken_statuses_do_not_crash():
    for data in (
        None,
        [],
        {},
        "x",
        {"kind": "Status", "details": {"causes": ["x", None]}},
        {"kind": "Status", "details": None},
    ):
        assert from_answer(500, data, "X").status == 500


def test_the_cause_without_an_answer_is_short():
    nested = OSError(
        "HTTPSConnectionPool(host='x', port=1): Failed to establish: [Errno 111] Connection refused"
    )
    assert (
        no_answer(nested, "https://x", "X").message
        == "the API server at https://x cannot be reached: connection refused"
    )


@pytest.mark.parametrize(
    ("code", "data", "message"),
    [
        (400, None, "X: the request is malformed"),
        (404, {}, "X: not found"),
        (418, None, "X: HTTP 418"),
        (
            401,
            status(message="Unauthorized"),
            "X: the API server does not accept the credential (expired or unknown)",
        ),
        (
            413,
            status(message="too large"),
            "X: the object is larger than the API server accepts (about 1.5 MiB for one object)",
        ),
        (403, {"kind": "Other", "message": "s3cret"}, "X: forbidden"),
    ],
)
def test_what_is_said_without_a_sentence_of_the_server(code, data, message):
    assert from_answer(code, data, "X").message == message


def test_without_a_subject_there_is_no_colon():
    assert from_answer(404, None, "").message == "not found"


def test_long_sentences_and_many_causes_are_cut():
    causes = [{"reason": "R", "message": "m" * 600, "field": str(number)} for number in range(30)]
    error = from_answer(422, status(message="x" * 3000, details={"causes": causes}), "X")
    assert len(error.message) == 2000 + len("X: ")
    assert len(error.details["causes"]) == 20
    assert error.details["causes"][3] == {"reason": "R", "message": "m" * 500, "field": "3"}
    assert "causes" not in from_answer(422, status(message="x"), "X").details


def test_an_unknown_field_is_invalid_and_another_internal_error_is_not():
    message = "failed to create typed patch object (shop/web): .spec.x: field not declared in schema"
    assert from_answer(500, status(message=message), "X").reason == "Invalid"
    assert from_answer(500, status(message="etcd"), "X").reason == ""
    assert from_answer(400, status(message=message, reason="BadRequest"), "X").reason == "BadRequest"


def test_a_conflict_of_an_unknown_manager_and_one_of_another_status():
    cause = {"reason": "FieldManagerConflict", "message": "?", "field": ".a"}
    assert from_answer(409, status(details={"causes": [cause]}), "X").manager == "unknown"
    assert from_answer(422, status(details={"causes": [cause]}), "X").__class__ is ApiError


@pytest.mark.parametrize(
    "details", ["x", ["x"], {"causes": "x"}, {"causes": {"a": 1}}, {"causes": [1, None]}]
)
def test_causes_of_another_shape_are_none(details):
    assert causes_of({"details": details}) == []
    assert from_answer(409, status(details=details), "X").status == 409


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
            "self-signed certificate (_ssl.c:1000)')",
            f"its certificate is not trusted (self-signed certificate){SEE}",
        ),
        (
            "certificate verify failed",
            f"its certificate is not trusted (verification failed){SEE}",
        ),
        (
            "SSLError('[SSL: CERTIFICATE_VERIFY_FAILED]')",
            f"its certificate is not trusted (verification failed){SEE}",
        ),
        ("[Errno -2] Name or service not known", "the name does not resolve"),
        ("Failed to resolve 'x'", "the name does not resolve"),
        ("[Errno 113] No route to host", "no route to host"),
        ("[Errno 101] Network is unreachable", "network is unreachable"),
        ("ConnectTimeoutError", "no connection in time"),
        ("Read timed out. (read timeout=5)", "no answer in time"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "it does not speak TLS on this port"),
        ("Connection reset by peer", "the connection broke"),
        ("IncompleteRead(5 bytes read)", "the connection broke"),
        ("Connection to remote host was lost.", "the connection broke"),
        (
            "('Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication'))",
            "the proxy does not let the connection through (HTTP 407)",
        ),
        ("Tunnel connection failed", "the proxy does not let the connection through"),
        (
            "('Unable to connect to proxy', NewConnectionError('[Errno 111] Connection refused'))",
            "the proxy cannot be used: connection refused",
        ),
        (
            "('Unable to connect to proxy', NameResolutionError(\"Failed to resolve 'p'\"))",
            "the proxy cannot be used: the name does not resolve",
        ),
        ("something else", "OSError: something else"),
        ("y" * 300, "OSError: " + "y" * 200),
    ],
)
def test_causes_are_one_sentence(text, cause):
    error = no_answer(OSError(text), "https://x", "S")
    assert (error.details["cause"], error.reason, error.status, error.subject) == (
        cause,
        "Unreachable",
        0,
        "S",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] x", True),
        ("[SSL: WRONG_VERSION_NUMBER] x", True),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", True),
        ("alert", False),
        ("[SSL] connection reset", False),
        ("Connection refused", False),
    ],
)
def test_what_another_try_cannot_cure(text, expected):
    assert is_untrusted(OSError(text)) is expected


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (408, "gave up waiting"),
        (429, "asks to slow down"),
        (500, "internal error"),
        (502, "bad gateway"),
        (503, "is not available"),
        (504, "did not answer in time"),
    ],
)
def test_statuses_have_words(code, words):
    assert words in from_answer(code, None, "X").message


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("text/html", b"", "HTTP 502 without a body"),
        ("text/html", b"<html><TITLE lang='en'> Log\n in </TITLE>", "HTTP 502 with a web page, 'Log in'"),
        ("text/html", b"<title>" + b"x" * 90 + b"</title>", f"HTTP 502 with a web page, '{'x' * 80}'"),
        ("text/html", b" " * 65536 + b"<title>late</title>", "HTTP 502 with a web page"),
        ("text/html", b"<html>\xff", "HTTP 502 with a web page"),
        ("a/json", b' {"a": ', "HTTP 502 with JSON that cannot be read (7 bytes): it may be cut off"),
        ("a/json", b"[1,", "HTTP 502 with JSON that cannot be read (3 bytes): it may be cut off"),
        ("text/plain ; charset=utf-8; x", b"no", "HTTP 502 with 2 bytes of text/plain"),
        ("y" * 70, b"no", f"HTTP 502 with 2 bytes of {'y' * 60}"),
        (None, b"no", "HTTP 502 with 2 bytes of an unknown kind"),
    ],
)
def test_what_came_instead_of_an_answer(kind, raw, expected):
    assert what_came(502, {} if kind is None else {"Content-Type": kind}, raw) == expected
