#!/usr/bin/env bash
# Debian packages that the tests use beyond Python: a browser for the UI's tests, PostgreSQL's programs and git for the ledger's, Redis
# for the online store's. Does nothing when they are there; needs root or sudo otherwise. On another system, install them by its own
# means: the tests look in PATH, and for PostgreSQL in /usr/lib/postgresql as well.
set -euo pipefail

fail() { echo "error: $1" >&2; exit 1; }

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v git >/dev/null || missing+=(git)
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

command -v apt-get >/dev/null || fail "this is not Debian; install ${missing[*]} with the system's package manager"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "${missing[*]} must be installed by root, and there is no sudo"
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
# The tests start servers of their own, on folders of their own: the package shall not start one that stays.
if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
unit=/etc/systemd/system/redis-server.service
if [[ " ${missing[*]} " == *" redis-server "* ]] && [ -d "${unit%/*}" ] && [ ! -e "$unit" ]; then
  "${as_root[@]}" ln -s /dev/null "$unit"  # what systemctl mask does; `systemctl unmask redis-server` takes it back
fi
"${as_root[@]}" apt-get update -qq || fail "Debian's package lists cannot be fetched; connect to a network and run again"
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null \
  || fail "apt-get could not install ${missing[*]} (see above)"
