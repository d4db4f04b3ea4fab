"""A cluster with the finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/verify`."""

from __future__ import annotations

from ..finished_mesh import client, kubeconfig, raw

__all__ = ["client", "kubeconfig", "raw"]
