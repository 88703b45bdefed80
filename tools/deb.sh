#!/usr/bin/env bash
# Makes OUT/holdfast_VERSION_ARCHITECTURE.deb of the programs that are in BUILD, by dpkg-deb alone (decision 0043): no network, no
# root. What the programs need is asked of this system: they run on one like it, or a later one.
#
#   tools/deb.sh BUILD [OUT]        OUT is BUILD unless given
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath "${1:?usage: tools/deb.sh BUILD [OUT]}")
out=$(realpath "${2:-$build}")
root=$out/deb
deploy=$top/deploy
export LC_ALL=C
umask 022

fail() { echo "deb: $*" >&2; exit 1; }
command -v dpkg-deb >/dev/null || fail "there is no dpkg-deb: packages are made on Debian"
[ -x "$build/holdfastd" ] && [ -x "$build/holdfast" ] || fail "nothing is built in $build: run make deb"

version=$("$build/holdfastd" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
# The same tree gives the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# ---- what the programs need ----

package_of() # package_of LIBRARY: its package with the version that is here
{
    local path=$1 owner
    for path in "$1" "$(realpath "$1")" "/usr$1"; do
        owner=$(dpkg-query -S "$path" 2>/dev/null | head -n 1 | cut -d: -f1) && [ -n "$owner" ] || continue
        dpkg-query -W -f '${Package} (>= ${source:Upstream-Version})\n' "$owner:$architecture" 2>/dev/null ||
            dpkg-query -W -f '${Package} (>= ${source:Upstream-Version})\n' "$owner"
        return
    done
    fail "no package has $1"
}

needed() # the libraries that the programs name themselves, not what those need in turn
{
    local name
    objdump -p "$build/holdfastd" "$build/holdfast" | sed -n 's/^ *NEEDED *//p' | sort -u |
        while read -r name; do
            ldd "$build/holdfastd" "$build/holdfast" | sed -nE "s|^\s*$name => (\S+) .*|\1|p" | head -n 1
        done
}

# ---- the manual: the options are those that the programs tell ----

options_of()
{
    "$build/holdfastd" --help | sed -nE 's/\\/\\e/g; /^  --help /d; s/^  --([a-z-]+) +([^ ]+) +(.*)$/.TP\n.BI \\-\\-\1 " \2"\n\3/p'
}

verbs_of()
{
    "$build/holdfast" --help | sed -nE 's/\\/\\e/g; s/^  ([a-z]+) +(.*)$/.TP\n.B \1\n\2/p'
}

manual() # manual PAGE SECTION
{
    local target=$root/usr/share/man/man$2/$1.$2
    mkdir -p "$(dirname "$target")"
    sed -e "s/@VERSION@/$version/" \
        -e "/@OPTIONS@/{r $out/deb-options
d}" \
        -e "/@VERBS@/{r $out/deb-verbs
d}" "$deploy/man/$1.$2.in" >"$target"
    gzip -9n "$target"
}

# ---- the tree ----

rm -rf "$root"
doc=$root/usr/share/doc/holdfast
mkdir -p "$root/DEBIAN" "$doc/examples"
for program in holdfastd holdfast; do
    install -D -m 755 "$build/$program" "$root/usr/bin/$program"
    strip --strip-unneeded "$root/usr/bin/$program"
done
install -D -m 644 "$deploy/holdfast.conf" "$root/etc/holdfast/holdfast.conf"
install -D -m 644 "$deploy/systemd/holdfast.service" "$root/lib/systemd/system/holdfast.service"
install -m 644 "$deploy/debian/copyright" "$top/README.md" "$top/docs/deploy.md" "$doc/"
for folder in hooks keepalived kubernetes nginx; do
    cp -r "$deploy/$folder" "$doc/examples/"
done
options_of >"$out/deb-options"
verbs_of >"$out/deb-verbs"
[ -s "$out/deb-options" ] && [ -s "$out/deb-verbs" ] || fail "--help tells no options or no verbs"
manual holdfastd 8
manual holdfast 1

# ---- what dpkg reads ----

depends=$(needed | while read -r library; do package_of "$library"; done | sort -u | paste -s -d, | sed 's/,/, /g')
[ -n "$depends" ] || fail "it is not known which libraries the programs need"
cat >"$root/DEBIAN/control" <<END
Package: holdfast
Version: $version
Architecture: $architecture
Maintainer: Holdfast maintainers <maintainers@holdfast.invalid>
Depends: $depends, passwd
Suggests: redis-tools
Section: database
Priority: optional
Installed-Size: $(du -k -s --apparent-size "$root" | cut -f1)
Description: replicated state server that speaks the Redis protocol
 Several nodes keep the same data in memory and log every change: a write is
 acknowledged when a majority has it on disk, and a read never answers older
 data. Every node takes every request.
END
echo /etc/holdfast/holdfast.conf >"$root/DEBIAN/conffiles"
install -m 755 "$deploy/debian/postinst" "$deploy/debian/prerm" "$deploy/debian/postrm" "$root/DEBIAN/"
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$out/holdfast_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
rm -rf "$root" "$out/deb-options" "$out/deb-verbs"
echo "$package"
