/* view.c - the store as it was at one moment, given out while writes go on.
 *
 *     base:   the entries that nobody has changed since    \  merged in the order of keys from
 *     aside:  records of those that somebody has           /  the cursor on: what the view gives
 *
 * An entry has the view's epoch when it was kept aside, or put into its place, since the view
 * began: then it is not of the base. What the cursor passes has no epoch any more, and behind it
 * nothing is kept. So epochs can be used again, but for those of views that ended early; there are
 * EPOCHS - 1, and when all may be in use they are wiped (which is linear, and rare).
 * When all keys go at once (FLUSHALL) the view takes the tables over and is the only one to know
 * them. A position is a (slot, hash): keys that share it are given together. */
#include "store/aside.h"
#include "store/table.h"

#include "base/checksum.h"

#define EPOCHS       16
#define ROUNDS_MAX   4096 /* spans looked at in one call: what was only created since costs, too */
#define SCRATCH_KEEP ((size_t)1 << 20)

struct store_view {
    struct store *store;       /* borrowed; its `view` points here */
    struct store *base;        /* `store`, or owned: the tables that were cleared */
    struct store_aside *aside; /* owned; NULL: given up */
    size_t aside_max;
    struct store_position next; /* the cursor */
    struct buffer scratch;      /* one record */
    uint8_t epoch;
    bool is_torn; /* planted */
};

static void wipe_span(struct store *store, struct store_crowd *crowd, const struct store_span *span)
{
    store_crowd_gather(crowd, store, span);
    for (size_t i = 0; i < crowd->count; i++)
        crowd->at[i].entry->epoch = 0;
    store->wiped = (struct store_position){.slot = span->slot, .hash = span->last + 1};
    store->wiped.slot += !store->wiped.hash;
}

bool store_view_may_begin(struct store *store)
{
    struct store_span span;
    struct store_crowd crowd;
    if (store->view || store->epochs < EPOCHS - 1)
        return !store->view;
    store_crowd_init(&crowd);
    bool more = true;
    for (unsigned round = 0; round < ROUNDS_MAX && more; round++) {
        more = store_span_from(store, store->wiped.slot, store->wiped.hash, &span);
        if (more)
            wipe_span(store, &crowd, &span);
    }
    store_crowd_deinit(&crowd);
    if (more)
        return false;
    store->epochs = 0;
    store->wiped = (struct store_position){.slot = 0};
    return true;
}

static void begin_epoch(struct store *store)
{
    assert(store->epochs < EPOCHS - 1);
    store->epochs++;
    store->epoch_last = store->epoch_last % (EPOCHS - 1) + 1;
    store->epoch = store->epoch_last;
}

struct store_view *store_view_begin(struct store *store, size_t aside_max)
{
    assert(!store->view);
    begin_epoch(store);
    struct store_view *view = memory_zeroed(1, sizeof *view);
    view->store = view->base = store;
    view->aside = store_aside_create();
    view->aside_max = aside_max;
    view->epoch = store->epoch;
    size_t record_max = aside_max < STORE_VALUE_SIZE_MAX ? aside_max : STORE_VALUE_SIZE_MAX;
    buffer_init(&view->scratch, record_max);
    store->view = view;
    return view;
}

static void give_up(struct store_view *view)
{
    store_aside_destroy(view->aside);
    view->aside = NULL;
    buffer_deinit(&view->scratch);
    if (view->base != view->store)
        store_destroy(view->base);
    view->base = view->store;
}

void store_view_end(struct store_view *view)
{
    if (!view)
        return;
    bool is_whole = view->next.slot == STORE_SLOTS && view->base == view->store;
    if (is_whole)
        view->store->epochs = 1; /* of what came behind the cursor */
    give_up(view);
    view->store->view = NULL;
    view->store->epoch = 0;
    memory_free(view);
}

void store_tear_view(struct store *store)
{
    if (store->view)
        store->view->is_torn = true;
}

bool store_has_view(const struct store *store)
{
    return store->view != NULL;
}

