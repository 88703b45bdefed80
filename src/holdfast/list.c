#include "holdfast/list.h"

#include "holdfast/merge.h"

#include <stdio.h>
#include <time.h>

const char *list_cell(const json_t *object, const char *name, char room[LIST_NUMBER_SIZE])
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        return merge_text(object, name);
    snprintf(room, LIST_NUMBER_SIZE, "%lld", (long long)json_integer_value(value));
    return room;
}

const char *list_time(json_int_t ms, char room[LIST_NUMBER_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!seconds || !gmtime_r(&seconds, &parts))
        return "-";
    strftime(room, LIST_NUMBER_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return room;
}

void list_print_table(struct table *table)
{
    char line[TABLE_COLUMNS_MAX * TABLE_CELL_SIZE];
    printf("\n");
    for (size_t row = 0; row < table->rows; row++) {
        table_line(table, row, line, sizeof line);
        printf("%s\n", line);
    }
    table_deinit(table);
}

void list_print(const json_t *list, const char *const *titles, const char *const *names)
{
    struct table table;
    size_t i;
    json_t *item;
    table_init(&table, titles);
    json_array_foreach(list, i, item)
    {
        const char *cells[TABLE_COLUMNS_MAX];
        char rooms[TABLE_COLUMNS_MAX][LIST_NUMBER_SIZE];
        for (size_t k = 0; k < table.columns; k++)
            cells[k] = list_cell(item, names[k], rooms[k]);
        table_add_row(&table, cells);
    }
    list_print_table(&table);
}
