#!/bin/sh
# Build sdist and wheel, check them, install the wheel into an empty environment and start it there.
set -eu
python=$1
version=$("$python" -c 'import moola_remote; print(moola_remote.__version__)')
grep -q "^## $version - " CHANGELOG.md || { echo "CHANGELOG.md: no section for version $version, expected: ## $version - DATE; add it or change moola_remote.__version__" >&2; exit 1; }
rm -rf dist build/lib build/bdist.*
"$python" -m build --outdir dist .
"$python" -m twine check --strict dist/*

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check dist/*.whl
cd "$folder"  # so that nothing is imported from the checkout
installed=$(venv/bin/moola-remote --version)
case $installed in
*"$version"*) ;;
*) echo "dist: the wheel says \"$installed\", expected version $version; is build/ an old one?" >&2; exit 1 ;;
esac
venv/bin/moola-remote --help >/dev/null
venv/bin/moola-remote doctor --help >/dev/null
echo "$installed: dist/ is checked, installs and starts"
