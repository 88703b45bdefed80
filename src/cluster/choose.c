/* The best nodes for the copies of one partition (CLUSTER-6). Each domain has a table of the best
 * choice of 0, 1, 2 ... nodes in it; that of the domain around it comes of the tables of those
 * inside. All that speaks against a choice is added up over domains, so the best of the whole is
 * made of the best of the parts, and nothing is missed. */
#include "cluster/inside.h"

#include <assert.h>
#include <stdlib.h>

#define LOAD_SCALE 1000000 /* of a weight of 1: the load of nodes is compared in whole numbers */

struct table {
    struct choice best[CLUSTER_REPLICAS_MAX + 1]; /* by the number of copies, up to `most` */
};

struct search {
    const struct cluster_ask *ask;
    const struct leaf *leaves;
    size_t most;
};

/* CLUSTER-6: the order of these is the order of the rules. */
static bool is_better(const struct choice *a, const struct choice *b)
{
    for (size_t i = 0; i < CHOICE_COSTS; i++)
        if (a->costs[i] != b->costs[i])
            return a->costs[i] < b->costs[i];
    return false;
}

static void unite(struct choice *to, const struct choice *with)
{
    for (size_t i = 0; i < CHOICE_COSTS; i++)
        to->costs[i] += with->costs[i];
    for (size_t i = 0; i < with->count; i++)
        to->leaves[to->count++] = with->leaves[i];
}

static void begin(const struct search *search, struct table *table)
{
    for (size_t n = 0; n <= search->most; n++)
        table->best[n] = (struct choice){.possible = n == 0};
}

/* Every number of copies here, with every number there. */
static void join(const struct search *search, struct table *to, const struct table *with)
{
    struct table made;
    begin(search, &made);
    made.best[0].possible = false;
    for (size_t a = 0; a <= search->most; a++)
        for (size_t b = 0; a + b <= search->most; b++) {
            struct choice *best = &made.best[a + b], both;
            if (!to->best[a].possible || !with->best[b].possible)
                continue;
            both = to->best[a];
            unite(&both, &with->best[b]);
            if (!best->possible || is_better(&both, best))
                *best = both;
        }
    for (size_t n = 0; n <= search->most; n++)
        to->best[n] = made.best[n];
}

/* One node: none or one copy. */
static void take_leaf(const struct search *search, size_t at, struct table *out)
{
    const struct leaf *leaf = &search->leaves[at];
    bool is_new = leaf->now == LEAF_NEW;
    begin(search, out);
    if (!search->most)
        return;
    struct choice *one = &out->best[1];
    *one = (struct choice){.possible = true, .count = 1, .leaves = {at}};
    one->costs[CHOICE_LEAVING] = leaf->node->leaves;
    one->costs[CHOICE_MOVES] = is_new;
    one->costs[CHOICE_KEPT] = is_new ? 0 : (int64_t)leaf->now;
    one->costs[CHOICE_TURN] = is_new ? (int64_t)leaf->turn : 0;
    if (is_new) /* by how much the square of its load grows: the higher, the dearer */
        one->costs[CHOICE_LOAD] =
            (2 * (int64_t)leaf->node->replicas + 1) * LOAD_SCALE / place_weight(leaf->node);
}

static int64_t shared_by(const struct cluster_member *node, enum cluster_spread level,
                         int64_t copies)
{
    bool named = level == CLUSTER_SPREAD_HOST || domain_is_named(node, level);
    return named ? copies - 1 : copies;
}

/* What the domain of `node` costs as a whole. */
static void weigh(const struct search *search, enum cluster_spread level,
                  const struct cluster_member *node, struct table *table)
{
    const struct cluster_contract *contract = search->ask->contract;
    if (level == CLUSTER_SPREAD_NODE)
        return;
    bool preferred = level == CLUSTER_SPREAD_SITE && contract->prefer_site[0] &&
                     strcmp(contract->prefer_site, node->site) == 0;
    for (size_t n = 1; n <= search->most; n++) {
        int64_t *costs = table->best[n].costs, copies = (int64_t)n;
        if (!table->best[n].possible)
            continue;
        costs[CHOICE_SITES + (CLUSTER_SPREAD_SITE - level)] += copies * copies;
        costs[CHOICE_ELSEWHERE] -= preferred;
        if (level == contract->spread)
            costs[CHOICE_SHARED] += shared_by(node, level, copies);
    }
}

static size_t domain_end(const struct search *search, enum cluster_spread level, size_t from,
                         size_t end)
{
    size_t at = from;
    while (at < end && domain_is_shared(search->leaves[from].node, search->leaves[at].node, level))
        at++;
    return at;
}

/* Of the domains of that level among leaves[from .. end). It calls itself once for each level. */
static void choose_among(const struct search *search, enum cluster_spread level, size_t from,
                         size_t end, struct table *out)
{
    begin(search, out);
    while (from < end) {
        struct table inner;
        size_t behind = domain_end(search, level, from, end);
        if (level == CLUSTER_SPREAD_NODE)
            take_leaf(search, from, &inner);
        else
            choose_among(search, level - 1, from, behind, &inner);
        weigh(search, level, search->leaves[from].node, &inner);
        join(search, out, &inner);
        from = behind;
    }
}

static int by_domain(const void *a, const void *b)
{
    const struct leaf *left = a, *right = b;
    int order = strcmp(left->node->site, right->node->site);
    if (!order)
        order = strcmp(left->node->zone, right->node->zone);
    if (!order)
        order = strcmp(left->node->host, right->node->host);
    return order ? order : left->turn < right->turn ? -1 : left->turn > right->turn;
}

void choose_sort(struct leaf *leaves, size_t count)
{
    if (count)
        qsort(leaves, count, sizeof *leaves, by_domain);
}

void choose(const struct cluster_ask *ask, const struct leaf *leaves, size_t count,
            struct choice *out)
{
    struct table table;
    size_t most = ask->contract->replicas < count ? ask->contract->replicas : count;
    struct search search = {.ask = ask, .leaves = leaves, .most = most};
    assert(ask->contract->replicas <= CLUSTER_REPLICAS_MAX);
    choose_among(&search, CLUSTER_SPREAD_SITE, 0, count, &table);
    assert(table.best[most].possible && table.best[most].count == most); /* CLUSTER-6 */
    *out = table.best[most];
}
