#include "holdfast/waiting.h"

#include "holdfast/ask.h"
#include "holdfast/merge.h"
#include "holdfast/verbs.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS   300
#define LINE_SIZE 4096

/* Changes of the catalogue are decided by the leader of `system`. */
static bool is_led(const json_t *view)
{
    size_t i;
    json_t *partition;
    json_array_foreach(json_object_get(view, "partitions"), i, partition)
    {
        if (strcmp(merge_text(partition, "keyspace"), "system") == 0)
            return merge_number(partition, "leader") > 0;
    }
    return true; /* nobody here knows better */
}

bool waiting_line(const json_t *view, struct buffer *out)
{
    size_t i, down = 0;
    json_t *node;
    if (is_led(view))
        return false;
    buffer_print(out, "waiting for a leader of keyspace system");
    json_array_foreach(json_object_get(view, "nodes"), i, node)
    {
        if (strcmp(merge_text(node, "state"), "up") != 0)
            buffer_print(out, "%s node %lld at %s", down++ ? "," : ";",
                         (long long)merge_number(node, "id"), merge_text(node, "addr"));
    }
    if (down)
        buffer_print(out, " cannot be reached from there");
    return true;
}

bool waiting_tell(const char *address)
{
    struct ask ask;
    struct buffer line;
    ask_init(&ask, ASK_COMMAND, address, "STATUS");
    ask_all(&ask, 1, LOOK_MS);
    json_t *view = ask.status == STATUS_OK
                       ? merge_read_view((const char *)ask.answer.at, ask.answer.size)
                       : NULL;
    buffer_init(&line, LINE_SIZE);
    bool waits = waiting_line(view, &line);
    if (waits)
        complain(EXIT_GOOD, "%.*s", (int)line.size, (const char *)line.at);
    buffer_deinit(&line);
    json_decref(view);
    ask_deinit(&ask);
    return waits;
}
