/* The phases of the turn that are the node's: decide, persist and send, apply. */
#include "node/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define URGENT_PART 400 /* of the shortest election timeout: 1 ms in a data centre */
#define BATCH_BYTES (64u << 10)
#define STOPPED_NS  10000000

const struct node_timing node_timing_default = {
    .heartbeat_ns = 60 * 1000000ull,
    .election_min_ns = 400 * 1000000ull,
    .election_max_ns = 800 * 1000000ull,
    .batch_gap_ns = 500 * 1000ull,
    .drift_ppm = 1000,
    .max_skew_us = 500 * 1000,
};

struct node_timing node_timing_of(const struct cluster_timing *profile)
{
    struct node_timing timing = node_timing_default;
    timing.heartbeat_ns = profile->heartbeat_ns;
    timing.election_min_ns = profile->election_min_ns;
    timing.election_max_ns = profile->election_max_ns;
    return timing;
}

void node_fail(struct node *node, const char *format, ...)
{
    va_list arguments;
    if (node->failure[0])
        return; /* the first cause is the one to read */
    va_start(arguments, format);
    vsnprintf(node->failure, sizeof node->failure, format, arguments);
    va_end(arguments);
}

const char *node_failure(const struct node *node)
{
    return node->failure;
}

struct replica_turn *node_begin_turn(struct node *node)
{
    node->turn.began_ns = node->turn.now_ns = io_now_ns(node->io);
    node->turn.wall_us = io_wall_us(node->io);
    return &node->turn;
}

void node_look_at_clock(struct node *node)
{
    uint64_t now_ns = io_now_ns(node->io);
    bool planted = node->turn.faults & REPLICA_FAULT_LEASE_BEFORE; /* all is judged by then */
    if (planted || now_ns <= node->turn.now_ns + STOPPED_NS)
        return;
    uint64_t stopped_ns = now_ns - node->turn.now_ns;
    node->turn.now_ns = now_ns;
    node->turn.wall_us = io_wall_us(node->io);
    sight_sleep(node, stopped_ns);
}

struct replica_turn *node_turn(struct node *node)
{
    return &node->turn;
}

/* ---- who is looked at ---- */

/* The phases walk along node.awake; a step of one may append others, behind it, and takes none
 * away.
 */
static struct list *first_awake(struct node *node)
{
    return node->started ? node->awake.next : &node->awake;
}

static struct replica *replica_at(const struct list *link)
{
    return list_item(link, struct group, awake)->replica;
}

/* ---- decide ---- */

/* Once the formation is durable, the sign beside the log says whose directory this is. One that
 * began anew has told nobody its ticket before the sign says that its logs are begun. */
static void save_sign(struct node *node)
{
    if (!node->sign.fresh || node->options.worker) {
        sign_save_start(node);
        return;
    }
    node->sign.fresh = false;
    if (sign_write(node, &node->sign))
        node_fail(node, "cannot write the file identity in %s: check the disk", node->dir);
}

static void log_moved(struct node *node)
{
    if (node->identity_ticket && wal_durable_ticket(node->wal) >= node->identity_ticket) {
        node->identity_ticket = 0;
        if (node->formed) /* at each start again: the last one may have died before it */
            save_sign(node);
    }
    placed_log_moved(node);
    for (struct list *link = first_awake(node); link != &node->awake; link = link->next)
        replica_log_moved(replica_at(link), &node->turn);
    if (node->turn.damaged)
        node_fail(node,
                  "an entry read back from the log in %s does not hold: the disk lies; start this "
                  "node again, and if its log is damaged it gets its data from the others",
                  node->dir);
}

bool node_handle_event(struct node *node, const struct io_event *event)
{
    enum status status = STATUS_OK;
    if (wal_handle_event(node->wal, event, &status)) {
        if (status)
            node_fail(node,
                      "the log in %s could not be synced (%s): stopping before a lie; "
                      "check the disk, then start again",
                      node->dir, status_text(status));
        else
            log_moved(node);
        return true;
    }
    return node_handle_snapshot_event(node, event) || ledger_handle_event(node->ledger, event) ||
           (node->listener && peer_listener_handle_event(node->listener, event)) ||
           (node->peers && peer_handle_event(node->peers, event));
}

