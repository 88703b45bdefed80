#!/bin/sh
# --on-leader-change: the node that leads keyspace `default` has the virtual IP, the others have not. For machines of one network
# segment without keepalived.
#
# VIRTUAL_IP (with its prefix length), VIRTUAL_IP_DEVICE, and VIRTUAL_IP_KEYSPACE come from the environment of holdfastd. To change
# addresses it needs CAP_NET_ADMIN: systemd.conf beside this file gives it, and takes the address away after a crash.
set -eu

address=${VIRTUAL_IP:?VIRTUAL_IP is not set: give ADDRESS/PREFIX in the environment of holdfastd}
device=${VIRTUAL_IP_DEVICE:?VIRTUAL_IP_DEVICE is not set: give the network interface}
keyspace=${VIRTUAL_IP_KEYSPACE:-default}

# leader-change KEYSPACE PARTITION leader|follower NODE TERM ADDRESS
[ "$1" = leader-change ] && [ "$2" = "$keyspace" ] || exit 0

if [ "$4" = leader ]; then
    ip address replace "$address" dev "$device"
    # Neighbours have the old machine in their tables.
    if command -v arping >/dev/null; then
        arping -q -U -c 2 -I "$device" "${address%/*}" || true
    fi
elif ip -o address show dev "$device" | grep -qF " $address "; then
    ip address delete "$address" dev "$device"
fi
