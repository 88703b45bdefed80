/* members.c - hashes and sets (see members.h). */
#include "store/members.h"

#include "store/spot.h"

uint32_t store_member_hash(const struct store *store, struct slice name)
{
    return (uint32_t)(store_hash(store->seed, STORE_DATABASES, name) >> 32);
}

static struct store_element element_of(const struct store *store, struct store_members members,
                                       struct slice name, struct slice value)
{
    struct store_element element = {.head_size = MEMBER_HASH_SIZE, .name = name, .value = value};
    assert(name.size <= STORE_VALUE_SIZE_MAX && value.size <= STORE_VALUE_SIZE_MAX);
    store_u32(element.head, __builtin_bswap32(store_member_hash(store, name)));
    element.is_by_name = members.has_values;
    if (members.has_values)
        element.head_size += varint_store(element.head + MEMBER_HASH_SIZE, name.size);
    return element;
}

struct store_member store_member_in(struct store_members members, struct slice element)
{
    struct slice rest = slice_of(element.at + MEMBER_HASH_SIZE, element.size - MEMBER_HASH_SIZE);
    struct store_member member = {.name = rest, .value = slice_of(NULL, 0)};
    if (members.has_values) {
        uint64_t size;
        enum status status = varint_take(&rest, &size);
        assert(status == STATUS_OK && size <= rest.size);
        member.name = slice_of(rest.at, size);
        member.value = slice_of(rest.at + size, rest.size - size);
    }
    return member;
}

static bool is_found(struct store_members members, struct slice name, const struct store_path *path,
                     struct store_member *member)
{
    struct slice element;
    if (!store_path_element(path, &element))
        return false;
    *member = store_member_in(members, element);
    return slice_equal(member->name, name);
}

bool store_members_search(const struct store *store, struct store_members members,
                          struct slice name, struct store_path *path)
{
    struct store_element probe = element_of(store, members, name, slice_of(NULL, 0));
    struct store_member member;
    store_path_search(members.tree, &probe, false, path);
    return is_found(members, name, path, &member);
}

bool store_members_find(const struct store *store, struct store_members members, struct slice name,
                        struct slice *value)
{
    struct store_element probe = element_of(store, members, name, slice_of(NULL, 0));
    struct store_member member;
    struct store_path path;
    store_path_search(members.tree, &probe, false, &path);
    if (!is_found(members, name, &path, &member))
        return false;
    if (value)
        *value = member.value;
    return true;
}

bool store_members_put(struct store *store, struct store_members members, struct slice name,
                       struct slice value)
{
    struct store_element element = element_of(store, members, name, value);
    struct store_member member;
    struct store_path path;
    store_path_search(members.tree, &element, false, &path);
    if (!is_found(members, name, &path, &member)) {
        store_tree_insert(store, members.tree, &path, &element);
        return true;
    }
    if (members.has_values)
        store_tree_replace(store, members.tree, &path, &element);
    return false;
}

void store_members_validate(const struct store *store, struct store_members members)
{
    struct store_tree_walk walk = {.tree = members.tree};
    struct slice element;
    assert(members.tree->is_ordered);
    store_tree_validate(members.tree);
    while (store_tree_walk_next(&walk, &element)) {
        struct store_member member = store_member_in(members, element);
        assert(store_member_hash_in(element) == store_member_hash(store, member.name));
    }
}

/* ---- the door ---- */

static struct store_members members_of(const struct store_entry *entry)
{
    assert(store_entry_type(entry) == STORE_HASH || store_entry_type(entry) == STORE_SET);
    return (struct store_members){.tree = store_entry_tree(entry),
                                  .has_values = store_entry_type(entry) == STORE_HASH};
}

size_t store_member_count(const struct store_entry *entry)
{
    return members_of(entry).tree->length;
}

bool store_member_find(const struct store *store, const struct store_entry *entry,
                       struct slice member, struct slice *value)
{
    return store_members_find(store, members_of(entry), member, value);
}

bool store_member_put(struct store *store, const struct store_key *key, enum store_type type,
                      struct slice member, struct slice value)
{
    assert(type == STORE_HASH || (type == STORE_SET && !value.size));
    struct store_spot spot = store_spot_for(store, key, type, true);
    return store_members_put(store, members_of(spot.entry), member, value);
}

bool store_member_remove(struct store *store, const struct store_key *key, struct slice member)
{
    struct store_spot spot = store_spot_of(store, key);
    struct store_path path;
    if (!spot.entry)
        return false;
    struct store_members members = members_of(spot.entry);
    if (!store_members_search(store, members, member, &path))
        return false;
    store_view_before(store, key);
    store_tree_remove(store, members.tree, &path);
    if (!members.tree->length)
        store_spot_remove(store, &spot);
    return true;
}

void store_member_at(const struct store *store, const struct store_entry *entry, size_t index,
                     struct slice *member, struct slice *value)
{
    struct store_members members = members_of(entry);
    struct store_path path;
    struct slice element = slice_of(NULL, 0);
    (void)store; /* its order is in the elements */
    assert(index < members.tree->length);
    store_path_to(members.tree, index, &path);
    bool found = store_path_element(&path, &element);
    assert(found);
    struct store_member at = store_member_in(members, element);
    *member = at.name;
    if (value)
        *value = at.value;
}

uint64_t store_member_walk(const struct store *store, const struct store_entry *entry,
                           uint64_t cursor, size_t max,
                           struct store_member members[STORE_WALK_ROOM], size_t *count)
{
    struct store_member_answer answer;
    (void)store;
    store_member_answer_init(&answer, members, cursor, max);
    store_members_answer(members_of(entry), &answer);
    *count = answer.count;
    return answer.next;
}

void store_entry_validate_members(const struct store *store, const struct store_entry *entry)
{
    store_members_validate(store, members_of(entry));
}
