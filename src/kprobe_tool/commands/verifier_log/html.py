# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis as one page that needs nothing else: to be mailed, or put beside a build's log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape as quote

from kprobe_tool.commands.verifier_log.picture import contexts, describe_place
from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Line, PathEvent, Place
from kprobe_tool.report.text import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }
h1 { font-size: 1.3em; } h2 { font-size: 1.1em; } h1 .category { color: #b3261e; }
pre { background: #8881; border-radius: 4px; overflow-x: auto; padding: .6em; }
pre .here { background: #f9a82555; display: block; } pre .line { display: block; }
ol { list-style: none; padding: 0; }
li { border-left: 4px solid #8886; cursor: pointer; margin: .3em 0; padding: .2em .8em; }
li.current { background: #3b82f622; border-color: #3b82f6; }
li .kind { display: inline-block; font-weight: 600; min-width: 8em; }
li .detail { display: none; } li.current .detail { display: block; }
.help { border-left: 4px solid #2e7d32; padding-left: .8em; } .quiet { color: #888; }
@media (prefers-color-scheme: dark) { h1 .category { color: #ff8a80; } }
"""

SCRIPT = """
for (const section of document.querySelectorAll('section')) {
  const steps = [...section.querySelectorAll('li')];
  let at = -1;
  const show = (number) => {
    if (number < 0 || number >= steps.length) return;
    if (at >= 0) { steps[at].classList.remove('current'); steps[at].removeAttribute('aria-current'); }
    at = number;
    steps[at].classList.add('current');
    steps[at].setAttribute('aria-current', 'step');
    section.querySelector('.at').textContent = `${at + 1} of ${steps.length}`;
    steps[at].scrollIntoView({ block: 'nearest' });
  };
  steps.forEach((step, number) => step.addEventListener('click', () => show(number)));
  for (const button of section.querySelectorAll('button'))
    button.addEventListener('click', () => show(at + Number(button.dataset.by)));
  if (section === document.querySelector('section')) document.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'j') { show(at + 1); event.preventDefault(); }
    if (event.key === 'ArrowUp' || event.key === 'k') { show(at - 1); event.preventDefault(); }
  });
  show(0);
}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Forbids the browser to fetch anything for the page, whatever a hostile log has put into it."""


def to_html(value: object) -> str:
    """Text from outside, escaped for the page: no markup and no control characters."""
    return quote(escape(str(value)))


def render_page(diagnosis: Diagnosis, host: Mapping[str, object]) -> str:
    """The whole page; ``host`` is the one on which the log was explained."""
    title = to_html(diagnosis.problem or diagnosis.reason[:80])
    made = f"Explained on {host['hostname']}, kernel {host['release']}, {host['time']}"
    if diagnosis.program is not None:
        made = f"Program {diagnosis.program}. {made}"
    body = "\n".join(line for each in (diagnosis, *diagnosis.others) for line in section(each))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n"
        f'<p class="quiet">{to_html(made)}</p>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def section(diagnosis: Diagnosis) -> Iterator[str]:
    """One diagnosis."""
    yield "<section>"
    problem = to_html(diagnosis.problem or diagnosis.outcome)
    category = f'<span class="category">{to_html(diagnosis.category)}:</span> ' if diagnosis.category else ""
    yield f"<h1>{category}{problem}</h1>"
    if diagnosis.message is not None:
        yield f"<pre>{to_html(diagnosis.message)}</pre>"
    yield f"<p>{to_html(diagnosis.reason)}</p>"
    yield f"<p>{to_html(describe_place(diagnosis.place, diagnosis.program))}</p>"
    yield from code_blocks(diagnosis.place)
    if diagnosis.lock or diagnosis.path:
        yield "<h2>How it came to this</h2>"
        yield '<p><button data-by="-1">Back</button> <button data-by="1">Next</button> <span class="at"></span>'
        yield '<span class="quiet">or the arrow keys</span></p>'
        yield "<ol>"
        for event in (*diagnosis.lock, *diagnosis.path):
            yield from event_item(event)
        yield "</ol>"
    for note in diagnosis.notes:
        yield f'<p class="quiet">{to_html(note)}</p>'
    if diagnosis.truncated is not None:
        truncated = diagnosis.truncated
        yield f"<p>The {to_html(truncated.lost)} of the log is lost. {to_html(truncated.advice)}</p>"
    if diagnosis.suggestion is not None:
        yield f'<p class="help">{to_html(diagnosis.suggestion)}</p>'
    yield "</section>"


def event_item(event: PathEvent) -> Iterator[str]:
    yield f'<li><span class="kind">{to_html(event.kind)}</span> {to_html(event.message)}'
    yield f'<div class="detail"><div class="quiet">{to_html(describe_place(event.place))}</div>'
    yield from code_blocks(event.place)
    yield "</div></li>"


def code_blocks(place: Place) -> Iterator[str]:
    """The source and the instructions around a place, with its own line marked."""
    source, instructions = contexts(place)
    yield from code_block(source, place.line)
    yield from code_block(instructions, place.insn)


def code_block(shown: Sequence[Line], marked: int | None) -> Iterator[str]:
    if shown:
        rows = (
            f'<span class="{"here" if line.number == marked else "line"}">'
            f"{'' if line.number is None else line.number:>5} {to_html(line.text.expandtabs(8))}</span>"
            for line in shown
        )
        yield f"<pre>{''.join(rows)}</pre>"
