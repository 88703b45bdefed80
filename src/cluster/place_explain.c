/* A place in plain words: why each copy is where it is, and which rules of fault domains hold. All
 * of it is counted on the place, and beside it on a plan for the same partition (CLUSTER-7). */
#include "cluster/inside.h"

struct view {
    const struct cluster_ask *ask;
    const struct node_id *members; /* the place that is explained */
    size_t count;
    struct cluster_plan plan;                     /* what would be best */
    struct node_id readers[CLUSTER_REPLICAS_MAX]; /* the same */
    size_t reader_count;
    struct buffer *out;
};

static bool is_among(const struct node_id *members, size_t count, struct node_id node)
{
    for (size_t i = 0; i < count; i++)
        if (node_id_equal(members[i], node))
            return true;
    return false;
}

static bool has_copy(const struct view *view, const struct cluster_member *node)
{
    return is_among(view->members, view->count, node->id);
}

static bool is_planned(const struct view *view, const struct cluster_member *node)
{
    return is_among(view->plan.members, view->plan.count, node->id);
}

static bool has_reader(const struct view *view, const struct cluster_member *node)
{
    return is_among(view->ask->readers, view->ask->reader_count, node->id);
}

/* ---- counting ---- */

/* Copies in the domain of that node: at the place, or as planned. */
static unsigned copies_beside(const struct view *view, const struct cluster_member *node,
                              enum cluster_spread level, bool planned)
{
    unsigned copies = 0;
    for (size_t i = 0; i < view->ask->count; i++) {
        const struct cluster_member *other = &view->ask->nodes[i];
        copies += domain_is_shared(other, node, level) &&
                  (planned ? is_planned(view, other) : has_copy(view, other));
    }
    return copies;
}

/* Nodes that could have one, or do. */
static bool takes_part(const struct view *view, const struct cluster_member *node)
{
    return !node->leaves || has_copy(view, node) || is_planned(view, node);
}

/* The first one of its domain speaks for all of it. */
static bool speaks(const struct view *view, size_t at, enum cluster_spread level)
{
    const struct cluster_member *nodes = view->ask->nodes;
    if (!takes_part(view, &nodes[at]))
        return false;
    for (size_t i = 0; i < at; i++)
        if (takes_part(view, &nodes[i]) && domain_is_shared(&nodes[i], &nodes[at], level))
            return false;
    return true;
}

static size_t count_domains(const struct view *view, enum cluster_spread level)
{
    size_t domains = 0;
    for (size_t i = 0; i < view->ask->count; i++)
        domains += speaks(view, i, level);
    return domains;
}

static bool is_level_named(const struct view *view, enum cluster_spread level)
{
    for (size_t i = 0; i < view->ask->count; i++)
        if (takes_part(view, &view->ask->nodes[i]) && domain_is_named(&view->ask->nodes[i], level))
            return true;
    return false;
}

static unsigned most_copies(const struct view *view, enum cluster_spread level, bool planned)
{
    unsigned most = 0;
    for (size_t i = 0; i < view->ask->count; i++) {
        unsigned copies = copies_beside(view, &view->ask->nodes[i], level, planned);
        most = copies > most ? copies : most;
    }
    return most;
}

/* Another domain of the same parent has two copies less, or fewer yet. */
static bool is_above_others(const struct view *view, const struct cluster_member *node,
                            enum cluster_spread level, bool planned)
{
    unsigned copies = copies_beside(view, node, level, planned);
    for (size_t i = 0; copies > 1 && i < view->ask->count; i++) {
        const struct cluster_member *other = &view->ask->nodes[i];
        bool siblings = level == CLUSTER_SPREAD_SITE || domain_is_shared(node, other, level + 1);
        if (siblings && takes_part(view, other) &&
            copies > copies_beside(view, other, level, planned) + 1)
            return true;
    }
    return false;
}

static bool is_uneven(const struct view *view, enum cluster_spread level, bool planned)
{
    for (size_t i = 0; i < view->ask->count; i++)
        if (is_above_others(view, &view->ask->nodes[i], level, planned))
            return true;
    return false;
}

/* ---- names ---- */

static const char *level_word(enum cluster_spread level)
{
    static const char *const words[] = {"node", "host", "zone", "site"};
    return words[level];
}

static void say_name(struct buffer *out, const char *name)
{
    buffer_print(out, "%s", name[0] ? name : "without a name");
}

/* With the site in front of a zone, for two sites may have zones of one name. */
static void say_domain(struct buffer *out, const struct cluster_member *node,
                       enum cluster_spread level)
{
    if (level == CLUSTER_SPREAD_HOST && !node->host[0]) {
        buffer_print(out, "node %llu", (unsigned long long)node->id.value);
        return;
    }
    if (level < CLUSTER_SPREAD_SITE && node->site[0])
        buffer_print(out, "%s/", node->site);
    if (level < CLUSTER_SPREAD_ZONE && node->zone[0])
        buffer_print(out, "%s/", node->zone);
    say_name(out, level == CLUSTER_SPREAD_SITE   ? node->site
                  : level == CLUSTER_SPREAD_ZONE ? node->zone
                                                 : node->host);
}

