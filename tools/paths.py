"""Where things lie in this clone."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
COLLECTIONS = ROOT / "collections"
REQUIREMENTS = ROOT / "requirements"
VENV = ROOT / ".venv"
