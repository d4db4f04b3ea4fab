# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of the evidence page."""

from __future__ import annotations

STYLE = """
:root{--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--ground:#fff;--shade:#f6f8fa;--good:#1a7f37;
--bad:#b42318;--open:#7d4e00}*{box-sizing:border-box}body{
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;margin:0;
color:var(--ink);background:var(--shade)}main{max-width:74rem;margin:0 auto;padding:2rem 2.5rem 3rem;
background:var(--ground);min-height:100vh}h1{font-size:1.9rem;line-height:1.2;margin:.1rem 0 .6rem}h2{
font-size:1.25rem;margin:2.2rem 0 .6rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}h3{
font-size:1rem;margin:.2rem 0 .4rem}.kicker{margin:0;color:var(--soft);letter-spacing:.06em;
text-transform:uppercase;font-size:.78rem}.outcome{display:inline-block;margin:0;padding:.3rem .9rem;
border-radius:2rem;font-size:1.05rem;border:1px solid}.good{color:var(--good)}.bad{color:var(--bad)}.open{
color:var(--open)}.outcome.good{background:#dafbe1}.outcome.bad{background:#ffebe9}.outcome.open{
background:#fff8c5}.reason{font-size:1.05rem;max-width:60rem;overflow-wrap:anywhere}.facts{display:flex;
flex-wrap:wrap;gap:.5rem 2.2rem;margin:1rem 0 0}.facts dt{color:var(--soft);font-size:.8rem}.facts dd{
margin:0;overflow-wrap:anywhere}.cards{display:grid;
grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;list-style:none;padding:0;
margin:1.6rem 0 0}.cards li{border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}.cards b{
display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}.cards span{color:var(--soft);
font-size:.85rem}.gates{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:1rem}
.gate{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}.gate p{margin:.3rem 0;
overflow-wrap:anywhere}.gate p:first-of-type{color:var(--soft);font-size:.92rem}.mark{font-weight:600;
white-space:nowrap}.by{display:inline-block;margin-right:1rem;white-space:nowrap}.bars{margin:.6rem 0}.bar{
display:grid;grid-template-columns:9.5rem 1fr 6.5rem;gap:.6rem;align-items:center;font-size:.88rem}.rail{
position:relative;height:.7rem;background:var(--shade);border:1px solid var(--line);border-radius:.4rem;
overflow:hidden}.fill{position:absolute;left:0;top:0;bottom:0}.fill.good{background:#4ac26b}.fill.bad{
background:#fa8072}.at{position:absolute;left:80%;top:0;bottom:0;border-left:2px solid var(--ink)}.of{
text-align:right;font-variant-numeric:tabular-nums;color:var(--soft)}.gates{align-items:start}.decided{overflow-wrap:anywhere}td.n+td,th.n+th{padding-left:.8rem}
.note,.none{color:var(--soft);
font-size:.92rem}figure{margin:1rem 0 0}figcaption{font-weight:600;font-size:.95rem}svg{display:block;
width:100%;height:auto;background:#fff}svg:focus-visible,summary:focus-visible{outline:3px solid #0969da;
outline-offset:2px}svg text{
font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;fill:var(--soft)}
svg .ph,svg .tick{text-anchor:middle}svg .scale{text-anchor:end}svg .name{fill:inherit}svg .name[fill]{
font-weight:600}.p0{fill:#eef3f8}.p1{fill:#e2eaf3}.grid{stroke:#d0d7de;stroke-width:.6;fill:none}.line{
fill:none;stroke-width:2;stroke-linejoin:round}.level{stroke-width:1.3;stroke-dasharray:3 4;fill:none}.m{
stroke-width:2;fill:none}.m.bad{stroke:#b42318}.m.good{stroke:#1a7f37}.wide{overflow-x:auto}table{
border-collapse:collapse;width:100%;margin:.6rem 0 1.2rem;font-size:.92rem}caption{text-align:left;
color:var(--soft);padding-bottom:.3rem;font-size:.88rem}td,th{border-bottom:1px solid var(--line);
padding:.35rem .7rem .35rem 0;text-align:left;vertical-align:top}th{font-weight:600;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td time{white-space:nowrap;
font-variant-numeric:tabular-nums}.small{margin:.4rem 0 0;font-size:.88rem}details{
border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0;padding:.1rem 1rem}summary{cursor:pointer;
padding:.5rem 0;font-weight:600}pre{background:var(--shade);padding:.7rem;overflow:auto;font-size:.82rem;
white-space:pre-wrap;overflow-wrap:anywhere}ins{text-decoration:none;background:#dafbe1}del{
text-decoration:none;background:#ffebe9}footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem;
overflow-wrap:anywhere}@media print{body{background:#fff;font-size:11px}main{max-width:none;padding:0}
details{border:0;padding:0}details::details-content{content-visibility:visible;display:block}h2{
break-after:avoid}figure,.gate,.cards li,tr{break-inside:avoid}*{-webkit-print-color-adjust:exact;
print-color-adjust:exact}@page{margin:14mm}}
""".strip()
