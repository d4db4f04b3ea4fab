"""Make the package `lab` importable from the checkout, whatever directory pytest was started in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
