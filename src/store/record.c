/* record.c - one key with its value as bytes, and the way back.
 *
 *     u8 type | u8 database | u8 1: has a deadline, else 0 | [i64 deadline] | text key | value
 *
 *     text         varint size, bytes
 *     STRING       text
 *     LIST         varint count, then texts from head to tail
 *     HASH         varint count, then (text name, text value) in the order of members
 *     SET          varint count, then texts in the order of members
 *     SORTED SET   varint count, then (u64 bits of the score, text name) by rank
 *
 * Counts are never 0. One content, one record: hashes over records compare replicas (R20). */
#include "store/members.h"
#include "store/table.h"

#include "base/checksum.h"

#include <math.h>

#define DEADLINE_SIZE 8

/* ---- there ---- */

static enum status put_number(struct buffer *out, uint64_t number)
{
    uint8_t bytes[VARINT_SIZE_MAX];
    return buffer_append(out, bytes, varint_store(bytes, number));
}

static enum status put_text(struct buffer *out, struct slice text)
{
    enum status status = put_number(out, text.size);
    return status ? status : buffer_append(out, text.at, text.size);
}

static enum status put_head(const struct store_entry *entry, struct buffer *out)
{
    int64_t deadline_us = store_entry_deadline_us(entry);
    uint8_t head[3 + DEADLINE_SIZE] = {(uint8_t)store_entry_type(entry), entry->database,
                                       deadline_us != 0};
    store_u64(head + 3, (uint64_t)deadline_us);
    enum status status = buffer_append(out, head, deadline_us ? sizeof head : 3);
    return status ? status : put_text(out, store_entry_key_inline(entry));
}

static enum status put_list(const struct store_entry *entry, struct buffer *out)
{
    struct store_list_walk walk;
    struct slice element;
    enum status status = put_number(out, store_list_length(entry));
    store_list_walk_init(&walk, entry, 0);
    while (!status && store_list_walk_next(&walk, &element))
        status = put_text(out, element);
    return status;
}

static enum status put_members(const struct store_entry *entry, struct buffer *out)
{
    bool has_values = store_entry_type(entry) == STORE_HASH;
    struct store_members members = {.tree = store_entry_tree(entry), .has_values = has_values};
    struct store_tree_walk walk = {.tree = members.tree};
    struct slice element;
    enum status status = put_number(out, store_member_count(entry));
    while (!status && store_tree_walk_next(&walk, &element)) {
        struct store_member member = store_member_in(members, element);
        status = put_text(out, member.name);
        if (!status && has_values)
            status = put_text(out, member.value);
    }
    return status;
}

static enum status put_scored(const struct store_entry *entry, struct buffer *out)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    enum status status = put_number(out, store_scored_count(entry));
    store_scored_walk_init(&walk, entry, 0, false);
    while (!status && store_scored_walk_next(&walk, &member, &score)) {
        status = buffer_append(out, &score, sizeof score);
        if (!status)
            status = put_text(out, member);
    }
    return status;
}

static enum status put_value(const struct store_entry *entry, struct buffer *out)
{
    switch (store_entry_type(entry)) {
    case STORE_STRING: return put_text(out, store_entry_string(entry));
    case STORE_LIST: return put_list(entry, out);
    case STORE_HASH:
    case STORE_SET: return put_members(entry, out);
    case STORE_SORTED_SET: return put_scored(entry, out);
    }
    assert(false);
    return STATUS_INVALID;
}

enum status store_encode(const struct store_entry *entry, struct buffer *out)
{
    size_t begin = out->size;
    enum status status = put_head(entry, out);
    if (!status)
        status = put_value(entry, out);
    if (status)
        out->size = begin;
    return status;
}

/* ---- and back ---- */

static enum status take_text(struct slice *from, size_t size_max, struct slice *out)
{
    uint64_t size;
    enum status status = varint_take(from, &size);
    if (status)
        return status;
    return size <= size_max ? slice_take(from, size, out) : STATUS_INVALID;
}

static enum status take_count(struct slice *from, uint64_t *out)
{
    enum status status = varint_take(from, out);
    if (status)
        return status;
    return *out ? STATUS_OK : STATUS_INVALID;
}

struct head {
    enum store_type type;
    struct store_key key;
    int64_t deadline_us;
};

static enum status take_head(struct slice *from, struct head *out)
{
    struct slice fixed, deadline, bytes;
    if (slice_take(from, 3, &fixed))
        return STATUS_INVALID;
    *out = (struct head){.type = (enum store_type)fixed.at[0]};
    if (fixed.at[1] >= STORE_DATABASES || fixed.at[2] > 1)
        return STATUS_INVALID;
    if (fixed.at[2]) {
        if (slice_take(from, DEADLINE_SIZE, &deadline))
            return STATUS_INVALID;
        out->deadline_us = (int64_t)load_u64(deadline.at);
        if (!out->deadline_us)
            return STATUS_INVALID;
    }
    if (take_text(from, STORE_KEY_SIZE_MAX, &bytes))
        return STATUS_INVALID;
    out->key = store_key_of(fixed.at[1], bytes);
    return STATUS_OK;
}

