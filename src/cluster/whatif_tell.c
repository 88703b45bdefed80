/* What the loss of nodes would mean, in words. A bound that is not known is never told as a number
 * of its own: "1 to 2" (CLUSTER-10). */
#include "cluster/cluster.h"

#include <stdio.h>

/* ---- ACK levels ---- */

enum standing {
    STANDS_NOT = 0,
    STANDS_MAYBE,
    STANDS
};

/* Each of those that go on has so many copies for it. `all` waits for those that are in sync, and a
 * lost one is in sync no more after 2 s (R15). */
static enum standing standing_of(const struct cluster_outlook *outlook, unsigned copies,
                                 bool is_all)
{
    bool goes_on = cluster_outlook_goes_on(outlook);
    bool is_sure = outlook->stop.least == outlook->stop.most;
    if (!goes_on || (!is_all && outlook->copies.most < copies))
        return STANDS_NOT;
    return is_sure && (is_all || outlook->copies.least >= copies) ? STANDS : STANDS_MAYBE;
}

static bool is_own(const struct cluster_contract *contract, const struct cluster_contract *level)
{
    return level->ack == contract->ack && level->followers == contract->followers;
}

/* A connection may ask for more, and for less where FAILOVER is available (R2). */
static bool may_be_asked(const struct cluster_contract *contract,
                         const struct cluster_contract *level)
{
    if (is_own(contract, level) || contract->failover == CLUSTER_FAILOVER_AVAILABLE)
        return true;
    if (contract->ack == CLUSTER_ACK_ALL || level->ack == CLUSTER_ACK_ASYNC)
        return false;
    return level->ack == CLUSTER_ACK_ALL ||
           cluster_ack_copies(level) > cluster_ack_copies(contract);
}

/* SHORT degrade: then the keyspace's own level takes what there is. */
static enum standing level_standing(const struct cluster_outlook *outlook,
                                    const struct cluster_contract *level)
{
    const struct cluster_contract *contract = outlook->contract;
    unsigned copies = cluster_ack_copies(level);
    if (is_own(contract, level) && contract->short_of == CLUSTER_SHORT_DEGRADE)
        copies = 0;
    return standing_of(outlook, copies, level->ack == CLUSTER_ACK_ALL);
}

static void add_level(const struct cluster_outlook *outlook, struct cluster_contract *level,
                      enum standing wanted, struct cluster_levels *out)
{
    char word[CLUSTER_WORD_SIZE];
    if (!may_be_asked(outlook->contract, level) || level_standing(outlook, level) != wanted)
        return;
    snprintf(out->words[out->count++], CLUSTER_WORD_SIZE, "%s", cluster_ack_word(level, word));
}

void cluster_outlook_acks(const struct cluster_outlook *outlook, bool maybe,
                          struct cluster_levels *out)
{
    static const enum cluster_ack first[] = {CLUSTER_ACK_ASYNC, CLUSTER_ACK_LOCAL},
                                  last[] = {CLUSTER_ACK_QUORUM, CLUSTER_ACK_ALL};
    struct cluster_contract level = *outlook->contract;
    enum standing wanted = maybe ? STANDS_MAYBE : STANDS;
    out->count = 0;
    for (size_t i = 0; i < 2; i++) {
        level.ack = first[i];
        level.followers = 0;
        add_level(outlook, &level, wanted, out);
    }
    level.ack = CLUSTER_ACK_SEMISYNC;
    for (level.followers = 1; level.followers < level.replicas; level.followers++)
        add_level(outlook, &level, wanted, out);
    level.followers = 0;
    for (size_t i = 0; i < 2; i++) {
        level.ack = last[i];
        add_level(outlook, &level, wanted, out);
    }
}

/* ---- lines ---- */

static void print_range(struct buffer *out, struct cluster_range range)
{
    if (range.least == range.most)
        buffer_print(out, "%u", range.least);
    else
        buffer_print(out, "%u to %u", range.least, range.most);
}

static const char *plural(struct cluster_range range)
{
    return range.most == 1 ? "" : "s";
}

/* Why it is a range. */
static void print_doubt(const struct cluster_outlook *outlook, struct buffer *out)
{
    if (outlook->unseen.value)
        buffer_print(out, " (nobody here sees whether node %llu is up)",
                     (unsigned long long)outlook->unseen.value);
    else
        buffer_print(out, " (a leader, or a change of members, is not known here)");
}

