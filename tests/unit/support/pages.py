"""Pages of the documentation, with the command lines that can be typed; and pages that we write, by lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator


def commands(text: str, *, optional: bool = True) -> Iterator[list[str]]:
    """Command lines of Ansible's programs: lines of their own, joined where they go on, and `quoted` ones.

    :param optional: with what a page puts into brackets.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip().startswith("ansible-")]
    for line in [*lines, *re.findall(r"`(ansible-[^`]*)`", joined)]:
        if re.match(r"ansible-(playbook|doc|galaxy) ", line) and "`" not in line:
            kept = re.sub(r"\[-e \.\.\.\]" if optional else r"\[-[^]]*\]", "", line)
            words = re.split(r" [|>#] | #", kept)[0]
            yield shlex.split(words.replace("[", "").replace("]", ""))


def by_lines(page: str) -> str:
    """A page that a program wrote, without its style, a tag a line."""
    page = re.sub(r"<style>.*?</style>", "<style>", page, flags=re.DOTALL)
    return re.sub(r" *(?<=.)<(?!/)", "\n<", page).replace("><", ">\n<") + "\n"
