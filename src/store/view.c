/* view.c - the store as it was at one moment, given out while writes go on.
 *
 *     base:   the store itself, minus what is aside       \  merged in the order of keys from
 *     aside:  keys changed since, as they were before     /  the cursor on: what the view gives
 *
 * `aside` is a store of its own with the same seed, so both walk in one order: its strings are
 * records; an empty one stands for a key that was not there. Behind the cursor nothing is kept.
 * When all keys go at once (FLUSHALL) the view takes the tables over and is the only one to know
 * them. A position is a (slot, hash): keys that share it are given together. */
#include "store/table.h"

#include "base/checksum.h"

#define ROUNDS_MAX   4096 /* spans looked at in one call: what was only created since costs, too */
#define SCRATCH_KEEP ((size_t)1 << 20)

struct store_view {
    struct store *store; /* borrowed; its `view` points here */
    struct store *base;  /* `store`, or owned: the tables that were cleared */
    struct store *aside; /* owned; NULL: given up */
    size_t aside_max;
    struct store_position next; /* the cursor */
    struct buffer scratch;      /* one record */
    bool is_torn;               /* planted */
};

struct store_view *store_view_begin(struct store *store, size_t aside_max)
{
    assert(!store->view);
    struct store_view *view = memory_zeroed(1, sizeof *view);
    view->store = view->base = store;
    view->aside = store_create(store->seed);
    view->aside_max = aside_max;
    size_t record_max = aside_max < STORE_VALUE_SIZE_MAX ? aside_max : STORE_VALUE_SIZE_MAX;
    buffer_init(&view->scratch, record_max);
    store->view = view;
    return view;
}

static void give_up(struct store_view *view)
{
    store_destroy(view->aside);
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
    give_up(view);
    view->store->view = NULL;
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
        bytes += store_memory_bytes(view->aside);
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
    if (!view->aside || view->base != store || view->is_torn ||
        is_behind(view, key->slot, store_key_hash(store, key)) || store_find(view->aside, key))
        return;
    const struct store_entry *entry = store_find(store, key);
    buffer_reset(&view->scratch);
    if (entry && store_encode(entry, &view->scratch)) {
        give_up(view);
        return;
    }
    store_put_string(view->aside, key, slice_of_buffer(&view->scratch), 0);
    if (view->scratch.capacity > SCRATCH_KEEP)
        buffer_deinit(&view->scratch);
    if (store_memory_bytes(view->aside) > view->aside_max)
        give_up(view);
}

void store_view_take_all(struct store *store)
{
    struct store_view *view = store->view;
    if (!view || !view->aside || view->base != store || view->next.slot == STORE_SLOTS)
        return;
    view->base = memory_allocate(sizeof *view->base);
    *view->base = *store;
    view->base->view = NULL;
    *store = (struct store){
        .seed = store->seed, .memory_bytes = store_room_size(sizeof *store), .view = view};
}

/* ---- giving ---- */

/* The keys of one of the two stores from the cursor on. */
struct side {
    struct store_span span;
    bool has_span;
    struct store_crowd crowd;
    size_t at;
};

static void side_look(struct side *side, const struct store_view *view, const struct store *store,
                      uint32_t slot_last)
{
    side->has_span =
        store_span_within(store, view->next.slot, view->next.hash, slot_last, &side->span);
}

static bool position_before(struct store_position a, struct store_position b)
{
    return a.slot < b.slot || (a.slot == b.slot && a.hash < b.hash);
}

static struct store_position side_end(const struct side *side, struct store_position otherwise)
{
    if (!side->has_span)
        return otherwise;
    struct store_position end = {.slot = side->span.slot, .hash = side->span.last};
    return position_before(end, otherwise) ? end : otherwise;
}

/* The entries of the span from the cursor to `end`, in order. */
static void side_gather(struct side *side, const struct store_view *view, const struct store *store,
                        struct store_position end)
{
    size_t kept = 0;
    side->at = 0;
    side->crowd.count = 0;
    if (!side->has_span || side->span.slot != end.slot)
        return;
    store_crowd_gather(&side->crowd, store, &side->span);
    for (size_t i = 0; i < side->crowd.count; i++) {
        uint64_t hash = side->crowd.at[i].hash;
        if (hash <= end.hash && !is_behind(view, end.slot, hash))
            side->crowd.at[kept++] = side->crowd.at[i];
    }
    side->crowd.count = kept;
    store_crowd_sort(&side->crowd);
}

