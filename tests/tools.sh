#!/bin/sh
# Install the programs that are not Python's, where root or sudo allows; otherwise say in one line what is missing.
set -eu
needed="" ; for_tests=""
command -v rsync >/dev/null || needed="$needed rsync"
command -v git >/dev/null || needed="$needed git"
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || needed="$needed python3-venv"
command -v ssh >/dev/null || for_tests="$for_tests openssh-client"
[ -x /usr/sbin/sshd ] || for_tests="$for_tests openssh-server"
[ -z "$needed$for_tests" ] && exit 0

if [ "$(id -u)" = 0 ]; then run=""
elif sudo -n true 2>/dev/null; then run="sudo -n"
else run="no"; fi
if [ "$run" = no ] || ! command -v apt-get >/dev/null; then
    echo "missing on this machine:$needed$for_tests; try: sudo apt-get install$needed$for_tests" >&2
    [ -z "$needed" ]  # without OpenSSH the demo still runs, and its tests are skipped
    exit
fi
echo "installing$needed$for_tests through apt"
$run apt-get update -qq
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $needed $for_tests >/dev/null
