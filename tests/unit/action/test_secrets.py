"""A secret of every kind is planted in every way in, and looked for in every way out.

Ways in: tokens, token files, inline kubeconfigs, client keys, proxies, passwords, credential plugins,
Secrets, environment variables of pods, provided certificates, headers. Ways out: the result, the screen, the
target's system log, files, command lines. In between lies an API server that answers well, or badly and
quotes what it was sent, or a defect. Both roads are taken: the backend in the controller, and the module with
what the action plugin hands over to it.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import inspect
import io
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils import basic
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.action import ActionBase
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.transport import Transport
from ansible_collections.servicemesh.istio.plugins.plugin_utils import backend_action

from ..support.http_server import Answer, ScriptedServer
from ..support.planted import (
    B64,
    CASES,
    ENDS,
    MARK,
    PLAIN,
    TOKEN,
    Place,
    Ways,
    config_map,
    fine,
    spellings,
)


class Screen:
    """Everything that Ansible's display is asked to show, at any verbosity."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *texts, **more: self.lines.append(f"{texts} {more}")


class Roads:
    """The two roads of a task; what each gives away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.screen, self.log, self.directory = Screen(), [], directory
        monkeypatch.setattr(backend_action, "_DISPLAY", self.screen)
        monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
        monkeypatch.setattr(basic, "has_journal", False)
        monkeypatch.setattr(basic.syslog, "syslog", lambda *texts: self.log.append(str(texts)))
        monkeypatch.setenv("ANSIBLE_DISPLAY_TRACEBACK", "always")
        # For a traceback ansible-core asks for every frame with its source file and lines, and reads none of
        # them: with pytest's frames that was half of this suite's time.
        monkeypatch.setattr(inspect, "stack", partial(inspect.stack, 0))
        monkeypatch.setattr(inspect, "getsourcefile", inspect.getfile)

    def run(self, module: str, arguments: dict[str, Any], *, remote: bool) -> Any:
        plugin = importlib.import_module(f"ansible_collections.servicemesh.istio.plugins.action.{module}")
        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(
            args=arguments, async_val=0, environment=[], check_mode=False, diff=True, delegate_to=None
        )
        action._connection = SimpleNamespace(transport="ssh" if remote else "local", become=None)
        action._templar = SimpleNamespace(template=lambda value: value)
        action._loader = SimpleNamespace(get_basedir=lambda: str(self.directory))
        action._execute_module = lambda **options: self.module(module, options["module_args"])
        try:
            return action.run(None, {"inventory_hostname": "h"})
        except AnsibleError as error:
            return {"msg": str(error), "result": getattr(error, "_result", None)}

    def module(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        main = importlib.import_module(f"ansible_collections.servicemesh.istio.plugins.modules.{module}").main
        out, err = io.StringIO(), io.StringIO()
        internal = {"_ansible_inject_invocation": True, "_ansible_diff": True, "_ansible_verbosity": 4}
        internal["_ansible_tracebacks_for"] = ["error", "warning"]
        # An older core refuses what it does not know, and would say nothing else.
        internal = {
            key: value for key, value in internal.items() if key.removeprefix("_ansible_") in PASS_VARS
        }
        with (
            patch_module_args({**arguments, **internal}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            contextlib.suppress(SystemExit),
        ):
            main()
        self.log.append(out.getvalue() + err.getvalue())
        found: dict[str, Any] = json.loads(out.getvalue().strip().splitlines()[-1])
        return found


def left_behind(directory: Path) -> Iterator[str]:
    """What lies in the directories that a run may write to."""
    for path in directory.rglob("*"):
        if path.is_file():
            yield f"{path}: {path.read_bytes().decode('utf-8', 'replace')}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, variable in {
        "tmp": "TMPDIR",
        "run": "XDG_RUNTIME_DIR",
        "cache": "XDG_CACHE_HOME",
        "home": "HOME",
    }.items():
        (tmp_path / "out" / name).mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / "out" / name))
    for name in [name for name in os.environ if name.startswith("K8S_AUTH_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(attempts, "RETRY_BUDGET", 0.05)
    monkeypatch.setattr(attempts, "BACKOFF_BASE", 0.01)
    monkeypatch.setattr(attempts, "FIRST_CONNECT_TIMEOUT", 0.5)
    with ScriptedServer() as server:
        yield Place(tmp_path, server)


@pytest.mark.parametrize("remote", [False, True], ids=["controller", "module"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("module", "name", "way"), CASES, ids=[f"{module}-{name}" for module, name, _way in CASES]
)
def test_nobody_sees_a_secret(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    name: str,
    way: Ways,
    end: str,
    remote: bool,
) -> None:
    place.server.always = ENDS[end]
    roads = Roads(monkeypatch, place.directory)
    if end == "defect":

        def broken(*_arguments: Any, **_options: Any) -> Any:
            raise RuntimeError(f"{TOKEN} {B64}")

        monkeypatch.setattr(Transport, "send", broken)
    result = roads.run(module, way(place), remote=remote)
    programs = place.directory / "programs"
    given_away = [
        json.dumps(result, default=str, ensure_ascii=False),
        *roads.screen.lines,
        *roads.log,
        *left_behind(place.directory / "out"),
        *(path.read_text() for path in programs.glob("*.calls") if name != "arguments of a plugin"),
    ]
    for spelled in spellings():
        for text in given_away:
            assert spelled not in text, f"{spelled} in: {text[:2000]}"
    assert len(given_away[0]) > len("{}")


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("remote", [False, True], ids=["controller", "module"])
def test_nobody_sees_the_login_of_a_mirror(
    place: Place, monkeypatch: pytest.MonkeyPatch, remote: bool, status: int
) -> None:
    place.server.always = Answer(status, b"content")
    roads = Roads(monkeypatch, place.directory)
    url = place.server.url.replace("//", f"//me:{TOKEN}@")
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # printf content | sha256sum
    arguments = {
        "url": f"{url}/istioctl.bin",
        "checksum": digest,
        "directory": str(place.directory / "cache"),
    }
    told = json.dumps(roads.run("download", arguments, remote=remote))
    assert place.server.url.partition("//")[2] in told
    for spelled in spellings():
        assert spelled not in told + str(roads.screen.lines) + str(roads.log)


@pytest.mark.parametrize("remote", [False, True], ids=["controller", "module"])
def test_a_defect_before_the_backend_says_nothing_either(
    place: Place, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    roads = Roads(monkeypatch, place.directory)

    def broken(*_arguments: Any) -> Any:
        raise KeyError(TOKEN)

    monkeypatch.setattr(backend_action, "typed_arguments", broken)
    result = roads.run("resources", dict(PLAIN), remote=remote)
    assert result["msg"].startswith("defect in servicemesh.istio, please report it: KeyError")
    assert MARK not in json.dumps(result) + str(roads.screen.lines)


@pytest.mark.parametrize("before", ["", "a", "ab", "me:", "me:a"])
def test_no_way_to_spell_the_mark_is_overlooked(before: str) -> None:
    for text in (f"{before}{TOKEN}", f"{before}{TOKEN}!", f"{before}{MARK}"):
        assert any(spelled in base64.b64encode(text.encode()).decode() for spelled in spellings())


def test_the_targets_log_names_options_and_no_value(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    roads = Roads(monkeypatch, place.directory)
    place.server.always = fine
    roads.run("resources", {"host": place.server.url, "namespace": "visible-name", **PLAIN}, remote=True)
    (line,) = [line for line in roads.log if "Invoked" in line]
    assert "host, " in line
    assert "namespace, " in line
    assert "visible-name" not in line


def test_the_campaign_would_notice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is no secret by any rule does come out, in the diff and in what the server quotes."""
    for end in ("well", "422"):
        roads = Roads(monkeypatch, place.directory)
        place.server.always = ENDS[end]
        arguments = {**place.reach(token="visitor"), "definition": config_map(visible=TOKEN)}
        assert MARK in json.dumps(roads.run("resources", arguments, remote=False))
