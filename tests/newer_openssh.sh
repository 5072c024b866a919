#!/bin/sh
# Put an sshd that is newer than this Debian's, with its penalties, into FOLDER (tests/unstable.sh).
#   sh tests/newer_openssh.sh FOLDER
set -eu
folder=$1 ; what="newer OpenSSH server"
[ -x "$folder/sshd" ] && exit 0
. "$(dirname "$0")/unstable.sh"
unpack openssh-server
for program in sbin/sshd lib/openssh/sshd-session lib/openssh/sshd-auth; do
    wrapper="$folder/$(basename "$program")"
    printf '#!/bin/sh\nexec "%s" --argv0 "$0" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$folder/usr/$program" >"$wrapper"
    chmod 755 "$wrapper"
done
"$folder/sshd" -V 2>/dev/null || { rm -rf "$folder" ; no "it does not start here" ; }
