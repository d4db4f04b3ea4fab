"""What module and action plugin have in common: defects without secrets, and the handover."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import keydir
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.run_module import (
    constraints,
    defect,
    defect_trace,
    pack,
    printable,
    stop_signal,
    unpack,
)

from .support.clock import FakeClock


def raised(act: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # any: that is the point
        act()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("s3cret"),
        OSError("s3cret"),
        KeyError("s3cret"),
        UnicodeEncodeError("ascii", "s3cret", 0, 1, "x"),
        TypeError("s3cret"),
        AttributeError("s3cret"),
        ImportError("s3cret"),
        NameError("s3cret"),
        RecursionError("s3cret"),
        json.JSONDecodeError("s3cret", "s3cret", 0),
    ],
)
def test_the_text_of_an_unforeseen_exception_is_not_shown(error: Exception) -> None:
    def fail() -> None:
        raise error

    found = raised(fail)
    assert "s3cret" not in defect(found) + defect_trace(found)
    sentence = f"defect in servicemesh.istio, please report it: {type(error).__name__}"
    assert re.fullmatch(rf"{sentence} \(id [0-9a-f]{{8}}\); -vvv shows the way there", defect(found))
    assert defect_trace(found).endswith(type(error).__name__)
    assert "test_run_module.py" in defect_trace(found)


def test_a_name_that_is_missing_is_told() -> None:
    assert ": AttributeError ('nothing')" in defect(raised(lambda: Context().nothing))
    error = ImportError("s3cret", name="yaml.cyaml")
    assert ": ImportError ('yaml.cyaml')" in defect(error)
    assert "s3cret" not in defect(ImportError(name="s3cret s3cret"))


def test_the_place_in_the_collection_is_told_with_an_id_of_its_own() -> None:
    def fail(act: Any) -> str:
        return defect(raised(act))

    here = fail(lambda: keydir.sweep(None))
    assert "AttributeError ('glob') at module_utils/kube/keydir.py:" in here
    assert here == fail(lambda: keydir.sweep(None))
    other = fail(lambda: unpack("%"))
    assert here.partition("(id")[2] != other.partition("(id")[2]


def test_nothing_from_a_cluster_drives_a_terminal() -> None:
    given = {"a\x1b[2J": ["\x07\x9b\u202e", ("\r", 5)], "b": "one\ttwo\n", "c": None}
    assert printable(given) == {
        "a\\x1b[2J": ["\\x07\\x9b\\x202e", ["\\x0d", 5]],
        "b": "one\ttwo\n",
        "c": None,
    }


def test_what_is_packed_comes_out_again_and_does_not_show() -> None:
    packed = pack({"src": [1]}, {"kubeconfig": {"users": ["s3cret"]}})
    assert unpack(packed) == ({"src": [1]}, {"kubeconfig": {"users": ["s3cret"]}})
    assert "s3cret" not in packed


def test_constraints_are_optional() -> None:
    rules = {"mutually_exclusive": [["a", "b"]]}
    assert constraints(SimpleNamespace(CONSTRAINTS=rules)) == rules
    assert constraints(object()) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) == before


def test_beside_the_main_thread_no_handler_can_be_set_and_none_is() -> None:
    before = signal.getsignal(signal.SIGINT)

    def look() -> tuple[bool, bool]:
        with stop_signal() as stop:
            return stop(), signal.getsignal(signal.SIGINT) is before

    with ThreadPoolExecutor(1) as other:
        assert other.submit(look).result() == (False, True)


def test_a_run_without_its_parent_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_signal() as stop:
        monkeypatch.setattr(os, "getppid", lambda: -1)
        assert stop()


def test_a_context_makes_clients_that_stop_with_the_run() -> None:
    made: list[dict[str, Any]] = []

    def connect(options: ConnectionOptions, **more: Any) -> Any:
        made.append({"options": options, **more})

    clock, options = FakeClock(), ConnectionOptions(host="https://h")
    context = Context(clock=clock, connect=connect, stop=lambda: True)
    context.client(options)
    context.client(options, threads=3, deadline=5, stoppable=False)
    known = {"options": options, "clock": clock}
    assert made == [
        {**known, "threads": 16, "deadline": None, "stop": context.stop},
        {**known, "threads": 3, "deadline": 5, "stop": None},
    ]
    with Context().client(options) as client:
        assert isinstance(client, KubeClient)
        assert client.host == "https://h"
