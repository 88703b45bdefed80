/* Which nodes carry which partition. CLUSTER-3, CLUSTER-5 */
#include "cluster/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

unsigned place_weight(const struct cluster_member *node)
{
    return node->weight ? node->weight : 1;
}

size_t place_now(const struct cluster_ask *ask, struct node_id node)
{
    for (size_t i = 0; i < ask->now_count; i++)
        if (node_id_equal(ask->now[i], node))
            return i;
    for (size_t i = 0; i < ask->reader_count; i++)
        if (node_id_equal(ask->readers[i], node))
            return ask->now_count + i;
    return LEAF_NEW;
}

bool place_has_room(const struct cluster_ask *ask, const struct cluster_member *node)
{
    return (!node->memory_room || node->memory_room >= ask->memory_needed) &&
           (!node->disk_room || node->disk_room >= ask->disk_needed);
}

/* ---- one partition ---- */

static size_t list_leaves(const struct cluster_ask *ask, struct leaf *leaves)
{
    size_t count = 0, first = ask->count ? ask->turn % ask->count : 0;
    for (size_t i = 0; i < ask->count; i++) {
        const struct cluster_member *node = &ask->nodes[i];
        size_t now = place_now(ask, node->id);
        if (now != LEAF_NEW || (!node->leaves && place_has_room(ask, node)))
            leaves[count++] = (struct leaf){
                .node = node, .turn = (i + ask->count - first) % ask->count, .now = now};
    }
    return count;
}

bool place_is_preferred(const struct cluster_contract *contract, const struct cluster_member *node)
{
    return contract->prefer_site[0] && strcmp(contract->prefer_site, node->site) == 0;
}

/* With one partition more, over its weight. */
static bool leads_less(const struct cluster_member *a, const struct cluster_member *b)
{
    return (a->leads + 1ull) * place_weight(b) < (b->leads + 1ull) * place_weight(a);
}

/* As first candidate. Who has no copy yet would have to wait for one. */
static bool leads_rather(const struct cluster_ask *ask, const struct leaf *a, const struct leaf *b)
{
    bool here = place_is_preferred(ask->contract, a->node),
         there = place_is_preferred(ask->contract, b->node);
    if (a->node->leaves != b->node->leaves)
        return b->node->leaves;
    if (here != there)
        return here;
    if (!a->now != !b->now)
        return !a->now;
    if ((a->now == LEAF_NEW) != (b->now == LEAF_NEW))
        return b->now == LEAF_NEW;
    if (leads_less(a->node, b->node) || leads_less(b->node, a->node))
        return leads_less(a->node, b->node);
    return a->now != b->now ? a->now < b->now : a->turn < b->turn;
}

static bool stands_before(const struct leaf *a, const struct leaf *b)
{
    return a->now != b->now ? a->now < b->now : a->turn < b->turn;
}

static void order(const struct cluster_ask *ask, const struct leaf *leaves, struct choice *choice)
{
    size_t first = 0, *chosen = choice->leaves;
    for (size_t i = 1; i < choice->count; i++)
        if (leads_rather(ask, &leaves[chosen[i]], &leaves[chosen[first]]))
            first = i;
    if (choice->count) {
        size_t leads = chosen[first];
        chosen[first] = chosen[0];
        chosen[0] = leads;
    }
    for (size_t i = 2; i < choice->count; i++)
        for (size_t k = i; k > 1 && stands_before(&leaves[chosen[k]], &leaves[chosen[k - 1]]);
             k--) {
            size_t other = chosen[k];
            chosen[k] = chosen[k - 1];
            chosen[k - 1] = other;
        }
}

/* What else could be missing, the check of the contract finds. */
static void judge(const struct cluster_ask *ask, const struct choice *choice,
                  struct cluster_plan *plan)
{
    struct cluster_contract contract = *ask->contract;
    size_t full = 0;
    plan->met = false;
    if (cluster_contract_check(&contract, ask->nodes, ask->count, plan->why))
        return;
    for (size_t i = 0; i < ask->count; i++)
        full += !ask->nodes[i].leaves && place_now(ask, ask->nodes[i].id) == LEAF_NEW &&
                !place_has_room(ask, &ask->nodes[i]);
    plan->met = choice->count == contract.replicas && !choice->costs[CHOICE_SHARED] &&
                !choice->costs[CHOICE_LEAVING] &&
                (!contract.prefer_site[0] || choice->costs[CHOICE_ELSEWHERE]);
    if (!plan->met)
        snprintf(plan->why, sizeof plan->why,
                 "%zu node%s no room for another copy, and the others are too few: a node that has "
                 "room works, or fewer REPLICAS",
                 full, full == 1 ? " has" : "s have");
}

