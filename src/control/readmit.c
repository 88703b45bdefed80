/* A member whose log was damaged or lost begins anew (NODE-10), and asks the leader of `system` to
 * take it back: one entry gives it its new ticket, and each partition with a replica there another
 * one in its place, with an id that nobody had (R4, R5). The leaders of those partitions bring that
 * about as they do any change. CONTROL-14 */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define KIND "readmit:"

/* ---- on the node ---- */

static uint64_t own_ticket(const struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    return formation->anew ? formation->anew : node_join(control->node)->ticket;
}

bool readmit_is_over(const struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    const struct control_node *self = catalogue_find_node(&control->catalogue, formation->self);
    return !formation->anew || (self && self->ticket == formation->anew);
}

bool control_waits_to_be_taken_back(const struct control *control)
{
    return !readmit_is_over(control);
}

static void ask(struct control *control, const struct node_formation *formation)
{
    char key[CONTROL_REPORT_KEY_SIZE], text[48];
    snprintf(key, sizeof key, KIND "%llu", (unsigned long long)formation->self.value);
    snprintf(text, sizeof text, "%016llx %016llx", (unsigned long long)formation->before,
             (unsigned long long)formation->anew);
    if (control_is_reported(control, key))
        (void)control_report(control, key, slice_of_text(text));
}

/* A catalogue that is replayed after a start may be older than both tickets. */
static bool is_newest(struct control *control)
{
    if (!control->place_ticket)
        control->place_ticket = control_ask(control);
    return control_is_confirmed(control, control->place_ticket);
}

void readmit_tick(struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    if (control->options.follows || !control->has_catalogue)
        return;
    const struct control_node *self = catalogue_find_node(&control->catalogue, formation->self);
    if (!self || self->ticket == own_ticket(control))
        control->place_ticket = 0;
    else if (formation->anew && self->ticket == formation->before)
        ask(control, formation);
    else if (is_newest(control))
        formation_fail(control,
                       "another directory has taken the place of node %llu of cluster %016llx "
                       "since this one ran: start that one, or give an empty --dir to another "
                       "address",
                       (unsigned long long)formation->self.value,
                       (unsigned long long)formation->cluster.high);
}

/* ---- on the leader of `system` ---- */

void readmit_write(struct keyspace_work *work, const struct control_node *node)
{
    struct control_catalogue *catalogue = &work->catalogue;
    struct record *records = memory_zeroed(catalogue->partition_count + 2, sizeof *records);
    size_t count = 0;
    record_of_node(&records[count++], node);
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        struct control_partition *partition = &catalogue->partitions[i];
        if (wanted_replace(catalogue, partition, node->member.id))
            record_of_partition(&records[count++], partition);
    }
    keyspace_write(work, records, count);
    memory_free(records);
}

static bool take_tickets(struct slice text, uint64_t *before, uint64_t *anew)
{
    char line[48], *end;
    if (text.size >= sizeof line)
        return false;
    memcpy(line, text.at, text.size);
    line[text.size] = 0;
    *before = strtoull(line, &end, 16);
    *anew = *end == ' ' ? strtoull(end + 1, &end, 16) : 0;
    return *anew && !*end;
}

void readmit_execute(struct command_call *call, struct slice key, struct slice text)
{
    struct keyspace_work work = {.call = call};
    int64_t id = 0;
    uint64_t before, anew;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    size_t size = strlen(KIND);
    bool is_one = !slice_to_i64(slice_of(key.at + size, key.size - size), &id) && id > 0 &&
                  take_tickets(text, &before, &anew);
    struct control_node *node =
        is_one ? catalogue_find_node(&work.catalogue, (struct node_id){(uint64_t)id}) : NULL;
    if (!node) {
        keyspace_fail(&work, "ERR there is no such node, or it gives no tickets");
    } else if (node->ticket == anew) { /* said before */
        reply_ok(call->reply);
    } else if (node->ticket != before) {
        keyspace_fail(&work, "ERR another directory has taken the place of node %lld",
                      (long long)id);
    } else {
        node->ticket = anew;
        readmit_write(&work, node);
    }
    catalogue_deinit(&work.catalogue);
}
