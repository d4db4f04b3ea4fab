"""``make prepare``: the environment is complete when this runs in it."""

from __future__ import annotations

import sys

from .screen import say

if __name__ == "__main__":
    say(f"ready: {sys.executable}")
