#!/bin/sh
# Tries the set-up where nothing is installed: in a bare Debian that debootstrap makes for this one run.
#
#     scripts/try-fresh-debian.sh [--rust-from-here] [COMMAND...]      default: make demo
#
# The last commit is what is tried, not the files as they are. Takes root's rights, debootstrap, and some 3 GB
# of TMPDIR; SUITE chooses another Debian than bookworm, MIRROR another source of its packages. COMMAND runs
# in the checkout there; `make` itself, which a bare Debian lacks, comes from scripts/setup.sh before it.
#
# --rust-from-here lends this machine's cargo and rustup, read-only, for where no toolchain can be fetched.
# What is not tried then is the installation of Rust.
#
# All mounts live in a mount namespace of this run and end with it, so that nothing can be left behind.
set -eu

fail() { echo "try-fresh-debian: $*" >&2; exit 1; }

rust_from_here=
if [ "${1:-}" = --rust-from-here ]; then rust_from_here=yes; shift; fi
if [ $# = 0 ]; then set -- make demo; fi

[ "$(id -u)" = 0 ] || fail "needs root's rights"
command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
root=$(mktemp -d "${TMPDIR:-/tmp}/fresh-debian.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM

echo "A bare Debian ${SUITE:-bookworm} in $root ..."
debootstrap --variant=minbase "${SUITE:-bookworm}" "$root" ${MIRROR:+"$MIRROR"} >"$root.log" 2>&1 \
    || { tail -n 20 "$root.log" >&2; fail "debootstrap failed"; }
rm -f "$root.log"

# What makes the network work here, not what makes the build work: names, and authorities of this site.
for file in etc/resolv.conf etc/hosts; do
    if [ -e "/$file" ]; then cat "/$file" >"$root/$file"; fi
done
mkdir -p "$root/usr/local/share/ca-certificates" "$root/srv/roundtable" "$root/srv/home"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates/" \; 2>/dev/null || :
git -C "$repository" archive HEAD | tar -x -C "$root/srv/roundtable"

export root rust_from_here
# The words of COMMAND are handed through as they are.
unshare --mount sh -euc '
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    lend() {
        mkdir -p "$root/srv/home/$2"
        mount --bind "$1" "$root/srv/home/$2"
        mount -o remount,bind,ro "$root/srv/home/$2"
    }
    if [ -n "$rust_from_here" ]; then
        lend "${CARGO_HOME:-$HOME/.cargo}/bin" .cargo/bin
        lend "${RUSTUP_HOME:-$HOME/.rustup}" .rustup
    fi
    exec chroot "$root" /usr/bin/env -i HOME=/srv/home USER=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -euc "cd /srv/roundtable; sh scripts/setup.sh build; exec \"\$@\"" sh "$@"
' sh "$@"
