/* table.c - the rows of all families and of whoever stands above, found by name and by number. */
#include "base/memory.h"
#include "command/call.h"

#include <assert.h>
#include <stdlib.h>

/* A name, folded to upper case, as numbers: equal numbers, equal names. The last byte is its size,
 * because a name from a client may end in zero bytes. */
#define NAME_WORDS    3
#define NAME_SIZE_MAX (8 * NAME_WORDS - 1)

struct folded_name {
    uint64_t words[NAME_WORDS];
};

struct name_slot {
    struct folded_name name;
    const struct command *command; /* NULL: free */
};

struct command_table {
    const struct command **sorted; /* owned; by name, without the internal ones */
    size_t count;
    const struct command **numbered; /* owned; by number, NULL: none */
    size_t number_end;
    struct name_slot *slots; /* owned; open addressing, at most a quarter full */
    size_t slot_mask;
};

/* ---- names ---- */

/* Lower-case letters of eight bytes to upper case, bytes past 127 untouched. */
static inline uint64_t fold_word(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = word & (ones * 0x7f);
    uint64_t above_z = low + ones * (0x7f - 'z'), from_a = low + ones * (0x80 - 'a');
    uint64_t letters = (from_a ^ above_z) & ~word & (ones * 0x80);
    return word - (letters >> 2);
}

/* 0 .. 8 bytes without a loop, the missing ones zero. */
static inline uint64_t load_part(const uint8_t *at, size_t size)
{
    if (size >= 8)
        return load_u64(at);
    if (size >= 4)
        return load_u32(at) | (uint64_t)load_u32(at + size - 4) << (8 * (size - 4));
    if (size == 0)
        return 0;
    return at[0] | (uint64_t)at[size / 2] << (8 * (size / 2)) |
           (uint64_t)at[size - 1] << (8 * (size - 1));
}

static inline bool fold_name(struct slice name, struct folded_name *folded)
{
    uint64_t second = 0, third = 0;
    if (name.size > NAME_SIZE_MAX)
        return false;
    if (name.size > 8)
        second = load_part(name.at + 8, name.size - 8);
    if (name.size > 16)
        third = load_part(name.at + 16, name.size - 16);
    folded->words[0] = fold_word(load_part(name.at, name.size));
    folded->words[1] = fold_word(second);
    folded->words[2] = fold_word(third) | (uint64_t)name.size << 56;
    return true;
}

static inline size_t name_hash(const struct folded_name *name)
{
    uint64_t mixed = (name->words[0] ^ name->words[1] ^ name->words[2]) * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> 40);
}

static inline bool names_equal(const struct folded_name *a, const struct folded_name *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->words[2] == b->words[2];
}

static inline struct name_slot *find_slot(const struct command_table *table,
                                          const struct folded_name *name)
{
    size_t i = name_hash(name) & table->slot_mask;
    while (table->slots[i].command && !names_equal(&table->slots[i].name, name))
        i = (i + 1) & table->slot_mask;
    return &table->slots[i];
}

const struct command *command_find(const struct command_table *table, struct slice name)
{
    struct folded_name folded;
    if (!fold_name(name, &folded))
        return NULL;
    return find_slot(table, &folded)->command;
}

/* ---- building ---- */

static struct command_family (*const family_list[])(void) = {
    command_family_string,
    command_family_counter,
    command_family_range,
    command_family_bits,
    command_family_bitfield,
    command_family_key,
    command_family_copy,
    command_family_object,
    command_family_expiry,
    command_family_sort,
    command_family_list,
    command_family_list_pop,
    command_family_list_change,
    command_family_hash,
    command_family_set,
    command_family_set_algebra,
    command_family_sorted_set,
    command_family_sorted_set_range,
    command_family_sorted_set_remove,
    command_family_sorted_set_algebra,
    command_family_pick,
    command_family_scan,
    command_family_keyspace,
    command_family_once,
};

#define FAMILIES (sizeof family_list / sizeof *family_list)

static void list_families(struct command_family families[FAMILIES + 1])
{
    for (size_t i = 0; i < FAMILIES; i++)
        families[i] = family_list[i]();
}

static void add_name(struct command_table *table, const struct command *command)
{
    struct folded_name folded;
    bool fits = fold_name(slice_of_text(command->name), &folded);
    assert(fits);
    struct name_slot *slot = find_slot(table, &folded);
    assert(!slot->command); /* two rows of one name */
    *slot = (struct name_slot){folded, command};
    if (!(command->flags & COMMAND_HIDDEN))
        table->sorted[table->count++] = command;
}

/* COMMAND-4: a number names one row. */
static void add_number(struct command_table *table, const struct command *command)
{
    assert(command->number && !table->numbered[command->number]);
    table->numbered[command->number] = command;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct command *const *)a)->name,
                  (*(const struct command *const *)b)->name);
}

