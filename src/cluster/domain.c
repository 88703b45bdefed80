/* Fault domains: sites, in them zones, in them hosts. */
#include "cluster/inside.h"

static const char *name_of(const struct cluster_member *node, enum cluster_spread level)
{
    switch (level) {
    case CLUSTER_SPREAD_SITE: return node->site;
    case CLUSTER_SPREAD_ZONE: return node->zone;
    case CLUSTER_SPREAD_HOST: return node->host;
    case CLUSTER_SPREAD_NODE: return "";
    }
    return "";
}

bool domain_is_named(const struct cluster_member *node, enum cluster_spread level)
{
    return name_of(node, level)[0] != 0;
}

bool domain_is_shared(const struct cluster_member *a, const struct cluster_member *b,
                      enum cluster_spread level)
{
    if (a == b)
        return true;
    if (level == CLUSTER_SPREAD_NODE)
        return false;
    if (level == CLUSTER_SPREAD_HOST && !domain_is_named(a, level))
        return false;
    for (int above = CLUSTER_SPREAD_SITE; above >= (int)level; above--)
        if (strcmp(name_of(a, (enum cluster_spread)above),
                   name_of(b, (enum cluster_spread)above)) != 0)
            return false;
    return true;
}

bool domain_is_known(const struct cluster_member *nodes, size_t count, enum cluster_spread level)
{
    for (size_t i = 0; i < count; i++)
        if (!nodes[i].leaves && domain_is_named(&nodes[i], level))
            return true;
    return false;
}

size_t domain_count_staying(const struct cluster_member *nodes, size_t count)
{
    size_t staying = 0;
    for (size_t i = 0; i < count; i++)
        staying += !nodes[i].leaves;
    return staying;
}

static bool counts(const struct cluster_member *node, enum cluster_spread level)
{
    return !node->leaves && (level == CLUSTER_SPREAD_HOST || domain_is_named(node, level));
}

size_t cluster_domain_count(const struct cluster_member *nodes, size_t count,
                            enum cluster_spread level)
{
    size_t domains = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < i &&
               !(counts(&nodes[k], level) && domain_is_shared(&nodes[k], &nodes[i], level)))
            k++;
        domains += k == i && counts(&nodes[i], level);
    }
    return domains;
}