static void receive_raft(struct node *node, struct node_id from, const struct wire_message *message)
{
    struct replica *replica = node_group(node, message->raft.message.group);
    if (!replica || !replica_id_equal(message->raft.message.to, replica_self(replica)))
        return; /* to one that was removed here (R5) */
    replica_heard(replica, message->raft.message.from, from);
    if (node->ends && message->raft.message.kind == RAFT_RUN_NOW)
        return; /* it would only hand over again, perhaps to the one that asks */
    replica_receive(replica, &node->turn, &message->raft.message, message->raft.entries);
}

static void receive_snapshot(struct node *node, const struct peer_happening *happening)
{
    const struct wire_snapshot *message = &happening->message.snapshot;
    struct replica *replica = node_group(node, message->group);
    if (replica)
        replica_receive_snapshot(replica, &node->turn, peer_at(happening->node, happening->worker),
                                 happening->message.kind, message);
}

static void peer_changed(struct node *node, const struct peer_happening *happening)
{
    struct peer_id peer = peer_at(happening->node, happening->worker);
    for (size_t i = 0; i < node->group_count; i++) {
        struct group_id group = replica_group(node->groups[i]->replica);
        if (!peer_id_equal(peer_of(node->peers, happening->node, group), peer))
            continue;
        replica_peer_changed(node->groups[i]->replica, &node->turn, happening->node,
                             happening->kind == PEER_REFUSED);
    }
}

/* Everything that arrives is heard, whatever it is. */
static void note_sight(struct node *node, const struct peer_happening *happening)
{
    if (happening->kind == PEER_MESSAGE || happening->kind == PEER_UP ||
        happening->kind == PEER_HEARD)
        sight_hear(node, happening->node);
    else if (happening->kind == PEER_REFUSED)
        sight_refuse(node, happening->node);
}

bool node_next(struct node *node, struct peer_happening *out)
{
    while (node->peers && peer_next(node->peers, out)) {
        note_sight(node, out);
        if (out->kind == PEER_DOWN || out->kind == PEER_REFUSED)
            peer_changed(node, out);
        if (out->kind == PEER_UP && node->started)
            awake_mark_leading(node);
        if (out->kind == PEER_UP)
            sight_link_up(node, out->node);
        if (out->kind == PEER_REFUSED || out->kind == PEER_HEARD)
            continue;
        if (out->kind != PEER_MESSAGE)
            return true;
        if (out->message.kind == WIRE_RAFT)
            receive_raft(node, out->node, &out->message);
        else if (out->message.kind == WIRE_HEARTBEAT || out->message.kind == WIRE_HEARTBEAT_ANSWER)
            node_receive_beats(node, peer_at(out->node, out->worker), &out->message);
        else if (out->message.kind >= WIRE_SNAPSHOT_ASK && out->message.kind <= WIRE_SNAPSHOT_NONE)
            receive_snapshot(node, out);
        else
            return true;
    }
    return false;
}

/* A node that had nothing to do since its last heartbeats waits twice as long: a thousand idle
 * groups cost those and nothing else, and an election waits for three that are missing even so.
 * What a commit came to is told after one pace, as ever. */
static uint64_t next_beat_ns(const struct node *node)
{
    unsigned pace = node->stirred || !list_is_empty(&node->awake) ? 1 : 2;
    return node->last_beat_ns + pace * node->options.timing.heartbeat_ns;
}

static uint64_t urgent_beat_ns(const struct node *node)
{
    return node->options.timing.election_min_ns / URGENT_PART;
}

/* Regularly, and at once for a reader that waits for a confirmed round, but not more often than
 * each millisecond, or what corresponds to it. */
static void send_due_beats(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    bool urgent = node->turn.round_wanted && now_ns >= node->last_beat_ns + urgent_beat_ns(node);
    if (node->started && (urgent || now_ns >= next_beat_ns(node)))
        node_send_beats(node);
}

/* R4: a replica that starts unsure says so in its state record. Once all of these are durable,
 * later starts go by them, and not by how this one began. */
