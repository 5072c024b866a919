#!/bin/sh
# Put a Python that is newer than this Debian into FOLDER, out of Debian's unstable suite, with the C library that it needs.
# Nothing is installed: apt gets lists and a cache of its own. Where it can't be had, one line says so, and its tests are skipped.
#   sh tests/newer_python.sh VERSION FOLDER
set -eu
version=$1 ; folder=$2 ; program="$folder/usr/bin/python$version"
[ -x "$program" ] && exit 0
no() { echo "no Python $version: $1; its tests are skipped" >&2 ; exit 0 ; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || no "it comes from Debian's packages"
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE -m1 'https?://[^ ]+/debian/?( |$)' | tr -d ' ') || no "no Debian mirror in /etc/apt"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || no "no $keys"
work=$(mktemp -d) ; trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/all"
echo "deb [signed-by=$keys] $mirror sid main" >"$work/sources.list"
: >"$work/status"
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists" \
        -o Dir::Cache="$work/cache" -o Dir::State::Status="$work/status" -o Acquire::Languages=none -o Debug::NoLocking=1 \
        -o APT::Sandbox::User= "$@" >"$work/said" 2>&1 || no "$(tail -n 1 "$work/said")"
}
apt update
# What it depends on comes too: nothing of this system is mixed with it.
apt install --yes --download-only --no-install-recommends "python$version-venv"
for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/all"; done
loader=$(find "$work/all/usr/lib" -name 'ld-linux*.so.*' | head -n 1)
[ -n "$loader" ] || no "its C library has no loader"
mkdir -p "$(dirname "$folder")"
rm -rf "$folder" ; mv "$work/all" "$folder"
folder=$(cd "$folder" && pwd) ; loader="$folder${loader#"$work/all"}"
mv "$folder/usr/bin/python$version" "$folder/usr/bin/.python$version"
# Where its pip lies, for environments.
sed -i "s#'WHEEL_PKG_DIR': '/usr/#'WHEEL_PKG_DIR': '$folder/usr/#" "$folder"/usr/lib/python"$version"/_sysconfigdata__*.py
# The name it is called by stays argv[0], so that a virtual environment finds itself.
cat >"$folder/usr/bin/python$version" <<END
#!/bin/sh
exec '$loader' --argv0 "\$0" --library-path '$(dirname "$loader")' '$folder/usr/bin/.python$version' "\$@"
END
chmod 755 "$folder/usr/bin/python$version"
"$folder/usr/bin/python$version" -c 'import ssl, venv' || { rm -rf "$folder" ; no "it does not start here" ; }
