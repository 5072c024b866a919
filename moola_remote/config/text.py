"""Text that a user's editor has saved: UTF-8, or what a mark at its beginning says."""

from __future__ import annotations

import codecs
from pathlib import Path

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
