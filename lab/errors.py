"""The one exception the lab raises on purpose."""

from __future__ import annotations


class LabError(Exception):
    """Something the person at the keyboard can act on: one clear sentence (more lines may follow)."""
