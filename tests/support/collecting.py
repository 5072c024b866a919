"""What pytest does beside the tests, kept small: it is a third of what the units cost."""

from __future__ import annotations

import gc
import logging
import re
from pathlib import Path

# A file that marks all of its tests as those of another lane.
OF_OTHERS = re.compile(
    r"^pytestmark = (?:\[[^]]*?)?pytest\.mark\.(?:process|train|scale)\b", re.MULTILINE
)


def has_no_unit(path: Path) -> bool:
    """Return whether a file of tests says of all of them that they are no units."""
    return path.suffix == ".py" and bool(OF_OTHERS.search(path.read_text(encoding="utf-8")))


def pause_gc() -> None:
    """Collect no garbage while modules are imported: they make much, and none of it is garbage."""
    gc.disable()


def freeze_modules() -> None:
    """Leave what was imported out of each search for garbage from now on."""
    gc.freeze()
    gc.enable()


def let_loggers_propagate() -> None:
    """Make all loggers propagate: to each of those that don't, pytest adds six handlers a test.

    torch has more than forty of them.
    """
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.propagate = True