/* ---- nodes ---- */

/* The widest domain of which `node` has copies apart from it; NODE: there is none. */
static enum cluster_spread widest_with(const struct view *view, const struct cluster_member *node,
                                       unsigned copies)
{
    int level = CLUSTER_SPREAD_SITE;
    while (level > CLUSTER_SPREAD_NODE &&
           (!is_level_named(view, (enum cluster_spread)level) ||
            count_domains(view, (enum cluster_spread)level) < 2 ||
            copies_beside(view, node, (enum cluster_spread)level, false) != copies))
        level--;
    return (enum cluster_spread)level;
}

static void say_only(const struct view *view, const struct cluster_member *node)
{
    enum cluster_spread level = widest_with(view, node, 1);
    if (level == CLUSTER_SPREAD_NODE)
        return;
    buffer_print(view->out, ", the only copy in %s ", level_word(level));
    say_domain(view->out, node, level);
}

static void say_why_it_goes(const struct view *view, const struct cluster_member *node)
{
    for (int at = CLUSTER_SPREAD_SITE; at > CLUSTER_SPREAD_NODE && !node->leaves; at--) {
        enum cluster_spread level = (enum cluster_spread)at;
        unsigned copies = copies_beside(view, node, level, false);
        if (copies <= copies_beside(view, node, level, true))
            continue;
        buffer_print(view->out, ", would go elsewhere: %s ", level_word(level));
        say_domain(view->out, node, level);
        buffer_print(view->out, " has %u and needs %u", copies,
                     copies_beside(view, node, level, true));
        return;
    }
    buffer_print(view->out, ", would go elsewhere%s", node->leaves ? ": the node leaves" : "");
}

static void say_copy(const struct view *view, const struct cluster_member *node)
{
    const char *site = view->ask->contract->prefer_site;
    bool is_new = place_now(view->ask, node->id) == LEAF_NEW;
    buffer_print(view->out, "%s", is_new ? "would get a copy" : "has a copy");
    /* Those of a formation have none: whoever is elected leads. */
    if (node_id_equal(view->members[0], node->id) && (is_new || node->leads))
        buffer_print(view->out, ", first candidate for the lead%s",
                     site[0] && strcmp(site, node->site) == 0 ? " in the preferred site" : "");
    say_only(view, node);
    if (!is_planned(view, node))
        say_why_it_goes(view, node);
    else if (node->leaves)
        buffer_print(view->out, ", leaves, and no other node can take it");
    else if (is_new)
        buffer_print(view->out, ", of equal places the least loaded");
}

static void say_reader(const struct view *view, const struct cluster_member *node)
{
    buffer_print(view->out, "has a reader, which does not vote");
    if (is_planned(view, node))
        buffer_print(view->out, ", planned anew it would: it has the data");
    else if (!is_among(view->readers, view->reader_count, node->id))
        buffer_print(view->out, ", would go elsewhere");
}

static void say_would_come(const struct view *view, const struct cluster_member *node)
{
    enum cluster_spread level = widest_with(view, node, 0);
    buffer_print(view->out, "planned anew it would get a copy: ");
    if (level != CLUSTER_SPREAD_NODE) {
        buffer_print(view->out, "%s ", level_word(level));
        say_domain(view->out, node, level);
        buffer_print(view->out, " has none");
    } else {
        buffer_print(view->out, "one has to go there, and it is the least loaded");
    }
}

/* The narrowest domain around it that has copies. */
static void say_none(const struct view *view, const struct cluster_member *node)
{
    int level = CLUSTER_SPREAD_HOST;
    buffer_print(view->out, "no copy: ");
    while (level <= CLUSTER_SPREAD_SITE &&
           (!domain_is_named(node, (enum cluster_spread)level) ||
            !copies_beside(view, node, (enum cluster_spread)level, false)))
        level++;
    if (node->leaves) {
        buffer_print(view->out, "it leaves");
    } else if (!place_has_room(view->ask, node)) {
        buffer_print(view->out, "it has no room for one");
    } else if (level <= CLUSTER_SPREAD_SITE) {
        buffer_print(view->out, "%s ", level_word((enum cluster_spread)level));
        say_domain(view->out, node, (enum cluster_spread)level);
        buffer_print(view->out, " has %u of %zu",
                     copies_beside(view, node, (enum cluster_spread)level, false), view->count);
    } else {
        buffer_print(view->out, "there are no more than %zu", view->count);
    }
}

static void say_node(const struct view *view, const struct cluster_member *node)
{
    buffer_print(view->out, "node %llu: ", (unsigned long long)node->id.value);
    if (has_copy(view, node))
        say_copy(view, node);
    else if (has_reader(view, node))
        say_reader(view, node);
    else if (is_planned(view, node))
        say_would_come(view, node);
    else
        say_none(view, node);
    buffer_print(view->out, "; %u replica%s at weight %u, first candidate of %u\n", node->replicas,
                 node->replicas == 1 ? "" : "s", place_weight(node), node->leads);
}

