/* segment.c - an array of buckets that is filled by tags (see table.h). */
#include "store/table.h"

#define BUCKET_SIZE       sizeof(struct store_bucket)
#define WORD_POSITIONS(s) ((size_t)(s)*BUCKET_ENTRIES)

/* How many entries would live in each home: decides a shape before anything is allocated. */
struct tally {
    size_t keys;
    unsigned homes;
    uint32_t counts[SEGMENT_HOMES_MAX];
};

static void tally_init(struct tally *tally, size_t keys)
{
    /* 5.2 keys for each home of 7: a fifth more keys fit before the spill is full, at 75 % of all
     * buckets on average. */
    size_t homes = keys <= BUCKET_ENTRIES ? 1 : (keys * 10 + 51) / 52;
    *tally = (struct tally){.keys = keys};
    tally->homes = homes < SEGMENT_HOMES_MAX ? (unsigned)homes : SEGMENT_HOMES_MAX;
}

static void tally_add(struct tally *tally, uint64_t word)
{
    tally->counts[store_tag_home(store_word_above(word), tally->homes)]++;
}

/* Spill buckets: what does not fit at home, and some more, so that the next rebuild is far. */
static size_t tally_spills(const struct tally *tally)
{
    size_t need = 0;
    for (unsigned i = 0; i < tally->homes; i++)
        if (tally->counts[i] > BUCKET_ENTRIES)
            need += tally->counts[i] - BUCKET_ENTRIES;
    size_t slack = need / 4 > tally->homes / 8 ? need / 4 : tally->homes / 8;
    return (need + slack + BUCKET_ENTRIES - 1) / BUCKET_ENTRIES;
}

static size_t segment_size(const struct store_segment *head)
{
    return (head->homes + (size_t)head->spills) * BUCKET_SIZE + BUCKET_SIZE;
}

static uint64_t segment_create(struct store *store, unsigned homes, size_t spills)
{
    struct store_segment shape = {.homes = (uint16_t)homes, .spills = (uint32_t)spills};
    uint8_t *memory = store_room_take(store, segment_size(&shape));
    uintptr_t room = (uintptr_t)memory + sizeof shape;
    uintptr_t first = (room + BUCKET_SIZE - 1) & ~(uintptr_t)(BUCKET_SIZE - 1);
    shape.behind = (uint8_t)(first - (uintptr_t)memory);
    uint8_t *buckets = memory + shape.behind;
    memcpy(buckets - sizeof shape, &shape, sizeof shape);
    memset(buckets, 0, (homes + spills) * BUCKET_SIZE);
    return store_word_of(buckets, homes);
}

void store_segment_free(struct store *store, uint64_t segment)
{
    struct store_segment *head = store_segment_head(segment);
    uint8_t *buckets = store_word_pointer(segment);
    store_room_give(store, buckets - head->behind, segment_size(head));
}

static struct store_bucket *home_of(uint64_t segment, unsigned tag)
{
    return store_segment_buckets(segment) + store_tag_home(tag, store_word_above(segment));
}

/* False when neither the home nor the spill has room. */
static bool place_word(uint64_t segment, uint64_t word)
{
    struct store_segment *head = store_segment_head(segment);
    struct store_bucket *home = home_of(segment, store_word_above(word));
    if (home->count < BUCKET_ENTRIES) {
        home->words[home->count++] = word;
    } else {
        if (head->spilled == WORD_POSITIONS(head->spills))
            return false;
        *store_segment_spilled(segment, head->spilled++) = word;
        home->spilled++;
    }
    head->keys++;
    return true;
}

static void place_surely(uint64_t segment, uint64_t word)
{
    bool placed = place_word(segment, word);
    assert(placed); /* its shape was chosen for it */
}

uint64_t store_segment_build(struct store *store, const uint64_t *words, size_t count)
{
    struct tally tally;
    tally_init(&tally, count);
    for (size_t i = 0; i < count; i++)
        tally_add(&tally, words[i]);
    uint64_t segment = segment_create(store, tally.homes, tally_spills(&tally));
    for (size_t i = 0; i < count; i++)
        place_surely(segment, words[i]);
    return segment;
}

/* All words of a segment, homes first: position 0 .. keys - 1 in no order of keys. */
struct word_walk {
    uint64_t segment;
    size_t bucket, index;
};

static bool word_walk_next(struct word_walk *walk, uint64_t *word)
{
    const struct store_segment *head = store_segment_head(walk->segment);
    const struct store_bucket *buckets = store_segment_buckets(walk->segment);
    for (; walk->bucket < head->homes; walk->bucket++, walk->index = 0)
        if (walk->index < buckets[walk->bucket].count) {
            *word = buckets[walk->bucket].words[walk->index++];
            return true;
        }
    if (walk->index == head->spilled)
        return false;
    *word = *store_segment_spilled(walk->segment, walk->index++);
    return true;
}

