#!/bin/sh
# Install the programs that are not Python's, where root or sudo allows; otherwise say in one line what is missing.
# With the word `browser` Chromium too, the shells that are tested, a second SSH server and a disk with quotas: 315 MB, for the tests alone.
set -eu
needed="" ; for_tests=""
command -v rsync >/dev/null || needed="$needed rsync"
command -v git >/dev/null || needed="$needed git"
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || needed="$needed python3-venv"
command -v ssh >/dev/null || for_tests="$for_tests openssh-client"
[ -x /usr/sbin/sshd ] || for_tests="$for_tests openssh-server"
if [ "${1:-}" = browser ]; then
    command -v chromium >/dev/null || command -v google-chrome >/dev/null || for_tests="$for_tests chromium"
    for shell in zsh fish tcsh; do command -v $shell >/dev/null || for_tests="$for_tests $shell"; done
    command -v dropbear >/dev/null || for_tests="$for_tests dropbear-bin"
    command -v mkfs.btrfs >/dev/null || for_tests="$for_tests btrfs-progs"
fi
[ -z "$needed$for_tests" ] && exit 0

if [ "$(id -u)" = 0 ]; then run=""
elif sudo -n true 2>/dev/null; then run="sudo -n"
else run="no"; fi
if [ "$run" = no ] || ! command -v apt-get >/dev/null; then
    echo "missing on this machine:$needed$for_tests; try: sudo apt-get install$needed$for_tests" >&2
    [ -z "$needed" ]  # without the others the demo still runs, and their tests are skipped
    exit
fi
echo "installing$needed$for_tests through apt"
$run apt-get update -qq || [ -z "$needed" ]
install() { DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
[ -z "$needed" ] || install $needed
# One by one: a distribution may lack one, as Ubuntu has Chromium as a snap alone.
for package in $for_tests; do
    install "$package" || echo "not to be had here: $package; its tests are skipped" >&2
done
