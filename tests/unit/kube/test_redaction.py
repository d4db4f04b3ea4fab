"""What a server says of an object, without the secrets that it quotes; the field stays."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.failures import from_answer
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.redaction import redacted
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.secret_fields import pattern_of

from ..support.clock import FakeClock
from ..support.http_server import Answer, ScriptedServer

S = 'hunter2 "planted"'
B64 = base64.b64encode(S.encode()).decode()
# What kube-apiserver 1.36 and admission webhooks answer to broken Secrets, with the value in it.
SENTENCES = [
    "failed to create typed patch object (shop/s; /v1, Kind=Secret): .data.pin: expected string, got "
    "&value.valueUnstructured{Value:123456}",
    f'Secret in version "v1" cannot be handled as a Secret: illegal base64 data "{B64}" at input byte 4',
    f'Secret "s" is invalid: data[pin]: Invalid value: {json.dumps(S)}: must be short',
    'Secret "s" is invalid: data[pin]: Invalid value: 123456: must be short',
    f"admission webhook \"policy.example.com\" denied the request: value '{S}' of data.pin is weak",
    f'admission webhook "policy.example.com" denied the request: data.pin is {B64}',
    f'strict decoding error: unknown field "dta", got `{S}`',
]


def secret(**data: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def told(error: ApiError) -> str:
    return json.dumps([error.message, error.details, str(error)])


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_a_secret_is_never_quoted_and_the_field_is(sentence: str, status: int) -> None:
    body = {
        "kind": "Status",
        "status": "Failure",
        "message": sentence,
        "reason": "Invalid",
        "details": {"causes": [{"field": "data.pin", "message": sentence, "reason": "FieldValueInvalid"}]},
    }
    with ScriptedServer(always=Answer(status, body)) as server:
        options = ConnectionOptions(host=server.url, api_key="t")
        with connect(options, clock=FakeClock()) as client, pytest.raises(ApiError) as caught:
            client.apply(secret(pin=B64, number=123456))
    text = told(caught.value)
    for planted in (S, B64, json.dumps(S)[1:-1], "123456", "hunter2"):
        assert planted not in text
    assert caught.value.message.startswith("Secret shop/s: ")
    assert caught.value.details["causes"][0]["field"] == "data.pin"


def test_a_live_secret_that_was_not_sent_is_not_quoted_either() -> None:
    message = 'data[a]: Invalid value: "theirs-s3cret": field is immutable when `immutable` is set'
    body = {"kind": "Status", "message": message}
    found = from_answer(422, body, "Secret shop/s", secrets=set(), is_secret=True)
    assert "theirs" not in found.message
    assert "data[a]: Invalid value: <hidden>: field is immutable" in found.message


def test_names_stay() -> None:
    message = (
        'secrets "s" is forbidden: User "dev" cannot patch resource "secrets" in API group "" in the '
        'namespace "shop"'
    )
    found = from_answer(403, {"kind": "Status", "message": message}, "X", is_secret=True)
    assert found.message == f"X: {message}"
    message = 'namespaces "shop" not found'
    assert from_answer(404, {"kind": "Status", "message": message}, "X", is_secret=True).message.endswith(
        message
    )


def test_other_objects_lose_their_secrets_only() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop"},
        "data": {"API_TOKEN": "s3cret-value", "pin": "9876", "open": "window"},
    }
    message = 'denied: "s3cret-value" and "9876" and "window"'
    with ScriptedServer(always=Answer(403, {"kind": "Status", "message": message})) as server:
        options = ConnectionOptions(host=server.url, api_key="t")
        with connect(options, clock=FakeClock()) as client:
            with pytest.raises(ApiError) as caught:
                client.apply(obj)
            assert caught.value.message == 'ConfigMap shop/c: denied: "<hidden>" and "9876" and "window"'
            client.hidden_fields = [pattern_of("data.pin")]
            with pytest.raises(ApiError) as caught:
                client.apply(obj)
            assert caught.value.message == 'ConfigMap shop/c: denied: "<hidden>" and "<hidden>" and "window"'


def test_a_long_message_is_cut_after_it_was_blanked() -> None:
    message = "x" * 1995 + "s3cret-value"
    found = from_answer(422, {"kind": "Status", "message": message}, "X", secrets={"s3cret-value"})
    assert "s3cr" not in found.message


def test_short_secrets_are_blanked_where_they_stand_alone() -> None:
    assert redacted("a is not bad, said a", {"a"}) == "<hidden> is not bad, said <hidden>"
    assert redacted("abc", {"b"}) == "abc"
    assert redacted("longer-secret-x", {"longer", "longer-secret"}) == "<hidden>-x"
