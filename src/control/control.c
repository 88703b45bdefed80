/* Life of the control part of a node. */
#include "control/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

static int by_address(const void *a, const void *b)
{
    return strcmp(((const struct probe *)a)->address, ((const struct probe *)b)->address);
}

/* HOST:PORT, a port that somebody can be reached at. */
static bool is_address(const char *at, size_t size)
{
    unsigned long port = 0;
    size_t digits = 0;
    while (digits < size && digits < 6 && at[size - digits - 1] >= '0' &&
           at[size - digits - 1] <= '9')
        digits++;
    for (size_t i = size - digits; i < size; i++)
        port = port * 10 + (unsigned long)(at[i] - '0');
    bool graphic = true;
    for (size_t i = 0; i < size; i++)
        graphic &= (unsigned char)at[i] > ' ' && at[i] != 127;
    return graphic && digits && digits + 1 < size && at[size - digits - 1] == ':' && port > 0 &&
           port <= 65535;
}

static enum status add_address(struct control *control, const char *at, size_t size,
                               char why[CONTROL_LINE_SIZE])
{
    if (control->probe_count == CONTROL_PROBES_MAX) {
        snprintf(why, CONTROL_LINE_SIZE,
                 "--join names more than %d addresses: a few members are enough",
                 CONTROL_PROBES_MAX);
        return STATUS_INVALID;
    }
    struct probe *probe = &control->probes[control->probe_count++];
    if (!is_address(at, size) || size >= sizeof probe->address) {
        snprintf(why, CONTROL_LINE_SIZE,
                 "--join: '%.*s' is not HOST:PORT: give client addresses with one comma between "
                 "two, like 127.0.0.1:6379,127.0.0.1:6380",
                 (int)(size < 80 ? size : 80), at);
        return STATUS_INVALID;
    }
    memcpy(probe->address, at, size);
    buffer_init(&probe->input, PROBE_INPUT_MAX);
    return STATUS_OK;
}

static enum status read_list(struct control *control, char why[CONTROL_LINE_SIZE])
{
    for (const char *at = control->join; *at;) {
        size_t size = strcspn(at, ",");
        enum status status = add_address(control, at, size, why);
        if (status)
            return status;
        at += size + (at[size] == ',');
    }
    qsort(control->probes, control->probe_count, sizeof control->probes[0], by_address);
    for (size_t i = 0; i < control->probe_count; i++) {
        const char *address = control->probes[i].address;
        if (i && strcmp(control->probes[i - 1].address, address) == 0) {
            snprintf(why, CONTROL_LINE_SIZE, "--join names %s twice: name each node once", address);
            return STATUS_INVALID;
        }
        control->list_hash = checksum_seeded(address, strlen(address), control->list_hash + 1);
    }
    return STATUS_OK;
}

/* Others remember where this node is: a port that the kernel chooses anew at each start is none. */
static enum status check_ports(const struct control *control, char why[CONTROL_LINE_SIZE])
{
    const char *addresses[] = {control->client_address, control->peer_address};
    static const char *const options[] = {"--listen", "--peer-listen"};
    for (size_t i = 0; i < 2 && control->probe_count > 1; i++) {
        const char *port = strrchr(addresses[i], ':');
        if (port && strcmp(port, ":0") == 0) {
            snprintf(why, CONTROL_LINE_SIZE,
                     "%s %s: with --join the port must be a fixed one: give a port above 0",
                     options[i], addresses[i]);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

enum status control_create(struct io *io, const struct control_options *options,
                           struct control **out, char why[CONTROL_LINE_SIZE])
{
    struct control *control = memory_zeroed(1, sizeof *control);
    control->io = io;
    control->options = *options;
    control->join = memory_copy_text(options->join);
    control->client_address = memory_copy_text(options->client_address);
    control->peer_address = memory_copy_text(options->peer_address);
    control->site = memory_copy_text(options->site);
    control->zone = memory_copy_text(options->zone);
    control->host = memory_copy_text(options->host);
    control->instance = io_random(io);
    catalogue_init(&control->catalogue);
    report_init(control);
    enum status status = read_list(control, why);
    if (!status)
        status = check_ports(control, why);
    if (status) {
        control_destroy(control);
        return status;
    }
    *out = control;
    return STATUS_OK;
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < control->probe_count; i++) {
        probe_close(control, &control->probes[i]);
        buffer_deinit(&control->probes[i].input);
    }
    gather_deinit(control);
    survey_deinit(control);
    replay_deinit(control);
    replay_ask_deinit(control);
    catalogue_deinit(&control->catalogue);
    report_deinit(control);
    short_deinit(control);
    memory_free(control->join);
    memory_free(control->client_address);
    memory_free(control->peer_address);
    memory_free(control->site);
    memory_free(control->zone);
    memory_free(control->host);
    memory_free(control);
}

void control_attach(struct control *control, struct node *node, const char *client_address)
{
    control->node = node;
    memory_free(control->client_address);
    control->client_address = memory_copy_text(client_address);
}

bool control_handle_event(struct control *control, const struct io_event *event)
{
    uint64_t tag = control->options.tag;
    if (event->tag < tag || event->tag >= tag + control->probe_count)
        return false;
    if (event->kind != IO_READABLE && event->kind != IO_CONNECTED && event->kind != IO_CLOSED)
        return false;
    probe_event(control, &control->probes[event->tag - tag], event);
    return true;
}

void control_tick(struct control *control)
{
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (node_is_started(control->node)) {
        control->waits_for[0] = 0;
        for (size_t i = 0; i < control->probe_count; i++)
            probe_close(control, &control->probes[i]);
        if (now_ns >= control->next_ns)
            first_records_step(control);
        follow_tick(control);
        gossip_tick(control);
        readmit_tick(control);
        facts_tick(control);
        restored_tick(control);
        loss_tick(control);
        replay_tick(control);
        replay_ask_tick(control);
        failover_tick(control);
        away_tick(control);
        reconcile_tick(control);
        short_tick(control);
        report_tick(control);
    } else if (!control->options.follows) {
        for (size_t i = 0; i < control->probe_count; i++)
            probe_tick(control, &control->probes[i], i, now_ns);
        formation_step(control);
    }
    if (now_ns >= control->next_ns)
        control->next_ns = now_ns + 50 * 1000000ull;
}

uint64_t control_deadline_ns(const struct control *control)
{
    if (!node_is_started(control->node))
        return control->next_ns;
    uint64_t deadline = follow_deadline_ns(control);
    const uint64_t others[] = {report_deadline_ns(control),     failover_deadline_ns(control),
                               reconcile_deadline_ns(control),  replay_deadline_ns(control),
                               replay_ask_deadline_ns(control), restored_deadline_ns(control),
                               gossip_deadline_ns(control)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        deadline = others[i] < deadline ? others[i] : deadline;
    if (!control->has_first_records && control->next_ns < deadline)
        deadline = control->next_ns;
    return deadline;
}

const char *control_failure(const struct control *control)
{
    return control->failure;
}

const char *control_waits_for(const struct control *control)
{
    return control->waits_for;
}
