/* With how many copies a write is acknowledged: the contract of its keyspace says it, and the
 * connection may ask for more anywhere, for less where FAILOVER is available. */
#include "server/inside.h"

#include <stdio.h>

static const struct cluster_contract *contract_of(struct server *server, uint64_t keyspace)
{
    const struct control_keyspace *found =
        keyspace <= KEYSPACE_DEFAULT
            ? NULL
            : catalogue_find_id(control_catalogue(server->options.control), keyspace);
    return found ? &found->contract : &cluster_contract_default;
}

static const struct cluster_contract *contract_of_group(struct server *server,
                                                        struct group_id group)
{
    if (group.value <= GROUP_DEFAULT.value)
        return &cluster_contract_default;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(server->options.control), group);
    return contract_of(server, partition ? partition->keyspace : KEYSPACE_DEFAULT);
}

static uint8_t level_of(const struct cluster_contract *contract)
{
    switch (contract->ack) {
    case CLUSTER_ACK_ASYNC: return WIRE_ACK_ASYNC;
    case CLUSTER_ACK_QUORUM: return WIRE_ACK_QUORUM;
    case CLUSTER_ACK_ALL: return WIRE_ACK_ALL;
    case CLUSTER_ACK_LOCAL:
    case CLUSTER_ACK_SEMISYNC: return (uint8_t)cluster_ack_copies(contract);
    }
    return WIRE_ACK_QUORUM;
}

/* ---- at the leader ---- */

/* How many copies a level stands for; `all` is above every number. */
static unsigned copies_of(uint8_t ack, unsigned voters)
{
    switch (ack) {
    case WIRE_ACK_ASYNC: return 0;
    case WIRE_ACK_QUORUM: return voters / 2 + 1;
    case WIRE_ACK_ALL: return UINT32_MAX;
    default: return ack;
    }
}

/* FAILOVER safe: the stronger of both. A commit there may be of fewer copies than a majority (R2):
 * who asks for the quorum gets the majority. */
static uint8_t stronger(uint8_t contract, uint8_t asked, unsigned voters)
{
    if (copies_of(asked, voters) <= copies_of(contract, voters))
        return contract;
    return asked == WIRE_ACK_QUORUM ? (uint8_t)(voters / 2 + 1) : asked;
}

void keyspace_choose_ack(struct server *server, const struct replica *replica,
                         struct pending *pending)
{
    const struct cluster_contract *contract = contract_of_group(server, pending->group);
    bool available = contract->failover == CLUSTER_FAILOVER_AVAILABLE;
    /* SHORT degrade asks for no more than can be reached; a connection's own ACK stays. */
    bool is_short = control_is_short(contract, replica, node_turn(server->node)->now_ns);
    uint8_t own = is_short ? WIRE_ACK_QUORUM : level_of(contract);
    uint8_t asked = pending->ack;
    pending->gate.early = available;
    if (asked == WIRE_ACK_CONTRACT)
        pending->gate.ack = own;
    else
        pending->gate.ack = available ? asked : stronger(own, asked, replica_voters(replica));
}

/* ---- the verb ---- */

static void tell(struct reply *reply, uint8_t ack)
{
    char text[24];
    snprintf(text, sizeof text, "semisync:%u", ack - 1u);
    reply_text(reply, ack == WIRE_ACK_ASYNC    ? "async"
                      : ack == WIRE_ACK_QUORUM ? "quorum"
                      : ack == WIRE_ACK_ALL    ? "all"
                      : ack == 1               ? "local"
                                               : text);
}

/* semisync:k waits for the leader and k others. */
static bool read_level(struct slice word, uint8_t *ack)
{
    static const char prefix[] = "semisync:";
    size_t size = sizeof prefix - 1;
    int64_t followers;
    if (slice_is_word(word, "ASYNC"))
        *ack = WIRE_ACK_ASYNC;
    else if (slice_is_word(word, "LOCAL"))
        *ack = 1;
    else if (slice_is_word(word, "QUORUM"))
        *ack = WIRE_ACK_QUORUM;
    else if (slice_is_word(word, "ALL"))
        *ack = WIRE_ACK_ALL;
    else if (word.size > size && strncasecmp((const char *)word.at, prefix, size) == 0 &&
             !slice_to_i64(slice_of(word.at + size, word.size - size), &followers) &&
             followers > 0 && followers < RAFT_MEMBERS_MAX)
        *ack = (uint8_t)(followers + 1);
    else
        return false;
    return true;
}

static bool asks_for_less(const struct cluster_contract *contract, uint8_t ack)
{
    return contract->failover == CLUSTER_FAILOVER_SAFE &&
           (ack == WIRE_ACK_ASYNC || (ack == 1 && contract->ack != CLUSTER_ACK_LOCAL));
}

/* On how many nodes the keyspace's partitions are; 0: not known yet. `default` has what the cluster
 * was formed with until its record says what it grew to. */
static unsigned replicas_of(struct server *server, uint64_t keyspace,
                            const struct cluster_contract *contract)
{
    if (keyspace > KEYSPACE_DEFAULT)
        return contract->replicas;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(server->options.control), GROUP_DEFAULT);
    const struct node_formation *formation = node_formation(server->node);
    size_t count = partition ? partition_wanted(partition)->member_count : 0;
    if (count || !formation)
        return (unsigned)count;
    return (unsigned)node_first_replicas(formation);
}

/* Its writes would be answered with NOREPLICAS, all of them. */
static bool asks_for_too_many(struct server_call *call, uint64_t keyspace,
                              const struct cluster_contract *contract, uint8_t ack)
{
    if (ack == WIRE_ACK_ASYNC || ack == WIRE_ACK_QUORUM || ack == WIRE_ACK_ALL)
        return false;
    unsigned replicas = replicas_of(call->server, keyspace, contract);
    if (!replicas || ack <= replicas)
        return false;
    if (replicas == 1)
        reply_error(call->reply,
                    "ERR ACK semisync:%u needs followers, and this keyspace has one "
                    "replica: ACK quorum or all works",
                    ack - 1u);
    else
        reply_error(call->reply,
                    "ERR ACK semisync:%u needs %u followers, and this keyspace has %u: ACK "
                    "semisync:%u or all works",
                    ack - 1u, ack - 1u, replicas - 1, replicas - 1);
    return true;
}

void keyspace_serve_ack(struct server_call *call)
{
    struct client *client = call->owner;
    const struct cluster_contract *contract = contract_of(call->server, client->keyspace);
    char word[CLUSTER_WORD_SIZE];
    uint8_t ack = WIRE_ACK_CONTRACT;
    if (call->count == 1)
        tell(call->reply, client->ack ? client->ack : level_of(contract));
    else if (call->count > 2)
        reply_error(call->reply, "ERR wrong number of arguments for 'ack' command");
    else if (!read_level(call->arguments[1], &ack))
        reply_error(call->reply,
                    "ERR ACK is async, local, semisync:K (1 follower or more), quorum or all");
    else if (asks_for_less(contract, ack))
        reply_error(call->reply,
                    "ERR a connection may ask for more than its keyspace promises (%s, FAILOVER "
                    "safe), not for less: ACK all works, and KEYSPACE ALTER to FAILOVER available "
                    "allows this one",
                    cluster_ack_word(contract, word));
    else if (!asks_for_too_many(call, client->keyspace, contract, ack))
        reply_ok(call->reply);
    if (!call->reply->failed && call->count == 2)
        client->ack = ack;
}
