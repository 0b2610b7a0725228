#!/bin/sh
# Installs what is missing on this machine to build roundtable, or to test it:
#
#     scripts/setup.sh build     compiler, CMake, ALSA headers, Rust
#     scripts/setup.sh test      those, and what the tests run against
#
# Says nothing when nothing is missing. It knows apt-get, dnf, pacman and Homebrew, and takes root's
# rights (sudo) only for the packages. Rust comes from the distribution's rustup where it has one, else
# from the official installer. Nothing already installed is removed or upgraded, but for a Rust toolchain
# that rustup manages and that is older than `rust-version` in Cargo.toml.
# Lists of names are split into words on purpose all through this script.
# shellcheck disable=SC2086
set -eu

cd "$(dirname "$0")/.."
# System tools live outside an ordinary user's PATH on some systems; rustup's do in a shell that was
# open before it was installed.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

# need        on      Debian, Ubuntu      Fedora              Arch             Homebrew
packages() {
    cat <<'TABLE'
cc            build   gcc                 gcc                 gcc              -
libc          build   libc6-dev           glibc-devel         glibc            -
make          build   make                make                make             make
cmake         build   cmake               cmake               cmake            cmake
pkg-config    build   pkg-config          pkgconf-pkg-config  pkgconf          pkgconf
alsa          build   libasound2-dev      alsa-lib-devel      alsa-lib         -
git           build   git                 git                 git              git
curl          build   curl                curl                curl             curl
certificates  build   ca-certificates     ca-certificates     ca-certificates  ca-certificates
c++           test    g++                 gcc-c++             gcc              -
pulseaudio    test    pulseaudio          pulseaudio          pulseaudio       pulseaudio
pactl         test    pulseaudio-utils    pulseaudio-utils    libpulse         pulseaudio
turnserver    test    coturn              coturn              coturn           coturn
nft           test    nftables            nftables            nftables         -
miniupnpd     test    miniupnpd-nftables  miniupnpd           miniupnpd        -
ip            test    iproute2            iproute             iproute2         -
tmux          test    tmux                tmux                tmux             tmux
python        test    python3             python3             python           python
venv          test    python3-venv        python3             python           python
python.h      test    python3-dev         python3-devel       python           python
TABLE
}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Is a need met? By looking for the thing itself, not for a package: it may have come another way.
met() {
    case $1 in
        libc) [ "$system" = Darwin ] || [ -e /usr/include/stdio.h ] ;;
        alsa) [ "$system" = Darwin ] || { have pkg-config && pkg-config --exists alsa; } ;;
        certificates)
            [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] \
                || [ -e /etc/ssl/cert.pem ] || [ -e /etc/ca-certificates/extracted/tls-ca-bundle.pem ] ;;
        nft | ip) [ "$system" = Darwin ] || have "$1" ;;
        python) have python3 ;;
        # One interpreter start answers for both: the modules, and the header for C extensions.
        venv) case $facts in *venv*) ;; *) false ;; esac ;;
        python.h) case $facts in *header*) ;; *) false ;; esac ;;
        *) have "$1" ;;
    esac
}

read_python_facts() {
    facts=$(python3 -I -S - 2>/dev/null <<'PY' || :
import importlib.util as u, os, sysconfig as s
print(*["venv"] * bool(u.find_spec("venv") and u.find_spec("ensurepip")),
      *["header"] * os.path.exists(os.path.join(s.get_path("include"), "Python.h")))
PY
    )
}

# The needs of this run that are not met, one a line.
missing() {
    facts=
    if [ "$goal" = test ]; then read_python_facts; fi
    packages | while read -r need on _; do
        if [ "$on" = test ] && [ "$goal" = build ]; then continue; fi
        met "$need" || echo "$need"
    done
}

package_manager() {
    for candidate in apt-get dnf pacman brew; do
        if have "$candidate"; then echo "$candidate"; return; fi
    done
}

# The packages that bring the needs given, without repeats.
packages_for() {
    case $manager in
        apt-get) column=3 ;;
        dnf) column=4 ;;
        pacman) column=5 ;;
        brew) column=6 ;;
    esac
    for need; do
        packages | awk -v need="$need" -v column="$column" '$1 == need && $column != "-" { print $column }'
    done | sort -u | tr '\n' ' '
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Runs a command with its output kept back, and shows the end of it only when the command fails.
quietly() {
    if "$@" >"$log" 2>&1 </dev/null; then return 0; fi
    tail -n 30 "$log" >&2
    return 1
}

