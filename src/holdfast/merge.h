/* merge.h - what each node says of itself, made into one truth of the cluster (the JSON of DESIGN
 * section 9).
 *
 * Each node's STATUS is its own view. A replica's own node knows its state and what it applied;
 * only the leader knows how far its followers are behind. So: of each partition the view of the
 * leader of the highest term wins, own states come from own nodes, and what nobody knows is null.
 */
#ifndef HOLDFAST_HOLDFAST_MERGE_H
#define HOLDFAST_HOLDFAST_MERGE_H

#include <jansson.h>
#include <stdbool.h>

/* A view from the text of STATUS, or NULL: not such a text. Owned by the caller. */
json_t *merge_read_view(const char *text, size_t size);

/* views[0] is the view of the asked node: membership and keyspaces are as it knows them. Others may
 * be NULL (no answer) and count only when they are of the same cluster. The result is the caller's.
 */
json_t *merge_views(json_t *const *views, size_t count);

/* How many partitions of `placement` (of KEYSPACE INFO) have a leader. By their ids: a dropped
 * keyspace may have had the same name, and its partitions may still be going. */
size_t merge_count_led(const json_t *merged, const json_t *placement);

/* 0 when it is absent or null. */
json_int_t merge_number(const json_t *object, const char *name);
/* "-" when it is absent, null or empty. */
const char *merge_text(const json_t *object, const char *name);
/* The element of `list` whose `name` is `value`, borrowed; NULL: none. */
json_t *merge_find(const json_t *list, const char *name, json_int_t value);

#endif
