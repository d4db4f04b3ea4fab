"""The API server as the pod of a deadman Job sees it: paths and statuses instead of a client."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError

from ...support.patches import PatchError, json_patch
from .fakes import NAMESPACE, Shop


class Server:
    """The API server as the Job's pod sees it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.broken: list[str] = []  # what happens to the next requests: "", "request" or "answer" is lost
        self.forbidden: set[str] = set()
        self.asked: list[str] = []

    def __call__(
        self, method: str, path: str, body: Any = None, content_type: str = ""
    ) -> tuple[int, dict[str, Any]]:
        self.asked.append(method)
        fault = self.broken.pop(0) if self.broken else ""
        if fault == "request":
            raise OSError("connection refused")
        answer = self.answer(method, path, body, content_type)
        if fault == "answer":
            raise OSError("connection reset")
        return answer

    def answer(self, method: str, path: str, body: Any, content_type: str) -> tuple[int, dict[str, Any]]:
        place, _sep, query = path.partition("?")
        kind = "Lease" if "/leases/" in place else "VirtualService"
        if method in self.forbidden:
            return 403, {}
        if method == "POST":
            return 201, self.shop.cluster.create(body)
        live = self.shop.cluster.get("", kind, place.rpartition("/")[2], NAMESPACE)
        if live is None:
            return 404, {}
        if method == "GET" or "dryRun=All" in query:
            return 200, live
        try:
            if method == "PUT":
                return 200, self.shop.cluster.replace(body)
            if "apply" in content_type:
                return 200, self.shop.cluster.apply(body)
            return 200, self.shop.cluster.put(json_patch(live, body))
        except PatchError:
            return 422, {}
        except ApiError as error:
            return error.status, {}