struct store_name store_record_name(struct slice record)
{
    struct head head;
    enum status status = take_head(&record, &head);
    assert(status == STATUS_OK);
    return (struct store_name){head.key.bytes, head.key.database};
}

static enum status load_list(struct store *store, const struct store_key *key, struct slice *from)
{
    uint64_t count;
    struct slice element;
    enum status status = take_count(from, &count);
    for (uint64_t i = 0; !status && i < count; i++) {
        status = take_text(from, STORE_VALUE_SIZE_MAX, &element);
        if (!status)
            store_list_push(store, key, false, element);
    }
    return status;
}

/* Whether a member that was just added is behind all others: in a record they come in their order,
 * or one content would have two records. Hashes settle it but for equal ones. */
static bool member_is_last(struct store *store, const struct store_key *key, struct slice member)
{
    const struct store_entry *entry = store_find(store, key);
    struct slice last, value;
    store_member_at(store, entry, store_member_count(entry) - 1, &last, &value);
    return slice_equal(last, member);
}

static enum status load_member(struct store *store, const struct head *head, struct slice *from,
                               uint32_t *hash_before)
{
    struct slice name, value = slice_of(NULL, 0);
    enum status status = take_text(from, STORE_VALUE_SIZE_MAX, &name);
    if (!status && head->type == STORE_HASH)
        status = take_text(from, STORE_VALUE_SIZE_MAX, &value);
    if (status)
        return status;
    uint32_t hash = store_member_hash(store, name);
    if (hash < *hash_before || !store_member_put(store, &head->key, head->type, name, value))
        return STATUS_INVALID;
    if (hash == *hash_before && !member_is_last(store, &head->key, name))
        return STATUS_INVALID;
    *hash_before = hash;
    return STATUS_OK;
}

static enum status load_members(struct store *store, const struct head *head, struct slice *from)
{
    uint64_t count;
    uint32_t hash = 0;
    enum status status = take_count(from, &count);
    for (uint64_t i = 0; !status && i < count; i++)
        status = load_member(store, head, from, &hash);
    return status;
}

/* NaN has no place in the order, and -0.0 is not what a store has. */
static bool score_is_good(double score)
{
    return score == score && (score != 0 || !signbit(score));
}

static enum status load_scored(struct store *store, const struct store_key *key, struct slice *from)
{
    uint64_t count;
    struct slice bytes, member;
    double score, before = -INFINITY;
    enum status status = take_count(from, &count);
    for (uint64_t i = 0; !status && i < count; i++) {
        if (slice_take(from, sizeof score, &bytes) ||
            take_text(from, STORE_VALUE_SIZE_MAX, &member))
            return STATUS_INVALID;
        memcpy(&score, bytes.at, sizeof score);
        if (!score_is_good(score) || score < before ||
            !store_scored_put(store, key, member, score) ||
            (score == before && store_scored_rank(store, store_find(store, key), member) != i))
            return STATUS_INVALID;
        before = score;
    }
    return status;
}

static enum status load_value(struct store *store, const struct head *head, struct slice *from)
{
    struct slice string;
    switch (head->type) {
    case STORE_STRING:
        if (take_text(from, STORE_VALUE_SIZE_MAX, &string))
            return STATUS_INVALID;
        store_put_string(store, &head->key, string, head->deadline_us);
        return STATUS_OK;
    case STORE_LIST: return load_list(store, &head->key, from);
    case STORE_HASH:
    case STORE_SET: return load_members(store, head, from);
    case STORE_SORTED_SET: return load_scored(store, &head->key, from);
    }
    return STATUS_INVALID;
}

static enum status load_record(struct store *store, struct slice *from)
{
    struct head head;
    enum status status = take_head(from, &head);
    if (status)
        return status;
    if (store_find(store, &head.key))
        return STATUS_INVALID;
    status = load_value(store, &head, from);
    if (!status && head.deadline_us)
        (void)store_set_deadline(store, &head.key, head.deadline_us);
    return status;
}

enum status store_load(struct store *store, struct slice records, uint64_t *keys, uint64_t *content)
{
    uint64_t count = 0, sum = 0;
    while (records.size) {
        const uint8_t *begin = records.at;
        enum status status = load_record(store, &records);
        if (status)
            return status;
        count++;
        sum += checksum(begin, (size_t)(records.at - begin));
    }
    *keys += count;
    *content += sum;
    return STATUS_OK;
}

/* ---- comparing ---- */

uint64_t store_content(const struct store *store, uint16_t first, uint16_t last)
{
    uint64_t content = 0;
    struct store_span span;
    struct store_crowd crowd;
    struct buffer record;
    buffer_init(&record, SIZE_MAX);
    store_crowd_init(&crowd);
    bool more = store_span_from(store, first, 0, &span);
    for (; more && span.slot <= last; more = store_span_next(store, &span)) {
        store_crowd_gather(&crowd, store, &span);
        for (size_t i = 0; i < crowd.count; i++) {
            buffer_reset(&record);
            enum status status = store_encode(crowd.at[i].entry, &record);
            assert(status == STATUS_OK); /* the buffer has no bound but memory */
            content += checksum(record.at, record.size);
        }
    }
    store_crowd_deinit(&crowd);
    buffer_deinit(&record);
    return content;
}
