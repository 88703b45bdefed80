#!/usr/bin/env bash
# Tries the project where nothing is installed: makes a bare Debian 12 root with debootstrap, copies the checkout in, runs
# ./test or ./run there. Root only; uses the package mirror that this machine uses.
#
#   tools/bare.sh DIR test          ./test must pass within 12 minutes, packages included
#   tools/bare.sh DIR run           ./run must answer a PING within 3 minutes, packages included; then it is ended
#   tools/bare.sh DIR packages      only the packages of ./test
#
# DIR/root is made once (DIR/pristine.tar is its copy) and made anew from the copy for each trial. KEEP=1 leaves it behind.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(realpath -m "${1:?usage: tools/bare.sh DIR test|run|packages}")
trial=${2:?usage: tools/bare.sh DIR test|run|packages}
root=$dir/root
started=$SECONDS

say() { printf 'bare: %4ds  %s\n' $((SECONDS - started)) "$*"; }

[ "$(id -u)" = 0 ] || { echo "bare: needs root for debootstrap, chroot and mounts" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "bare: please install debootstrap" >&2; exit 1; }

mirror() # the first Debian archive that apt uses here
{
    local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*)
    {
        sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([a-z]+:[^[:space:]]+)[[:space:]]+bookworm[[:space:]].*/\2/p' \
            "${files[@]}" 2>/dev/null || true
        sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' "${files[@]}" 2>/dev/null || true
    } | grep -v security | head -n 1
}

# Never removes through a mount: the root is left behind when something is still mounted in it.
leave()
{
    local place
    for place in run/netns dev/shm dev/pts sys proc; do
        if mountpoint -q "$root/$place"; then
            umount "$root/$place" || umount -l "$root/$place" || true
        fi
    done
    [ -n "${KEEP:-}" ] || remove_root
}

remove_root()
{
    if grep -q " $root/" /proc/mounts; then
        say "something is still mounted in $root: it stays"
    else
        rm -rf --one-file-system "$root"
    fi
}

make_pristine()
{
    local from
    from=$(mirror)
    [ -n "$from" ] || { echo "bare: no archive found in /etc/apt" >&2; exit 1; }
    say "debootstrap"
    mkdir -p "$dir"
    remove_root
    debootstrap --variant=minbase bookworm "$root" "$from" >"$dir/debootstrap.log" 2>&1 ||
        { tail -n 5 "$dir/debootstrap.log"; exit 1; }
    tar -C "$root" -cf "$dir/pristine.tar" .
    remove_root
}

furnish() # what a container or a fresh machine has: the same mirror and proxy, a resolver, proc, sys, dev
{
    mkdir -p "$root"
    tar -C "$root" -xf "$dir/pristine.tar"
    rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
    [ -f /etc/apt/sources.list ] && cp /etc/apt/sources.list "$root/etc/apt/sources.list"
    cp -r /etc/apt/sources.list.d/. "$root/etc/apt/sources.list.d/" 2>/dev/null || true
    cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp -r /etc/apt/trusted.gpg.d/. "$root/etc/apt/trusted.gpg.d/" 2>/dev/null || true
    [ -f /etc/apt/apt.conf ] && cp /etc/apt/apt.conf "$root/etc/apt/"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ -d /etc/ssl/certs ] && mkdir -p "$root/etc/ssl" && cp -rL /etc/ssl/certs "$root/etc/ssl/" 2>/dev/null
    # No daemon starts when a package is installed.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys" 2>/dev/null || true
    # debootstrap has made the usual device files; only these two are file systems.
    mkdir -p "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" 2>/dev/null || true
    mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true
}

copy_checkout() # what is, or would be, committed; nothing built
{
    mkdir -p "$root/holdfast"
    git -C "$top" ls-files -z -co --exclude-standard |
        (cd "$top" && while IFS= read -r -d '' path; do [ -e "$path" ] && printf '%s\0' "$path"; done) |
        tar -C "$top" --null -T - -cf - | tar -C "$root/holdfast" -xf -
}

inside() # inside LIMIT COMMAND
{
    timeout --kill-after=10 "$1" chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        /bin/sh -c "cd /holdfast && $2"
}

try_run()
{
    inside 600 './run' >"$dir/run.log" 2>&1 </dev/null &
    local child=$! answered='' begin=$SECONDS
    while [ $((SECONDS - begin)) -lt 180 ] && kill -0 $child 2>/dev/null; do
        if [ -x "$root/usr/bin/redis-cli" ] &&
            [ "$(chroot "$root" redis-cli -p 6379 set bare trial 2>/dev/null)" = OK ]; then
            answered=yes
            break
        fi
        sleep 1
    done
    kill -TERM $child 2>/dev/null || true
    wait $child || true
    tail -n 20 "$dir/run.log"
    [ -n "$answered" ] || { say "FAILED: no answer within 180 s"; return 1; }
    say "redis-cli was served $((SECONDS - begin)) s after ./run"
}

trap leave EXIT
[ -f "$dir/pristine.tar" ] || make_pristine
say "bare root ready"
furnish
copy_checkout
say "checkout copied; trying: $trial"
begin=$SECONDS
case $trial in
run) try_run ;;
packages)
    inside 600 'tools/packages.sh build test && tools/packages.sh build test'
    say "packages took $((SECONDS - begin)) s"
    ;;
test)
    code=0
    inside 720 ./test </dev/null || code=$?
    say "./test took $((SECONDS - begin)) s, exit code $code"
    exit $code
    ;;
*) echo "bare: no trial called $trial" >&2; exit 1 ;;
esac