static void settle_doubt(struct node *node)
{
    if (!wal_may_have_lost(node->wal))
        return;
    for (size_t i = 0; i < node->group_count; i++) {
        const struct raft_view *view = raft_view(replica_raft(node_group_at(node, i)));
        if (view->saved_version < view->state_version)
            return;
    }
    wal_run_settle(node->wal);
}

/* What the log let go of before it stands in a file would be lost with the next crash (LEDGER-3).
 */
static void let_go_of_set_aside(struct node *node)
{
    if (wal_holds_set_aside(node->wal) && ledger_is_saved(node->ledger))
        wal_release_set_aside(node->wal);
}

void node_tick(struct node *node)
{
    wal_tick(node->wal, node->turn.now_ns);
    ledger_tick(node->ledger, node->turn.now_ns);
    let_go_of_set_aside(node);
    if (!node->started)
        return;
    sight_tick(node);
    awake_tick(node);
    settle_doubt(node);
    placed_tick(node);
    prefer_tick(node);
    room_tick(node);
    send_due_beats(node);
}

/* ---- persist and send ---- */

/* NODE-2: a batch leaves when no earlier one of this log waits for its quorum, or after the gap, or
 * when it is large. */
static bool batch_may_leave(const struct node *node)
{
    size_t unsent = 0;
    bool settled = true;
    for (struct list *link = node->awake.next; link != &node->awake; link = link->next) {
        unsent += replica_unsent_bytes(replica_at(link));
        settled &= replica_is_settled(replica_at(link));
    }
    if (!unsent || settled || unsent >= BATCH_BYTES)
        return true;
    return node->turn.now_ns >= node->last_batch_ns + node->options.timing.batch_gap_ns;
}

/* NODE-1: the batch that must be durable is handed to the log in the turn that decided it; raft
 * holds what waits for it. */
void node_persist(struct node *node)
{
    uint64_t ticket;
    placed_save(node);
    wal_note_turn(node->wal, node->turn.now_ns);
    send_due_beats(node);
    node->gate_shut = node->started && !batch_may_leave(node);
    if (node->gate_shut)
        return;
    bool sent = false;
    for (struct list *link = first_awake(node); link != &node->awake; link = link->next) {
        sent |= replica_unsent_bytes(replica_at(link)) > 0;
        replica_send(replica_at(link), &node->turn);
    }
    if (sent)
        node->last_batch_ns = node->turn.now_ns;
    if (sent && node->formation.member_count > 1)
        peer_flush(node->peers); /* the followers' disks run while ours does */
    /* NODE-1: raft hears of a ticket here, and that it is durable in log_moved; in between it holds
     * back what relies on it. */
    for (struct list *link = first_awake(node); link != &node->awake; link = link->next)
        replica_note_written(replica_at(link), &node->turn);
    enum status status = wal_flush(node->wal, &ticket);
    if (status == STATUS_IO)
        node_fail(node, "the log in %s cannot be written: stopping; check the disk", node->dir);
    else if (status == STATUS_OK)
        log_moved(node); /* levels below `always` count what is written */
}

/* One miss at a time for each of many groups would be as slow as without. */
static void look_ahead(struct node *node)
{
    struct store_ahead ahead;
    ahead.count = 0;
    for (struct list *link = first_awake(node);
         link != &node->awake && !store_ahead_is_full(&ahead); link = link->next)
        replica_look_ahead(replica_at(link), &ahead);
    if (ahead.count > 1)
        store_prefetch(&ahead);
}

void node_apply(struct node *node)
{
    node->apply_again = false;
    look_ahead(node);
    for (struct list *link = first_awake(node); link != &node->awake; link = link->next)
        node->apply_again |= replica_apply(replica_at(link), &node->turn);
    if (node->turn.damaged)
        node_fail(node,
                  "a committed entry in %s cannot be applied: this version cannot read it, "
                  "or the disk lies; nothing was changed",
                  node->dir);
}

void node_flush(struct node *node)
{
    if (node->peers)
        peer_flush(node->peers);
    node_rest(node);
    if (node->peers)
        peer_flush(node->peers); /* what it said, alone: replies are on their way */
    if (node->started)
        awake_rest(node);
}

