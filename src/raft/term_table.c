/* term_table.c - term -> first index, kept for ever (R10): one row a term, so a log of any length
 * has a small table. */
#include "base/memory.h"
#include "raft/state.h"

#include <assert.h>

static void reserve(struct term_table *table, size_t count)
{
    if (count <= table->capacity)
        return;
    size_t capacity = table->capacity ? table->capacity : 16;
    while (capacity < count)
        capacity *= 2;
    table->starts = memory_resize(table->starts, capacity * sizeof *table->starts);
    table->capacity = capacity;
}

void raft_term_table_load(struct term_table *table, const struct raft_term_start *starts,
                          size_t count)
{
    reserve(table, count);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || (starts[i].term > starts[i - 1].term &&
                          starts[i].first_index > starts[i - 1].first_index));
        table->starts[i] = starts[i];
    }
    table->count = count;
}

void raft_term_table_deinit(struct term_table *table)
{
    memory_free(table->starts);
    *table = (struct term_table){0};
}

/* How many rows begin at or before `index`. The last row first: nearly every question is about the
 * tail. */
size_t raft_term_table_rows(const struct term_table *table, uint64_t index)
{
    size_t low = 0, high = table->count;
    if (high > 0 && table->starts[high - 1].first_index <= index)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->starts[middle].first_index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t raft_term_table_at(const struct term_table *table, uint64_t last_index, uint64_t index)
{
    if (index == 0 || index > last_index)
        return 0;
    size_t rows = raft_term_table_rows(table, index);
    return rows ? table->starts[rows - 1].term : 0;
}

void raft_term_table_append(struct term_table *table, uint64_t term, uint64_t index)
{
    if (table->count && table->starts[table->count - 1].term == term)
        return;
    assert(table->count == 0 || table->starts[table->count - 1].term < term);
    reserve(table, table->count + 1);
    table->starts[table->count++] = (struct raft_term_start){term, index};
}

void raft_term_table_truncate(struct term_table *table, uint64_t from)
{
    while (table->count && table->starts[table->count - 1].first_index >= from)
        table->count--;
}

uint64_t raft_term_table_search(const struct term_table *table, uint64_t limit, uint64_t term)
{
    size_t rows = raft_term_table_rows(table, limit);
    while (rows && table->starts[rows - 1].term > term) {
        limit = table->starts[rows - 1].first_index - 1;
        rows--;
    }
    return rows ? limit : 0;
}
