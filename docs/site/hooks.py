"""What MkDocs can't do by itself: links out of docs/, which lead to no page of the site."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
# Under this name `strict` counts warnings.
log = logging.getLogger("mkdocs.hooks.links")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s:]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace each link to a file outside of docs/ by the file's path; warn if it is missing."""
    folder = (DOCS / page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(DOCS):
            return link[0]
        if not (target.is_relative_to(ROOT) and target.exists()):
            log.warning("%s: link to %s, expected a file", page.file.src_uri, link[2])
            return link[0]
        path = target.relative_to(ROOT).as_posix()
        return f"`{path}`" if link[1] == path else f"{link[1]} (`{path}`)"

    return _LINK.sub(replaced, markdown)
