#!/bin/sh
# Put a Python that is newer than this Debian into FOLDER (tests/unstable.sh).
#   sh tests/newer_python.sh VERSION FOLDER
set -eu
version=$1 ; folder=$2 ; program="$folder/usr/bin/python$version" ; what="Python $version"
[ -x "$program" ] && exit 0
. "$(dirname "$0")/unstable.sh"
unpack "python$version-venv"
mv "$folder/usr/bin/python$version" "$folder/usr/bin/.python$version"
# Where its pip lies, for environments.
sed -i "s#'WHEEL_PKG_DIR': '/usr/#'WHEEL_PKG_DIR': '$folder/usr/#" "$folder"/usr/lib/python"$version"/_sysconfigdata__*.py
# The name it is called by stays argv[0], so that a virtual environment finds itself.
cat >"$folder/usr/bin/python$version" <<END
#!/bin/sh
exec '$loader' --argv0 "\$0" --library-path '$libraries' '$folder/usr/bin/.python$version' "\$@"
END
chmod 755 "$folder/usr/bin/python$version"
"$folder/usr/bin/python$version" -c 'import ssl, venv' || { rm -rf "$folder" ; no "it does not start here" ; }
