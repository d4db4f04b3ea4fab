"""The finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/observe`."""

from __future__ import annotations

from ..finished_mesh import client, kubeconfig, raw

__all__ = ["client", "kubeconfig", "raw"]