uint64_t store_view_memory_bytes(const struct store_view *view)
{
    uint64_t bytes = sizeof *view + view->scratch.capacity;
    if (view->aside)
        bytes += store_aside_bytes(view->aside);
    return view->base == view->store ? bytes : bytes + store_memory_bytes(view->base);
}

/* ---- before a change ---- */

static bool is_behind(const struct store_view *view, uint32_t slot, uint64_t hash)
{
    return slot < view->next.slot || (slot == view->next.slot && hash < view->next.hash);
}

void store_view_keep(struct store *store, const struct store_key *key)
{
    struct store_view *view = store->view;
    uint64_t hash = store_key_hash(store, key);
    if (!view->aside || view->base != store || view->is_torn || is_behind(view, key->slot, hash))
        return;
    uint64_t *place = store_table_find(store, key, hash);
    struct store_entry *entry = place ? store_word_entry(*place) : NULL;
    if (!entry || entry->epoch == view->epoch)
        return;
    buffer_reset(&view->scratch);
    if (store_encode(entry, &view->scratch)) {
        give_up(view);
        return;
    }
    store_aside_put(view->aside, key->slot, hash, slice_of_buffer(&view->scratch));
    entry->epoch = view->epoch;
    if (view->scratch.capacity > SCRATCH_KEEP)
        buffer_deinit(&view->scratch);
    if (store_aside_bytes(view->aside) > view->aside_max)
        give_up(view);
}

const void *store_view_touched(const struct store *store, uint32_t slot, bool first)
{
    const struct store_view *view = store->view;
    if (!view || !view->aside || slot < view->next.slot)
        return NULL;
    return first ? store_aside_root(view->aside, slot) : store_aside_least(view->aside, slot);
}

void store_view_take_all(struct store *store)
{
    struct store_view *view = store->view;
    if (!view || !view->aside || view->base != store || view->next.slot == STORE_SLOTS)
        return;
    view->base = memory_allocate(sizeof *view->base);
    *view->base = *store;
    view->base->view = NULL;
    *store = (struct store){.seed = store->seed,
                            .memory_bytes = store_room_size(sizeof *store),
                            .view = view,
                            .epoch_last = view->epoch};
}

/* ---- giving ---- */

struct giving {
    struct store_view *view;
    struct buffer *out;
    size_t begin, size_max; /* of `out` */
    struct store_piece piece;
    struct store_crowd crowd; /* of the base, from the cursor on */
    size_t at;
};

/* The next stretch: of one span of the base, or of slots in front of it of which something is kept,
 * or up to `limit` where nothing is. */
static struct store_position find_stretch(const struct store_view *view,
                                          struct store_position limit, struct store_span *span,
                                          bool *has_span)
{
    struct store_position end = limit;
    uint32_t slot;
    *has_span = store_span_within(view->base, view->next.slot, view->next.hash, limit.slot, span);
    if (*has_span)
        end = (struct store_position){.slot = span->slot, .hash = span->last};
    if (store_aside_find(view->aside, view->next.slot, end.slot, &slot) &&
        (slot < end.slot || !*has_span)) {
        *has_span = false;
        end = (struct store_position){.slot = slot, .hash = UINT64_MAX};
    }
    return end;
}

/* The entries of the span from the cursor on, in order. */
static void gather(struct giving *giving, const struct store_span *span)
{
    struct store_crowd *crowd = &giving->crowd;
    size_t kept = 0;
    store_crowd_gather(crowd, giving->view->base, span);
    for (size_t i = 0; i < crowd->count; i++)
        if (!is_behind(giving->view, span->slot, crowd->at[i].hash))
            crowd->at[kept++] = crowd->at[i];
    crowd->count = kept;
    store_crowd_sort(crowd);
}

/* The next of the base that is as it was. */
static const struct store_placed *first_of_base(struct giving *giving)
{
    const struct store_crowd *crowd = &giving->crowd;
    while (giving->at < crowd->count && crowd->at[giving->at].entry->epoch == giving->view->epoch)
        giving->at++;
    return giving->at < crowd->count ? &crowd->at[giving->at] : NULL;
}

