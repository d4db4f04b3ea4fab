"""What travels to a module on another host, and what must not show on the way."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import HANDOVER
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend as diagnose
from ansible_collections.servicemesh.istio.plugins.module_utils.run_module import unpack
from ansible_collections.servicemesh.istio.plugins.plugin_utils.backend_action import BackendAction, plain


class Action(BackendAction):
    """Without Ansible around it: notes what a module is started with."""

    handed_over = ("definition",)

    def __init__(self) -> None:
        self._variables: dict[str, Any] = {}
        self._host = "h"
        self._task = SimpleNamespace(async_val=0)
        self.sent: dict[str, Any] = {}
        self.said: list[str] = []

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.sent = options["module_args"]
        return {"changed": True, "invocation": {"module_args": {}}, "progress": ["one", "two"]}

    def _say(self, line: str) -> None:
        self.said.append(line)


def test_an_inline_kubeconfig_is_not_seen_by_the_targets_log() -> None:
    content = {"users": [{"name": "u", "user": {"token": "s3cret"}}]}
    action = Action()
    result = action._run_there(
        {"kubeconfig": content, "definition": {"a": 1}, "state": "present"}, {"src": "x"}
    )
    assert "s3cret" not in str(action.sent)
    assert set(action.sent) == {"state", HANDOVER}
    assert unpack(action.sent[HANDOVER]) == ({"src": "x"}, {"kubeconfig": content, "definition": {"a": 1}})
    assert (result, action.said) == ({"changed": True}, ["one", "two"])


def test_a_path_travels_as_it_is() -> None:
    action = Action()
    action._run_there({"kubeconfig": "/k", "state": "present"}, {})
    assert action.sent == {"kubeconfig": "/k", "state": "present"}


def test_values_lose_ansibles_tags_and_dates_become_text() -> None:
    given = {"a": [datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4)], "b": {"c": None}}
    assert plain(given) == {"a": ["2026-01-02", "2026-01-02T03:04:00"], "b": {"c": None}}
    with pytest.raises(TypeError, match="a value of type object cannot be a task argument"):
        plain({"a": object()})


def test_a_key_that_is_there_as_number_and_as_text_is_not_lost_in_silence() -> None:
    with pytest.raises(TypeError, match="has the key '8080' twice"):
        plain({"ports": [{8080: "DISABLE", "8080": "STRICT"}]})


class Typed(BackendAction):
    """An action of a real backend, without Ansible around it."""

    backend = diagnose
    _supports_async = False

    def __init__(self, transport: str, **arguments: Any) -> None:
        self._variables = {}
        self._task = SimpleNamespace(
            args=arguments, async_val=0, environment=None, delegate_to=None, check_mode=False, diff=False
        )
        self._connection = SimpleNamespace(transport=transport, become=False)
        self._loader = SimpleNamespace(get_basedir=lambda: "/")
        self._templar = SimpleNamespace(template=lambda value: value)
        self.sent: dict[str, Any] | None = None

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.sent = options["module_args"]
        return {"changed": False}


@pytest.mark.parametrize("transport", ["local", "ssh"])
def test_bad_text_is_refused_here_wherever_the_module_would_run(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    given = {"catalogue": "no mapping", "source": "a", "destination": "b", "api_key": "s3cret"}
    action = Typed(transport, **given, validate_certs="maybe")
    result = action.run(None, {"inventory_hostname": "h", "mesh_connection": {"validate_certs": "maybe"}})
    assert result["failed"] is True and action.sent is None
    assert "diagnose_catalogue: is 'no mapping', not a mapping such as" in result["msg"]
    assert "mesh_connection.validate_certs: is 'maybe', not true or false" in result["msg"]
    assert "s3cret" not in str(result)


def test_a_module_on_another_host_gets_typed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    given = {"catalogue": '{"mesh_default_deny": "no"}', "source": "a", "destination": "b"}
    action = Typed("ssh", **given, validate_certs="no")
    assert action.run(None, {"inventory_hostname": "h"}) == {"changed": False}
    assert action.sent == {
        "catalogue": {"mesh_default_deny": False},
        "source": "a",
        "destination": "b",
        "validate_certs": False,
    }
