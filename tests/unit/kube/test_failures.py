"""Answers of API servers, and of what stands in front of them, as errors."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, ConflictError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.failures import from_answer, no_answer


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