static void say_levels(const struct cluster_outlook *outlook, struct buffer *out)
{
    struct cluster_levels levels;
    cluster_outlook_acks(outlook, false, &levels);
    for (size_t i = 0; i < levels.count; i++)
        buffer_print(out, "%s%s", i ? ", " : "; ACK ", levels.words[i]);
    if (!levels.count)
        buffer_print(out, "; no ACK level for certain");
    cluster_outlook_acks(outlook, true, &levels);
    for (size_t i = 0; i < levels.count; i++)
        buffer_print(out, "%s%s", i ? ", " : ", perhaps ", levels.words[i]);
    buffer_print(out, "; READ strong");
}

static void say_state(const struct cluster_outlook *outlook, const char *name, struct buffer *out)
{
    struct cluster_range stop = outlook->stop;
    buffer_print(out, "%s: ", name);
    if (stop.least == outlook->groups) {
        buffer_print(out, "reads and writes stop%s",
                     outlook->groups > 1 ? " in every partition" : "");
        return;
    }
    if (stop.most == 0) {
        buffer_print(out, "goes on");
    } else if (outlook->groups == 1) {
        buffer_print(out, "may stop");
        print_doubt(outlook, out);
        buffer_print(out, ", or goes on");
    } else {
        print_range(out, stop);
        buffer_print(out, " of %u partitions stop", outlook->groups);
        if (stop.least < stop.most)
            print_doubt(outlook, out);
        buffer_print(out, ", the others go on");
    }
    buffer_print(out, " with ");
    print_range(out, outlook->copies);
    buffer_print(out, " cop%s", outlook->copies.most == 1 ? "y" : "ies");
    say_levels(outlook, out);
}

/* Which voters are missing for what. */
static void say_lack(const struct cluster_outlook *outlook, struct buffer *out)
{
    if (!outlook->stop.most)
        return;
    buffer_print(out, "; too few voters %s left for %s",
                 outlook->stop.least == outlook->stop.most ? "are" : "may be",
                 outlook->lose_commit.most ? "a commit" : "an election, and the leader is lost");
    if (outlook->down.value)
        buffer_print(out, " (node %llu is down as it is)", (unsigned long long)outlook->down.value);
}

static void say_margin(const struct cluster_outlook *outlook, struct buffer *out)
{
    struct cluster_range more = outlook->may_fail;
    if (!cluster_outlook_goes_on(outlook))
        return;
    if (more.most == 0)
        buffer_print(out, "; no further node may fail");
    else if (more.least == more.most)
        buffer_print(out, "; any %u further node%s may fail", more.least, plural(more));
    else
        buffer_print(out, "; %u to %u further nodes may fail", more.least, more.most);
    if (more.least < more.most && !outlook->stop.most)
        print_doubt(outlook, out);
    for (size_t i = 0; i < outlook->fewest_count; i++)
        buffer_print(out, "%s%llu",
                     i                           ? " and "
                     : outlook->fewest_count > 1 ? ": the loss of nodes "
                                                 : ": the loss of node ",
                     (unsigned long long)outlook->fewest[i].value);
    if (outlook->fewest_count)
        buffer_print(out, " would stop %s", outlook->groups > 1 ? "a partition" : "it");
}

/* Those that go on as long as their leader does. */
static void say_election(const struct cluster_outlook *outlook, const char *name,
                         struct buffer *out)
{
    if (outlook->lose_election.most <= outlook->stop.most)
        return;
    buffer_print(out, "%s: ", name);
    print_range(out, outlook->lose_election);
    buffer_print(out,
                 " of %u partition%s could not elect another leader: what goes on of them does so "
                 "while its leader lives\n",
                 outlook->groups, outlook->groups == 1 ? "" : "s");
}

