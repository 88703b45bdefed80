/* Reading a log once more from some entry on: what is in memory at once, what is only on the disk
 * behind a background read. */
#include "replica/log/log.h"

#define WALK_READ_BYTES (1u << 20)

void replica_walk_begin(struct replica *replica, struct replica_walk *walk)
{
    replica->walk = walk;
}

void replica_walk_end(struct replica *replica)
{
    replica->walk = NULL;
}

static void give(struct replica_walk *walk, struct slice bytes, bool is_checked)
{
    struct wire_entry entry;
    enum status status =
        is_checked ? wire_entry_take_checked(&bytes, &entry) : wire_entry_take(&bytes, &entry);
    if (status || entry.index != walk->next) {
        walk->lost = true;
        return;
    }
    walk->next++;
    walk->each(walk->owner, &entry);
}

bool replica_walk_on(struct replica *replica, struct replica_turn *turn, size_t size_max)
{
    struct replica_walk *walk = replica->walk;
    const struct raft_view *view = raft_view(replica->raft);
    size_t given = 0;
    if (!walk)
        return false; /* of a replica that is no more */
    while (!walk->lost && walk->next <= view->last_index && given < size_max) {
        if (walk->next < view->first_index) {
            walk->lost = true;
        } else if (entries_have(&replica->entries, walk->next)) {
            struct slice bytes = entries_at(&replica->entries, walk->next);
            given += bytes.size;
            give(walk, bytes, true);
        } else {
            replica_read_log(replica, turn, LOG_READER_WALK, walk->next, WALK_READ_BYTES);
            return false;
        }
    }
    return walk->lost || walk->next > view->last_index;
}

void replica_walk_read(struct replica *replica, struct slice entries, size_t count)
{
    struct replica_walk *walk = replica->walk;
    if (!walk || replica->reader_first != walk->next)
        return;
    for (size_t i = 0; i < count && !walk->lost; i++) {
        struct slice entry;
        if (slice_take(&entries, wire_entry_length(entries), &entry))
            walk->lost = true;
        else
            give(walk, entry, false);
    }
}

uint64_t replica_first_after(const struct replica *replica, uint64_t term)
{
    const struct raft_term_start *starts;
    size_t count = raft_term_starts(replica->raft, raft_view(replica->raft)->last_index, &starts);
    for (size_t i = 0; i < count; i++)
        if (starts[i].term > term)
            return starts[i].first_index;
    return 0;
}