size_t node_awake_count(const struct node *node)
{
    return node->awake_count;
}

uint64_t node_deadline_ns(const struct node *node)
{
    uint64_t deadline = wal_deadline_ns(node->wal);
    if (ledger_deadline_ns(node->ledger) < deadline)
        deadline = ledger_deadline_ns(node->ledger);
    if (!node->started)
        return deadline;
    if (node->apply_again)
        return 0;
    if (node->gate_shut && node->last_batch_ns + node->options.timing.batch_gap_ns < deadline)
        deadline = node->last_batch_ns + node->options.timing.batch_gap_ns;
    if (next_beat_ns(node) < deadline)
        deadline = next_beat_ns(node);
    if (node->next_campaign_ns < deadline)
        deadline = node->next_campaign_ns;
    if (node_rest_deadline_ns(node) < deadline)
        deadline = node_rest_deadline_ns(node);
    if (node->turn.round_wanted && node->last_beat_ns + urgent_beat_ns(node) < deadline)
        deadline = node->last_beat_ns + urgent_beat_ns(node);
    if (sight_deadline_ns(node) < deadline)
        deadline = sight_deadline_ns(node);
    return awake_deadline_ns(node) < deadline ? awake_deadline_ns(node) : deadline;
}

/* ---- identity ---- */

static void save_identity(struct node *node, uint64_t which, const struct buffer *bytes)
{
    struct wal_record record = {
        .kind = WAL_IDENTITY, .index = which, .payload = slice_of_buffer(bytes)};
    wal_append(node->wal, &record, WAL_SYNC_ALWAYS);
    node->identity_ticket = wal_next_ticket(node->wal);
}

void node_save_promise(struct node *node, const struct node_promise *promise)
{
    struct buffer bytes;
    buffer_init(&bytes, 1u << 20);
    node->promise = *promise;
    node_encode_promise(promise, &bytes);
    save_identity(node, IDENTITY_PROMISE, &bytes);
    buffer_deinit(&bytes);
}

void node_save_join(struct node *node, const struct node_join *join)
{
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    node->join = *join;
    node_encode_join(join, &bytes);
    save_identity(node, IDENTITY_JOIN, &bytes);
    buffer_deinit(&bytes);
}

const struct node_join *node_join(const struct node *node)
{
    return &node->join;
}

static void append_formation(struct node *node)
{
    struct buffer bytes;
    buffer_init(&bytes, 1u << 20);
    node_encode_formation(&node->formation, &bytes);
    save_identity(node, IDENTITY_FORMATION, &bytes);
    buffer_deinit(&bytes);
}

void node_save_formation(struct node *node, const struct node_formation *formation)
{
    node->formation = *formation;
    node->formed = node->born = true;
    char why[NODE_WHY_SIZE];
    if (node_open_snapshots(node, why))
        node_fail(node, "%s", why);
    node_create_groups(node);
    append_formation(node);
}

void node_take_formation(struct node *node, const struct node_formation *formation)
{
    struct buffer known, given;
    buffer_init(&known, 1u << 20);
    buffer_init(&given, 1u << 20);
    node_encode_formation(&node->formation, &known);
    node_encode_formation(formation, &given);
    bool same = node->formed && slice_equal(slice_of_buffer(&known), slice_of_buffer(&given));
    buffer_deinit(&known);
    buffer_deinit(&given);
    if (!node->formed) {
        node_save_formation(node, formation);
    } else if (!same) { /* a cluster of one has moved */
        node->formation = *formation;
        append_formation(node);
    }
}

void node_save_move(struct node *node, const struct node_member *self)
{
    struct node_formation *formation = &node->formation;
    assert(node->formed && !node->started && formation->member_count == 1);
    assert(node_id_equal(self->id, formation->self));
    formation->members[0] = *self;
    append_formation(node);
}

void node_add_member(struct node *node, const struct node_member *member)
{
    struct node_formation *formation = &node->formation;
    size_t at = formation->member_count;
    if (node_member(node, member->id) || at == NODE_MEMBERS_MAX)
        return;
    if (!formation->founder_count)
        formation->founder_count = at;
    for (; at > 0 && formation->members[at - 1].id.value > member->id.value; at--)
        formation->members[at] = formation->members[at - 1];
    formation->members[at] = *member;
    formation->member_count++;
    append_formation(node);
    if (node->peers)
        peer_add(node->peers, member->id, member->peer_address);
}

