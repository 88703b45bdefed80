/* The conversation with one listed address, over its client port: NODE PROBE, and from the former
 * NODE PROMISE. */
#include "control/inside.h"

#include "resp/resp.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_EVERY_NS   (50 * 1000000ull)
#define PROBE_TIMEOUT_NS (1000 * 1000000ull)

void probe_close(struct control *control, struct probe *probe)
{
    if (probe->open)
        io_close(control->io, probe->stream);
    probe->open = probe->connected = probe->asked = false;
    buffer_reset(&probe->input);
}

/* What it said is no longer known to be so. */
static void probe_lost(struct control *control, struct probe *probe)
{
    probe_close(control, probe);
    probe->answer = PROBE_SILENT;
    probe->promise_saved = false;
}

static bool asks_for_promise(const struct control *control, const struct probe *probe)
{
    const struct probe *self = formation_self(control);
    const struct node_promise *promise = node_promise(control->node);
    return self && !probe->is_self && node_is_saved(control->node) &&
           strcmp(promise->former, self->address) == 0 && probe->answer != PROBE_MEMBER;
}

static void ask(struct control *control, struct probe *probe, uint64_t now_ns)
{
    char hash[24], cluster[40];
    struct buffer request;
    size_t wrote = 0;
    buffer_init(&request, 4096);
    probe->asked_to_join = join_wants(control, probe);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)control->list_hash);
    if (probe->asked_to_join) {
        join_request(control, &request);
    } else if (asks_for_promise(control, probe)) {
        const struct node_promise *promise = node_promise(control->node);
        snprintf(cluster, sizeof cluster, "%016llx%016llx",
                 (unsigned long long)promise->cluster.high,
                 (unsigned long long)promise->cluster.low);
        struct slice words[] = {slice_of_text("NODE"), slice_of_text("PROMISE"),
                                slice_of_text(promise->former), slice_of_text(cluster),
                                slice_of_text(hash)};
        resp_request(&request, words, 5);
    } else {
        struct slice words[] = {slice_of_text("NODE"), slice_of_text("PROBE")};
        resp_request(&request, words, 2);
    }
    struct slice bytes = slice_of_buffer(&request);
    enum status status = io_write(control->io, probe->stream, &bytes, 1, &wrote);
    buffer_deinit(&request);
    if (status || wrote != bytes.size) {
        probe_lost(control, probe);
        return;
    }
    probe->asked = true;
    probe->asked_ns = now_ns;
}

void probe_tick(struct control *control, struct probe *probe, size_t index, uint64_t now_ns)
{
    if (probe->open && now_ns > probe->asked_ns + PROBE_TIMEOUT_NS)
        probe_lost(control, probe);
    if (now_ns < probe->next_ns)
        return;
    probe->next_ns = now_ns + PROBE_EVERY_NS;
    if (!probe->open) {
        probe->asked_ns = now_ns;
        probe->open = io_connect(control->io, probe->address, control->options.tag + index,
                                 &probe->stream) == STATUS_OK;
    } else if (probe->connected && !probe->asked) {
        ask(control, probe, now_ns);
    }
}

/* ---- answers ---- */

static bool text_of(struct slice bytes, char *out, size_t room)
{
    if (bytes.size >= room)
        return false;
    if (bytes.size)
        memcpy(out, bytes.at, bytes.size);
    out[bytes.size] = 0;
    return true;
}

/* Who listens on every address of its machine is reached where the list says. */
static void name_own_host(struct probe *probe)
{
    char *peer = probe->facts.peer_address, whole[2 * WIRE_ADDRESS_SIZE];
    const char *port = strrchr(peer, ':'), *end = strrchr(probe->address, ':');
    if (!control_is_any_host(peer) || !port || !end)
        return;
    snprintf(whole, sizeof whole, "%.*s%s", (int)(end - probe->address), probe->address, port);
    if (strlen(whole) < sizeof probe->facts.peer_address)
        memcpy(peer, whole, strlen(whole) + 1);
}

