#!/bin/sh
# --on-alert: each alert that is raised, and its end, as one JSON object that curl posts to ALERT_URL: to a chat, a pager, a monitor.
# One thing keeps its `key` from the raise to the end, whichever node tells them, so that a pager can close what it has opened.
#
# From the environment of holdfastd: ALERT_URL; ALERT_HEADER (a token say, "Authorization: Bearer ..."), ALERT_SEVERITIES (which are
# sent; all, unless it is set). What fails is a line in the log of holdfastd and is not sent again: a hook has 10 s.
set -eu

url=${ALERT_URL:?ALERT_URL is not set: give the address to post to in the environment of holdfastd}

# alert raised|cleared SEVERITY NAME KEYSPACE PARTITION REPLICA NODE TEXT
[ "$1" = alert ] || exit 0
case " ${ALERT_SEVERITIES:-critical warning info} " in
*" $3 "*) ;;
*) exit 0 ;;
esac

quoted() {
    printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')"
}

# "-" says that it is about none.
or_null() {
    if [ "$1" = - ]; then printf null; else printf %s "$1"; fi
}

keyspace=null
[ "$5" = - ] || keyspace=$(quoted "$5")

printf '{"state":"%s","severity":"%s","alert":"%s","key":"%s","keyspace":%s,"partition":%s,"replica":%s,"node":%s,"text":%s}\n' \
    "$2" "$3" "$4" "$4/$6/$7/$8" "$keyspace" "$(or_null "$6")" "$(or_null "$7")" "$(or_null "$8")" "$(quoted "$9")" |
    curl -fsS -o /dev/null --max-time 4 --retry 1 -H 'Content-Type: application/json' ${ALERT_HEADER:+-H "$ALERT_HEADER"} \
        --data-binary @- "$url"
