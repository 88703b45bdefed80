/* origin.c - what stands beside the keys of a snapshot, and what a replica begins with.
 *
 * Sections, version 1 (numbers are u64):
 *     configuration   index of its entry, then raft_configuration_encode
 *     term table      for each row: term, first index of that term
 *     ONCE            store_once_encode; empty: nobody has used it */
#include "replica/bootstrap/bootstrap.h"

#include "base/memory.h"

#define ROW_SIZE          16
#define SECTIONS_SIZE_MAX (60u << 20) /* below SNAPSHOT_HEADER_MAX */

/* ---- sections ---- */

static void put_u64(struct buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    store_u64(bytes, value);
    (void)!buffer_append(out, bytes, sizeof bytes); /* bounded: a row for each election */
}

enum status bootstrap_sections(const struct raft *raft, const struct store *store,
                               struct snapshot_meta *meta, struct buffer *bytes)
{
    const struct raft_configuration *configuration = raft_configuration_at(raft, meta->index);
    const struct raft_term_start *starts;
    size_t count = raft_term_starts(raft, meta->index, &starts);
    if (!configuration || count == 0)
        return STATUS_INVALID;
    buffer_init(bytes, SECTIONS_SIZE_MAX);
    put_u64(bytes, configuration->index);
    raft_configuration_encode(configuration, bytes);
    size_t cut = bytes->size, rows_end;
    for (size_t i = 0; i < count; i++) {
        put_u64(bytes, starts[i].term);
        put_u64(bytes, starts[i].first_index);
    }
    rows_end = bytes->size;
    if (store_once_encode(store, bytes)) {
        buffer_deinit(bytes);
        return STATUS_TOO_LARGE;
    }
    meta->sections[SNAPSHOT_CONFIGURATION] = slice_of(bytes->at, cut);
    meta->sections[SNAPSHOT_TERM_TABLE] = slice_of(bytes->at + cut, rows_end - cut);
    meta->sections[SNAPSHOT_ONCE] = slice_of(bytes->at + rows_end, bytes->size - rows_end);
    return STATUS_OK;
}

static bool rows_hold(struct slice rows, const struct snapshot_meta *meta)
{
    uint64_t term = 0, index = 0;
    if (rows.size == 0 || rows.size % ROW_SIZE)
        return false;
    for (size_t at = 0; at < rows.size; at += ROW_SIZE) {
        if (load_u64(rows.at + at) <= term || load_u64(rows.at + at + 8) <= index)
            return false;
        term = load_u64(rows.at + at);
        index = load_u64(rows.at + at + 8);
    }
    return term == meta->term && index <= meta->index;
}

static void read_rows(struct slice rows, struct raft_term_start **terms, size_t *count)
{
    *count = rows.size / ROW_SIZE;
    *terms = memory_allocate(*count * sizeof **terms);
    for (size_t i = 0; i < *count; i++)
        (*terms)[i] = (struct raft_term_start){load_u64(rows.at + i * ROW_SIZE),
                                               load_u64(rows.at + i * ROW_SIZE + 8)};
}

enum status bootstrap_read_sections(const struct snapshot_meta *meta,
                                    struct bootstrap_origin *origin, struct raft_term_start **terms,
                                    size_t *term_count)
{
    struct slice bytes = meta->sections[SNAPSHOT_CONFIGURATION], index;
    *origin = (struct bootstrap_origin){meta->index, meta->term, meta->time_us, {0}};
    if (!rows_hold(meta->sections[SNAPSHOT_TERM_TABLE], meta) || slice_take(&bytes, 8, &index) ||
        raft_configuration_decode(bytes, &origin->configuration))
        return STATUS_DAMAGED;
    origin->configuration.index = load_u64(index.at);
    if (origin->configuration.index > meta->index)
        return STATUS_DAMAGED;
    if (terms)
        read_rows(meta->sections[SNAPSHOT_TERM_TABLE], terms, term_count);
    return STATUS_OK;
}

/* ---- at a start ---- */

/* Into the store, and as the last of the origins. A damaged one is named by the directory. */
static bool load_whole(struct bootstrap *bootstrap, struct snapshots *files,
                       const struct snapshot *snapshot, uint64_t hash_seed, struct store **store)
{
    char why[SNAPSHOT_WHY_SIZE];
    struct bootstrap_origin *origin = &bootstrap->origins[bootstrap->origin_count];
    if (!snapshot || snapshot->meta.hash_seed != hash_seed ||
        bootstrap_read_sections(&snapshot->meta, origin, &bootstrap->terms, &bootstrap->term_count))
        return false;
    if (snapshot_load(files, snapshot, *store, why) == STATUS_OK &&
        store_once_decode(*store, snapshot->meta.sections[SNAPSHOT_ONCE]) == STATUS_OK) {
        bootstrap->origin_count++;
        return true;
    }
    bootstrap_forget_origins(bootstrap);
    store_destroy(*store);
    *store = store_create(hash_seed);
    return false;
}

/* BOOT-1: what could not be loaded whole leaves nothing in the store. */
void bootstrap_recover(struct bootstrap *bootstrap, struct snapshots *files, struct group_id group,
                       uint64_t hash_seed, struct store **store)
{
    const struct snapshot *newer, *older;
    snapshots_newest_two(files, group, &newer, &older);
    bootstrap->newest = newer ? newer->meta.index : 0;
    bool before = older && older->meta.index < newer->meta.index; /* else of a void history */
    if (before && !bootstrap_read_sections(&older->meta, &bootstrap->origins[0], NULL, NULL))
        bootstrap->origin_count = 1;
    if (load_whole(bootstrap, files, newer, hash_seed, store))
        return;
    bootstrap_forget_origins(bootstrap);
    if (!load_whole(bootstrap, files, older, hash_seed, store))
        bootstrap_forget_origins(bootstrap);
}

void bootstrap_forget_origins(struct bootstrap *bootstrap)
{
    memory_free(bootstrap->terms);
    bootstrap->terms = NULL;
    bootstrap->term_count = bootstrap->origin_count = 0;
}
