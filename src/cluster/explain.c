/* A contract in plain words. Each sentence is chosen by the numbers that the code itself goes by:
 * quorums and copies (CLUSTER-4). */
#include "cluster/cluster.h"

/* What is acknowledged may be on fewer replicas than an election looks at: then it can be cut. */
static bool may_be_cut(const struct cluster_contract *contract)
{
    return contract->failover == CLUSTER_FAILOVER_AVAILABLE &&
           cluster_ack_copies(contract) < cluster_commit_quorum(contract);
}

/* Persisted copies behind an acknowledged write, where nothing can be cut. Of `all` no more than
 * those that the commit needs are sure: the in-sync set may have shrunk to them (R15). */
static unsigned safe_copies(const struct cluster_contract *contract)
{
    unsigned acknowledged = cluster_ack_copies(contract), commit = cluster_commit_quorum(contract);
    if (contract->ack == CLUSTER_ACK_ALL)
        return commit;
    return acknowledged > commit ? acknowledged : commit;
}

static void say_acknowledged(const struct cluster_contract *contract, struct buffer *out)
{
    bool synced = contract->sync == CLUSTER_SYNC_ALWAYS;
    const char *there = synced ? "is on the disk of" : "is written, not yet synced, at";
    buffer_print(out, "acknowledged: a write is answered when it ");
    switch (contract->ack) {
    case CLUSTER_ACK_ASYNC:
        buffer_print(out, "is written at the leader; no disk need have it");
        break;
    case CLUSTER_ACK_LOCAL: buffer_print(out, "%s the leader", there); break;
    case CLUSTER_ACK_SEMISYNC:
        buffer_print(out, "%s the leader and of %u of its followers", there, contract->followers);
        break;
    case CLUSTER_ACK_QUORUM:
        buffer_print(out, "%s %u of %u replicas", there, cluster_ack_copies(contract),
                     contract->replicas);
        break;
    case CLUSTER_ACK_ALL:
        buffer_print(
            out,
            "%s every replica in the in-sync set, never less than %u of %u; one that is silent or "
            "behind for 2 s leaves the set, with a line in the log, until it has caught up",
            there, cluster_commit_quorum(contract), contract->replicas);
        break;
    }
    buffer_print(out, ".\n");
}

static void say_survives(const struct cluster_contract *contract, struct buffer *out)
{
    unsigned copies = safe_copies(contract);
    bool synced = contract->sync == CLUSTER_SYNC_ALWAYS;
    buffer_print(out, "survives: an acknowledged write survives ");
    if (may_be_cut(contract))
        buffer_print(out, "the loss of every node but the leader; with the leader it may go.\n");
    else if (copies == 1)
        buffer_print(out, "%s, not the loss of %s disk.\n",
                     synced ? "a crash and a power cut of every node"
                            : "a crash of the processes of every node",
                     contract->replicas == 1 ? "the node's" : "the leader's");
    else
        buffer_print(out, "the loss of any %u of the %u nodes that carry it, and %s.\n", copies - 1,
                     contract->replicas,
                     synced ? "a crash and a power cut of all" : "a crash of the processes of all");
}

/* A copy that is written and not synced is gone with the power of its machine; what remains is
 * known to be unsure and waits for the others (R4). */
static void say_unsynced(const struct cluster_contract *contract, struct buffer *out)
{
    unsigned copies = may_be_cut(contract) ? 1 : safe_copies(contract);
    if (contract->replicas == 1)
        buffer_print(out, " A power cut may take back ");
    else if (copies == 1)
        buffer_print(out, " A power cut of the leader's machine may take back ");
    else
        buffer_print(out, " A power cut of %u machines at once may take back ", copies);
    if (contract->sync == CLUSTER_SYNC_INTERVAL)
        buffer_print(out, "the last %u ms of what was acknowledged.", contract->interval_ms);
    else
        buffer_print(out, "what was acknowledged and not yet written out by the kernel.");
}

