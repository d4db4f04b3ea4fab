"""Secrets of every kind, every way by which one comes in, and servers that quote what they are sent."""

from __future__ import annotations

import base64
import json
import math
import secrets
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .http_server import Answer, Request, ScriptedServer
from .programs import program

# Another one in every run: command lines are looked at machine-wide, and other tests run beside.
MARK = f"hunter2Planted{secrets.token_hex(4)}"
TOKEN = f"{MARK}-9f3e"
B64 = base64.b64encode(TOKEN.encode()).decode()
BEGIN = "-----BEGIN PRIVATE KEY-----"
API = "client.authentication.k8s.io/v1"


def spellings() -> list[str]:
    """The mark as text, quoted for URLs, and in base64 at each of the three places where it can begin."""
    encoded = []
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + MARK.encode()).decode()
        # A character is of the mark alone when all of its six bits are.
        encoded.append(text[math.ceil(shift * 8 / 6) : (shift + len(MARK)) * 8 // 6])
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
        return {"exec": {"command": str(path), "apiVersion": API, "interactiveMode": "Never", **more}}

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
        gone = {
            "kind": "Status",
            "status": "Failure",
            "reason": "NotFound",
            "message": "not found",
            "code": 404,
        }
        return Answer(404, gone)
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