static void learn_formation(struct control *control, struct probe *probe, struct slice bytes)
{
    const struct node_formation *found = &control->found;
    if (node_decode_formation(bytes, &control->found))
        return;
    control->has_found = true;
    probe->cluster = found->cluster;
    for (size_t i = 0; i < found->member_count; i++)
        if (node_id_equal(found->members[i].id, found->self))
            memcpy(probe->known, found->members[i].client_address, sizeof probe->known);
}

static void learn(struct control *control, struct probe *probe,
                  const struct slice items[PROBE_REPLY_ITEMS])
{
    char instance[24] = "", hash[24] = "";
    if (!text_of(items[1], instance, sizeof instance) || !text_of(items[2], hash, sizeof hash) ||
        !text_of(items[3], probe->facts.peer_address, sizeof probe->facts.peer_address) ||
        !text_of(items[4], probe->facts.site, sizeof probe->facts.site) ||
        !text_of(items[5], probe->facts.zone, sizeof probe->facts.zone) ||
        !text_of(items[6], probe->facts.host, sizeof probe->facts.host))
        return;
    name_own_host(probe);
    probe->instance = strtoull(instance, NULL, 16);
    probe->is_self = probe->instance == control->instance;
    probe->other_list = strtoull(hash, NULL, 16) != control->list_hash;
    if (slice_is_word(items[0], "empty"))
        probe->answer = PROBE_EMPTY;
    else if (slice_is_word(items[0], "promised") || slice_is_word(items[0], "saving"))
        probe->answer = PROBE_PROMISED;
    else if (slice_is_word(items[0], "member"))
        probe->answer = PROBE_MEMBER;
    /* items[7]: promise or formation bytes; items[8]: "saved" when the promise is durable */
    probe->promise_saved = slice_is_word(items[8], "saved");
    memset(&probe->promise, 0, sizeof probe->promise);
    if (probe->answer == PROBE_PROMISED)
        (void)!node_decode_promise(items[7], &probe->promise);
    if (probe->answer == PROBE_MEMBER && !probe->is_self)
        learn_formation(control, probe, items[7]);
}

static void answered(struct control *control, struct probe *probe)
{
    struct slice input = slice_of_buffer(&probe->input), items[PROBE_REPLY_ITEMS];
    struct resp_item item;
    size_t size = 0;
    enum status status = resp_reply_size(input, &size);
    if (status == STATUS_AGAIN)
        return;
    if (!status)
        status = resp_item_take(&input, &item);
    if (!status && probe->asked_to_join) {
        probe->asked = probe->asked_to_join = false;
        join_answer(control, &item);
        buffer_reset(&probe->input);
        return;
    }
    if (status || item.type != '*' || item.integer != PROBE_REPLY_ITEMS) {
        probe_lost(control, probe); /* some other server */
        return;
    }
    for (size_t i = 0; i < PROBE_REPLY_ITEMS; i++) {
        if (resp_item_take(&input, &item)) {
            probe_lost(control, probe);
            return;
        }
        items[i] = item.bytes;
    }
    learn(control, probe, items);
    probe->asked = false;
    buffer_reset(&probe->input);
    formation_step(control);
}

void probe_event(struct control *control, struct probe *probe, const struct io_event *event)
{
    if (!probe->open)
        return;
    if (event->kind == IO_CONNECTED) {
        probe->connected = event->status == STATUS_OK;
        probe->no_such_host = event->status == STATUS_NOT_FOUND;
        if (!probe->connected)
            probe_lost(control, probe);
        else
            ask(control, probe, node_turn(control->node)->now_ns);
        return;
    }
    size_t got = 0;
    enum status status = buffer_reserve(&probe->input, 4096);
    if (!status)
        status =
            io_read(control->io, probe->stream, probe->input.at + probe->input.size, 4096, &got);
    if (status == STATUS_AGAIN)
        return;
    if (status) {
        probe_lost(control, probe);
        return;
    }
    probe->input.size += got;
    answered(control, probe);
}
