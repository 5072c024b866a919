# Sourced by newer_python.sh and newer_openssh.sh, which set `what` and `folder`:
# unpack PACKAGE puts a package of Debian's unstable suite, with all that it needs and its own C library, into $folder,
# and sets `libraries` to the folder of these and `loader` to the program that starts others with them.
# Nothing is installed: apt gets lists and a cache of its own. Where it can't be had, one line says so, and its tests are skipped.
no() { echo "no $what: $1; its tests are skipped" >&2 ; exit 0 ; }
unpack() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || no "it comes from Debian's packages"
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE -m1 'https?://[^ ]+/debian/?( |$)' | tr -d ' ') || no "no Debian mirror in /etc/apt"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$keys" ] || no "no $keys"
    work=$(mktemp -d) ; trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/all"
    echo "deb [signed-by=$keys] $mirror sid main" >"$work/sources.list"
    : >"$work/status"
    apt update
    # What it depends on comes too: nothing of this system is mixed with it.
    apt install --yes --download-only --no-install-recommends "$1"
    for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/all"; done
    loader=$(find "$work/all/usr/lib" -name 'ld-linux*.so.*' | head -n 1)
    [ -n "$loader" ] || no "its C library has no loader"
    mkdir -p "$(dirname "$folder")"
    rm -rf "$folder" ; mv "$work/all" "$folder"
    folder=$(cd "$folder" && pwd) ; loader="$folder${loader#"$work/all"}" ; libraries=$(dirname "$loader")
}
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists" \
        -o Dir::Cache="$work/cache" -o Dir::State::Status="$work/status" -o Acquire::Languages=none -o Debug::NoLocking=1 \
        -o APT::Sandbox::User= "$@" >"$work/said" 2>&1 || no "$(tail -n 1 "$work/said")"
}
