"""How many packages and bytes the client is: a base install, and one with each extra.

    python benchmarks/client_size.py

A wheel of this checkout is installed into empty virtual environments, from the index that pip is
set to. Counted is what `pip list` has, moola among them, pip and setuptools not; the bytes are
those of all files, byte code too, as pip leaves them. Aim: 20 packages and 60 MB for the base.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("", "local", "report", "parquet", "runpod", "all")
SOURCES = ("moola_core", "moola_remote", "jobs", "pyproject.toml", "README.md", "LICENSE")
NOT_OURS = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack", "distutils-prec")


def main() -> None:
    """Measure, and print a line an extra."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for extra in EXTRAS:
            count, size, largest = measure(Path(folder, extra or "base"), wheel, extra)
            named = ", ".join(f"{name} {bytes_ / 1e6:.0f}" for name, bytes_ in largest)
            asked = f"moola[{extra}]" if extra else "moola"
            print(f"{asked}: {count} packages, {size / 1e6:.0f} MB (the largest: {named})")


def build(folder: Path) -> Path:
    """Build the wheel of this checkout from a copy, as the build writes beside its sources."""
    source = folder / "source"
    for name in (*SOURCES, "tests/requirements.txt"):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    argv = [sys.executable, "-m", "pip", "wheel", "-qqq", "--no-deps", "--no-build-isolation"]
    subprocess.run([*argv, "--wheel-dir", str(folder), str(source)], check=True)
    return next(folder.glob("*.whl"))


def measure(folder: Path, wheel: Path, extra: str) -> tuple[int, int, list[tuple[str, int]]]:
    """Return packages, bytes and the three largest folders of an install into a new environment."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    asked = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([*pip, "install", "-qqq", asked], check=True)
    done = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True)
    packages = [one["name"] for one in json.loads(done.stdout) if one["name"] not in NOT_OURS]
    (site,) = folder.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for file in site.rglob("*"):
        top = file.relative_to(site).parts[0]
        if file.is_file() and not top.startswith(NOT_OURS):
            name = top.partition("-")[0].partition(".")[0]
            sizes[name] = sizes.get(name, 0) + file.stat().st_size
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    return len(packages), sum(sizes.values()), largest


if __name__ == "__main__":
    main()
