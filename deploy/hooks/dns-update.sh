#!/bin/sh
# --on-leader-change: the name DNS_NAME has the address of the node that leads keyspace `default`, by a dynamic update (RFC 2136) that
# this node sends. Only the leader sends one. A record with a short life is still kept longer by some clients: they must go on by
# themselves when a node is gone, and any node takes every request.
#
# From the environment of holdfastd: DNS_NAME, DNS_SERVER, DNS_KEY (a file for nsupdate -k, readable by the user of holdfastd),
# DNS_TTL, DNS_KEYSPACE. nsupdate is in Debian's bind9-dnsutils.
set -eu

name=${DNS_NAME:?DNS_NAME is not set: give the name to change, with its final dot}
server=${DNS_SERVER:?DNS_SERVER is not set: give the address of the name server}
keyspace=${DNS_KEYSPACE:-default}

# leader-change KEYSPACE PARTITION leader|follower NODE TERM ADDRESS
[ "$1" = leader-change ] && [ "$2" = "$keyspace" ] && [ "$4" = leader ] || exit 0

host=${7%:*}
case $host in
\[*\])
    type=AAAA
    host=${host#\[}
    host=${host%\]}
    ;;
*[!0-9.]*)
    type=CNAME
    host=${host%.}.
    ;;
*) type=A ;;
esac

nsupdate -t 5 ${DNS_KEY:+-k "$DNS_KEY"} <<END
server $server
update delete $name A
update delete $name AAAA
update delete $name CNAME
update add $name ${DNS_TTL:-5} $type $host
send
END
