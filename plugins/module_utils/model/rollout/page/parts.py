# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small parts of the evidence page: text, times, tables, and what folds. Pure functions."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from typing import Any


def escaped(value: Any) -> str:
    """A value as text that no browser takes for markup."""
    return html.escape("" if value is None else str(value))


def seconds(text: Any) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; ``None`` when it is none."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def clock(at: float, *, date: bool = False, whole: bool = False) -> str:
    """A time of the day in UTC. :param date: with its date. :param whole: without seconds."""
    moment = datetime.datetime.fromtimestamp(at, tz=datetime.UTC)
    form = "%H:%M" if whole else "%H:%M:%S"
    return moment.strftime(f"%Y-%m-%d {form}" if date else form)


def time_cell(text: Any) -> str:
    """A time as people read it, with the exact one behind it; text that is no time stays as it is."""
    at = seconds(text)
    if at is None:
        return escaped(text)
    return f'<time datetime="{escaped(text)}" title="{escaped(text)}">{clock(at)}</time>'


def duration(span: float) -> str:
    """Seconds as people say them."""
    whole = round(span)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with no more digits than it needs."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + " %"


def count(number: Any) -> str:
    """A number of requests, in groups of three digits."""
    return f"{number:,}".replace(",", "\u202f") if isinstance(number, int) else escaped(number)


def verdict_mark(verdict: Any) -> str:
    """A verdict with its colour and a sign, because colours alone say nothing to many people."""
    kind = {"pass": "good", "fail": "bad"}.get(str(verdict), "open")
    sign = {"good": "\u2713", "bad": "\u2717", "open": "?"}[kind]
    return f'<span class="mark {kind}"><span aria-hidden="true">{sign}</span> {escaped(verdict)}</span>'


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    """A table of cells that are markup already. :param right: columns of numbers."""
    if not rows:
        return ""
    names = "".join(
        f'<th scope="col"{_side(index, right)}>{escaped(name)}</th>' for index, name in enumerate(head)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{_side(index, right)}>{cell}</td>' for index, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{escaped(caption)}</caption><thead><tr>{names}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _side(index: int, right: Sequence[int]) -> str:
    return ' class="n"' if index in right else ""


def folded(summary: str, content: str) -> str:
    """What is shown on demand; nothing where there is nothing."""
    if not content:
        return ""
    return f"<details><summary>{escaped(summary)}</summary>{content}</details>"


def shown(value: Any) -> str:
    """Plain data on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    return "" if value is None else str(value)
