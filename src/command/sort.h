/* sort.h - the patterns of SORT's BY and GET. Private to sort.c and sort_pattern.c.
 *
 * "weight_*" is the string of the key that has the element in place of the star, "object_*->field"
 * a field of the hash there, "#" the element itself. What has no star is no key. */
#ifndef HOLDFAST_COMMAND_SORT_H
#define HOLDFAST_COMMAND_SORT_H

#include "command/call.h"

/* Where the names of such keys are put together. */
struct sort_names {
    struct command_call *call; /* borrowed */
    struct buffer bytes;
};
void sort_names_init(struct sort_names *names, struct command_call *call);
void sort_names_deinit(struct sort_names *names);

bool sort_has_star(const struct slice *pattern);

/* The key that a pattern means, good until the next one is asked for. False: it means none, or one
 * that is longer than a key may be. */
bool sort_name_key(struct sort_names *names, const struct slice *pattern, struct slice element,
                   struct store_key *key);

/* What the pattern means for an element, borrowed from the store; false: nothing is there. */
bool sort_find_value(struct sort_names *names, const struct slice *pattern, struct slice element,
                     struct slice *value);

#endif
