/* shares.c - each worker of a node knows its own groups, clients and log. Whoever is asked about
 * the node asks the other workers, and answers when they have answered:
 *
 *   verb -> admin_ask -> ASK, to each -> a share of each, made in one go between two phases of its
 * turn -> the same verb again, in the turn in which the last one came
 *
 * One question is under way at a time; requests that ask the same share its answer. A worker that
 * does not turn is not waited for longer than SHARE_TIMEOUT_NS. */
#include "admin/inside.h"

#include "base/memory.h"
#include "wal/wal.h"

#include <stdio.h>

#define SHARE_TIMEOUT_NS (500 * 1000000ull) /* less than a request is held */
#define PARTITIONS_SIZE  (1u << 24)
#define CLIENTS_SIZE     (8u << 20)

enum {
    MESSAGE_ASK = 0,
    MESSAGE_SHARE = 1
};
#define TAG_OF(message, from) ((uint64_t)(message)*PEER_WORKERS_MAX + (from))

struct ask {
    uint32_t ticket;
    enum admin_share_kind kind;
    uint64_t keyspace;
};

struct admin_question {
    struct ask ask;
    uint32_t waits_for; /* bits of workers */
    uint64_t asked_ns;
    uint64_t ended_ns;                            /* the turn that has the answer; 0: none */
    struct admin_share *shares[PEER_WORKERS_MAX]; /* owned */
};

/* ---- one worker's share ---- */

static void take_default(struct admin *admin, struct admin_default *first)
{
    struct replica *replica =
        node_is_started(admin->node) ? node_group(admin->node, GROUP_DEFAULT) : NULL;
    if (!replica)
        return;
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *configuration = raft_configuration(raft);
    *first = (struct admin_default){.is_here = true,
                                    .term = raft_view(raft)->term,
                                    .commit = raft_view(raft)->commit,
                                    .applied = replica_applied(replica),
                                    .leader = node_leader_of(admin->node, GROUP_DEFAULT)};
    if (replica_is_serving(replica) && raft_lease_is_valid(raft, io_now_ns(admin->io)))
        first->lease_until_ns = raft_view(raft)->lease_until_ns;
    for (uint8_t database = 0; database < STORE_DATABASES; database++) {
        first->keys[database] = store_count(replica_store(replica), database);
        first->deadlines[database] = store_count_deadlines(replica_store(replica), database);
    }
    first->member_count = configuration->member_count;
    for (size_t i = 0; i < configuration->member_count; i++) {
        struct raft_progress progress = {0};
        (void)!raft_progress(raft, configuration->members[i].replica, &progress);
        first->members[i].node = configuration->members[i].node;
        first->members[i].persisted = progress.persisted;
    }
}

static bool is_asked_for(const struct admin *admin, const struct ask *ask, struct group_id group)
{
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(admin->control), group);
    if (ask->kind == SHARE_COUNTS)
        return true;
    if (ask->kind != SHARE_DIGESTS)
        return false;
    return partition ? partition->keyspace == ask->keyspace
                     : group.value == ask->keyspace; /* the first two are their keyspaces */
}

static void take_counts(struct admin *admin, const struct ask *ask, struct admin_share *share)
{
    size_t groups = node_is_started(admin->node) ? node_group_count(admin->node) : 0;
    for (size_t i = 0; i < groups; i++) {
        struct replica *replica = node_group_at(admin->node, i);
        const struct store *store = replica_store(replica);
        share->memory_bytes += store_memory_bytes(store);
        if (!is_asked_for(admin, ask, replica_group(replica)))
            continue;
        share->counts[share->count++] = (struct admin_count){
            .group = replica_group(replica),
            .keys = store_count(store, 0),
            .deadlines = store_count_deadlines(store, 0),
            .digest = ask->kind == SHARE_DIGESTS ? store_digest(replica_store(replica)) : 0};
    }
}