install_packages() {
    if [ "$manager" != brew ] && [ "$(id -u)" != 0 ] && ! have sudo; then
        fail "cannot install without root's rights or sudo; as root, run: $manager install $*"
    fi
    say "installing with $manager: $*"
    case $manager in
        apt-get)
            quietly as_root apt-get update -qq || fail "apt-get update failed (see above)"
            quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ;;
        dnf) quietly as_root dnf install -y -q "$@" ;;
        # Without a refresh of the list a stale one asks for files that mirrors no longer have.
        pacman) quietly as_root pacman -Sy --noconfirm --needed "$@" ;;
        brew) quietly brew install -q "$@" ;;
    esac || fail "$manager could not install: $* (see above)"
    # Debian starts a server that it installs, open to the network. The tests start their own.
    if [ "$manager" = apt-get ] && [ -d /run/systemd/system ]; then
        for service in coturn miniupnpd; do
            case " $* " in *" $service"*) quietly as_root systemctl disable --now "$service" || : ;; esac
        done
    fi
}

ensure_packages() {
    needs=$(missing)
    if [ -z "$needs" ]; then return; fi
    if [ "$system" = Darwin ] && ! have cc; then
        fail "no C compiler: run 'xcode-select --install', then this again"
    fi
    manager=$(package_manager)
    if [ -z "$manager" ]; then
        fail "missing here:" $needs "- and no package manager is known (apt-get, dnf, pacman, brew); please install them"
    fi
    names=$(packages_for $needs)
    if [ -z "$names" ]; then fail "missing here, and not to be had from $manager:" $needs; fi
    install_packages $names
    still=$(missing)
    if [ -n "$still" ]; then fail "installed $names and still missing:" $still; fi
}

# Is there a cargo, and is it at least the `rust-version` of Cargo.toml?
rust_is_usable() {
    have cargo || return 1
    found=$(cargo --version 2>/dev/null | awk '{ print $2 }')
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    printf '%s %s\n' "$found" "$wanted" | awk '{
        split($1, a, /[.-]/); split($2, b, /[.-]/)
        exit !($1 != "" && (a[1] > b[1] || (a[1] == b[1] && a[2] + 0 >= b[2] + 0)))
    }'
}

# Does the package manager offer rustup? Asked only when there is no cargo: Debian's package would
# replace an installed one.
rustup_is_packaged() {
    case $(package_manager) in
        apt-get) apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]' ;;
        dnf) dnf -q list --available rustup >/dev/null 2>&1 ;;
        pacman) pacman -Si rustup >/dev/null 2>&1 ;;
        brew) true ;;
        *) false ;;
    esac
}

ensure_rust() {
    if rust_is_usable; then return; fi
    if have cargo; then
        say "cargo ${found:-without a toolchain} is here, but roundtable needs $wanted or newer"
    elif rustup_is_packaged; then
        manager=$(package_manager)
        install_packages rustup
    fi
    if have rustup; then
        say "installing the stable Rust toolchain with rustup"
        quietly rustup toolchain install stable --profile minimal --component rustfmt --component clippy \
            || fail "rustup could not install the stable toolchain (see above)"
        rustup default >/dev/null 2>&1 || quietly rustup default stable || :
    elif have rustup-init; then
        say "installing Rust with rustup-init, into ${CARGO_HOME:-$HOME/.cargo}"
        quietly rustup-init -y --profile minimal --component rustfmt --component clippy \
            || fail "rustup-init failed (see above)"
    else
        say "installing Rust with the official installer (sh.rustup.rs), into ${CARGO_HOME:-$HOME/.cargo}"
        quietly curl --proto '=https' --tlsv1.2 -sSf -o "$log.rustup" https://sh.rustup.rs \
            || fail "could not fetch the Rust installer (see above)"
        # It refuses to go on beside a distribution's Rust unless told that this is meant.
        quietly env RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$log.rustup" -y --profile minimal \
            --component rustfmt --component clippy || fail "the Rust installer failed (see above)"
    fi
    rust_is_usable || fail "cargo ${found:-} is still older than $wanted; 'rustup default stable' chooses the new one"
}

goal=${1:-build}
case $goal in
    build | test) ;;
    *) echo "usage: scripts/setup.sh [build|test]" >&2; exit 2 ;;
esac
system=$(uname -s)
log=$(mktemp)
trap 'rm -f "$log" "$log.rustup"' EXIT
trap 'exit 130' INT TERM
ensure_packages
ensure_rust
