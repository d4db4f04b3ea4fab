"""Pages opened in headless Chromium: what the document becomes, and what its scripts log."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Without these the browser talks to its maker's hosts at every start.
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


class Page:
    """``dom`` is the document after its scripts, ``console`` what they logged."""

    def __init__(self, dom: str, console: list[str]) -> None:
        self.dom, self.console = dom, console

    @property
    def title(self) -> str:
        found = re.search(r"<title>(.*?)</title>", self.dom, re.DOTALL)
        return found.group(1) if found else ""


def opened(file: Path, then: str = "") -> Page:
    """Open a page of its own. ``then``: a script that runs after those of the page, as a user's hand."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "page.html"
        copy.write_text(file.read_text(encoding="utf-8") + (f"<script>{{{then}}}</script>" if then else ""))
        done = subprocess.run(
            [
                chromium(),
                *_QUIET,
                f"--user-data-dir={directory}/profile",
                "--window-size=1280,900",
                "--enable-logging=stderr",
                "--dump-dom",
                copy.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return Page(done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line])


def printed(file: Path) -> bytes:
    """The page as a PDF, as a person would print it."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "page.pdf"
        subprocess.run(
            [
                chromium(),
                *_QUIET,
                f"--user-data-dir={directory}/profile",
                "--no-pdf-header-footer",
                f"--print-to-pdf={target}",
                file.resolve().as_uri(),
            ],
            capture_output=True,
            timeout=120,
            check=True,
        )
        return target.read_bytes()


def chromium() -> str:
    """The program. :raises AssertionError: it is not installed (Debian: package chromium)."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "Chromium is not installed (on Debian: apt-get install chromium)"
    return found
