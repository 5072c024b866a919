"""What PyYAML raises at a text that is none."""

from __future__ import annotations

import yaml

# Its own slips too: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)