static void say_nodes(const struct view *view)
{
    const struct cluster_ask *ask = view->ask;
    for (size_t i = 0; i < view->count; i++) {
        size_t k = 0;
        while (k < ask->count && !node_id_equal(ask->nodes[k].id, view->members[i]))
            k++;
        if (k < ask->count)
            say_node(view, &ask->nodes[k]);
        else
            buffer_print(view->out, "node %llu: is gone; its copy goes elsewhere\n",
                         (unsigned long long)view->members[i].value);
    }
    for (size_t i = 0; i < ask->count; i++)
        if (!has_copy(view, &ask->nodes[i]))
            say_node(view, &ask->nodes[i]);
}

/* ---- rules ---- */

static void say_counts(const struct view *view, enum cluster_spread level)
{
    bool first = true;
    for (size_t i = 0; i < view->ask->count; i++) {
        if (!speaks(view, i, level))
            continue;
        buffer_print(view->out, "%s", first ? "" : ", ");
        say_domain(view->out, &view->ask->nodes[i], level);
        buffer_print(view->out, " %u", copies_beside(view, &view->ask->nodes[i], level, false));
        first = false;
    }
}

static void say_balance(const struct view *view, enum cluster_spread level)
{
    if (!is_uneven(view, level, false))
        buffer_print(view->out, "; siblings differ by one copy at most");
    else if (is_uneven(view, level, true))
        buffer_print(view->out, "; as even as the nodes allow");
    else
        buffer_print(view->out, "; uneven, and planned anew they would not be");
}

static void say_majority(const struct view *view, enum cluster_spread level)
{
    unsigned copies = (unsigned)view->count, half = copies / 2 + 1;
    unsigned most = most_copies(view, level, false);
    if (copies < 2)
        return;
    if (most < half)
        buffer_print(view->out, "; none holds a majority");
    else if (most_copies(view, level, true) < half)
        buffer_print(view->out, "; one holds %u of %u copies, a majority: planned anew none would",
                     most, copies);
    else
        buffer_print(view->out, "; %zu %ss: one of them must hold %u of %u copies, a majority",
                     count_domains(view, level), level_word(level), most, copies);
}

static void say_level(const struct view *view, enum cluster_spread level)
{
    buffer_print(view->out, "%s: ", level_word(level));
    if (!is_level_named(view, level)) {
        buffer_print(view->out, "no node names one\n");
        return;
    }
    if (count_domains(view, level) < 2) {
        buffer_print(view->out, "there is only one, with all copies\n");
        return;
    }
    say_counts(view, level);
    say_balance(view, level);
    say_majority(view, level);
    buffer_print(view->out, "\n");
}

static size_t count_moves(const struct view *view)
{
    const struct cluster_ask *ask = view->ask;
    size_t moves = 0;
    for (size_t i = 0; i < view->plan.count; i++)
        moves += !is_among(view->members, view->count, view->plan.members[i]) &&
                 !is_among(ask->readers, ask->reader_count, view->plan.members[i]);
    for (size_t i = 0; i < view->reader_count; i++)
        moves += !is_among(view->members, view->count, view->readers[i]) &&
                 !is_among(ask->readers, ask->reader_count, view->readers[i]);
    return moves;
}

static void say_end(const struct view *view)
{
    size_t moves = count_moves(view);
    const struct cluster_contract *contract = view->ask->contract;
    char word[CLUSTER_WORD_SIZE];
    if (view->plan.met)
        buffer_print(view->out, "contract: %u replicas, %s%s%sSPREAD %s: the nodes can keep it\n",
                     contract->replicas, contract->readers_max ? "READERS " : "",
                     contract->readers_max ? cluster_readers_word(contract, word) : "",
                     contract->readers_max ? ", " : "", cluster_spread_word(contract));
    else
        buffer_print(view->out, "contract: the nodes cannot keep it: %s\n", view->plan.why);
    if (moves)
        buffer_print(view->out, "plan: planned anew, %zu cop%s would move\n", moves,
                     moves == 1 ? "y" : "ies");
    else
        buffer_print(view->out, "plan: nothing would move\n");
}

void cluster_explain_place(const struct cluster_ask *ask, struct buffer *out)
{
    struct view view = {.ask = ask, .out = out};
    cluster_plan(ask, &view.plan); /* CLUSTER-7 */
    view.reader_count = cluster_plan_readers(
        ask, view.plan.members, view.plan.count,
        cluster_readers(ask->contract, (unsigned)ask->reader_count), view.readers);
    view.members = ask->now_count ? ask->now : view.plan.members;
    view.count = ask->now_count ? ask->now_count : view.plan.count;
    say_nodes(&view);
    for (int level = CLUSTER_SPREAD_SITE; level > CLUSTER_SPREAD_NODE; level--)
        say_level(&view, (enum cluster_spread)level);
    say_end(&view);
}