static void take_text(struct admin *admin, const struct ask *ask, struct buffer *text)
{
    struct server_call call = {
        .server = admin->server, .node = admin->node, .io = admin->io, .owner = admin};
    if (ask->kind == SHARE_PARTITIONS)
        admin_status_partitions(&call, text);
    if (ask->kind == SHARE_CLIENTS)
        server_tell_clients(admin->server, text);
}

static struct admin_share *take_share(struct admin *admin, const struct ask *ask)
{
    size_t groups = node_is_started(admin->node) ? node_group_count(admin->node) : 0;
    const struct wal *wal = node_wal(admin->node);
    struct buffer text;
    buffer_init(&text, ask->kind == SHARE_PARTITIONS ? PARTITIONS_SIZE : CLIENTS_SIZE);
    take_text(admin, ask, &text);
    size_t counts_size = groups * sizeof(struct admin_count);
    struct admin_share *share = memory_zeroed(1, sizeof *share + counts_size + text.size);
    uint8_t *behind = (uint8_t *)(share + 1) + counts_size;
    share->ticket = ask->ticket;
    share->counts = (struct admin_count *)(share + 1);
    share->text = slice_of(behind, text.size);
    if (text.size)
        memcpy(behind, text.at, text.size);
    buffer_deinit(&text);
    server_facts(admin->server, &share->facts);
    server_address(admin->server, share->address);
    share->incarnation = node_incarnation(admin->node);
    share->durable = wal_durable_ticket(wal);
    share->written = wal_written_ticket(wal);
    share->room = wal_room(wal);
    share->disk_is_full = wal_disk_is_full(wal);
    share->disk_is_stalled = node_disk(admin->node) == NODE_DISK_STALLED;
    admin_count_alerts(admin, share->alerts);
    take_default(admin, &share->first);
    take_counts(admin, ask, share);
    return share;
}

/* ---- asking ---- */

static void drop_shares(struct admin_question *asked)
{
    for (unsigned i = 0; i < PEER_WORKERS_MAX; i++) {
        memory_free(asked->shares[i]);
        asked->shares[i] = NULL;
    }
}

void admin_forget_shares(struct admin *admin)
{
    if (admin->asked)
        drop_shares(admin->asked);
    memory_free(admin->asked);
    admin->asked = NULL;
}

static void post(struct admin *admin, unsigned to, unsigned message, void *body)
{
    io_post(admin->io, to, admin->tag + TAG_OF(message, admin->worker), body);
}

static void begin(struct admin *admin, const struct ask *wanted)
{
    struct admin_question *asked = admin->asked;
    drop_shares(asked);
    asked->ask = (struct ask){asked->ask.ticket + 1, wanted->kind, wanted->keyspace};
    asked->asked_ns = node_turn(admin->node)->now_ns;
    asked->ended_ns = 0;
    asked->waits_for = admin->others;
    for (unsigned to = 0; to < admin->workers; to++)
        if (asked->waits_for >> to & 1) {
            struct ask *ask = memory_allocate(sizeof *ask);
            *ask = asked->ask;
            post(admin, to, MESSAGE_ASK, ask);
        }
}

/* Whoever still waits goes on without the workers that are gone or late. A question that nobody
 * asked again in time is over without an answer. */
static void give_up(struct admin *admin)
{
    struct admin_question *asked = admin->asked;
    uint64_t now_ns = node_turn(admin->node)->now_ns;
    bool gone = !(asked->waits_for & admin->others);
    bool late = now_ns > asked->asked_ns + SHARE_TIMEOUT_NS;
    if (asked->asked_ns && !asked->ended_ns && (gone || late))
        asked->ended_ns =
            now_ns > asked->asked_ns + 2 * SHARE_TIMEOUT_NS ? asked->asked_ns : now_ns;
}

/* The answer of a question holds for the turn in which it is whole. */
static bool is_answered(struct admin *admin, const struct ask *wanted)
{
    const struct admin_question *asked = admin->asked;
    give_up(admin);
    return asked->ended_ns == node_turn(admin->node)->now_ns && asked->ask.kind == wanted->kind &&
           asked->ask.keyspace == wanted->keyspace;
}

