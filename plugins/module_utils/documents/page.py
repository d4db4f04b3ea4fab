# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one look of pages for people: they need no network, can be filtered, and print."""

from __future__ import annotations

import html

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:1240px;padding:0 1rem}
body{color:#1b1f24;background:#fff}
h1{font-size:1.4rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
#headline{font-size:1.05rem;border-left:6px solid;padding:.4rem .8rem;background:#f4f6f8}
table{border-collapse:collapse;margin:.4rem 0}
td,th{border:1px solid #d5d9de;padding:.2rem .5rem;text-align:left;vertical-align:top}
td:nth-child(n+3){overflow-wrap:anywhere}
th{background:#f4f6f8;font-weight:600}
.scroll{overflow:auto;max-height:80vh}.scroll thead th{position:sticky;top:0}
.pass{color:#1a7f37}.fail{color:#cf222e;font-weight:600}.cannot{color:#9a6700}.due{color:#a15c00}.note{color:#57606a}
input{font:inherit;padding:.3rem .5rem;width:22rem;max-width:100%}
code{font-size:.92em}footer{margin-top:2rem;color:#57606a;font-size:.85rem}
@page{size:A4 landscape;margin:12mm}
@media print{input,label{display:none}.scroll{overflow:visible;max-height:none}
body{margin:0;max-width:none;padding:0;font-size:11px}tr{break-inside:avoid}.scroll thead th{position:static}}
""".strip()
_FILTER = """
const box=document.getElementById('filter');
box.addEventListener('input',()=>{const words=box.value.toLowerCase().split(/\\s+/).filter(Boolean);
for(const row of document.querySelectorAll('tr[data-text]'))
row.hidden=!words.every(word=>row.dataset.text.includes(word));});
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
FILTER = '<label>Show rows with <input id="filter" type="search"></label>'
"""The field that hides every ``tr`` whose ``data-text`` (in small letters) lacks one of its words."""


def document(title: str, body: str, style: str = "") -> str:
    """A whole page. It holds ``FILTER`` once.

    :param body: HTML, everything in it escaped. :param style: CSS beside that of all pages.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escaped(_POLICY)}">\n'
        f"<style>{_STYLE}\n{style}</style></head><body>\n{body}\n"
        f"<script>{_FILTER}</script></body></html>\n"
    )


def escaped(text: object) -> str:
    """Text as it may stand in HTML, also in an attribute."""
    return html.escape(str(text), quote=True)
