/* MEMBER JOIN: a node asks a running cluster to be taken in. It runs on the newest state of the
 * leader of `system`: the node's record and what grows with it are one entry (CONTROL-11). */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define JOIN_ARGUMENTS 8 /* and ANEW */
#define RECORDS_MAX    6 /* the node, two keyspaces, two partitions, the counters; and who reads */
#define TICKET_DIGITS  16

static bool take_text(struct slice bytes, char *out, size_t room)
{
    if (bytes.size >= room)
        return false;
    if (bytes.size)
        memcpy(out, bytes.at, bytes.size);
    out[bytes.size] = 0;
    return true;
}

static bool take_ticket(struct slice bytes, uint64_t *out)
{
    char text[TICKET_DIGITS + 1], *end;
    if (bytes.size != TICKET_DIGITS)
        return false;
    memcpy(text, bytes.at, TICKET_DIGITS);
    text[TICKET_DIGITS] = 0;
    *out = strtoull(text, &end, 16);
    return !*end && *out;
}

static bool read_node(const struct slice *arguments, struct control_node *out)
{
    struct node_member *member = &out->member;
    return take_ticket(arguments[2], &out->ticket) &&
           take_text(arguments[3], member->client_address, sizeof member->client_address) &&
           take_text(arguments[4], member->peer_address, sizeof member->peer_address) &&
           take_text(arguments[5], member->site, sizeof member->site) &&
           take_text(arguments[6], member->zone, sizeof member->zone) &&
           take_text(arguments[7], member->host, sizeof member->host) &&
           strchr(member->client_address, ':') && strchr(member->peer_address, ':');
}

/* NULL: nobody is at one of its addresses; a node that was removed is nowhere. */
static const struct control_node *find_at(const struct control_catalogue *catalogue,
                                          const struct node_member *member)
{
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct node_member *other = &catalogue->members[i].member;
        if (catalogue->members[i].duty == CONTROL_DUTY_REMOVED)
            continue;
        if (strcmp(other->client_address, member->client_address) == 0 ||
            strcmp(other->peer_address, member->peer_address) == 0)
            return &catalogue->members[i];
    }
    return NULL;
}

/* ---- growth (R18) ---- */

/* The records of a keyspace that the new node lets grow, behind those that are there. */
static size_t grow(struct keyspace_work *work, struct node_id joiner, uint64_t id, unsigned most,
                   struct record *records)
{
    const struct control_keyspace *before = catalogue_find_id(&work->catalogue, id);
    const struct control_partition *found =
        catalogue_find_group(&work->catalogue, (struct group_id){id});
    if (!before || !found)
        return 0;
    struct control_keyspace keyspace = *before;
    struct control_partition partition = *found;
    unsigned voters = keyspace.contract.replicas;
    keyspace.contract.replicas = cluster_growth(voters, work->catalogue.place_count, most);
    if (keyspace.contract.replicas == voters)
        return 0;
    if (!keyspace.changing)
        keyspace.before = before->contract;
    keyspace.changing = true;
    wanted_set(&work->catalogue, before, &keyspace, &partition);
    partition.joiner = joiner;
    record_of_keyspace(&records[0], &keyspace);
    record_of_partition(&records[1], &partition);
    return 2;
}

/* The answer to who joins is his id, not that of the write. */
struct aside {
    struct buffer text;
    struct reply *reply, instead;
};

static void aside_begin(struct keyspace_work *work, struct aside *aside)
{
    buffer_init(&aside->text, 4096);
    aside->reply = work->call->reply;
    aside->instead = (struct reply){.out = &aside->text, .protocol = 2};
    work->call->reply = &aside->instead;
}

static void aside_end(struct keyspace_work *work, struct aside *aside, struct node_id id)
{
    work->call->reply = aside->reply;
    if (!aside->instead.failed && !work->call->refused)
        reply_integer(aside->reply, (int64_t)id.value);
    else if (!work->call->refused)
        reply_error(aside->reply,
                    "TRYAGAIN the cluster could not write that down; nothing has changed");
    buffer_deinit(&aside->text);
}

