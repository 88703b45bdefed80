/* table.h - columns as wide as their widest cell. */
#ifndef HOLDFAST_HOLDFAST_TABLE_H
#define HOLDFAST_HOLDFAST_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS_MAX 16
#define TABLE_CELL_SIZE   72

struct table {
    size_t columns, rows, capacity;
    char (*cells)[TABLE_CELL_SIZE]; /* owned; row by row */
};

/* `titles` end with NULL; they are the first row. */
void table_init(struct table *table, const char *const *titles);
void table_deinit(struct table *table);
void table_add_row(struct table *table, const char *const *cells);
/* One row as text, without trailing spaces; `out` has room for `size` bytes. */
void table_line(const struct table *table, size_t row, char *out, size_t size);

#endif
