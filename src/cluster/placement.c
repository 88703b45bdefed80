/* Which nodes carry which partition. CLUSTER-3 */
#include "cluster/cluster.h"

#include <assert.h>

static const char *domain_of(const struct cluster_member *node, enum cluster_spread level)
{
    switch (level) {
    case CLUSTER_SPREAD_HOST: return node->host;
    case CLUSTER_SPREAD_ZONE: return node->zone;
    case CLUSTER_SPREAD_SITE: return node->site;
    case CLUSTER_SPREAD_NODE: return "";
    }
    return "";
}

/* A node without a name at that level is a domain of its own, as a node without --host is its own
 * host. */
static bool share_domain(const struct cluster_member *a, const struct cluster_member *b,
                         enum cluster_spread level)
{
    const char *name = domain_of(a, level);
    return a == b || (name[0] && strcmp(name, domain_of(b, level)) == 0);
}

size_t cluster_domain_count(const struct cluster_member *nodes, size_t count,
                            enum cluster_spread level)
{
    size_t domains = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < i && !share_domain(&nodes[k], &nodes[i], level))
            k++;
        domains += k == i;
    }
    return domains;
}

struct choice {
    const struct cluster_member *nodes;
    size_t count;
    enum cluster_spread level;
    size_t taken[CLUSTER_REPLICAS_MAX];
    size_t taken_count;
};

static bool is_taken(const struct choice *choice, size_t i, bool by_domain)
{
    for (size_t k = 0; k < choice->taken_count; k++)
        if (choice->taken[k] == i || (by_domain && share_domain(&choice->nodes[choice->taken[k]],
                                                                &choice->nodes[i], choice->level)))
            return true;
    return false;
}

/* The next free node from `start` on, of a domain that has none yet where there is one: also
 * without SPREAD two copies on one host are worth less. False: none. */
static bool take_next(struct choice *choice, size_t start, bool by_domain)
{
    for (size_t i = 0; i < choice->count; i++) {
        size_t at = (start + i) % choice->count;
        if (is_taken(choice, at, by_domain))
            continue;
        choice->taken[choice->taken_count++] = at;
        return true;
    }
    return false;
}

/* The `turn`-th node of the preferred site, or of all. */
static size_t first_candidate(const struct cluster_contract *contract,
                              const struct cluster_member *nodes, size_t count, uint64_t turn)
{
    size_t preferred = 0;
    for (size_t i = 0; i < count; i++)
        preferred += strcmp(nodes[i].site, contract->prefer_site) == 0;
    if (!contract->prefer_site[0] || !preferred)
        return turn % count;
    uint64_t left = turn % preferred;
    for (size_t i = 0; i < count; i++)
        if (strcmp(nodes[i].site, contract->prefer_site) == 0 && left-- == 0)
            return i;
    return 0;
}

static void place_one(const struct cluster_contract *contract, const struct cluster_member *nodes,
                      size_t count, uint64_t turn, struct cluster_place *place)
{
    struct choice choice = {.nodes = nodes,
                            .count = count,
                            .level = contract->spread ? contract->spread : CLUSTER_SPREAD_HOST};
    size_t start = first_candidate(contract, nodes, count, turn);
    while (choice.taken_count < contract->replicas)
        if (!take_next(&choice, start, true) && !take_next(&choice, start, false))
            break;
    assert(choice.taken_count == contract->replicas); /* cluster_contract_check counted them */
    for (size_t i = 0; i < choice.taken_count; i++)
        place->members[i] = nodes[choice.taken[i]].id;
}

void cluster_place(const struct cluster_contract *contract, const struct cluster_member *nodes,
                   size_t count, uint64_t turn, struct cluster_place *places)
{
    for (unsigned i = 0; i < contract->partitions; i++) {
        places[i] =
            (struct cluster_place){.first_slot = i * CLUSTER_SLOTS / contract->partitions,
                                   .last_slot = (i + 1) * CLUSTER_SLOTS / contract->partitions - 1};
        place_one(contract, nodes, count, turn + i, &places[i]);
    }
}

/* ---- another size ---- */

unsigned cluster_growth(unsigned voters, size_t nodes, unsigned most)
{
    unsigned wanted = nodes >= 5 && most >= 5 ? 5 : nodes >= 3 && most >= 3 ? 3 : 1;
    return wanted > voters ? wanted : voters;
}

/* Unless one of its domain is there already, where the contract forbids that. */
static void keep(struct choice *choice, struct node_id node, bool by_domain)
{
    for (size_t i = 0; i < choice->count; i++)
        if (node_id_equal(choice->nodes[i].id, node) && !is_taken(choice, i, by_domain))
            choice->taken[choice->taken_count++] = i;
}

/* The first of those of the preferred site that carry it now, or else another one of that site. */
static void keep_preferred(const struct cluster_contract *contract, struct choice *choice,
                           uint64_t turn, const struct node_id *now, size_t now_count)
{
    for (size_t k = 0; k < now_count && !choice->taken_count; k++)
        for (size_t i = 0; i < choice->count; i++)
            if (node_id_equal(choice->nodes[i].id, now[k]) &&
                strcmp(choice->nodes[i].site, contract->prefer_site) == 0)
                keep(choice, now[k], false);
    if (!choice->taken_count)
        choice->taken[choice->taken_count++] =
            first_candidate(contract, choice->nodes, choice->count, turn);
}

void cluster_resize(const struct cluster_contract *contract, const struct cluster_member *nodes,
                    size_t count, uint64_t turn, const struct node_id *now, size_t now_count,
                    struct node_id *out)
{
    struct choice choice = {.nodes = nodes,
                            .count = count,
                            .level = contract->spread ? contract->spread : CLUSTER_SPREAD_HOST};
    if (contract->prefer_site[0])
        keep_preferred(contract, &choice, turn, now, now_count);
    for (size_t i = 0; i < now_count && choice.taken_count < contract->replicas; i++)
        keep(&choice, now[i], contract->spread != CLUSTER_SPREAD_NODE);
    while (choice.taken_count < contract->replicas)
        if (!take_next(&choice, turn % count, true) && !take_next(&choice, turn % count, false))
            break;
    assert(choice.taken_count == contract->replicas); /* cluster_contract_check counted them */
    for (size_t i = 0; i < choice.taken_count; i++)
        out[i] = nodes[choice.taken[i]].id; /* CLUSTER-5 */
}
