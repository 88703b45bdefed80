/* load.c - a snapshot into a store of its own, chunk by chunk, while the replica runs. */
#include "replica/bootstrap/bootstrap.h"

bool bootstrap_is_loading(const struct bootstrap *bootstrap)
{
    return bootstrap->store != NULL;
}

void bootstrap_end_loading(struct bootstrap *bootstrap)
{
    snapshot_reader_close(bootstrap->reader);
    store_destroy(bootstrap->store);
    bootstrap->reader = NULL;
    bootstrap->store = NULL;
    bootstrap->chunk = 0;
}

static void read_next(struct bootstrap *bootstrap)
{
    if (bootstrap->chunk < snapshot_reader_of(bootstrap->reader)->count)
        snapshot_read_start(bootstrap->reader, bootstrap->chunk);
}

enum status bootstrap_load_begin(struct bootstrap *bootstrap, struct replica_turn *turn,
                                 struct group_id group, uint64_t least)
{
    char why[SNAPSHOT_WHY_SIZE];
    const struct snapshot *newer, *older;
    struct snapshots *files = turn->snapshots->files;
    snapshots_newest_two(files, group, &newer, &older);
    if (!newer || newer->meta.index < least)
        return STATUS_NOT_FOUND;
    enum status status = snapshot_reader_open(files, newer, &bootstrap->reader, why);
    if (status)
        return STATUS_AGAIN;
    bootstrap->store = store_create(newer->meta.hash_seed);
    bootstrap->chunk = 0;
    read_next(bootstrap);
    return STATUS_OK;
}

/* One chunk a turn: some milliseconds at most, and heartbeats go on. */
static enum status load_chunk(struct bootstrap *bootstrap, char why[SNAPSHOT_WHY_SIZE])
{
    struct slice bytes;
    const struct snapshot *snapshot = snapshot_reader_of(bootstrap->reader);
    if (bootstrap->chunk == snapshot->count)
        return STATUS_END;
    enum status status = snapshot_read_result(bootstrap->reader, &bytes, why);
    if (!status)
        status = snapshot_chunk_load(&snapshot->chunks[bootstrap->chunk], bytes, bootstrap->store);
    if (status)
        return status;
    bootstrap->chunk++;
    read_next(bootstrap);
    return bootstrap->chunk == snapshot->count ? STATUS_END : STATUS_OK;
}

static bool take_sections(struct bootstrap *bootstrap, struct bootstrap_origin *origin)
{
    const struct snapshot_meta *meta = &snapshot_reader_of(bootstrap->reader)->meta;
    bootstrap_forget_origins(bootstrap);
    return !bootstrap_read_sections(meta, origin, &bootstrap->terms, &bootstrap->term_count) &&
           !store_once_decode(bootstrap->store, meta->sections[SNAPSHOT_ONCE]);
}

enum status bootstrap_load(struct bootstrap *bootstrap, struct replica_turn *turn,
                           struct store **store, struct bootstrap_origin *origin)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    enum status status = load_chunk(bootstrap, why);
    if (status == STATUS_OK || status == STATUS_AGAIN)
        return STATUS_OK;
    if (status == STATUS_END && !take_sections(bootstrap, origin))
        status = STATUS_DAMAGED;
    if (status == STATUS_END) {
        *store = bootstrap->store;
        bootstrap->store = NULL;
    } else {
        memcpy(turn->snapshots->line, why, sizeof why);
        status = STATUS_DAMAGED;
    }
    bootstrap_end_loading(bootstrap);
    return status;
}
