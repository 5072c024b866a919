"""pydantic without its plugins, once this is imported.

To look for some it reads the metadata of every installed package before the first model is built,
and imports a reader of mail for that: 60 ms of CPU beside 170 packages. pydantic's own switch is a
variable of the environment, which every job on the local pod would inherit.
"""

from __future__ import annotations

import sys
from types import ModuleType

_LOADER = "pydantic.plugin._loader"
if _LOADER not in sys.modules:
    _none = ModuleType(_LOADER)
    _none.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules[_LOADER] = _none
