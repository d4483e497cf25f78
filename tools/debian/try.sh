#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# try.sh FOLDER: tries the packages in FOLDER, which `build.sh FOLDER --next` has made, in a new Debian 12.
# try_packages.sh says what is tried.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(cd "${1:?usage: try.sh FOLDER}" && pwd)
exec "$here/system.sh" --user tester --space 3000 --read "$folder:/packages" --read "$here:/debian" -- \
    bash /debian/try_packages.sh /packages /packages/next