static void say_lost(const struct cluster_contract *contract, struct buffer *out)
{
    unsigned copies = safe_copies(contract);
    buffer_print(out, "lost: ");
    if (may_be_cut(contract))
        buffer_print(
            out,
            "a failover may cut acknowledged writes that fewer than %u of %u replicas had, as a "
            "rule those of the last moments; LOSS LIST says which, as far as anybody knows.",
            cluster_commit_quorum(contract), contract->replicas);
    else if (contract->replicas == 1)
        buffer_print(out, "everything, if the node's disk is lost.");
    else if (copies == 1)
        buffer_print(
            out, "what no follower had yet, if the leader's disk is lost and an operator goes on "
                 "without it.");
    else
        buffer_print(out, "nothing that was acknowledged, unless %u nodes lose their disks.",
                     copies);
    if (contract->sync != CLUSTER_SYNC_ALWAYS)
        say_unsynced(contract, out);
    buffer_print(out, "\n");
}

/* What goes on is said of one and of two failures; this is why. */
static void say_short(const struct cluster_contract *contract, struct buffer *out)
{
    unsigned copies = cluster_ack_copies(contract), commit = cluster_commit_quorum(contract);
    if (contract->short_of != CLUSTER_SHORT_DEGRADE)
        return;
    if (copies > commit)
        buffer_print(out,
                     "short: while fewer than %u replicas are in reach, a write is answered with "
                     "the %u of its commit (SHORT degrade).\n",
                     copies, commit);
    else
        buffer_print(out, "short: SHORT degrade changes nothing here, for no write waits for more "
                          "replicas than its commit.\n");
}

static void say_reads(struct buffer *out)
{
    buffer_print(
        out, "reads: strong: the leader answers, through any node, and never with older data; a "
             "read waits for the commit of the writes that it saw.\n");
}

static void say_readers(const struct cluster_contract *contract, struct buffer *out)
{
    char word[CLUSTER_WORD_SIZE];
    if (!contract->readers_max)
        return;
    buffer_print(out,
                 "readers: %s more cop%s of each partition, on other nodes. They never vote, no "
                 "write waits for them, and none of the numbers here counts them. In this version "
                 "they are kept ready and answer no read: READ strong asks the leader.\n",
                 cluster_readers_word(contract, word), contract->readers_max == 1 ? "y" : "ies");
}

static unsigned copies_for_writes(const struct cluster_contract *contract)
{
    return contract->short_of == CLUSTER_SHORT_DEGRADE ? cluster_commit_quorum(contract)
                                                       : safe_copies(contract);
}

static void say_failures(const struct cluster_contract *contract, unsigned failures,
                         struct buffer *out)
{
    unsigned left = contract->replicas - failures, election = cluster_election_quorum(contract);
    bool leads = left >= cluster_commit_quorum(contract), elects = left >= election;
    bool writes = left >= copies_for_writes(contract);
    const char *what =
        writes ? "reads and writes go on" : "reads go on, writes wait or are refused";
    buffer_print(out, "%s: ", failures == 1 ? "after one failure" : "after two failures");
    if (elects)
        buffer_print(out, "%s; if the leader is lost, another takes over by itself.", what);
    else if (leads)
        buffer_print(
            out,
            "%s while the leader lives; if the leader is lost, nobody takes over by itself: all "
            "stops until %u of the %u nodes are up.",
            what, election, contract->replicas);
    else
        buffer_print(out, "reads and writes stop until %u of the %u nodes are up.", election,
                     contract->replicas);
    if (writes && left < safe_copies(contract))
        buffer_print(out, " Writes are then acknowledged with fewer copies (SHORT degrade).");
    buffer_print(out, "\n");
}

void cluster_explain(const struct cluster_contract *contract, struct buffer *out)
{
    say_acknowledged(contract, out);
    say_survives(contract, out);
    say_lost(contract, out);
    say_short(contract, out);
    say_reads(out);
    say_readers(contract, out);
    if (contract->replicas == 1) {
        buffer_print(out, "after one failure: reads and writes stop until the node is back.\n");
        return;
    }
    say_failures(contract, 1, out);
    say_failures(contract, 2, out);
}
