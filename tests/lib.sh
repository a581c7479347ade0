# SPDX-License-Identifier: GPL-3.0-or-later
# What tests/demo and tests/check need on a bare Debian 12 or 13, and how they get it. To be sourced.
#
# Debian 12's own QEMU stops at machine type 7.2: there QEMU comes from bookworm-backports, for which
# one sources file is added (said aloud, and named so that it can be removed). Nothing is installed
# where everything is there already; without a network the tests run with what there is.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

need_root() {
    if [ "$(id -u)" != 0 ]; then
        complain "$0 needs root (it installs packages and starts virtual machines): sudo $0"
        exit 2
    fi
}

BUILD_PACKAGES="gcc make pkg-config libcurl4-openssl-dev libjansson-dev libsystemd-dev uuid-dev
    libexpat1-dev libcmocka-dev python3 openssl util-linux procps"
GUEST_PACKAGES="qemu-system-x86 qemu-utils ovmf seabios busybox-static kmod zstd"
CHECK_PACKAGES="clang clang-format-14 man-db groff python3-jsonschema python3-prometheus-client valgrind
    libclang-rt-14-dev"
# The Debian package: built, read by lintian, and lived with in Debian trees (tests/test_package).
PACKAGE_PACKAGES="dpkg-dev debhelper pkgconf lintian blhc devscripts mmdebstrap debian-archive-keyring
    systemd-container autopkgtest"

missing_of() {
    local p
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || echo "$p"
    done
}

debian_release() { . /etc/os-release && echo "${VERSION_CODENAME:-unknown}"; }

qemu_is_new() { qemu-system-x86_64 -machine help 2>/dev/null | grep -q 'pc-q35-9\.0'; }

apt_quiet() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@" \
        >"$APT_LOG" 2>&1 || { tail -n 5 "$APT_LOG" >&2; return 1; }
}

# install PACKAGE...: what is missing of them; what this release does not have is left out and said.
install() {
    local wanted missing p known=""
    APT_LOG=$(mktemp)
    wanted=$(missing_of "$@")
    if [ -z "$wanted" ] && qemu_is_new; then
        rm -f "$APT_LOG"
        return 0
    fi
    say "Installing what is missing:" $wanted
    apt_quiet update || complain "apt-get update failed; going on with what there is"
    for p in $wanted; do
        if [ -n "$(apt-cache policy "$p" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)"')" ]; then
            known="$known $p"
        else
            complain "no package $p in $(debian_release); going on without it"
        fi
    done
    # shellcheck disable=SC2086 # a list of packages on purpose
    [ -z "$known" ] || apt_quiet install -y --no-install-recommends $known ||
        complain "installing failed; tests that need these packages skip themselves"
    if ! qemu_is_new && [ "$(debian_release)" = bookworm ]; then
        install_backported_qemu
    fi
    rm -f "$APT_LOG"
}

install_backported_qemu() {
    local sources=/etc/apt/sources.list.d/pve-hwid-tests-backports.list
    if [ -z "$(apt-cache policy qemu-system-x86 | grep -F bpo12)" ]; then
        say "QEMU of this Debian is too old (machine types end at 7.2); adding $sources"
        echo 'deb http://deb.debian.org/debian bookworm-backports main' >"$sources"
        apt_quiet update || true
    fi
    apt_quiet install -y --no-install-recommends -t bookworm-backports qemu-system-x86 qemu-utils \
        ovmf seabios || complain "no QEMU from backports; guests are left out"
}
