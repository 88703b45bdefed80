/* write.c - regular snapshots: when one is due, and its pieces between the turns' own work. */
#include "replica/bootstrap/bootstrap.h"

#include <stdio.h>

#define HELD_PART   4 /* or holds up so many times what one is due for */
#define PACE_PART   3 /* a piece that took t is followed by a pause of so many t */
#define PAUSE_NS    50000u
#define RETRY_NS    (30 * 1000000000ull)
#define IN_USE_NS   (100 * 1000000ull)
#define BUSY_FACTOR 2
#define LOG_MORE    (128u << 20)

void bootstrap_init(struct bootstrap *bootstrap)
{
    *bootstrap = (struct bootstrap){0};
}

void bootstrap_end_writing(struct bootstrap *bootstrap, struct replica_snapshots *share)
{
    if (!bootstrap->writer)
        return;
    snapshot_end(bootstrap->writer);
    bootstrap->writer = NULL;
    bootstrap->mark = bootstrap->ticket = 0;
    bootstrap->confirmed = false;
    if (share)
        share->is_writing = false;
}

void bootstrap_deinit(struct bootstrap *bootstrap, struct replica_snapshots *share)
{
    bootstrap_end_writing(bootstrap, share);
    bootstrap_end_loading(bootstrap);
    bootstrap_end_sending(bootstrap);
    bootstrap_pause_receiving(bootstrap);
    bootstrap_forget_origins(bootstrap);
}

/* ---- when ---- */

/* The log may become as large as the store and that again, by LOG_MORE at most, for a start replays
 * it: a snapshot then costs as much as the writes behind it, with a small store half of that. */
uint64_t bootstrap_due_size(const struct replica_snapshots *share, const struct store *store)
{
    uint64_t size = store_memory_bytes(store);
    size += size < LOG_MORE ? size : LOG_MORE;
    return size > share->log_bytes ? size : share->log_bytes;
}

bool bootstrap_is_due(const struct bootstrap *bootstrap, const struct replica_snapshots *share,
                      const struct bootstrap_mark *mark, uint64_t now_ns)
{
    if (mark->index <= bootstrap->newest || now_ns < bootstrap->retry_ns)
        return false;
    uint64_t due = bootstrap_due_size(share, mark->store);
    return mark->log_size >= due || mark->log_held >= HELD_PART * due ||
           now_ns >= bootstrap->looked_ns + share->period_ns;
}

/* ---- how ---- */

/* One line for the operator until it has gone well again; a full disk is nothing that stops a
 * replica, for the log is whole. */
static void fail(struct bootstrap *bootstrap, struct replica_turn *turn, enum status status,
                 const char *why)
{
    struct replica_snapshots *share = turn->snapshots;
    bootstrap_end_writing(bootstrap, share);
    bootstrap->retry_ns = turn->now_ns + (status == STATUS_IN_USE ? IN_USE_NS : RETRY_NS);
    if (status == STATUS_IN_USE || bootstrap->trouble_is_said)
        return;
    bootstrap->trouble_is_said = true;
    snprintf(share->line, sizeof share->line,
             "no snapshot was written (%.180s); nothing is lost, it is tried again", why);
}

void bootstrap_begin(struct bootstrap *bootstrap, struct replica_turn *turn,
                     const struct bootstrap_mark *mark)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct buffer bytes;
    struct snapshot_meta meta = {.group = mark->group,
                                 .index = mark->index,
                                 .term = mark->term,
                                 .time_us = mark->time_us,
                                 .hash_seed = mark->hash_seed};
    if (bootstrap_sections(mark->raft, mark->store, &meta, &bytes))
        return; /* the log begins behind it: a newer one is here already */
    if (turn->faults & REPLICA_FAULT_ONCE_MISSING)
        meta.sections[SNAPSHOT_ONCE] = slice_of(NULL, 0);
    enum status status =
        snapshot_begin(turn->snapshots->files, &meta, mark->store, &bootstrap->writer, why);
    buffer_deinit(&bytes);
    if (status == STATUS_EXISTS) {
        bootstrap->newest = mark->index;
    } else if (status) {
        fail(bootstrap, turn, status, why);
    } else {
        bootstrap->mark = mark->index;
        bootstrap->log_size = mark->log_size;
        turn->snapshots->is_writing = true;
        turn->snapshots->next_step_ns = turn->now_ns;
    }
}

/* A piece takes a quarter of the time at most, less when the turn had much to do: who waits for a
 * reply comes first. */
static void set_pace(struct replica_snapshots *share, uint64_t turn_ns, uint64_t before_ns,
                     uint64_t after_ns)
{
    uint64_t pause_ns = PACE_PART * (after_ns - before_ns) + BUSY_FACTOR * (before_ns - turn_ns);
    share->next_step_ns = after_ns + (pause_ns > PAUSE_NS ? pause_ns : PAUSE_NS);
}

bool bootstrap_write(struct bootstrap *bootstrap, struct replica_turn *turn)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct replica_snapshots *share = turn->snapshots;
    uint64_t before_ns = io_now_ns(turn->io);
    if (before_ns < share->next_step_ns)
        return false;
    enum status status = snapshot_step(bootstrap->writer, why);
    set_pace(share, turn->now_ns, before_ns, io_now_ns(turn->io));
    if (status == STATUS_AGAIN)
        share->next_step_ns = UINT64_MAX; /* an event or the confirmation sets it */
    if (status == STATUS_OK || status == STATUS_AGAIN)
        return false;
    if (status != STATUS_END) {
        fail(bootstrap, turn, status, why);
        return false;
    }
    bootstrap->newest = bootstrap->mark;
    bootstrap->looked_ns = turn->now_ns;
    bootstrap->trouble_is_said = false;
    bootstrap_end_writing(bootstrap, share);
    return true;
}
