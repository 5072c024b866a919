"""What tests of pages ask a browser; Playwright is imported with the first question."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Without windows a page costs 0.6 of the CPU.
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


def find_chromium() -> str | None:
    """The Chromium of the system."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def expect(target: Any) -> Any:
    """Playwright's assertions, which wait until they hold."""
    from playwright.sync_api import expect as waiting

    return waiting(target)


def axe(page: Page, **options: Any) -> Any:
    """Run axe on a page; its findings."""
    from axe_playwright_python.sync_playwright import Axe

    return Axe().run(page, **options)