/* Another shape for the same entries and, when it is not 0, the word `more`. */
static uint64_t rebuild(struct store *store, uint64_t segment, uint64_t more)
{
    struct tally tally;
    uint64_t word;
    tally_init(&tally, store_segment_head(segment)->keys + (more ? 1 : 0));
    if (more)
        tally_add(&tally, more);
    struct word_walk walk = {.segment = segment};
    while (word_walk_next(&walk, &word))
        tally_add(&tally, word);
    uint64_t fresh = segment_create(store, tally.homes, tally_spills(&tally));
    walk = (struct word_walk){.segment = segment};
    while (word_walk_next(&walk, &word))
        place_surely(fresh, word);
    if (more)
        place_surely(fresh, more);
    store_segment_free(store, segment);
    return fresh;
}

void store_segment_add(struct store *store, uint64_t *segment, uint64_t word)
{
    if (!*segment)
        *segment = store_segment_build(store, &word, 1);
    else if (!place_word(*segment, word))
        *segment = rebuild(store, *segment, word);
}

static uint64_t *find_spilled(uint64_t segment, unsigned tag, const struct store_key *key)
{
    size_t spilled = store_segment_head(segment)->spilled;
    for (size_t i = 0; i < spilled; i++) {
        uint64_t *place = store_segment_spilled(segment, i);
        if (store_word_above(*place) == tag && store_entry_is(store_word_entry(*place), key))
            return place;
    }
    return NULL;
}

uint64_t *store_segment_find(uint64_t segment, unsigned tag, const struct store_key *key)
{
    struct store_bucket *home = home_of(segment, tag);
    unsigned matches = store_bucket_matches(home, tag);
    for (; matches; matches &= matches - 1) {
        uint64_t *place = &home->words[__builtin_ctz(matches)];
        if (store_entry_is(store_word_entry(*place), key))
            return place;
    }
    return home->spilled ? find_spilled(segment, tag, key) : NULL;
}

static void remove_spilled(uint64_t segment, struct store_bucket *home, uint64_t *place)
{
    struct store_segment *head = store_segment_head(segment);
    uint64_t *last = store_segment_spilled(segment, --head->spilled);
    *place = *last;
    *last = 0;
    home->spilled--;
}

/* Brings one entry home, so that only full homes have spilled ones. */
static void refill(uint64_t segment, struct store_bucket *home, uint64_t *place)
{
    uint64_t *spilled = store_segment_spilled(segment, 0);
    for (size_t i = 1; home_of(segment, store_word_above(*spilled)) != home; i++)
        spilled = store_segment_spilled(segment, i);
    *place = *spilled;
    remove_spilled(segment, home, spilled);
}

static bool is_sparse(const struct store_segment *head)
{
    size_t buckets = head->homes + (size_t)head->spills;
    return buckets > 1 && (size_t)head->keys * 4 < WORD_POSITIONS(buckets);
}

void store_segment_remove(struct store *store, uint64_t *segment, uint64_t *place)
{
    struct store_segment *head = store_segment_head(*segment);
    struct store_bucket *home = home_of(*segment, store_word_above(*place));
    bool at_home = place >= home->words && place < home->words + BUCKET_ENTRIES;
    if (!at_home) {
        remove_spilled(*segment, home, place);
    } else if (home->spilled) {
        refill(*segment, home, place);
    } else {
        uint64_t *last = &home->words[--home->count];
        *place = *last;
        *last = 0;
    }
    head->keys--;
    if (!head->keys) {
        store_segment_free(store, *segment);
        *segment = 0;
    } else if (is_sparse(head)) {
        *segment = rebuild(store, *segment, 0);
    }
}

void store_segment_validate(uint64_t segment)
{
    const struct store_segment *head = store_segment_head(segment);
    const struct store_bucket *buckets = store_segment_buckets(segment);
    size_t at_home = 0, spilled[SEGMENT_HOMES_MAX] = {0};
    assert(((uintptr_t)buckets & (BUCKET_SIZE - 1)) == 0);
    assert(head->homes == store_word_above(segment) && head->homes <= SEGMENT_HOMES_MAX);
    assert(head->spilled <= WORD_POSITIONS(head->spills) && head->keys > 0);
    for (size_t i = 0; i < head->spilled; i++) {
        unsigned tag = store_word_above(*store_segment_spilled(segment, i));
        spilled[store_tag_home(tag, head->homes)]++;
    }
    for (size_t i = 0; i < head->homes; i++) {
        const struct store_bucket *home = &buckets[i];
        assert(home->spilled == spilled[i]);
        assert(home->count <= BUCKET_ENTRIES);
        assert(!home->spilled || home->count == BUCKET_ENTRIES);
        for (unsigned j = 0; j < home->count; j++)
            assert(home_of(segment, store_word_above(home->words[j])) == home);
        at_home += home->count;
    }
    assert(at_home + head->spilled == head->keys);
}
