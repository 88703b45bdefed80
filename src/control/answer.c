/* The answers to NODE PROBE and NODE PROMISE: what nodes without a cluster ask each other. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* Who was removed is nowhere: at his address another one may join. */
static void encode_members(const struct control *control, const struct node_formation *formation,
                           struct buffer *out)
{
    struct node_formation *told = memory_allocate(sizeof *told);
    *told = *formation;
    for (size_t i = 0; i < told->member_count; i++) {
        const struct control_node *node =
            catalogue_find_node(&control->catalogue, told->members[i].id);
        if (node && node->duty == CONTROL_DUTY_REMOVED)
            told->members[i].client_address[0] = told->members[i].peer_address[0] = 0;
    }
    node_encode_formation(told, out);
    memory_free(told);
}

void control_answer(struct control *control, struct reply *reply)
{
    char text[24];
    struct buffer bytes;
    const struct node_promise *promise = node_promise(control->node);
    const struct node_formation *formation = node_formation(control->node);
    bool member = formation && node_is_started(control->node);
    buffer_init(&bytes, PROBE_INPUT_MAX);
    if (member)
        encode_members(control, formation, &bytes);
    else if (promise->former[0])
        node_encode_promise(promise, &bytes);
    reply_array(reply, PROBE_REPLY_ITEMS);
    reply_text(reply, member ? "member" : promise->former[0] ? "promised" : "empty");
    snprintf(text, sizeof text, "%016llx", (unsigned long long)control->instance);
    reply_text(reply, text);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)control->list_hash);
    reply_text(reply, text);
    reply_text(reply, control->peer_address);
    reply_text(reply, control->site);
    reply_text(reply, control->zone);
    reply_text(reply, control->host);
    reply_bulk(reply, slice_of_buffer(&bytes));
    reply_text(reply, node_is_saved(control->node) ? "saved" : "saving");
    buffer_deinit(&bytes);
}

static bool hex_of(struct slice word, size_t digits, uint64_t *out)
{
    char text[17];
    if (word.size != digits || digits > 16)
        return false;
    memcpy(text, word.at, digits);
    text[digits] = 0;
    char *end;
    *out = strtoull(text, &end, 16);
    return !*end;
}

/* A promise is given once: to another former or cluster the old one is shown instead (CONTROL-1).
 */
void control_promise(struct control *control, const struct slice *arguments, struct reply *reply)
{
    struct node_promise given = {0};
    struct slice former = arguments[2], cluster = arguments[3];
    bool readable = former.size > 0 && former.size < sizeof given.former && cluster.size == 32 &&
                    hex_of(slice_of(cluster.at, 16), 16, &given.cluster.high) &&
                    hex_of(slice_of(cluster.at + 16, 16), 16, &given.cluster.low) &&
                    hex_of(arguments[4], 16, &given.list_hash);
    if (!readable) {
        reply_error(reply, "ERR NODE PROMISE takes a former, a cluster id and a list hash");
        return;
    }
    memcpy(given.former, former.at, former.size);
    bool free = !node_promise(control->node)->former[0] && !node_is_formed(control->node) &&
                control->probe_count && given.list_hash == control->list_hash &&
                strcmp(given.former, control->probes[0].address) == 0;
    if (free)
        node_save_promise(control->node, &given);
    control_answer(control, reply);
}
