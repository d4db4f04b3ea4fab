"""The finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/runner`."""

from __future__ import annotations

from ..finished_mesh import client, kubeconfig

__all__ = ["client", "kubeconfig"]
