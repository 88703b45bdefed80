#include "holdfast/table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void table_init(struct table *table, const char *const *titles)
{
    *table = (struct table){0};
    while (titles[table->columns])
        table->columns++;
    assert(table->columns <= TABLE_COLUMNS_MAX);
    table_add_row(table, titles);
}

void table_deinit(struct table *table)
{
    memory_free(table->cells);
}

void table_add_row(struct table *table, const char *const *cells)
{
    if (table->rows == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 8;
        table->cells =
            memory_resize(table->cells, table->capacity * table->columns * sizeof *table->cells);
    }
    for (size_t i = 0; i < table->columns; i++)
        snprintf(table->cells[table->rows * table->columns + i], TABLE_CELL_SIZE, "%s", cells[i]);
    table->rows++;
}

static int width(const struct table *table, size_t column)
{
    size_t widest = 0;
    for (size_t row = 0; row < table->rows; row++) {
        size_t size = strlen(table->cells[row * table->columns + column]);
        widest = size > widest ? size : widest;
    }
    return (int)widest;
}

void table_line(const struct table *table, size_t row, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < table->columns && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%-*s  ", width(table, i),
                                 table->cells[row * table->columns + i]);
    for (used = strlen(out); used > 0 && out[used - 1] == ' '; used--)
        out[used - 1] = 0;
}