/* The same of the partitions that lack readers and may get one now. */
static size_t add_readers(struct keyspace_work *work, struct record *records)
{
    struct control_catalogue *catalogue = &work->catalogue;
    size_t count = 0;
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        struct control_partition partition = catalogue->partitions[i];
        const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition.keyspace);
        if (!keyspace || !wanted_lacks_readers(catalogue, keyspace, &partition) ||
            !duty_fits(catalogue, keyspace))
            continue;
        wanted_set(catalogue, keyspace, keyspace, &partition);
        record_of_partition(&records[count++], &partition);
    }
    return count;
}

static void take_in(struct keyspace_work *work, struct control_node *node)
{
    struct record *records =
        memory_zeroed(RECORDS_MAX + work->catalogue.partition_count, sizeof *records);
    struct aside aside;
    node->member.id = work->catalogue.next_node;
    work->catalogue.next_node.value++;
    record_of_node(&records[0], node);
    /* What was left open by an earlier version is what it was before this node came. */
    catalogue_add(&work->catalogue, slice_of_text(records[0].key), slice_of_text(records[0].text));
    catalogue_finish(&work->catalogue);
    size_t count = 1;
    count += grow(work, node->member.id, KEYSPACE_SYSTEM, 5, &records[count]);
    count += grow(work, node->member.id, KEYSPACE_DEFAULT, 3, &records[count]);
    count += add_readers(work, &records[count]);
    aside_begin(work, &aside);
    keyspace_write(work, records, count);
    aside_end(work, &aside, node->member.id);
    memory_free(records);
}

/* Its directory is lost for good, and an empty one takes its place. */
static void take_back(struct keyspace_work *work, const struct control_node *known,
                      const struct control_node *node)
{
    struct aside aside;
    struct control_node again = *known;
    again.ticket = node->ticket;
    aside_begin(work, &aside);
    readmit_write(work, &again);
    aside_end(work, &aside, known->member.id);
}

static bool is_same_place(const struct control_node *a, const struct control_node *b)
{
    return strcmp(a->member.client_address, b->member.client_address) == 0 &&
           strcmp(a->member.peer_address, b->member.peer_address) == 0;
}

static size_t count_members(const struct control_catalogue *catalogue)
{
    size_t count = 0;
    for (size_t i = 0; i < catalogue->node_count; i++)
        count += catalogue->members[i].duty != CONTROL_DUTY_REMOVED;
    return count;
}

/* ---- the verb ---- */

static void join(struct keyspace_work *work)
{
    struct control_node node = {.ticket = 0};
    if (!read_node(work->call->arguments, &node)) {
        keyspace_fail(work, "ERR MEMBER JOIN takes a ticket, two addresses, site, zone and host");
        return;
    }
    const struct control_node *known = find_at(&work->catalogue, &node.member);
    if (known && known->ticket == node.ticket)
        reply_integer(work->call->reply, (int64_t)known->member.id.value);
    else if (known && work->call->count > JOIN_ARGUMENTS && is_same_place(known, &node))
        take_back(work, known, &node);
    else if (known) /* CONTROL-2 */
        keyspace_fail(work,
                      "ERR %s (%s between nodes) is already node %llu of this cluster, and its "
                      "directory is another one: bring that back, or join with other addresses",
                      node.member.client_address, node.member.peer_address,
                      (unsigned long long)known->member.id.value);
    else if (count_members(&work->catalogue) >= NODE_MEMBERS_MAX)
        keyspace_fail(work, "ERR the cluster has %d nodes, and that is the most", NODE_MEMBERS_MAX);
    else
        take_in(work, &node);
}

void control_execute_member(struct command_call *call)
{
    struct keyspace_work work = {.call = call};
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    bool anew = call->count == JOIN_ARGUMENTS + 1 && slice_is_word(call->arguments[8], "ANEW");
    if (!slice_is_word(call->arguments[1], "JOIN") || (call->count != JOIN_ARGUMENTS && !anew))
        keyspace_fail(&work, "ERR MEMBER is what nodes say to each other, and knows JOIN alone");
    else if (!work.catalogue.node_count)
        keyspace_fail(&work, "TRYAGAIN the cluster has just formed and writes its first records");
    else
        join(&work);
    catalogue_deinit(&work.catalogue);
}
