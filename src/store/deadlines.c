/* deadlines.c - a heap of four children per parent, so that a comparison of siblings touches one
 * cache line. It lives in blocks of fixed size, because a growing array would be copied as a whole
 * (STORE-3). Equal deadlines are in the order of keys: all replicas find the same keys expired, in
 * the same order. */
#include "store/deadlines.h"

#define BLOCK_SIZE         512u /* elements in a block, and blocks in a room */
#define ROOM_SIZE          (BLOCK_SIZE * BLOCK_SIZE)
#define CHILDREN           4u
#define POSITION_PARENT(p) (((p)-1) / CHILDREN)

static struct store_due *due_at(const struct store *store, uint32_t position)
{
    struct store_due **room = store->deadlines.rooms[position / ROOM_SIZE];
    return &room[position / BLOCK_SIZE % BLOCK_SIZE][position % BLOCK_SIZE];
}

static uint64_t due_hash(const struct store *store, const struct store_due *due)
{
    const struct store_entry *entry = store_word_entry(due->word);
    return store_hash(store->seed, entry->database, store_entry_key_inline(entry));
}

static bool is_before(const struct store *store, const struct store_due *a,
                      const struct store_due *b)
{
    if (a->deadline_us != b->deadline_us)
        return a->deadline_us < b->deadline_us;
    if (store_word_above(a->word) != store_word_above(b->word))
        return store_word_above(a->word) < store_word_above(b->word);
    uint64_t x = due_hash(store, a), y = due_hash(store, b);
    if (x != y)
        return x < y;
    return store_entry_compare(store_word_entry(a->word), store_word_entry(b->word)) < 0;
}

static void put_at(struct store *store, uint32_t position, struct store_due due)
{
    *due_at(store, position) = due;
    store_entry_set_position(store_word_entry(due.word), position);
}

static void rise(struct store *store, uint32_t position, struct store_due due)
{
    while (position) {
        struct store_due *parent = due_at(store, POSITION_PARENT(position));
        if (!is_before(store, &due, parent))
            break;
        put_at(store, position, *parent);
        position = POSITION_PARENT(position);
    }
    put_at(store, position, due);
}

/* The child that comes first; 0 when there is none. */
static uint32_t first_child(const struct store *store, uint32_t position)
{
    uint64_t child = (uint64_t)position * CHILDREN + 1, best = child;
    if (child >= store->deadlines.count)
        return 0;
    for (uint64_t i = child + 1; i < child + CHILDREN && i < store->deadlines.count; i++)
        if (is_before(store, due_at(store, (uint32_t)i), due_at(store, (uint32_t)best)))
            best = i;
    return (uint32_t)best;
}

static void sink(struct store *store, uint32_t position, struct store_due due)
{
    for (;;) {
        uint32_t child = first_child(store, position);
        if (!child || !is_before(store, due_at(store, child), &due))
            break;
        put_at(store, position, *due_at(store, child));
        position = child;
    }
    put_at(store, position, due);
}

static void settle(struct store *store, uint32_t position, struct store_due due)
{
    bool rises = position && is_before(store, &due, due_at(store, POSITION_PARENT(position)));
    if (rises)
        rise(store, position, due);
    else
        sink(store, position, due);
}

static void add_room(struct store *store)
{
    struct store_deadlines *deadlines = &store->deadlines;
    uint32_t used = deadlines->block_count / BLOCK_SIZE, count = used ? used * 2 : 1;
    if (used == deadlines->room_count) {
        /* Copied when full, but never more than 16384 pointers: positions have 32 bits. */
        struct store_due ***rooms = store_room_take(store, count * sizeof *rooms);
        if (used)
            memcpy(rooms, deadlines->rooms, used * sizeof *rooms);
        if (deadlines->rooms)
            store_room_give(store, deadlines->rooms, used * sizeof *rooms);
        deadlines->rooms = rooms;
        deadlines->room_count = count;
    }
    deadlines->rooms[used] = store_room_take(store, BLOCK_SIZE * sizeof **deadlines->rooms);
}

static void add_block(struct store *store)
{
    struct store_deadlines *deadlines = &store->deadlines;
    if (deadlines->block_count % BLOCK_SIZE == 0)
        add_room(store);
    struct store_due **room = deadlines->rooms[deadlines->block_count / BLOCK_SIZE];
    room[deadlines->block_count % BLOCK_SIZE] =
        store_room_take(store, BLOCK_SIZE * sizeof(struct store_due));
    deadlines->block_count++;
}

static void drop_block(struct store *store)
{
    struct store_deadlines *deadlines = &store->deadlines;
    uint32_t last = --deadlines->block_count;
    struct store_due **room = deadlines->rooms[last / BLOCK_SIZE];
    store_room_give(store, room[last % BLOCK_SIZE], BLOCK_SIZE * sizeof(struct store_due));
    if (last % BLOCK_SIZE == 0)
        store_room_give(store, room, BLOCK_SIZE * sizeof *room);
}

void store_deadline_drop(struct store *store, struct store_entry *entry)
{
    struct store_deadlines *deadlines = &store->deadlines;
    uint32_t position = store_entry_position(entry);
    if (position == ENTRY_NO_POSITION)
        return;
    assert(store_word_entry(due_at(store, position)->word) == entry);
    struct store_due last = *due_at(store, --deadlines->count);
    store->with_deadline[entry->database]--;
    store_entry_set_due(entry, 0, ENTRY_NO_POSITION);
    if (position < deadlines->count)
        settle(store, position, last);
    /* One spare block, so that a count around a boundary does not allocate again and again. */
    if (deadlines->block_count > deadlines->count / BLOCK_SIZE + 2)
        drop_block(store);
}

