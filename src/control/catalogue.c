/* The system keyspace's first records, written by its leader as one entry (CONTROL-4). Each record
 * is a versioned JSON text. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define RECORDS_MAX (NODE_MEMBERS_MAX + 4)
#define RECORD_SIZE 512

struct record {
    char key[48], text[RECORD_SIZE];
};

static size_t write_records(const struct node_formation *formation, struct record *records)
{
    size_t count = 0;
    size_t voters = formation->member_count >= 3 ? 3 : 1;
    for (size_t i = 0; i < formation->member_count; i++, count++) {
        const struct node_member *member = &formation->members[i];
        snprintf(records[count].key, sizeof records[count].key, "node:%llu",
                 (unsigned long long)member->id.value);
        snprintf(records[count].text, RECORD_SIZE,
                 "{\"version\":1,\"id\":%llu,\"addr\":\"%s\",\"peer\":\"%s\",\"site\":\"%s\","
                 "\"zone\":\"%s\",\"host\":\"%s\"}",
                 (unsigned long long)member->id.value, member->client_address, member->peer_address,
                 member->site, member->zone, member->host);
    }
    snprintf(records[count].key, sizeof records[count].key, "keyspace:0");
    snprintf(records[count++].text, RECORD_SIZE,
             "{\"version\":1,\"id\":0,\"name\":\"system\",\"mode\":\"leader\",\"ack\":\"quorum\","
             "\"partitions\":1}");
    snprintf(records[count].key, sizeof records[count].key, "keyspace:1");
    snprintf(records[count++].text, RECORD_SIZE,
             "{\"version\":1,\"id\":1,\"name\":\"default\",\"mode\":\"leader\",\"ack\":\"quorum\","
             "\"read\":\"strong\",\"sync\":\"always\",\"failover\":\"safe\",\"replicas\":%zu,"
             "\"partitions\":1}",
             voters);
    snprintf(records[count].key, sizeof records[count].key, "partition:1");
    snprintf(records[count++].text, RECORD_SIZE,
             "{\"version\":1,\"id\":1,\"keyspace\":1,\"slots\":\"0-16383\",\"replicas\":%zu}",
             voters);
    return count;
}

static void write_catalogue(struct control *control, struct replica *replica)
{
    struct record *records = memory_zeroed(RECORDS_MAX, sizeof *records);
    struct slice arguments[2 * RECORDS_MAX + 1] = {slice_of_text("MSET")};
    size_t count = write_records(node_formation(control->node), records), words = 1;
    for (size_t i = 0; i < count; i++) {
        arguments[words++] = slice_of_text(records[i].key);
        arguments[words++] = slice_of_text(records[i].text);
    }
    struct buffer out;
    struct replica_gate gate;
    buffer_init(&out, 4096);
    struct reply reply = {.out = &out, .protocol = 2};
    struct replica_turn *turn = node_turn(control->node);
    struct command_call call = {.command = command_find(turn->commands, arguments[0]),
                                .arguments = arguments,
                                .count = words,
                                .reply = &reply};
    (void)replica_execute(replica, turn, &call, &gate); /* not now: again at the next step */
    buffer_deinit(&out);
    memory_free(records);
}

/* A cluster of one may be elsewhere than at its last start. */
static bool is_current(struct control *control, struct replica *replica)
{
    const struct node_formation *formation = node_formation(control->node);
    struct store_key partition = store_key_of(0, slice_of_text("partition:1"));
    struct store_key first = store_key_of(0, slice_of_text("node:1"));
    if (!store_find(replica_store(replica), &partition))
        return false;
    if (formation->member_count > 1)
        return true;
    struct record *records = memory_zeroed(RECORDS_MAX, sizeof *records);
    write_records(formation, records);
    const struct store_entry *entry = store_find(replica_store(replica), &first);
    bool same = entry && slice_equal(store_entry_string(entry), slice_of_text(records[0].text));
    memory_free(records);
    return same;
}

void catalogue_step(struct control *control)
{
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    if (!replica) {
        control->catalogued = true;
        return;
    }
    control->catalogued = is_current(control, replica);
    if (!control->catalogued && replica_is_serving(replica))
        write_catalogue(control, replica);
}