void node_forget_member(struct node *node, struct node_id id)
{
    struct node_formation *formation = &node->formation;
    size_t at = formation->founder_count ? formation->founder_count : formation->member_count;
    while (at < formation->member_count && !node_id_equal(formation->members[at].id, id))
        at++; /* what the founders were the cluster's first groups follow from */
    if (formation->member_count < NODE_MEMBERS_MAX || at >= formation->member_count ||
        node_id_equal(id, formation->self))
        return;
    formation->member_count--;
    memmove(&formation->members[at], &formation->members[at + 1],
            (formation->member_count - at) * sizeof formation->members[0]);
    append_formation(node);
    if (node->peers)
        peer_remove(node->peers, id);
}

void node_unlink_member(struct node *node, struct node_id id)
{
    if (node->peers && !node_id_equal(id, node->formation.self))
        peer_remove(node->peers, id);
}

/* NODE-3: whoever speaks of identity or promises asks this first. */
bool node_is_saved(const struct node *node)
{
    return node->identity_ticket == 0;
}

bool node_is_formed(const struct node *node)
{
    return node->formed;
}

bool node_is_started(const struct node *node)
{
    return node->started;
}

const struct node_formation *node_formation(const struct node *node)
{
    return node->formed ? &node->formation : NULL;
}

const struct node_promise *node_promise(const struct node *node)
{
    return &node->promise;
}

/* Of the other voters: how many do not say that they are being stopped, too. */
static size_t count_staying(const struct node *node, const struct replica *replica, bool *some_end)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    size_t staying = 0;
    for (size_t i = 0; i < now->member_count; i++) {
        const struct raft_member *member = &now->members[i];
        if (member->kind != RAFT_VOTER || node_id_equal(member->node, node->formation.self))
            continue;
        bool ends = node_state_of(node, member->node) & WIRE_NODE_ENDS;
        *some_end |= ends;
        staying += !ends;
    }
    return staying;
}

/* To the best of all, but where some of them are being stopped, to one that stays. */
static bool hand_over(struct node *node, struct replica *replica)
{
    bool some_end = false;
    size_t staying = count_staying(node, replica, &some_end);
    if (!some_end)
        return replica_hand_over(replica, &node->turn);
    struct replica_id to = room_find(node, replica);
    if (!staying || raft_view(replica_raft(replica))->role != RAFT_LEADER)
        return false;
    if (to.value)
        replica_transfer(replica, &node->turn, to);
    return true;
}

bool node_hand_over(struct node *node)
{
    bool needed = false;
    node->ends = true;
    for (size_t i = 0; node->started && i < node->group_count; i++) {
        needed |= hand_over(node, node->groups[i]->replica);
        needed |= replica_is_waited_for(node->groups[i]->replica);
    }
    return needed;
}

void node_end(struct node *node)
{
    wal_mark_clean(node->wal);
    node->clean_ticket = wal_next_ticket(node->wal);
}

bool node_is_clean(const struct node *node)
{
    return node->clean_ticket && wal_durable_ticket(node->wal) >= node->clean_ticket;
}

/* ---- what others ask ---- */

struct peer_set *node_peers(struct node *node)
{
    return node->peers;
}

struct ledger *node_ledger(struct node *node)
{
    return node->ledger;
}

struct wal *node_wal(struct node *node)
{
    return node->wal;
}

const struct node_member *node_member(const struct node *node, struct node_id id)
{
    for (size_t i = 0; i < node->formation.member_count; i++)
        if (node_id_equal(node->formation.members[i].id, id))
            return &node->formation.members[i];
    return NULL;
}

uint64_t node_incarnation(const struct node *node)
{
    return node->incarnation;
}

void node_validate(struct node *node)
{
    wal_validate(node->wal);
    for (size_t i = 0; node->started && i < node->group_count; i++)
        replica_validate(node->groups[i]->replica);
    if (node->started)
        awake_validate(node);
}