static bool is_free(const struct admin *admin)
{
    const struct admin_question *asked = admin->asked;
    return !asked->asked_ns ||
           (asked->ended_ns && asked->ended_ns != node_turn(admin->node)->now_ns);
}

static void add_share(struct admin_view *view, const struct admin_share *share)
{
    view->facts.connections += share->facts.connections;
    view->facts.connections_total += share->facts.connections_total;
    view->facts.commands_total += share->facts.commands_total;
    view->facts.errors_total += share->facts.errors_total;
    view->facts.forwarded_total += share->facts.forwarded_total;
    view->facts.refused_total += share->facts.refused_total;
    view->facts.unknown_total += share->facts.unknown_total;
    view->facts.held += share->facts.held;
    view->memory_bytes += share->memory_bytes;
    view->durable += share->durable;
    view->written += share->written;
    view->room += share->room;
    view->disk_is_full |= share->disk_is_full;
    view->disk_is_stalled |= share->disk_is_stalled;
    for (int i = 0; i < CLUSTER_SEVERITIES; i++)
        view->alerts[i] += share->alerts[i];
    if (share->first.is_here)
        view->first = &share->first;
    if (!view->lowest)
        view->lowest = share;
}

bool admin_ask(struct server_call *call, enum admin_share_kind kind, uint64_t keyspace,
               struct admin_view *out)
{
    struct admin *admin = call->owner;
    struct ask wanted = {.kind = kind, .keyspace = keyspace};
    if (!admin->asked)
        admin->asked = memory_zeroed(1, sizeof *admin->asked);
    struct admin_question *asked = admin->asked;
    bool alone = !admin->others;
    if (!alone && !is_answered(admin, &wanted)) {
        if (is_free(admin))
            begin(admin, &wanted);
        call->later = true;
        return false;
    }
    if (alone)
        drop_shares(asked);
    memory_free(asked->shares[admin->worker]);
    asked->shares[admin->worker] = take_share(admin, &wanted);
    *out = (struct admin_view){.shares = asked->shares, .count = admin->workers};
    for (unsigned i = 0; i < admin->workers; i++)
        if (asked->shares[i])
            add_share(out, asked->shares[i]);
    out->facts.started_ns = out->lowest->facts.started_ns;
    return true;
}

bool admin_tell_clients(void *owner, struct server_call *call, struct buffer *out)
{
    struct admin_view view;
    struct server_call asks = *call;
    asks.owner = owner; /* the verb is the server's */
    bool told = admin_ask(&asks, SHARE_CLIENTS, 0, &view);
    call->later = asks.later;
    for (unsigned i = 0; told && i < view.count; i++)
        if (view.shares[i])
            (void)!buffer_append(out, view.shares[i]->text.at, view.shares[i]->text.size);
    return told;
}

/* ---- receiving ---- */

/* Too late, or of a question that was given up: it goes. */
static void keep(struct admin *admin, unsigned from, struct admin_share *share)
{
    struct admin_question *asked = admin->asked;
    bool wanted = asked && !asked->ended_ns && share->ticket == asked->ask.ticket &&
                  (asked->waits_for >> from & 1);
    if (!wanted) {
        memory_free(share);
        return;
    }
    asked->shares[from] = share;
    asked->waits_for &= ~(1u << from);
    if (!asked->waits_for)
        asked->ended_ns = node_turn(admin->node)->now_ns;
}

bool admin_handle_event(struct admin *admin, const struct io_event *event)
{
    uint64_t number = event->tag - admin->tag;
    if (event->kind != IO_MESSAGE || event->tag < admin->tag || number >= ADMIN_TAGS)
        return false;
    unsigned from = (unsigned)(number % PEER_WORKERS_MAX);
    if (number / PEER_WORKERS_MAX == MESSAGE_ASK) {
        post(admin, from, MESSAGE_SHARE, take_share(admin, event->message));
        memory_free(event->message);
    } else {
        keep(admin, from, event->message);
    }
    return true;
}
