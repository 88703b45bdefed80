/* anew.c - a replica whose committed entries an unsure election has made void (R4, RAFT-19).
 *
 *     view.void_from --> set aside, MARK 0 --durable--> files of snapshots go, raft BEGIN_ANEW,
 *                        (in one log batch)             empty store: the leader feeds it
 *
 * A crash before the end finds the old snapshots, or the old log, and meets the same leader with
 * them: it all happens again, and what is set aside twice is one. */
#include "replica/replica.h"

#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

static void end_all(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    bootstrap_end_writing(bootstrap, turn->snapshots);
    bootstrap_end_loading(bootstrap);
    bootstrap_end_receiving(bootstrap);
    bootstrap_end_sending(bootstrap);
    bootstrap_forget_origins(bootstrap);
}

static void begin(struct replica *replica, struct replica_turn *turn, uint64_t from)
{
    end_all(replica, turn);
    replica_set_aside_void(replica, turn, from);
    flight_cut(replica, turn, from);
    replica_append_mark(replica, turn, 0, 0);
    replica->anew_ticket = wal_next_ticket(turn->wal);
}

static void end(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    struct raft_configuration initial = replica->initial;
    struct raft_event event = {.kind = RAFT_BEGIN_ANEW, .configurations = &initial};
    initial.index = 0;
    if (turn->snapshots && turn->snapshots->files)
        snapshots_forget(turn->snapshots->files, replica->options.group);
    bootstrap->newest = bootstrap->log_between = 0;
    entries_truncate(&replica->entries, 0);
    store_clear(replica->store);
    store_once_clear(replica->store);
    replica->executed = replica->log_size = replica->reader_first = 0;
    replica->executed_us = replica->clock.last_entry_us = 0;
    replica->sent_through = replica->noted = replica->noted_before = 0;
    replica->heard_term = replica->heard_acknowledged = 0;
    replica->rebuilding = false;
    replica->anew_ticket = 0;
    replica_step(replica, turn, &event);
}

static bool is_published(const struct replica *replica, const struct replica_turn *turn)
{
    return !turn->snapshots || !turn->snapshots->files ||
           !snapshots_is_writing(turn->snapshots->files, replica->options.group);
}

bool replica_begins_anew(const struct replica *replica)
{
    return raft_view(replica->raft)->void_from != 0;
}

void replica_begin_anew(struct replica *replica, struct replica_turn *turn)
{
    if (!replica->anew_ticket)
        begin(replica, turn, raft_view(replica->raft)->void_from);
    else if (wal_durable_ticket(turn->wal) >= replica->anew_ticket && is_published(replica, turn))
        end(replica, turn);
}
