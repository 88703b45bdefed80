#!/bin/sh
# Installs what is missing of the named sets of Debian packages: build, run, test, deploy, check, bench.
# As root or with sudo; without either it names the packages in one line and ends with 1.
set -eu

packages_of()
{
    case $1 in
    build) echo gcc libc6-dev make meson ninja-build ccache pkg-config libevent-dev libxxhash-dev libzstd-dev \
        libcmocka-dev libjansson-dev libjemalloc-dev libedit-dev libncurses-dev ;;
    run) echo redis-tools ;;
    test) echo python3 python3-yaml redis-tools iproute2 nftables procps strace ;;
    # Debian starts these when they are installed: for CI, not for ./test
    deploy) echo curl nginx libnginx-mod-stream keepalived haproxy prometheus prometheus-redis-exporter ;;
    check) echo python3 git clang-format clang-tidy clang ;;
    bench) echo python3 redis-server redis-tools etcd-server iproute2 nftables procps ;;
    *) echo "packages.sh: no set called $1 (build run test deploy check bench)" >&2; return 1 ;;
    esac
}

wanted=
for set_name in "$@"; do
    wanted="$wanted $(packages_of "$set_name")"
done

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    # Not Debian: whoever is here has brought the tools, or the build says which one is missing.
    command -v meson >/dev/null 2>&1 && exit 0
    echo "this system has no apt; please install what Debian calls:$wanted" >&2
    exit 1
fi

# pkg-config is a virtual name of pkgconf on later systems: a package that provides the name counts too.
missing=
for package in $wanted; do
    case " $missing " in *" $package "*) continue ;; esac
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in ii*) ;; *) missing="$missing $package" ;; esac
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root=sudo
elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
    as_root=sudo
else
    echo "these packages are missing and only root may install them:$missing" >&2
    exit 1
fi

echo "installing:$missing" >&2
apt()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null
}
# An old package index often still serves; only the installation decides.
apt update >/dev/null || echo "apt-get update failed; trying with the index that is here" >&2
# shellcheck disable=SC2086
if ! log=$(apt install --no-install-recommends $missing 2>&1); then
    echo "$log" | tail -n 20 >&2
    echo "apt-get could not install:$missing" >&2
    exit 1
fi