static const struct store_placed *side_first(const struct side *side)
{
    return side->at < side->crowd.count ? &side->crowd.at[side->at] : NULL;
}

/* Before 0, the same key 0, behind it above 0; what is not there comes last. */
static int compare_first(const struct store_placed *a, const struct store_placed *b)
{
    if (!a || !b)
        return !a - !b;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return store_entry_compare(a->entry, b->entry);
}

struct giving {
    struct store_view *view;
    struct buffer *out;
    size_t begin, size_max; /* of `out` */
    struct store_piece piece;
    struct side base, aside;
};

static enum status give_record(struct giving *giving, bool is_aside,
                               const struct store_entry *entry)
{
    size_t begin = giving->out->size;
    enum status status;
    if (is_aside) {
        struct slice record = store_entry_string(entry);
        if (!record.size)
            return STATUS_OK; /* it was not there */
        status = buffer_append(giving->out, record.at, record.size);
    } else {
        status = store_encode(entry, giving->out);
    }
    if (status)
        return status;
    giving->piece.keys++;
    giving->piece.content += checksum(giving->out->at + begin, giving->out->size - begin);
    return STATUS_OK;
}

/* Merges both sides; *end comes nearer when enough was given, never between equal hashes. STORE-4:
 * a key that is on both sides is as it is aside. */
static enum status give_merged(struct giving *giving, struct store_position *end)
{
    const struct store_placed *base, *aside;
    uint64_t last = 0;
    bool enough = false;
    for (;;) {
        base = side_first(&giving->base);
        aside = side_first(&giving->aside);
        int order = compare_first(base, aside);
        const struct store_placed *first = order < 0 ? base : aside;
        if (enough &&
            (!first || first->hash != last)) /* not where the span does: its end is the table's */
            end->hash = last;
        if (!first || (enough && first->hash != last))
            return STATUS_OK;
        enum status status = give_record(giving, order >= 0, first->entry);
        if (status)
            return status;
        giving->base.at += order <= 0;
        giving->aside.at += order >= 0;
        last = first->hash;
        enough = giving->out->size - giving->begin >= giving->size_max;
    }
}

static void forget_given(struct giving *giving, uint32_t slot)
{
    for (size_t i = 0; i < giving->aside.at; i++) {
        const struct store_entry *entry = giving->aside.crowd.at[i].entry;
        struct store_key key = {.database = entry->database,
                                .slot = (uint16_t)slot,
                                .bytes = store_entry_key_inline(entry)};
        bool removed = store_remove(giving->view->aside, &key);
        assert(removed);
    }
}

static void advance(struct giving *giving, struct store_position end)
{
    struct store_position next = {.slot = end.slot, .hash = end.hash + 1};
    if (!next.hash)
        next.slot++;
    giving->piece.last = end;
    giving->view->next = next;
}

/* The next span of either side, or what is left up to `limit`. */
static enum status give_round(struct giving *giving, struct store_position limit)
{
    struct store_view *view = giving->view;
    side_look(&giving->base, view, view->base, limit.slot);
    side_look(&giving->aside, view, view->aside, limit.slot);
    struct store_position end = side_end(&giving->aside, side_end(&giving->base, limit));
    side_gather(&giving->base, view, view->base, end);
    side_gather(&giving->aside, view, view->aside, end);
    enum status status = give_merged(giving, &end);
    if (status)
        return status;
    forget_given(giving, end.slot);
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
    store_crowd_init(&giving.base.crowd);
    store_crowd_init(&giving.aside.crowd);
    enum status status = give(&giving, limit);
    store_crowd_deinit(&giving.base.crowd);
    store_crowd_deinit(&giving.aside.crowd);
    if (status) {
        give_up(view); /* rounds before may have been forgotten */
        out->size = giving.begin;
        return status;
    }
    *piece = giving.piece;
    return STATUS_OK;
}