static void say_copies(const struct cluster_outlook *outlook, const char *name, struct buffer *out)
{
    const struct cluster_contract *contract = outlook->contract;
    char word[CLUSTER_WORD_SIZE];
    unsigned copies = cluster_ack_copies(contract);
    bool lacks = contract->ack != CLUSTER_ACK_ALL && outlook->copies.most < copies;
    if (!cluster_outlook_goes_on(outlook) || !lacks)
        return;
    if (contract->short_of == CLUSTER_SHORT_DEGRADE)
        buffer_print(out,
                     "%s: writes are acknowledged with fewer copies than ACK %s asks for "
                     "(SHORT degrade)\n",
                     name, cluster_ack_word(contract, word));
    else
        buffer_print(out,
                     "%s: writes with its ACK %s are refused: they need %u copies; reads go "
                     "on (SHORT refuse)\n",
                     name, cluster_ack_word(contract, word), copies);
}

static void say_risk(const struct cluster_outlook *outlook, const char *name, struct buffer *out)
{
    if (outlook->gone)
        buffer_print(out,
                     "%s: every copy of %u of %u partition%s is among what would be lost: with "
                     "those disks everything in it\n",
                     name, outlook->gone, outlook->groups, outlook->groups == 1 ? "" : "s");
    if (!outlook->at_risk.most)
        return;
    buffer_print(out, "%s: acknowledged writes of ", name);
    print_range(out, outlook->at_risk);
    buffer_print(out,
                 " of %u partition%s may have no copy but those: with those disks they would be "
                 "gone\n",
                 outlook->groups, outlook->groups == 1 ? "" : "s");
}

static void say_whole(const struct cluster_outlook *outlook, const char *name, struct buffer *out)
{
    const struct cluster_contract *contract = outlook->contract;
    if (contract->replicas <= outlook->places_left)
        return;
    buffer_print(out, "%s: REPLICAS %u could not be met again: %zu %s%s would be left\n", name,
                 contract->replicas, outlook->places_left,
                 contract->spread ? cluster_spread_word(contract) : "node",
                 outlook->places_left == 1 ? "" : "s");
}

void cluster_outlook_tell(const struct cluster_outlook *outlook, const char *name,
                          struct buffer *out)
{
    say_state(outlook, name, out);
    say_lack(outlook, out);
    say_margin(outlook, out);
    buffer_print(out, "\n");
    say_election(outlook, name, out);
    say_copies(outlook, name, out);
    say_risk(outlook, name, out);
    say_whole(outlook, name, out);
}

/* ---- the sentence of a refusal ---- */

static void print_cure(const struct cluster_outlook *outlook, char *out, size_t room)
{
    if (outlook->down.value)
        snprintf(out, room, "bring node %llu back first", (unsigned long long)outlook->down.value);
    else if (outlook->unseen.value)
        snprintf(out, room, "ask where node %llu can be seen",
                 (unsigned long long)outlook->unseen.value);
    else
        snprintf(out, room, "add a node first, or lower REPLICAS");
}

bool cluster_outlook_refuses(const struct cluster_outlook *outlook, const char *name,
                             char why[CLUSTER_LINE_SIZE])
{
    char cure[80];
    const char *may = outlook->new_stop.least ? "would" : "might";
    print_cure(outlook, cure, sizeof cure);
    if (outlook->gone)
        snprintf(why, CLUSTER_LINE_SIZE,
                 "keyspace %s would lose every copy of %u of its %u partition%s: move them first, "
                 "or raise REPLICAS",
                 name, outlook->gone, outlook->groups, outlook->groups == 1 ? "" : "s");
    else if (outlook->new_stop.most)
        snprintf(
            why, CLUSTER_LINE_SIZE,
            "keyspace %s %s stop: too few voters of %u of its %u partition%s would be left: %s",
            name, may, outlook->new_stop.most, outlook->groups, outlook->groups == 1 ? "" : "s",
            cure);
    else if (outlook->at_risk.most)
        snprintf(why, CLUSTER_LINE_SIZE,
                 "acknowledged writes of keyspace %s may have no other copy (%u of its %u "
                 "partition%s): %s",
                 name, outlook->at_risk.most, outlook->groups, outlook->groups == 1 ? "" : "s",
                 cure);
    else if (outlook->new_lose_election.most)
        snprintf(why, CLUSTER_LINE_SIZE,
                 "keyspace %s could not elect another leader for %u of its %u partition%s: %s",
                 name, outlook->new_lose_election.most, outlook->groups,
                 outlook->groups == 1 ? "" : "s", cure);
    else
        return false;
    return true;
}
