"""Text of settings: as an editor has saved it, UTF-8 or marked, and short in an error."""

from __future__ import annotations

import codecs
import reprlib
from pathlib import Path
from typing import Any

from moola_remote.errors import ConfigError

# PowerShell's ``>`` writes it.
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_text(path: Path, content: bytes, *, wide: bool = False) -> str:
    """Return the text of the file `path` that holds `content`.

    Args:
        path: as errors name it.
        content: with a mark of UTF-8, as Windows' editors write it, or without.
        wide: UTF-16 with a mark is understood, too, as pip does.

    Raises:
        ConfigError: it is none.
    """
    encoding = "utf-16" if wide and content.startswith(WIDE) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as err:
        raise ConfigError(
            f"{path}: not UTF-8 text at byte {err.start}", "save it as UTF-8"
        ) from err
    return text.replace("\r\n", "\n")


def one_line(err: Exception) -> str:
    """Return an error of a library in one line, 500 characters at most."""
    return " ".join(str(err).split())[:500]


def shown(value: Any) -> str:
    """Return a short form of a value: one with YAML aliases can be endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)
