/* The options of a contract as words. */
#include "cluster/cluster.h"

#include <stdio.h>

const char *cluster_ack_word(const struct cluster_contract *contract, char out[CLUSTER_WORD_SIZE])
{
    static const char *const words[] = {"async", "local", "semisync", "quorum", "all"};
    if (contract->ack != CLUSTER_ACK_SEMISYNC)
        return words[contract->ack];
    snprintf(out, CLUSTER_WORD_SIZE, "semisync:%u", contract->followers);
    return out;
}

const char *cluster_sync_word(const struct cluster_contract *contract, char out[CLUSTER_WORD_SIZE])
{
    static const char *const words[] = {"always", "interval", "os"};
    if (contract->sync != CLUSTER_SYNC_INTERVAL)
        return words[contract->sync];
    snprintf(out, CLUSTER_WORD_SIZE, "interval:%u", contract->interval_ms);
    return out;
}

const char *cluster_readers_word(const struct cluster_contract *contract,
                                 char out[CLUSTER_WORD_SIZE])
{
    if (contract->readers_min == contract->readers_max)
        snprintf(out, CLUSTER_WORD_SIZE, "%u", contract->readers_min);
    else
        snprintf(out, CLUSTER_WORD_SIZE, "%u..%u", contract->readers_min, contract->readers_max);
    return out;
}

const char *cluster_failover_word(const struct cluster_contract *contract)
{
    return contract->failover == CLUSTER_FAILOVER_SAFE ? "safe" : "available";
}

const char *cluster_short_word(const struct cluster_contract *contract)
{
    return contract->short_of == CLUSTER_SHORT_REFUSE ? "refuse" : "degrade";
}

const char *cluster_spread_word(const struct cluster_contract *contract)
{
    static const char *const words[] = {"none", "host", "zone", "site"};
    return words[contract->spread];
}