void store_deadline_set(struct store *store, struct store_entry *entry, unsigned above,
                        int64_t deadline_us)
{
    struct store_deadlines *deadlines = &store->deadlines;
    uint32_t position = store_entry_position(entry);
    struct store_due due = {.deadline_us = deadline_us, .word = store_word_of(entry, above)};
    if (deadline_us == 0) {
        store_deadline_drop(store, entry);
    } else if (position != ENTRY_NO_POSITION) {
        store_entry_set_due(entry, deadline_us, position);
        settle(store, position, due);
    } else {
        if (deadlines->count == deadlines->block_count * (uint64_t)BLOCK_SIZE)
            add_block(store);
        position = deadlines->count++;
        if (position == ENTRY_NO_POSITION)
            fatal("more than %u keys with a deadline in one partition", position);
        store->with_deadline[entry->database]++;
        store_entry_set_due(entry, deadline_us, position);
        rise(store, position, due);
    }
}

void store_deadline_moved(struct store *store, struct store_entry *entry)
{
    uint32_t position = store_entry_position(entry);
    if (position == ENTRY_NO_POSITION)
        return;
    struct store_due *due = due_at(store, position);
    due->word = store_word_of(entry, store_word_above(due->word));
}

void store_deadlines_clear(struct store *store)
{
    struct store_deadlines *deadlines = &store->deadlines;
    for (uint32_t i = 0; i < deadlines->count; i++)
        store_entry_set_due(store_word_entry(due_at(store, i)->word), 0, ENTRY_NO_POSITION);
    while (deadlines->block_count)
        drop_block(store);
    if (deadlines->rooms)
        store_room_give(store, deadlines->rooms, deadlines->room_count * sizeof *deadlines->rooms);
    *deadlines = (struct store_deadlines){.count = 0};
    memset(store->with_deadline, 0, sizeof store->with_deadline);
}

int64_t store_next_deadline_us(const struct store *store)
{
    return store->deadlines.count ? due_at(store, 0)->deadline_us : INT64_MAX;
}

/* The heap is read in order without changing it: `edge` is a small heap of the positions whose
 * parents have been answered and which have not. */
struct edge {
    const struct store *store;
    uint32_t *positions; /* owned */
    size_t count;
};

static bool edge_is_before(const struct edge *edge, size_t a, size_t b)
{
    return is_before(edge->store, due_at(edge->store, edge->positions[a]),
                     due_at(edge->store, edge->positions[b]));
}

static void edge_swap(struct edge *edge, size_t a, size_t b)
{
    uint32_t position = edge->positions[a];
    edge->positions[a] = edge->positions[b];
    edge->positions[b] = position;
}

static void edge_push(struct edge *edge, uint32_t position)
{
    size_t at = edge->count++;
    edge->positions[at] = position;
    for (; at && edge_is_before(edge, at, (at - 1) / 2); at = (at - 1) / 2)
        edge_swap(edge, at, (at - 1) / 2);
}

static uint32_t edge_pop(struct edge *edge)
{
    uint32_t first = edge->positions[0];
    edge->positions[0] = edge->positions[--edge->count];
    for (size_t at = 0, child = 1; child < edge->count; at = child, child = 2 * at + 1) {
        if (child + 1 < edge->count && edge_is_before(edge, child + 1, child))
            child++;
        if (!edge_is_before(edge, child, at))
            break;
        edge_swap(edge, at, child);
    }
    return first;
}

static struct store_key due_key(const struct store_due *due)
{
    const struct store_entry *entry = store_word_entry(due->word);
    return (struct store_key){.database = entry->database,
                              .slot = (uint16_t)(store_word_above(due->word) >> 2),
                              .bytes = store_entry_key_inline(entry)};
}

size_t store_find_expired(const struct store *store, int64_t now_us, struct store_key *keys,
                          size_t max)
{
    uint64_t total = store->deadlines.count, limit = max < total ? max : total;
    size_t found = 0;
    if (!limit || store_next_deadline_us(store) > now_us)
        return 0;
    /* Each answer takes one position away and adds its children at most. */
    struct edge edge = {.store = store};
    edge.positions = memory_allocate((limit * (CHILDREN - 1) + 1) * sizeof *edge.positions);
    edge_push(&edge, 0);
    while (found < limit && edge.count) {
        uint32_t position = edge_pop(&edge);
        keys[found++] = due_key(due_at(store, position));
        uint64_t child = (uint64_t)position * CHILDREN + 1;
        for (uint64_t i = child; i < child + CHILDREN && i < total; i++)
            if (due_at(store, (uint32_t)i)->deadline_us <= now_us)
                edge_push(&edge, (uint32_t)i);
    }
    memory_free(edge.positions);
    return found;
}

void store_deadlines_validate(const struct store *store)
{
    uint64_t by_database[STORE_DATABASES] = {0};
    for (uint32_t i = 0; i < store->deadlines.count; i++) {
        const struct store_due *due = due_at(store, i);
        const struct store_entry *entry = store_word_entry(due->word);
        assert(store_entry_position(entry) == i);
        assert(store_entry_deadline_us(entry) == due->deadline_us && due->deadline_us != 0);
        assert(!i || !is_before(store, due, due_at(store, POSITION_PARENT(i))));
        by_database[entry->database]++;
    }
    for (size_t i = 0; i < STORE_DATABASES; i++)
        assert(by_database[i] == store->with_deadline[i]);
}
