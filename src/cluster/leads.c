/* Who is to lead which partition of a new keyspace (CLUSTER-3). A node that leads much hands a
 * partition to another of its nodes; where that one leads as much, it hands one of its own on, and
 * so along a chain to a node that leads less. When no chain is left, the leads are as even as any
 * choice of first members could make them (they are the bases of a polymatroid). */
#include "cluster/inside.h"

#include "base/memory.h"

#define NOWHERE SIZE_MAX

struct leads {
    const struct cluster_contract *contract;
    const struct cluster_member *nodes;
    size_t count, places;
    size_t *members; /* contract.replicas for each place; numbers of nodes, its leader in front */
    uint64_t *led;   /* by node */
    /* one search */
    size_t *queue;
    size_t *through, *giver; /* by node: the place that it would get, and from whom; NOWHERE */
};

static size_t *members_of(const struct leads *leads, size_t place)
{
    return leads->members + place * leads->contract->replicas;
}

/* PREFER is not given up for it. */
static bool may_lead(const struct leads *leads, size_t node, size_t instead)
{
    return place_is_preferred(leads->contract, &leads->nodes[node]) ==
           place_is_preferred(leads->contract, &leads->nodes[instead]);
}

/* One more here is less than what is there now. */
static bool is_lighter(const struct leads *leads, size_t node, size_t than)
{
    return (leads->led[node] + 1) * place_weight(&leads->nodes[than]) <
           leads->led[than] * place_weight(&leads->nodes[node]);
}

/* Each along the chain leads what it would get. */
static void hand_on(struct leads *leads, size_t from, size_t to)
{
    leads->led[from]--;
    leads->led[to]++;
    for (size_t node = to; node != from; node = leads->giver[node]) {
        size_t *members = members_of(leads, leads->through[node]), k = 0;
        while (members[k] != node)
            k++;
        members[k] = members[0];
        members[0] = node;
    }
}

/* Whom `node` could give a partition to, that was not found before; NOWHERE: the queue has got
 * them. */
static size_t look_beyond(struct leads *leads, size_t node, size_t start, size_t *queued)
{
    for (size_t place = 0; place < leads->places; place++) {
        const size_t *members = members_of(leads, place);
        for (unsigned k = 1; members[0] == node && k < leads->contract->replicas; k++) {
            size_t other = members[k];
            if (other == start || leads->giver[other] != NOWHERE || !may_lead(leads, other, node))
                continue;
            leads->giver[other] = node;
            leads->through[other] = place;
            if (is_lighter(leads, other, start))
                return other;
            leads->queue[(*queued)++] = other;
        }
    }
    return NOWHERE;
}

/* False: no chain from there leads to a lighter node. */
static bool lighten(struct leads *leads, size_t start)
{
    size_t queued = 0, end = NOWHERE;
    for (size_t i = 0; i < leads->count; i++)
        leads->giver[i] = NOWHERE;
    leads->queue[queued++] = start;
    for (size_t i = 0; i < queued && end == NOWHERE; i++)
        end = look_beyond(leads, leads->queue[i], start, &queued);
    if (end != NOWHERE)
        hand_on(leads, start, end);
    return end != NOWHERE;
}

static size_t number_of(const struct leads *leads, struct node_id id)
{
    size_t i = 0;
    while (!node_id_equal(leads->nodes[i].id, id))
        i++;
    return i;
}

static void read_places(struct leads *leads, const struct cluster_place *places)
{
    for (size_t i = 0; i < leads->places; i++) {
        for (unsigned k = 0; k < leads->contract->replicas; k++)
            members_of(leads, i)[k] = number_of(leads, places[i].members[k]);
        leads->led[members_of(leads, i)[0]]++;
    }
}

static void write_places(const struct leads *leads, struct cluster_place *places)
{
    for (size_t i = 0; i < leads->places; i++)
        for (unsigned k = 0; k < leads->contract->replicas; k++)
            places[i].members[k] = leads->nodes[members_of(leads, i)[k]].id;
}

void leads_level(const struct cluster_contract *contract, const struct cluster_member *nodes,
                 size_t count, struct cluster_place *places)
{
    struct leads leads = {
        .contract = contract,
        .nodes = nodes,
        .count = count,
        .places = contract->partitions,
        .members = memory_zeroed(contract->partitions, contract->replicas * sizeof(size_t)),
        .led = memory_zeroed(count, sizeof(uint64_t)),
        .queue = memory_zeroed(count, sizeof(size_t)),
        .through = memory_zeroed(count, sizeof(size_t)),
        .giver = memory_zeroed(count, sizeof(size_t))};
    bool moved = true;
    read_places(&leads, places);
    while (moved) { /* ends: each time the sum of squares over weight gets less */
        moved = false;
        for (size_t i = 0; i < count; i++)
            moved |= lighten(&leads, i);
    }
    write_places(&leads, places); /* CLUSTER-3 */
    memory_free(leads.members);
    memory_free(leads.led);
    memory_free(leads.queue);
    memory_free(leads.through);
    memory_free(leads.giver);
}
