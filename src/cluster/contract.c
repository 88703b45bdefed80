/* Reading and judging a contract. Every refusal is a sentence that says what would work
 * (CLUSTER-1). */
#include "cluster/inside.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* The log syncs what waits once a second (node/): a shorter interval would be a promise that nobody
 * keeps. */
#define INTERVAL_MS_MIN 1000
#define INTERVAL_MS_MAX 3600000

const struct cluster_contract cluster_contract_default = {
    .partitions = 1,
    .ack = CLUSTER_ACK_QUORUM,
};

bool cluster_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.size > 0 && name.size < CLUSTER_NAME_SIZE;
}

static enum status refuse(char why[CLUSTER_LINE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum status refuse(char why[CLUSTER_LINE_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, CLUSTER_LINE_SIZE, format, arguments);
    va_end(arguments);
    return STATUS_INVALID;
}

/* ---- reading ---- */

static int shown(struct slice word)
{
    return (int)(word.size < 64 ? word.size : 64);
}

static enum status refuse_word(char why[CLUSTER_LINE_SIZE], const char *option, struct slice word,
                               const char *right)
{
    return refuse(why, "%s '%.*s' is not known: %s", option, shown(word), (const char *)word.at,
                  right);
}

/* "semisync:2" is `name` with the number 2. False: another word. */
static bool word_with_number(struct slice word, const char *name, int64_t *number)
{
    size_t size = strlen(name);
    if (word.size <= size + 1 || word.at[size] != ':' ||
        !slice_is_word(slice_of(word.at, size), name))
        return false;
    return slice_to_i64(slice_of(word.at + size + 1, word.size - size - 1), number) == STATUS_OK;
}

static enum status read_number(const char *option, struct slice word, unsigned low, unsigned high,
                               unsigned *out, char why[CLUSTER_LINE_SIZE])
{
    int64_t number;
    if (slice_to_i64(word, &number) || number < low || number > high)
        return refuse(why, "%s takes a number from %u to %u, not '%.*s'", option, low, high,
                      shown(word), (const char *)word.at);
    *out = (unsigned)number;
    return STATUS_OK;
}

static enum status read_mode(struct slice word, struct cluster_contract *contract,
                             char why[CLUSTER_LINE_SIZE])
{
    (void)contract;
    if (slice_is_word(word, "leader"))
        return STATUS_OK;
    if (slice_is_word(word, "leaderless") || slice_is_word(word, "multileader"))
        return refuse(why, "MODE %.*s is not available in this version: give MODE leader",
                      shown(word), (const char *)word.at);
    return refuse_word(why, "MODE", word, "MODE leader");
}

static enum status read_replicas(struct slice word, struct cluster_contract *contract,
                                 char why[CLUSTER_LINE_SIZE])
{
    return read_number("REPLICAS", word, 1, CLUSTER_REPLICAS_MAX, &contract->replicas, why);
}

/* "2", or "1..3". False: neither. */
static bool take_range(struct slice word, int64_t *low, int64_t *high)
{
    size_t dots = 0;
    while (dots + 1 < word.size && (word.at[dots] != '.' || word.at[dots + 1] != '.'))
        dots++;
    if (dots + 1 >= word.size)
        return slice_to_i64(word, low) == STATUS_OK && slice_to_i64(word, high) == STATUS_OK;
    return slice_to_i64(slice_of(word.at, dots), low) == STATUS_OK &&
           slice_to_i64(slice_of(word.at + dots + 2, word.size - dots - 2), high) == STATUS_OK;
}

static enum status read_readers(struct slice word, struct cluster_contract *contract,
                                char why[CLUSTER_LINE_SIZE])
{
    int64_t low = 0, high = 0;
    if (!take_range(word, &low, &high) || low < 0 || high < 0 || low >= CLUSTER_REPLICAS_MAX ||
        high >= CLUSTER_REPLICAS_MAX)
        return refuse(why, "READERS takes a number from 0 to %d, or two as in 1..3, not '%.*s'",
                      CLUSTER_REPLICAS_MAX - 1, shown(word), (const char *)word.at);
    if (low > high)
        return refuse(why, "READERS %lld..%lld ends before it begins: READERS %lld..%lld works",
                      (long long)low, (long long)high, (long long)high, (long long)low);
    contract->readers_min = (unsigned)low;
    contract->readers_max = (unsigned)high;
    return STATUS_OK;
}

static enum status read_partitions(struct slice word, struct cluster_contract *contract,
                                   char why[CLUSTER_LINE_SIZE])
{
    return read_number("PARTITIONS", word, 1, CLUSTER_PARTITIONS_MAX, &contract->partitions, why);
}

static enum status read_ack(struct slice word, struct cluster_contract *contract,
                            char why[CLUSTER_LINE_SIZE])
{
    static const char right[] =
        "ACK async, local, quorum, all or semisync:K, where K is a number of followers";
    int64_t followers = 0;
    if (slice_is_word(word, "async"))
        contract->ack = CLUSTER_ACK_ASYNC;
    else if (slice_is_word(word, "local"))
        contract->ack = CLUSTER_ACK_LOCAL;
    else if (slice_is_word(word, "quorum"))
        contract->ack = CLUSTER_ACK_QUORUM;
    else if (slice_is_word(word, "all"))
        contract->ack = CLUSTER_ACK_ALL;
    else if (word_with_number(word, "semisync", &followers))
        contract->ack = CLUSTER_ACK_SEMISYNC;
    else
        return refuse_word(why, "ACK", word, right);
    if (contract->ack == CLUSTER_ACK_SEMISYNC &&
        (followers < 1 || followers >= CLUSTER_REPLICAS_MAX))
        return refuse(why,
                      "ACK semisync:K waits for 1 to %d followers; ACK local waits for the leader "
                      "alone",
                      CLUSTER_REPLICAS_MAX - 1);
    contract->followers = (unsigned)followers;
    return STATUS_OK;
}

static enum status read_failover(struct slice word, struct cluster_contract *contract,
                                 char why[CLUSTER_LINE_SIZE])
{
    bool available = slice_is_word(word, "available");
    if (!available && !slice_is_word(word, "safe"))
        return refuse_word(why, "FAILOVER", word, "FAILOVER safe or available");
    contract->failover = available ? CLUSTER_FAILOVER_AVAILABLE : CLUSTER_FAILOVER_SAFE;
    return STATUS_OK;
}

static enum status read_read(struct slice word, struct cluster_contract *contract,
                             char why[CLUSTER_LINE_SIZE])
{
    (void)contract;
    if (slice_is_word(word, "strong"))
        return STATUS_OK;
    return refuse(why, "READ %.*s is not available in this version: give READ strong", shown(word),
                  (const char *)word.at);
}

static enum status read_sync(struct slice word, struct cluster_contract *contract,
                             char why[CLUSTER_LINE_SIZE])
{
    int64_t interval_ms = 0;
    if (slice_is_word(word, "always"))
        contract->sync = CLUSTER_SYNC_ALWAYS;
    else if (slice_is_word(word, "os"))
        contract->sync = CLUSTER_SYNC_OS;
    else if (word_with_number(word, "interval", &interval_ms))
        contract->sync = CLUSTER_SYNC_INTERVAL;
    else
        return refuse_word(why, "SYNC", word, "SYNC always, interval:MS or os");
    if (contract->sync == CLUSTER_SYNC_INTERVAL &&
        (interval_ms < INTERVAL_MS_MIN || interval_ms > INTERVAL_MS_MAX))
        return refuse(why,
                      "SYNC interval:MS takes %d to %d: this version syncs once a second; SYNC "
                      "always syncs before each answer",
                      INTERVAL_MS_MIN, INTERVAL_MS_MAX);
    contract->interval_ms = (unsigned)interval_ms;
    return STATUS_OK;
}

static enum status read_short(struct slice word, struct cluster_contract *contract,
                              char why[CLUSTER_LINE_SIZE])
{
    bool degrade = slice_is_word(word, "degrade");
    if (!degrade && !slice_is_word(word, "refuse"))
        return refuse_word(why, "SHORT", word, "SHORT refuse or degrade");
    contract->short_of = degrade ? CLUSTER_SHORT_DEGRADE : CLUSTER_SHORT_REFUSE;
    return STATUS_OK;
}

static enum status read_database(struct slice word, struct cluster_contract *contract,
                                 char why[CLUSTER_LINE_SIZE])
{
    if (slice_is_word(word, "none"))
        return refuse(why,
                      "DB %.*s is not possible: a keyspace has no number until it is given one, "
                      "and ALTER can only give it another, from 1 to %d",
                      shown(word), (const char *)word.at, CLUSTER_DATABASES - 1);
    return read_number("DB", word, 1, CLUSTER_DATABASES - 1, &contract->database, why);
}

static enum status read_spread(struct slice word, struct cluster_contract *contract,
                               char why[CLUSTER_LINE_SIZE])
{
    if (slice_is_word(word, "host"))
        contract->spread = CLUSTER_SPREAD_HOST;
    else if (slice_is_word(word, "zone"))
        contract->spread = CLUSTER_SPREAD_ZONE;
    else if (slice_is_word(word, "site"))
        contract->spread = CLUSTER_SPREAD_SITE;
    else if (slice_is_word(word, "none"))
        contract->spread = CLUSTER_SPREAD_NODE;
    else
        return refuse_word(why, "SPREAD", word, "SPREAD host, zone, site or none");
    return STATUS_OK;
}

static enum status read_prefer(struct slice word, struct cluster_contract *contract,
                               char why[CLUSTER_LINE_SIZE])
{
    static const char prefix[] = "site=";
    size_t size = sizeof prefix - 1;
    contract->prefer_site[0] = 0;
    if (slice_is_word(word, "none"))
        return STATUS_OK;
    if (word.size <= size || word.size - size >= CLUSTER_NAME_SIZE ||
        !slice_is_word(slice_of(word.at, size), prefix) || memchr(word.at, 0, word.size))
        return refuse_word(why, "PREFER", word, "PREFER site=NAME or none");
    memcpy(contract->prefer_site, word.at + size, word.size - size);
    contract->prefer_site[word.size - size] = 0;
    return STATUS_OK;
}

static const struct option {
    const char *name, *example;
    enum status (*read)(struct slice word, struct cluster_contract *contract,
                        char why[CLUSTER_LINE_SIZE]);
} options[] = {
    {"MODE", "leader", read_mode},        {"REPLICAS", "3", read_replicas},
    {"PARTITIONS", "4", read_partitions}, {"ACK", "quorum", read_ack},
    {"FAILOVER", "safe", read_failover},  {"READ", "strong", read_read},
    {"SYNC", "always", read_sync},        {"SHORT", "refuse", read_short},
    {"DB", "3", read_database},           {"SPREAD", "host", read_spread},
    {"PREFER", "none", read_prefer},      {"READERS", "1..3", read_readers},
};
#define OPTIONS (sizeof options / sizeof options[0])

static size_t find_option(struct slice word)
{
    size_t i = 0;
    while (i < OPTIONS && !slice_is_word(word, options[i].name))
        i++;
    return i;
}

enum status cluster_contract_read(const struct slice *words, size_t count,
                                  struct cluster_contract *contract, char why[CLUSTER_LINE_SIZE])
{
    bool given[OPTIONS] = {false};
    for (size_t i = 0; i < count; i += 2) {
        size_t at = find_option(words[i]);
        if (at == OPTIONS)
            return refuse(why,
                          "option '%.*s' is not known: MODE, REPLICAS, READERS, PARTITIONS, ACK, "
                          "FAILOVER, READ, SYNC, SHORT, DB, SPREAD and PREFER are",
                          shown(words[i]), (const char *)words[i].at);
        if (i + 1 == count)
            return refuse(why, "option %s lacks its value: give one, as in %s %s", options[at].name,
                          options[at].name, options[at].example);
        if (given[at])
            return refuse(why, "option %s is given twice: give it once", options[at].name);
        given[at] = true;
        enum status status = options[at].read(words[i + 1], contract, why);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* ---- judging ---- */

static unsigned majority(unsigned voters)
{
    return voters / 2 + 1;
}

unsigned cluster_commit_quorum(const struct cluster_contract *contract)
{
    unsigned half = majority(contract->replicas);
    if (contract->failover == CLUSTER_FAILOVER_AVAILABLE)
        return half;
    if (contract->ack == CLUSTER_ACK_LOCAL)
        return 1;
    if (contract->ack == CLUSTER_ACK_SEMISYNC && contract->followers + 1 < half)
        return contract->followers + 1;
    return half;
}

unsigned cluster_election_quorum(const struct cluster_contract *contract)
{
    unsigned commit = cluster_commit_quorum(contract), half = majority(contract->replicas);
    unsigned needed = contract->replicas - commit + 1;
    unsigned election = needed > half ? needed : half;
    assert(commit + election > contract->replicas && 2 * election > contract->replicas);
    return election; /* CLUSTER-2 */
}

unsigned cluster_ack_copies(const struct cluster_contract *contract)
{
    switch (contract->ack) {
    case CLUSTER_ACK_ASYNC: return 0;
    case CLUSTER_ACK_LOCAL: return 1;
    case CLUSTER_ACK_SEMISYNC: return contract->followers + 1;
    case CLUSTER_ACK_QUORUM: return majority(contract->replicas);
    case CLUSTER_ACK_ALL: return contract->replicas;
    }
    return 0;
}

static enum status check_copies(const struct cluster_contract *contract, size_t nodes,
                                char why[CLUSTER_LINE_SIZE])
{
    if (contract->replicas > nodes)
        return refuse(why,
                      "REPLICAS %u needs %u nodes, and the cluster has %zu: REPLICAS %zu works",
                      contract->replicas, contract->replicas, nodes, nodes);
    if (contract->ack == CLUSTER_ACK_SEMISYNC && contract->followers >= contract->replicas) {
        if (contract->replicas == 1)
            return refuse(why,
                          "ACK semisync:%u needs %u follower%s, and REPLICAS 1 has none: ACK "
                          "local works, or REPLICAS %u",
                          contract->followers, contract->followers,
                          contract->followers == 1 ? "" : "s", contract->followers + 1);
        return refuse(why,
                      "ACK semisync:%u needs %u followers, and REPLICAS %u has %u: ACK semisync:%u "
                      "or all works",
                      contract->followers, contract->followers, contract->replicas,
                      contract->replicas - 1, contract->replicas - 1);
    }
    if (contract->ack == CLUSTER_ACK_ASYNC && contract->failover == CLUSTER_FAILOVER_SAFE)
        return refuse(why, "ACK async with FAILOVER safe contradicts itself: what no disk has "
                           "cannot be safe; ACK local with FAILOVER safe works (no automatic "
                           "failover), or ACK async with FAILOVER available (a failover may lose "
                           "acknowledged writes)");
    return STATUS_OK;
}

/* Readers are on nodes without another copy of their partition. */
static enum status check_readers(const struct cluster_contract *contract, size_t nodes,
                                 char why[CLUSTER_LINE_SIZE])
{
    unsigned replicas = contract->replicas;
    unsigned most = replicas < CLUSTER_COPIES_MAX ? CLUSTER_COPIES_MAX - replicas : 0;
    if (contract->readers_min > nodes - replicas)
        return refuse(why,
                      "READERS %u beside REPLICAS %u needs %u nodes, and the cluster has %zu: "
                      "READERS %zu works, or another node",
                      contract->readers_min, replicas, replicas + contract->readers_min, nodes,
                      nodes - replicas);
    if (contract->readers_max > most)
        return refuse(why,
                      "REPLICAS %u and READERS %u make %u copies, and %d is the most: READERS %u "
                      "works",
                      replicas, contract->readers_max, replicas + contract->readers_max,
                      CLUSTER_COPIES_MAX, most);
    return STATUS_OK;
}

/* Is there a node in it that stays, and in which SPREAD may put a copy? */
static bool has_place_in(const struct cluster_contract *contract,
                         const struct cluster_member *nodes, size_t count, const char *site)
{
    bool by_name = contract->spread > CLUSTER_SPREAD_HOST;
    for (size_t i = 0; i < count; i++)
        if (!nodes[i].leaves && strcmp(nodes[i].site, site) == 0 &&
            (!by_name || domain_is_named(&nodes[i], contract->spread)))
            return true;
    return false;
}

/* Where no node says where it is, nothing is known to be apart. */
static enum status check_spread(const struct cluster_contract *contract,
                                const struct cluster_member *nodes, size_t count,
                                char why[CLUSTER_LINE_SIZE])
{
    const char *level = cluster_spread_word(contract);
    size_t domains = cluster_domain_count(nodes, count, contract->spread);
    if (!domain_is_known(nodes, count, contract->spread))
        return refuse(
            why,
            "SPREAD %s goes by what nodes say when they join, and none said --%s: joining "
            "nodes with --%s NAME works, or no SPREAD",
            level, level, level);
    if (contract->replicas > domains)
        return refuse(why,
                      "SPREAD %s with REPLICAS %u needs %u %ss, and the nodes have %zu: "
                      "REPLICAS %zu works, or no SPREAD",
                      level, contract->replicas, contract->replicas, level, domains, domains);
    return STATUS_OK;
}

static enum status check_domains(const struct cluster_contract *contract,
                                 const struct cluster_member *nodes, size_t count,
                                 char why[CLUSTER_LINE_SIZE])
{
    const char *site = contract->prefer_site;
    enum status status = contract->spread ? check_spread(contract, nodes, count, why) : STATUS_OK;
    if (status || !site[0] || has_place_in(contract, nodes, count, site))
        return status;
    if (contract->spread == CLUSTER_SPREAD_ZONE)
        return refuse(why,
                      "PREFER site=%s with SPREAD zone: no node was started with --site %s and a "
                      "--zone: name a site that such nodes have, or PREFER none",
                      site, site);
    return refuse(why,
                  "PREFER site=%s: no node was started with --site %s: name a site that nodes "
                  "have, or PREFER none",
                  site, site);
}

enum status cluster_contract_check(struct cluster_contract *contract,
                                   const struct cluster_member *nodes, size_t count,
                                   char why[CLUSTER_LINE_SIZE])
{
    size_t staying = domain_count_staying(nodes, count);
    if (!contract->replicas)
        contract->replicas = staying >= 3 ? 3 : 1; /* R18: two only when asked for */
    enum status status = check_copies(contract, staying, why);
    if (!status)
        status = check_readers(contract, staying, why);
    return status ? status : check_domains(contract, nodes, count, why);
}
