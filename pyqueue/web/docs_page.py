"""A page that shows the OpenAPI document. It loads nothing but that document: no script or style of another host."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Final

from pyqueue.web.request import Reply

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
code, pre { font: 13px/1.5 ui-monospace, monospace }
summary { cursor: pointer; padding: .3rem 0 } summary b { display: inline-block; min-width: 5rem }
pre { overflow: auto; padding: .6rem; border: 1px solid #8886; border-radius: 4px }
details { border-bottom: 1px solid #8884 }
"""

_SCRIPT: Final = """
const show = (tag, text, parent) => {
  const element = document.createElement(tag)
  element.textContent = text
  parent.append(element)
  return element
}
const json = value => JSON.stringify(value, null, 2)
fetch('openapi.json').then(reply => reply.json()).then(api => {
  const main = document.querySelector('main')
  show('h1', `${api.info.title} ${api.info.version}`, main)
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, operation] of Object.entries(methods)) {
    const box = show('details', '', main), line = show('summary', '', box)
    show('b', method.toUpperCase(), line); show('code', api.servers[0].url + path, line)
    show('p', `${operation.summary}. ${operation.description ?? ''}`, box)
    for (const each of operation.parameters ?? []) show('pre', `${each.in} ${each.name}: ${json(each.schema)}`, box)
    if (operation.requestBody) show('pre', json(operation.requestBody.content), box)
    const responses = Object.entries(operation.responses)
    show('pre', responses.map(([status, each]) => `${status}  ${each.description}`).join('\\n'), box)
  }
  show('h2', 'Schemas', main)
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const box = show('details', '', main); show('summary', name, box); show('pre', json(schema), box)
  }
})
"""


@cache
def page() -> Reply:
    """The page, with a policy that allows this very style and script, and requests to this host."""
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>pyqueue API</title>'
        f"<style>{_STYLE}</style><main></main><noscript>The document is at <code>openapi.json</code>.</noscript>"
        f"<script>{_SCRIPT}</script></html>"
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; style-src '{_digest(_STYLE)}'; script-src '{_digest(_SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Reply(
        200, html.encode(), (("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy))
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