/* One key is never on both sides. */
static bool comes_first(const struct store_placed *base, const struct store_kept *kept)
{
    if (base->hash != kept->hash)
        return base->hash < kept->hash;
    return store_name_compare(store_entry_name(base->entry), store_record_name(kept->record)) < 0;
}

static enum status give_one(struct giving *giving, const struct store_placed *base,
                            const struct store_kept *kept)
{
    size_t begin = giving->out->size;
    enum status status = base ? store_encode(base->entry, giving->out)
                              : buffer_append(giving->out, kept->record.at, kept->record.size);
    if (status)
        return status;
    giving->piece.keys++;
    giving->piece.content += checksum(giving->out->at + begin, giving->out->size - begin);
    return STATUS_OK;
}

/* Merges both sides; *end comes nearer when enough was given, never between equal hashes. STORE-4:
 * a key that was changed since is as it is aside. */
static enum status give_merged(struct giving *giving, struct store_position *end)
{
    struct store_aside *aside = giving->view->aside;
    uint64_t last = 0;
    for (bool enough = false;;) {
        struct store_kept kept;
        const struct store_placed *base = first_of_base(giving);
        bool is_kept = store_aside_first(aside, end->slot, &kept) && kept.hash <= end->hash;
        if (base && is_kept && !comes_first(base, &kept))
            base = NULL;
        uint64_t hash = base ? base->hash : is_kept ? kept.hash : 0;
        bool is_over = !base && !is_kept;
        if (enough && (is_over || hash != last))
            end->hash = last; /* not where the span does: its end is the table's */
        if (is_over || (enough && hash != last))
            return STATUS_OK;
        enum status status = give_one(giving, base, &kept);
        if (status)
            return status;
        if (base)
            giving->at++;
        else
            store_aside_drop(aside, end->slot);
        last = hash;
        enough = giving->out->size - giving->begin >= giving->size_max;
    }
}

/* The cursor passes what was gathered. */
static void advance(struct giving *giving, struct store_position end)
{
    struct store_position next = {.slot = end.slot, .hash = end.hash + 1};
    for (size_t i = 0; i < giving->crowd.count && giving->crowd.at[i].hash <= end.hash; i++)
        giving->crowd.at[i].entry->epoch = 0;
    if (!next.hash)
        next.slot++;
    giving->piece.last = end;
    giving->view->next = next;
}

static enum status give_round(struct giving *giving, struct store_position limit)
{
    struct store_span span;
    bool has_span;
    struct store_position end = find_stretch(giving->view, limit, &span, &has_span);
    giving->at = giving->crowd.count = 0;
    if (has_span)
        gather(giving, &span);
    enum status status = give_merged(giving, &end);
    if (status)
        return status;
    advance(giving, end);
    return STATUS_OK;
}

static enum status give(struct giving *giving, struct store_position limit)
{
    const struct store_view *view = giving->view;
    for (unsigned round = 0; round < ROUNDS_MAX && view->next.slot <= limit.slot; round++) {
        enum status status = give_round(giving, limit);
        if (status)
            return status;
        if (giving->out->size - giving->begin >= giving->size_max)
            break;
    }
    return STATUS_OK;
}

enum status store_view_next(struct store_view *view, uint16_t slot_last, size_t size_max,
                            struct buffer *out, struct store_piece *piece)
{
    struct store_position limit = {.slot = slot_last, .hash = UINT64_MAX};
    struct giving giving = {.view = view, .out = out, .begin = out->size, .size_max = size_max};
    assert(slot_last < STORE_SLOTS);
    if (!view->aside)
        return STATUS_TOO_LARGE;
    if (view->next.slot > slot_last)
        return STATUS_END;
    giving.piece.first = view->next;
    store_crowd_init(&giving.crowd);
    enum status status = give(&giving, limit);
    store_crowd_deinit(&giving.crowd);
    if (status) {
        give_up(view); /* rounds before may have been forgotten */
        out->size = giving.begin;
        return status;
    }
    *piece = giving.piece;
    return STATUS_OK;
}
