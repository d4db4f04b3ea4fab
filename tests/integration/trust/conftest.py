"""A cluster with the finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/trust`."""

from __future__ import annotations

from ..finished_mesh import kubeconfig

__all__ = ["kubeconfig"]
