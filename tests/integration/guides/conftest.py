"""A cluster with the finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/guides`."""

from __future__ import annotations

from ..finished_mesh import kubeconfig

__all__ = ["kubeconfig"]
