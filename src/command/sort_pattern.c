#include "command/sort.h"

void sort_names_init(struct sort_names *names, struct command_call *call)
{
    names->call = call;
    buffer_init(&names->bytes, STORE_KEY_SIZE_MAX);
}

void sort_names_deinit(struct sort_names *names)
{
    buffer_deinit(&names->bytes);
}

bool sort_has_star(const struct slice *pattern)
{
    return pattern->size && memchr(pattern->at, '*', pattern->size);
}

struct parts {
    struct slice head, tail, field;
    bool has_field;
};

/* An arrow with nothing behind it belongs to the key. */
static struct parts parse(const struct slice *pattern)
{
    const uint8_t *end = pattern->at + pattern->size;
    const uint8_t *star = memchr(pattern->at, '*', pattern->size), *behind = star + 1;
    const uint8_t *arrow = memmem(behind, (size_t)(end - behind), "->", 2);
    struct parts parts = {.head = slice_of(pattern->at, (size_t)(star - pattern->at))};
    parts.has_field = arrow && arrow + 2 < end;
    parts.tail = slice_of(behind, (size_t)((parts.has_field ? arrow : end) - behind));
    if (parts.has_field)
        parts.field = slice_of(arrow + 2, (size_t)(end - arrow - 2));
    return parts;
}

static bool name_key(struct sort_names *names, const struct parts *parts, struct slice element,
                     struct store_key *key)
{
    struct buffer *bytes = &names->bytes;
    buffer_reset(bytes);
    if (buffer_append(bytes, parts->head.at, parts->head.size) ||
        buffer_append(bytes, element.at, element.size) ||
        buffer_append(bytes, parts->tail.at, parts->tail.size))
        return false;
    *key = store_key_of(names->call->database, slice_of_buffer(bytes));
    return true;
}

bool sort_name_key(struct sort_names *names, const struct slice *pattern, struct slice element,
                   struct store_key *key)
{
    if (!sort_has_star(pattern))
        return false;
    const struct parts parts = parse(pattern);
    return name_key(names, &parts, element, key);
}

bool sort_find_value(struct sort_names *names, const struct slice *pattern, struct slice element,
                     struct slice *value)
{
    struct store_key key;
    *value = element;
    if (slice_is_word(*pattern, "#"))
        return true;
    if (!sort_has_star(pattern))
        return false;
    const struct parts parts = parse(pattern);
    if (!name_key(names, &parts, element, &key))
        return false;
    const struct store_entry *entry = command_lookup(names->call, &key);
    if (!entry || store_entry_type(entry) != (parts.has_field ? STORE_HASH : STORE_STRING))
        return false;
    if (parts.has_field)
        return store_member_find(names->call->store, entry, parts.field, value);
    *value = store_entry_string(entry);
    return true;
}
