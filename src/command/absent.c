/* absent.c - commands of Redis that are not here, and what to use instead: who moves an application
 * here is to read that, not to search for it. */
#include "command/command.h"

#include <string.h>
#include <strings.h>

#define WAIT_LESS "use the same command without B, again while its answer is empty"
#define SCRIPTS   "use WATCH, MULTI and EXEC"
#define MESSAGES  "use a list: RPUSH, and LPOP where it is read"
#define KEEPING   "each write is in the log, and snapshots are written by themselves"
#define COPIES    "use KEYSPACE ALTER, NODE and PARTITION TRANSFER"

/* Names between spaces; NULL: nothing here does that. */
static const struct absent {
    const char *names, *use;
} absent[] = {
    {" BLPOP BRPOP BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP ", WAIT_LESS},
    {" BRPOPLPUSH ", "use RPOPLPUSH, again while its answer is empty"},
    {" EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT FCALL FCALL_RO FUNCTION ", SCRIPTS},
    {" SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE ", MESSAGES},
    {" PUBLISH SPUBLISH PUBSUB ", MESSAGES},
    {" XADD XREAD XRANGE XREVRANGE XLEN XDEL XTRIM ", "use a list, or a sorted set by time"},
    {" XGROUP XREADGROUP XACK XINFO XPENDING XCLAIM XAUTOCLAIM XSETID ", NULL},
    {" PFADD PFCOUNT PFMERGE PFDEBUG PFSELFTEST ", "use SADD, SUNIONSTORE and SCARD"},
    {" GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUS_RO GEORADIUSBYMEMBER ", NULL},
    {" GEORADIUSBYMEMBER_RO GEOSEARCH GEOSEARCHSTORE LCS LOLWUT MODULE ACL ", NULL},
    {" SAVE BGSAVE BGREWRITEAOF LASTSAVE ", KEEPING},
    {" REPLICAOF SLAVEOF FAILOVER SYNC PSYNC REPLCONF ", COPIES},
    {" CLUSTER ASKING ", "any node takes any command: use no cluster client"},
    {" MOVE SWAPDB ", "a number is a keyspace with a contract of its own: use SELECT"},
    {" DUMP RESTORE RESTORE-ASKING MIGRATE ", "use COPY within a keyspace, or its type's commands"},
    {" SHUTDOWN ", "send SIGTERM to the process, after NODE DRAIN where it is to leave"},
    {" MONITOR SLOWLOG LATENCY MEMORY ", "use INFO, STATUS, WHY, and /metrics by HTTP"},
};

static bool is_among(const char *names, struct slice name)
{
    for (const char *at = names; at[1]; at += 1 + strcspn(at + 1, " "))
        if (strcspn(at + 1, " ") == name.size &&
            strncasecmp(at + 1, (const char *)name.at, name.size) == 0)
            return true;
    return false;
}

bool command_is_absent(struct slice name, const char **use)
{
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (name.size && is_among(absent[i].names, name)) {
            *use = absent[i].use;
            return true;
        }
    return false;
}
