"""Makes `ansible_collections.servicemesh.istio` importable from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
sys.path.insert(0, str(COLLECTIONS))
