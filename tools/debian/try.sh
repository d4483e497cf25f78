#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# try.sh FOLDER: tries the packages in FOLDER, which `build.sh FOLDER --next` has made, in a new Debian 12.
# try_packages.sh says what is tried.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(cd "${1:?usage: try.sh FOLDER}" && pwd)

# A copy, because the user of the new Debian may not be allowed to read what lies here.
copy=$(mktemp -d "$folder/try.XXXXXX")
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/next"
cp "$folder"/*.deb "$here/try_packages.sh" "$copy"
cp "$folder"/next/*.deb "$copy/next"
chmod -R a+rX "$copy"
"$here/system.sh" --user tester --space 3000 --read "$copy:/packages" -- bash /packages/try_packages.sh /packages /packages/next