void cluster_plan(const struct cluster_ask *ask, struct cluster_plan *plan)
{
    struct leaf *leaves = memory_allocate((ask->count + 1) * sizeof *leaves);
    size_t count = list_leaves(ask, leaves);
    struct choice choice;
    choose_sort(leaves, count);
    choose(ask, leaves, count, &choice);
    order(ask, leaves, &choice);
    *plan = (struct cluster_plan){.count = choice.count};
    for (size_t i = 0; i < choice.count; i++)
        plan->members[i] = leaves[choice.leaves[i]].node->id;
    judge(ask, &choice, plan);
    memory_free(leaves);
}

void cluster_plan_voters(const struct cluster_ask *ask, struct node_id *out)
{
    struct cluster_plan plan;
    cluster_plan(ask, &plan);
    assert(plan.count == ask->contract->replicas); /* CLUSTER-5: cluster_contract_check counted */
    memcpy(out, plan.members, plan.count * sizeof *out);
}

unsigned cluster_readers(const struct cluster_contract *contract, unsigned now)
{
    unsigned least = contract->readers_min, most = contract->readers_max;
    return now < least ? least : now > most ? most : now;
}

static bool is_among(const struct node_id *nodes, size_t count, struct node_id node)
{
    for (size_t i = 0; i < count; i++)
        if (node_id_equal(nodes[i], node))
            return true;
    return false;
}

/* SPREAD and PREFER are promises about who votes and leads: readers are even over the domains, and
 * that is all. */
size_t cluster_plan_readers(const struct cluster_ask *ask, const struct node_id *voters,
                            size_t voter_count, unsigned wanted, struct node_id *out)
{
    struct cluster_contract contract = {.replicas = wanted};
    struct cluster_ask rest = *ask;
    struct cluster_member *nodes = memory_allocate((ask->count + 1) * sizeof *nodes);
    struct leaf *leaves = memory_allocate((ask->count + 1) * sizeof *leaves);
    struct choice choice;
    rest.contract = &contract;
    rest.now = ask->readers;
    rest.now_count = ask->reader_count;
    rest.readers = ask->now;
    rest.reader_count = ask->now_count;
    rest.nodes = nodes;
    rest.count = 0;
    for (size_t i = 0; i < ask->count; i++)
        if (!is_among(voters, voter_count, ask->nodes[i].id))
            nodes[rest.count++] = ask->nodes[i];
    size_t count = list_leaves(&rest, leaves);
    choose_sort(leaves, count);
    choose(&rest, leaves, count, &choice);
    for (size_t i = 0; i < choice.count; i++) {
        assert(!is_among(voters, voter_count, leaves[choice.leaves[i]].node->id)); /* CLUSTER-13 */
        out[i] = leaves[choice.leaves[i]].node->id;
    }
    memory_free(leaves);
    memory_free(nodes);
    return choice.count;
}

void cluster_resize(const struct cluster_contract *contract, const struct cluster_member *nodes,
                    size_t count, uint64_t turn, const struct node_id *now, size_t now_count,
                    struct node_id *out)
{
    struct cluster_ask ask = {.contract = contract,
                              .nodes = nodes,
                              .count = count,
                              .turn = turn,
                              .now = now,
                              .now_count = now_count};
    cluster_plan_voters(&ask, out);
}

unsigned cluster_growth(unsigned voters, size_t nodes, unsigned most)
{
    unsigned wanted = nodes >= 5 && most >= 5 ? 5 : nodes >= 3 && most >= 3 ? 3 : 1;
    return wanted > voters ? wanted : voters;
}

/* ---- a whole keyspace ---- */

/* A keyspace under way, on nodes of its own: their load grows with each partition. */
struct layout {
    const struct cluster_contract *contract;
    struct cluster_member *nodes; /* owned */
    size_t count;
};

static struct cluster_member *node_of(const struct layout *layout, struct node_id id)
{
    size_t i = 0;
    while (i < layout->count && !node_id_equal(layout->nodes[i].id, id))
        i++;
    assert(i < layout->count);
    return &layout->nodes[i];
}

static void place_one(struct layout *layout, uint64_t turn, struct cluster_place *place)
{
    unsigned replicas = layout->contract->replicas;
    cluster_resize(layout->contract, layout->nodes, layout->count, turn, NULL, 0, place->members);
    for (unsigned k = 0; k < replicas; k++)
        node_of(layout, place->members[k])->replicas++;
    node_of(layout, place->members[0])->leads++;
}

void cluster_place(const struct cluster_contract *contract, const struct cluster_member *nodes,
                   size_t count, uint64_t turn, struct cluster_place *places)
{
    struct layout layout = {
        .contract = contract, .nodes = memory_allocate(count * sizeof *nodes), .count = count};
    memcpy(layout.nodes, nodes, count * sizeof *nodes);
    for (unsigned i = 0; i < contract->partitions; i++) {
        places[i] =
            (struct cluster_place){.first_slot = i * CLUSTER_SLOTS / contract->partitions,
                                   .last_slot = (i + 1) * CLUSTER_SLOTS / contract->partitions - 1};
        place_one(&layout, turn + i, &places[i]);
    }
    leads_level(contract, nodes, count, places);
    memory_free(layout.nodes);
}
