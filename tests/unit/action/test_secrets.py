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
import io
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.action import ActionBase
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.transport import Transport
from ansible_collections.servicemesh.istio.plugins.plugin_utils import backend_action

from ..support.http_server import Answer, Request, ScriptedServer
from ..support.programs import program

MARK = "hunter2Planted"
TOKEN = f"{MARK}-9f3e"
B64 = base64.b64encode(TOKEN.encode()).decode()
BEGIN = "-----BEGIN PRIVATE KEY-----"
API = "client.authentication.k8s.io/v1"


def spellings() -> list[str]:
    """The mark as text, quoted for URLs, and in base64 at each of the three places where it can begin."""
    encoded = [base64.b64encode(b"x" * shift + MARK.encode() + b"xx").decode()[4:-4] for shift in range(3)]
    return [MARK, urllib.parse.quote(MARK), *encoded]


def kubeconfig(server: str, user: Mapping[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": dict(user)}],
    }


def config_map(**data: Any) -> dict[str, Any]:
    metadata = {"name": "c", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, **fields}


def deployment(**container: Any) -> dict[str, Any]:
    spec = {"template": {"spec": {"containers": [{"name": "a", "image": "a", **container}]}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": spec["template"]["spec"],
    }


class Place:
    """Where one run happens: its directories, its server, and what it has given away."""

    def __init__(self, directory: Path, server: ScriptedServer) -> None:
        self.directory, self.server = directory, server
        self.given = directory / "given"
        self.given.mkdir()
        self.environment: dict[str, str] = {}

    def file(self, name: str, text: str | bytes) -> str:
        path = self.given / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def plugin(self, script: str, **more: Any) -> dict[str, Any]:
        path = program(self.directory / "programs", "login", script)
        return {"exec": {"command": str(path), "apiVersion": API, **more}}

    def reach(self, **user: Any) -> dict[str, Any]:
        return {"kubeconfig": kubeconfig(self.server.url, user)}


def credential(token: str) -> str:
    answer = {"apiVersion": API, "kind": "ExecCredential", "status": {"token": token}}
    return f"echo '{json.dumps(answer)}'"


PLAIN = {"definition": config_map(a="1")}
Ways = Callable[[Place], dict[str, Any]]
# How each kind of secret comes in: a module's arguments. The files that it writes are not looked at.
WAYS: dict[str, Ways] = {
    "api_key": lambda p: {"host": p.server.url, "api_key": TOKEN, **PLAIN},
    "api_key with a line break": lambda p: {"host": p.server.url, "api_key": f"{TOKEN}\n", **PLAIN},
    "api_key of two lines": lambda p: {"host": p.server.url, "api_key": f"{TOKEN}\nX: {TOKEN}", **PLAIN},
    "api_key beyond ASCII": lambda p: {"host": p.server.url, "api_key": f"{TOKEN}ß", **PLAIN},
    "api_key with half a character": lambda p: {"host": p.server.url, "api_key": f"{TOKEN}\udce9", **PLAIN},
    "password": lambda p: {"host": p.server.url, "username": "me", "password": TOKEN, **PLAIN},
    "password in the host": lambda p: {"host": p.server.url.replace("//", f"//me:{TOKEN}@"), **PLAIN},
    "token of a kubeconfig": lambda p: {**p.reach(token=TOKEN), **PLAIN},
    "token of two lines": lambda p: {**p.reach(token=f"{TOKEN}\n{TOKEN}"), **PLAIN},
    "password of a kubeconfig": lambda p: {**p.reach(username="me", password=TOKEN), **PLAIN},
    "kubeconfig as text": lambda p: {
        "kubeconfig": yaml.safe_dump(kubeconfig(p.server.url, {"token": TOKEN})),
        **PLAIN,
    },
    "kubeconfig as broken text": lambda p: {"kubeconfig": f"users:\n- token: {TOKEN}\n b: [", **PLAIN},
    "kubeconfig as text of another type": lambda p: {"kubeconfig": f"{{users: {TOKEN}}}", **PLAIN},
    "tokenFile": lambda p: {**p.reach(tokenFile=p.file("token", f"{TOKEN}\n")), **PLAIN},
    "tokenFile of two lines": lambda p: {**p.reach(tokenFile=p.file("token", f"{TOKEN}\nX: y")), **PLAIN},
    "tokenFile that is no text": lambda p: {
        **p.reach(tokenFile=p.file("token", TOKEN.encode() + b"\xff")),
        **PLAIN,
    },
    "kubeconfig file": lambda p: {
        "kubeconfig": p.file("config", json.dumps(kubeconfig(p.server.url, {"token": TOKEN}))),
        **PLAIN,
    },
    "broken kubeconfig file": lambda p: {
        "kubeconfig": p.file("config", f"a: *{TOKEN}\nb: !{TOKEN} 1"),
        **PLAIN,
    },
    "token of another type": lambda p: {**p.reach(token={"a": TOKEN}), **PLAIN},
    "client key that is no base64": lambda p: {
        **p.reach(**{"client-certificate-data": "eA==", "client-key-data": f"{TOKEN}!"}),
        **PLAIN,
    },
    "client key that is none": lambda p: {
        "kubeconfig": kubeconfig(
            p.server.url.replace("http://", "https://"),
            {
                "client-certificate-data": base64.b64encode(b"x").decode(),
                "client-key-data": base64.b64encode(
                    f"-----BEGIN PRIVATE KEY-----\n{TOKEN}".encode()
                ).decode(),
            },
        ),
        **PLAIN,
    },
    "plugin": lambda p: {**p.reach(**p.plugin(credential(TOKEN))), **PLAIN},
    "plugin with a token of two lines": lambda p: {
        **p.reach(**p.plugin(credential(f"{TOKEN}\n{TOKEN}").replace("\n", "\\n"))),
        **PLAIN,
    },
    "plugin that fails": lambda p: {**p.reach(**p.plugin(f"echo bad token {TOKEN} >&2; exit 1")), **PLAIN},
    "plugin that talks": lambda p: {**p.reach(**p.plugin(f"echo {TOKEN}")), **PLAIN},
    "plugin of another version": lambda p: {
        **p.reach(**p.plugin(credential(TOKEN).replace("/v1", "/v9"))),
        **PLAIN,
    },
    "environment of a plugin": lambda p: {
        **p.reach(**p.plugin("echo failed: $S >&2; exit 1", env=[{"name": "S", "value": TOKEN}])),
        **PLAIN,
    },
    "arguments of a plugin": lambda p: {
        **p.reach(**p.plugin("exit 3", args=[f"--client-secret={TOKEN}", "--password", TOKEN])),
        **PLAIN,
    },
    "proxy": lambda p: {
        "host": "http://api.invalid",
        "api_key": "visitor",
        "proxy": p.server.url.replace("//", f"//me:{TOKEN}@"),
        **PLAIN,
    },
    "proxy that is not there": lambda p: {
        "host": "http://api.invalid",
        "proxy": f"http://me:{TOKEN}@127.0.0.1:1",
        **PLAIN,
    },
    "proxy that is none": lambda p: {"host": p.server.url, "proxy": f"ftp://me:{TOKEN}@proxy", **PLAIN},
    "proxy with a bad port": lambda p: {"host": p.server.url, "proxy": f"http://me:{TOKEN}@proxy:x", **PLAIN},
    "proxy of a kubeconfig": lambda p: {
        "kubeconfig": kubeconfig(
            "http://api.invalid", {}, **{"proxy-url": p.server.url.replace("//", f"//me:{TOKEN}@")}
        ),
        **PLAIN,
    },
    "impersonation of two lines": lambda p: {
        "host": p.server.url,
        "api_key": "visitor",
        "impersonate_user": f"{TOKEN}\r\nX: y",
        **PLAIN,
    },
    "Secret": lambda p: {**p.reach(token="visitor"), "definition": secret(stringData={"pin": TOKEN})},
    "Secret in base64": lambda p: {**p.reach(token="visitor"), "definition": secret(data={"pin": B64})},
    "Secret of another type": lambda p: {
        **p.reach(token="visitor"),
        "definition": secret(data={"pin": {"a": TOKEN}}),
    },
    "Secret that is no base64": lambda p: {
        **p.reach(token="visitor"),
        "definition": secret(data={"pin": f"{TOKEN}!"}),
    },
    "Secret that is no mapping": lambda p: {**p.reach(token="visitor"), "definition": secret(data=TOKEN)},
    "Secret as broken text": lambda p: {
        **p.reach(token="visitor"),
        "definition": f"kind: Secret\ndata: {{pin: *{TOKEN}}}\n---\na: !{TOKEN} b",
    },
    "Secret in a file": lambda p: {
        **p.reach(token="visitor"),
        "src": [p.file("s.yml", yaml.safe_dump(secret(stringData={"pin": TOKEN})))],
    },
    "Secret in a broken file": lambda p: {
        **p.reach(token="visitor"),
        "src": [p.file("s.yml", f"kind: Secret\nstringData:\n  pin: \"{TOKEN}\n  b: 'x\n")],
    },
    "variable of a pod": lambda p: {
        **p.reach(token="visitor"),
        "definition": deployment(env=[{"name": "API_TOKEN", "value": TOKEN}]),
    },
    "command line of a pod": lambda p: {
        **p.reach(token="visitor"),
        "definition": deployment(args=[f"--password={TOKEN}", "--token", TOKEN]),
    },
    "configuration in a text": lambda p: {
        **p.reach(token="visitor"),
        "definition": config_map(ini=f"[a]\npassword = {TOKEN}\nurl = http://me:{TOKEN}@host\n"),
    },
    "hidden field": lambda p: {
        **p.reach(token="visitor"),
        "definition": config_map(mine=TOKEN),
        "hidden_fields": ["data.mine"],
    },
}
CERTIFICATES: dict[str, Ways] = {
    name: lambda p, key=key: {
        **p.reach(token="visitor"),
        "mesh": "shop",
        "gateways": [
            {
                "workload_namespace": "istio-system",
                "service_account": "g",
                "servers": [{"host": "a.example.com", "certificate": "a"}],
            }
        ],
        "provided": [{"name": "a", "certificate": "x", "private_key": key}],
    }
    for name, key in {
        "provided key that is none": TOKEN,
        "provided key that cannot be read": f"{BEGIN}\n{TOKEN}\n{BEGIN.replace('BEGIN', 'END')}",
        "provided key of another type": {"a": TOKEN},
    }.items()
}
HELM: dict[str, Ways] = {
    "values of a release": lambda p: {
        **p.reach(token="visitor"),
        "name": "a",
        "release_namespace": "b",
        "chart": "/c",
        "values": {"adminPassword": TOKEN},
        "binary": str(program(p.directory / "programs", "helm", "cat >&2; exit 1")),
    },
    "token of the release's cluster": lambda p: {
        "host": p.server.url,
        "api_key": TOKEN,
        "name": "a",
        "release_namespace": "b",
        "chart": "/c",
        "binary": str(program(p.directory / "programs", "helm", "sleep 0")),
    },
}
CANARY: dict[str, Ways] = {
    f"token of Prometheus {name}": lambda p, token=token: {
        **p.reach(token="visitor"),
        "service": "a",
        "namespace": "shop",
        "prometheus": {"url": p.server.url, "bearer_token": token},
    }
    for name, token in {"": TOKEN, "of two lines": f"{TOKEN}\nX: y", "beyond ASCII": f"{TOKEN}ß"}.items()
}
CASES = [
    (module, name, way)
    for module, ways in {
        "resources": WAYS,
        "gateway_certificates": CERTIFICATES,
        "helm_release": HELM,
        "canary": CANARY,
    }.items()
    for name, way in ways.items()
]


def _decoded(text: str) -> str:
    """What base64 makes of it, as far as a header can hold it."""
    plain = base64.b64decode(text + "==", validate=False).decode("utf-8", "replace")
    return "".join(char for char in plain if char.isprintable() and char.isascii())


def echo(status: int) -> Callable[[Request], Answer]:
    """A server that takes questions, and quotes all it was sent when it refuses a write."""

    def answer(request: Request) -> Answer:
        if request.method == "GET" or "accessreviews" in request.path:
            return fine(request)
        quoted = f"refused {json.dumps(request.headers)}: {json.dumps(request.body)} ({request.body})"
        decoded = [_decoded(value.split()[-1]) for value in request.headers.get("authorization", [])]
        cause = {"field": "data.pin", "message": quoted, "reason": "FieldValueInvalid"}
        return Answer(
            status,
            {
                "kind": "Status",
                "status": "Failure",
                "message": f"{quoted} {decoded}",
                "reason": "Invalid",
                "details": {"causes": [cause]},
            },
            {"Warning": f'299 - "{" ".join(decoded)}"'},
        )

    return answer


def fine(request: Request) -> Answer:
    """An API server that takes everything, and warns with what it was sent."""
    warning = {"Warning": f'299 - "you sent {request.headers.get("authorization", [""])[0]}"'}
    if request.method == "GET":
        return Answer(404, {"kind": "Status", "status": "Failure", "message": "not found", "code": 404})
    body = request.body or {}
    if "accessreviews" in request.path:
        return Answer(201, {**body, "status": {"allowed": True}}, warning)
    if not request.path.partition("?")[0].endswith(str(body.get("metadata", {}).get("name"))):
        return Answer(201, {"kind": "Status", "status": "Success"})
    return Answer(201, {**body, "metadata": {**body["metadata"], "uid": "u"}}, warning)


PAGE = Answer(
    body=f"<html><title>Sign in</title>{TOKEN}</html>".encode(), headers={"Content-Type": "text/html"}
)
ENDS: dict[str, Answer | Callable[[Request], Answer]] = {
    "well": fine,
    "401": lambda request: Answer(401, {"kind": "Status", "message": json.dumps(request.headers)}),
    "403": echo(403),
    "422": echo(422),
    "500": echo(500),
    "a failure with 200": echo(200),
    "a page": PAGE,
    "half": Answer(body=json.dumps({"token": TOKEN}), how="cut"),
    "nothing": Answer(how="none"),
    "defect": fine,
}


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
    ("module", "name", "way"), CASES, ids=[f"{module}-{name}" for module, name, _ in CASES]
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
