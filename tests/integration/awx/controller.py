"""As much of AWX's API as the modules of awx.awx ask: objects by name, relations, surveys, workflow nodes.

Written from what the modules send and expect; it knows nothing of our data, and refuses what refers to
nothing.
"""

from __future__ import annotations

import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Fields that hold the id of an object of another list.
REFERS = {
    "credential": "credentials",
    "credential_type": "credential_types",
    "default_environment": "execution_environments",
    "execution_environment": "execution_environments",
    "inventory": "inventories",
    "organization": "organizations",
    "project": "projects",
    "source_project": "projects",
    "unified_job_template": "unified_job_templates",
}
RELATIONS = {
    "credentials": "credentials",
    "instance_groups": "instance_groups",
    "notification_templates_error": "notification_templates",
    "notification_templates_approvals": "notification_templates",
    "success_nodes": "workflow_job_template_nodes",
    "failure_nodes": "workflow_job_template_nodes",
    "always_nodes": "workflow_job_template_nodes",
}
NAMES_OF_TYPES = {
    "job_templates": "job_template",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
    "workflow_approval_templates": "workflow_approval_template",
    "inventory_sources": "inventory_source",
    "projects": "project",
}
UNIFIED = (
    "job_templates",
    "workflow_job_templates",
    "projects",
    "inventory_sources",
    "workflow_approval_templates",
)


class Controller:
    """Objects by list and id, and every write that was asked for."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[int, dict[str, Any]]] = {}
        self.related: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Any] = {}
        self.writes: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self._ids = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """A new object, as AWX would return it."""
        number = next(self._ids)
        base = f"/api/v2/{kind}/{number}/"
        related = {name: f"{base}{name}/" for name in RELATIONS}
        related |= {"survey_spec": f"{base}survey_spec/", "workflow_nodes": f"{base}workflow_nodes/"}
        related |= {"create_approval_template": f"{base}create_approval_template/"}
        made = {
            "id": number,
            "url": base,
            "type": NAMES_OF_TYPES.get(kind, kind[:-1]),
            "related": related,
            **fields,
        }
        if kind == "projects":  # as after a first update
            made |= {"scm_revision": "", "status": "successful", "summary_fields": {}}
        self.lists.setdefault(kind, {})[number] = made
        return made

    def named(self, kind: str, name: str) -> dict[str, Any]:
        return next(one for one in self.lists[kind].values() if one.get("name") == name)

    def relation(self, kind: str, name: str, relation: str) -> list[int]:
        return self.related.get((kind, self.named(kind, name)["id"], relation), [])

    # -- requests -----------------------------------------------------------------------------------

    def get(self, parts: list[str], query: dict[str, str]) -> tuple[int, Any]:
        if not parts:
            return 200, {"current_version": "24.6.1"}
        if parts == ["ping"]:
            return 200, {"version": "24.6.1"}
        if len(parts) == 1:
            return 200, _page(self._found(self._all(parts[0]), query))
        kind, number = parts[0], int(parts[1])
        if len(parts) == 2:
            one = self.lists.get(kind, {}).get(number)
            return (200, one) if one else (404, {"detail": "Not found."})
        if parts[2] == "survey_spec":
            return 200, self.surveys.get((kind, number), {})
        if parts[2] == "workflow_nodes":
            nodes = self._all("workflow_job_template_nodes")
            mine = [one for one in nodes if one.get("workflow_job_template") == number]
            return 200, _page(self._found(mine, query))
        objects = self._all(RELATIONS[parts[2]])
        mine = self.related.get((kind, number, parts[2]), [])
        return 200, _page([one for one in objects if one["id"] in mine])

    def post(self, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        if len(parts) == 1:
            if missing := self._dangling(body):
                return 400, {missing: ["does not exist"]}
            return 201, self.add(parts[0], **body)
        kind, number, what = parts[0], int(parts[1]), parts[2]
        if what == "survey_spec":
            self.surveys[kind, number] = body
            return 200, {}
        if what == "create_approval_template":
            made = self.add("workflow_approval_templates", **body)
            node = self.lists[kind][number]
            node["unified_job_template"] = made["id"]
            node["related"]["unified_job_template"] = made["url"]
            return 201, made
        if what == "workflow_nodes":
            return 201, self.add("workflow_job_template_nodes", workflow_job_template=number, **body)
        other = int(body["id"])
        if other not in self.lists.get(RELATIONS[what], {}):
            return 400, {what: ["does not exist"]}
        mine = self.related.setdefault((kind, number, what), [])
        if body.get("disassociate"):
            mine.remove(other)
        else:
            mine.append(other)
        return 204, None

    def patch(self, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        if missing := self._dangling(body):
            return 400, {missing: ["does not exist"]}
        one = self.lists[parts[0]][int(parts[1])]
        one.update(body)
        return 200, one

    def _all(self, kind: str) -> list[dict[str, Any]]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        return [one for name in kinds for one in self.lists.get(name, {}).values()]

    def _dangling(self, body: dict[str, Any]) -> str:
        for field, kind in REFERS.items():
            if (value := body.get(field)) and int(value) not in {one["id"] for one in self._all(kind)}:
                return field
        return ""

    @staticmethod
    def _found(objects: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        wanted = {key: value for key, value in query.items() if key not in ("page_size", "order_by")}
        if "or__id" in wanted:  # the modules ask for an id or a name at once
            one, other = wanted.pop("or__id"), wanted.pop("or__name")
            return [each for each in objects if str(each["id"]) == one or each.get("name") == other]
        return [
            one
            for one in objects
            if all(str(one.get(key.partition("__")[0])) == value for key, value in wanted.items())
        ]


def _page(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"count": len(found), "next": None, "results": found}


def _handler(controller: Controller) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            url = urlsplit(self.path)
            parts = [part for part in url.path.split("/") if part][2:]
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}") if size else {}
            if self.command == "GET":
                status, answer = controller.get(parts, dict(parse_qsl(url.query)))
            else:
                controller.writes.append((self.command, "/".join(parts)))
                do = controller.post if self.command == "POST" else controller.patch
                status, answer = do(parts, body)
            if status >= 400:
                controller.refused.append(f"{self.command} {self.path}: {answer}")
            raw = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    return Handler
