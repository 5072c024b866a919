#!/bin/sh
# Install the programs that are not Python's, where root or sudo allows; otherwise say in one line what is missing.
# With the word `browser` Chromium too, the shells that are tested, a second SSH server and a disk with quotas: about 250 MB, for the tests alone.
set -eu
needed="" ; for_tests=""
command -v rsync >/dev/null || needed="$needed rsync"
command -v git >/dev/null || needed="$needed git"
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || needed="$needed python3-venv"
command -v ssh >/dev/null || for_tests="$for_tests openssh-client"
[ -x /usr/sbin/sshd ] || for_tests="$for_tests openssh-server"
if [ "${1:-}" = browser ]; then
    # The shell of Chromium has no windows: pages cost 0.6 of the CPU.
    browsers="chromium-headless-shell chromium google-chrome" ; browser=""
    for one in $browsers; do browser=$(command -v $one) && break; done
    [ -n "$browser" ] || for_tests="$for_tests chromium-headless-shell"
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
# At once; or one by one: a distribution may lack one, as Ubuntu has Chromium as a snap alone.
[ -z "$for_tests" ] || install $for_tests 2>/dev/null || for package in $for_tests; do
    install "$package" || { [ "$package" = chromium-headless-shell ] && install chromium; } || echo "not to be had here: $package; its tests are skipped" >&2
done
