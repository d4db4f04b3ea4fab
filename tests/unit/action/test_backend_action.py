"""What travels to a module on another host, and what must not show on the way."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import HANDOVER
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
