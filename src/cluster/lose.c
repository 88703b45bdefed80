/* Which nodes are meant: LOSE node 2 AND zone b. */
#include "cluster/cluster.h"

#include <stdio.h>

static const char form[] =
    "LOSE takes node ID, host NAME, zone NAME or site NAME, with AND between two";

static int shown(struct slice word)
{
    return (int)(word.size < 64 ? word.size : 64);
}

static enum status refuse(char why[CLUSTER_LINE_SIZE], struct slice word, const char *says)
{
    snprintf(why, CLUSTER_LINE_SIZE, "'%.*s': %s", shown(word), (const char *)word.at, says);
    return STATUS_INVALID;
}

static const char *domain_of(const struct cluster_member *member, enum cluster_spread level)
{
    return level == CLUSTER_SPREAD_HOST   ? member->host
           : level == CLUSTER_SPREAD_ZONE ? member->zone
                                          : member->site;
}

static enum status mark_node(struct slice word, struct cluster_seen_node *nodes, size_t count,
                             char why[CLUSTER_LINE_SIZE])
{
    int64_t id = 0;
    bool found = false;
    if (slice_to_i64(word, &id) || id < 1)
        return refuse(why, word, "a node is named by its number: LOSE node 2");
    for (size_t i = 0; i < count; i++)
        if (nodes[i].member.id.value == (uint64_t)id)
            found = nodes[i].lost = true;
    return found ? STATUS_OK
                 : refuse(why, word, "there is no such node; holdfast status lists them");
}

static enum status mark_domain(enum cluster_spread level, struct slice word,
                               struct cluster_seen_node *nodes, size_t count,
                               char why[CLUSTER_LINE_SIZE])
{
    const struct cluster_contract named = {.spread = level};
    bool found = false;
    char says[120];
    for (size_t i = 0; i < count; i++)
        if (word.size && slice_equal(word, slice_of_text(domain_of(&nodes[i].member, level))))
            found = nodes[i].lost = true;
    if (found)
        return STATUS_OK;
    snprintf(says, sizeof says,
             "no node was started with that --%s; holdfast status --json lists "
             "where they are",
             cluster_spread_word(&named));
    return refuse(why, word, says);
}

static enum status mark(struct slice kind, struct slice word, struct cluster_seen_node *nodes,
                        size_t count, char why[CLUSTER_LINE_SIZE])
{
    if (slice_is_word(kind, "node"))
        return mark_node(word, nodes, count, why);
    if (slice_is_word(kind, "host"))
        return mark_domain(CLUSTER_SPREAD_HOST, word, nodes, count, why);
    if (slice_is_word(kind, "zone"))
        return mark_domain(CLUSTER_SPREAD_ZONE, word, nodes, count, why);
    if (slice_is_word(kind, "site"))
        return mark_domain(CLUSTER_SPREAD_SITE, word, nodes, count, why);
    return refuse(why, kind, form);
}

enum status cluster_lose_read(const struct slice *words, size_t count,
                              struct cluster_seen_node *nodes, size_t node_count,
                              char why[CLUSTER_LINE_SIZE])
{
    for (size_t i = 0; i < node_count; i++)
        nodes[i].lost = false;
    if (!count || !slice_is_word(words[0], "LOSE") || count % 3) {
        snprintf(why, CLUSTER_LINE_SIZE, "%s", form);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i += 3) {
        if (i && !slice_is_word(words[i], "AND"))
            return refuse(why, words[i], form);
        enum status status = mark(words[i + 1], words[i + 2], nodes, node_count, why);
        if (status)
            return status;
    }
    return STATUS_OK;
}
