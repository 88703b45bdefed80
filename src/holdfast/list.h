/* list.h - lists of JSON objects as tables. */
#ifndef HOLDFAST_HOLDFAST_LIST_H
#define HOLDFAST_HOLDFAST_LIST_H

#include "holdfast/table.h"

#include <jansson.h>

#define LIST_NUMBER_SIZE 24

/* A member of an object as a cell: a number is written into `room`, "-" stands for nothing. */
const char *list_cell(const json_t *object, const char *name, char room[LIST_NUMBER_SIZE]);
/* A time of the clock as a cell, UTC; "-": it is 0, so nobody knows. */
const char *list_time(json_int_t ms, char room[LIST_NUMBER_SIZE]);
/* Prints a table behind an empty line, and ends it. */
void list_print_table(struct table *table);
/* The members of each object of `list` that `names` name, under `titles`. */
void list_print(const json_t *list, const char *const *titles, const char *const *names);

#endif