static void allocate(struct command_table *table, const struct command_family *families)
{
    size_t total = 0, slots = 64;
    for (size_t i = 0; i <= FAMILIES; i++) {
        total += families[i].count;
        for (size_t j = 0; j < families[i].count; j++)
            if (families[i].rows[j].number >= table->number_end)
                table->number_end = families[i].rows[j].number + 1u;
    }
    while (slots < 4 * total)
        slots *= 2;
    table->sorted = memory_zeroed(total, sizeof *table->sorted);
    table->numbered = memory_zeroed(table->number_end, sizeof *table->numbered);
    table->slots = memory_zeroed(slots, sizeof *table->slots);
    table->slot_mask = slots - 1;
}

struct command_table *command_table_create(const struct command *extra, size_t count)
{
    struct command_table *table = memory_zeroed(1, sizeof *table);
    struct command_family families[FAMILIES + 1];
    list_families(families);
    families[FAMILIES] = (struct command_family){extra, count};
    allocate(table, families);
    for (size_t i = 0; i <= FAMILIES; i++)
        for (size_t j = 0; j < families[i].count; j++) {
            const struct command *command = &families[i].rows[j];
            add_number(table, command);
            if (!(command->flags & COMMAND_INTERNAL))
                add_name(table, command);
        }
    qsort(table->sorted, table->count, sizeof *table->sorted, compare_names);
    return table;
}

void command_table_destroy(struct command_table *table)
{
    if (!table)
        return;
    memory_free(table->sorted);
    memory_free(table->numbered);
    memory_free(table->slots);
    memory_free(table);
}

/* ---- asking ---- */

const struct command *command_by_number(const struct command_table *table, uint64_t number)
{
    return number < table->number_end ? table->numbered[number] : NULL;
}

size_t command_count(const struct command_table *table)
{
    return table->count;
}

const struct command *command_at(const struct command_table *table, size_t i)
{
    assert(i < table->count);
    return table->sorted[i];
}

bool command_arity_fits(const struct command *command, size_t count)
{
    if (command->arity >= 0)
        return count == (size_t)command->arity;
    return count >= (size_t)-command->arity;
}

/* The next key of the row's own range. */
static size_t next_in_range(const struct command *command, size_t count, size_t after)
{
    size_t last = (size_t)command->last_key;
    if (command->first_key <= 0)
        return 0;
    if (command->last_key < 0)
        last = count - (size_t)-command->last_key;
    if (last >= count)
        last = count - 1;
    size_t step = command->key_step > 0 ? (size_t)command->key_step : 1;
    size_t next = after < (size_t)command->first_key ? (size_t)command->first_key : after + step;
    return next <= last ? next : 0;
}

/* Behind the argument at `place`, which says how many there are. */
static size_t next_counted(const struct slice *arguments, size_t count, size_t place, size_t after)
{
    int64_t keys;
    size_t next = (after < place ? place : after) + 1;
    if (next >= count || slice_to_i64(arguments[place], &keys) || keys <= 0)
        return 0;
    return next - place <= (uint64_t)keys ? next : 0;
}

/* The options of SORT, read only to know which STORE is one. The last one counts. */
static size_t next_stored(const struct slice *arguments, size_t count, size_t after)
{
    size_t found = 0;
    for (size_t i = 2; i + 1 < count; i++) {
        if (slice_is_word(arguments[i], "STORE"))
            found = ++i;
        else if (slice_is_word(arguments[i], "LIMIT"))
            i += 2;
        else if (slice_is_word(arguments[i], "BY") || slice_is_word(arguments[i], "GET"))
            i++;
    }
    return found > after ? found : 0;
}

size_t command_next_key(const struct command *command, const struct slice *arguments, size_t count,
                        size_t after)
{
    size_t next = next_in_range(command, count, after);
    if (next || !(command->flags & (COMMAND_COUNTED_1 | COMMAND_COUNTED_2 | COMMAND_STORES)))
        return next;
    if (command->flags & COMMAND_STORES)
        return next_stored(arguments, count, after);
    return next_counted(arguments, count, command->flags & COMMAND_COUNTED_1 ? 1 : 2, after);
}

bool command_is_whole(const struct command *command, const struct slice *arguments, size_t count)
{
    if (!(command->flags & COMMAND_WHOLE) || command->first_key == 0)
        return command->flags & COMMAND_WHOLE;
    for (size_t i = (size_t)command->last_key + 1; i < count; i++)
        if (slice_is_word(arguments[i], "BY") || slice_is_word(arguments[i], "GET") ||
            slice_is_word(arguments[i], "DB"))
            return true;
    return false;
}
