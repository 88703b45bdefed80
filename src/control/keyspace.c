/* KEYSPACE, what changes: it runs on the newest state of the system leader, decides there, and
 * ships what it decided as one MSET of records (CONTROL-5). */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define RECORDS_BESIDE 2 /* the partitions': of the keyspace, and of the counters */

_Static_assert(CLUSTER_REPLICAS_MAX == RAFT_MEMBERS_MAX, "a contract names as many as raft takes");
_Static_assert(CLUSTER_DATABASES == STORE_DATABASES, "SELECT counts as the store does");

/* ---- one entry ---- */

static void write_records(struct keyspace_work *work, const struct record *records, size_t count)
{
    struct slice *arguments = memory_allocate((2 * count + 1) * sizeof *arguments);
    struct command_call *call = work->call, inner = *call;
    struct buffer out;
    size_t words = 1;
    arguments[0] = slice_of_text("MSET");
    for (size_t i = 0; i < count; i++) {
        arguments[words++] = slice_of_text(records[i].key);
        arguments[words++] = slice_of_text(records[i].text);
    }
    buffer_init(&out, 4096);
    struct reply reply = {.out = &out, .protocol = 2};
    inner.command = command_find(call->table, arguments[0]);
    inner.database = 0;
    inner.arguments = arguments;
    inner.count = words;
    inner.reply = &reply;
    command_execute(&inner);
    call->refused = inner.refused;
    if (inner.failed)
        keyspace_fail(work, "ERR the change is too large for one log entry");
    else if (!inner.refused)
        reply_ok(call->reply);
    buffer_deinit(&out);
    memory_free(arguments);
}

/* Every change raises the epoch: the newer of two views is the one with the higher one. */
void keyspace_write(struct keyspace_work *work, struct record *records, size_t count)
{
    work->catalogue.epoch++;
    record_of_counters(&records[count++], &work->catalogue);
    write_records(work, records, count);
}

/* ---- CREATE ---- */

static bool database_is_free(struct keyspace_work *work, const struct cluster_contract *contract,
                             uint64_t but)
{
    const struct control_keyspace *other =
        catalogue_find_database(&work->catalogue, contract->database);
    if (!other || other->id == but)
        return true;
    keyspace_fail(work, "ERR DB %u opens keyspace %s: take another number from 1 to %d",
                  contract->database, other->name, CLUSTER_DATABASES - 1);
    return false;
}

/* How many replicas a node would carry. */
static size_t load_of(const struct control_catalogue *catalogue, struct node_id node)
{
    size_t load = 2; /* `system` and `default`, wherever they are */
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        const struct raft_configuration *wanted = partition_wanted(partition);
        bool counts = !partition->dropped && partition->group.value > GROUP_DEFAULT.value;
        for (size_t k = 0; counts && k < wanted->member_count; k++)
            load += node_id_equal(wanted->members[k].node, node);
    }
    return load;
}

static bool nodes_have_room(struct keyspace_work *work, const struct control_partition *partitions,
                            unsigned count)
{
    for (size_t n = 0; n < work->catalogue.place_count; n++) {
        struct node_id node = work->catalogue.nodes[n].id;
        size_t load = load_of(&work->catalogue, node);
        for (unsigned i = 0; i < count; i++)
            load += raft_find_member_on(partition_wanted(&partitions[i]), node) != NULL;
        if (load <= NODE_GROUPS_MAX)
            continue;
        keyspace_fail(work,
                      "ERR node %llu would carry %zu replicas, and %d is the most: fewer "
                      "PARTITIONS or REPLICAS work, or dropping a keyspace",
                      (unsigned long long)node.value, load, NODE_GROUPS_MAX);
        return false;
    }
    return true;
}

static void take_place(struct control_partition *partition, struct group_id group,
                       const struct control_keyspace *keyspace, const struct cluster_place *place)
{
    struct raft_configuration *initial = &partition->initial;
    *partition = (struct control_partition){.group = group,
                                            .keyspace = keyspace->id,
                                            .first_slot = place->first_slot,
                                            .last_slot = place->last_slot};
    initial->commit_quorum = cluster_commit_quorum(&keyspace->contract);
    initial->election_quorum = cluster_election_quorum(&keyspace->contract);
    initial->member_count = keyspace->contract.replicas;
    for (size_t i = 0; i < initial->member_count; i++)
        initial->members[i] = (struct raft_member){
            .replica = {i + 1}, .node = place->members[i], .kind = RAFT_VOTER, .priority = i == 0};
}

static void write_new(struct keyspace_work *work, const struct control_keyspace *keyspace,
                      const struct control_partition *partitions)
{
    unsigned count = keyspace->contract.partitions;
    struct record *records = memory_zeroed(count + RECORDS_BESIDE, sizeof *records);
    record_of_keyspace(&records[0], keyspace);
    for (unsigned i = 0; i < count; i++)
        record_of_partition(&records[1 + i], &partitions[i]);
    work->catalogue.next_group += count;
    work->catalogue.next_keyspace++; /* CONTROL-6 */
    keyspace_write(work, records, 1 + count);
    memory_free(records);
}

/* Nobody is born as a reader: every version makes the same group of the same voters, and those that
 * read come with its first change. */
static void add_readers(const struct control_catalogue *catalogue,
                        const struct control_keyspace *keyspace,
                        struct control_partition *partitions)
{
    const struct raft_configuration none = {.member_count = 0};
    struct wanted_place place;
    for (unsigned i = 0; i < keyspace->contract.partitions; i++) {
        for (place.count = 0; place.count < keyspace->contract.replicas; place.count++)
            place.nodes[place.count] = partitions[i].initial.members[place.count].node;
        load_move(catalogue, &none, place.nodes, place.count);
    }
    for (unsigned i = 0; i < keyspace->contract.partitions; i++)
        wanted_set(catalogue, keyspace, keyspace, &partitions[i]);
}

static void create(struct keyspace_work *work, const struct control_keyspace *keyspace)
{
    struct control_catalogue *catalogue = &work->catalogue;
    unsigned count = keyspace->contract.partitions;
    struct cluster_place *places = memory_allocate(count * sizeof *places);
    struct control_partition *partitions = memory_allocate(count * sizeof *partitions);
    cluster_place(&keyspace->contract, catalogue->nodes, catalogue->place_count,
                  catalogue->next_group, places);
    for (unsigned i = 0; i < count; i++)
        take_place(&partitions[i], (struct group_id){catalogue->next_group + i}, keyspace,
                   &places[i]);
    if (keyspace->contract.readers_min)
        add_readers(catalogue, keyspace, partitions);
    if (nodes_have_room(work, partitions, count))
        write_new(work, keyspace, partitions);
    memory_free(partitions);
    memory_free(places);
}

/* Nobody could open a keyspace of that name. */
static bool is_number(struct slice name)
{
    int64_t number;
    return slice_to_i64(name, &number) == STATUS_OK;
}

void keyspace_create(struct keyspace_work *work)
{
    const struct command_call *call = work->call;
    struct slice name = call->arguments[2];
    struct control_keyspace keyspace = {.id = work->catalogue.next_keyspace,
                                        .contract = cluster_contract_default};
    char why[CLUSTER_LINE_SIZE];
    if (!cluster_name_is_valid(name) || is_number(name)) {
        keyspace_fail(work,
                      "ERR a keyspace has a name of 1 to %d letters, digits, '-', '_' and '.', and "
                      "no number: SELECT takes a number for a database",
                      CLUSTER_NAME_SIZE - 1);
        return;
    }
    memcpy(keyspace.name, name.at, name.size);
    if (catalogue_find_name(&work->catalogue, name)) {
        keyspace_fail(work, "ERR keyspace %s exists: KEYSPACE INFO %s shows it", keyspace.name,
                      keyspace.name);
        return;
    }
    if (cluster_contract_read(call->arguments + 3, call->count - 3, &keyspace.contract, why) ||
        cluster_contract_check(&keyspace.contract, work->catalogue.nodes,
                               work->catalogue.place_count, why)) {
        keyspace_fail(work, "ERR %s", why);
        return;
    }
    if (database_is_free(work, &keyspace.contract, keyspace.id))
        create(work, &keyspace);
}

/* ---- ALTER and DROP ---- */

/* The groups need not hear of it. */
static bool only_words_differ(const struct cluster_contract *old,
                              const struct cluster_contract *new)
{
    return old->replicas == new->replicas &&cluster_commit_quorum(old) ==
               cluster_commit_quorum(new) &&
           cluster_election_quorum(old) == cluster_election_quorum(new) && old->sync == new->sync &&
           old->readers_min == new->readers_min && old->readers_max == new->readers_max &&
           old->spread == new->spread &&strcmp(old->prefer_site, new->prefer_site) == 0;
}

/* False: it was refused. The two that every cluster has stay as they are. */
static bool may_change(struct keyspace_work *work, const struct control_keyspace *keyspace,
                       const char *instead)
{
    if (keyspace->id > KEYSPACE_DEFAULT)
        return true;
    keyspace_fail(work, "ERR keyspace %s belongs to every cluster and stays as it is: %s",
                  keyspace->name, instead);
    return false;
}

/* False: it was refused. While the groups change there is one way only, back: each of them has then
 * one of two contracts, and KEYSPACE EXPLAIN can say what holds. A copy that goes and is called
 * back is the same one, under its old id (wanted.c). */
static bool may_become(struct keyspace_work *work, const struct control_keyspace *old,
                       const struct cluster_contract *new)
{
    if (old->contract.partitions != new->partitions)
        keyspace_fail(work,
                      "ERR PARTITIONS stays as it was created in this version, for keys would have "
                      "to move from one log to another: a keyspace of %u partitions under another "
                      "name works",
                      new->partitions);
    else if (old->changing && !only_words_differ(&old->contract, new) &&
             !only_words_differ(&old->before, new))
        keyspace_fail(work,
                      "ERR keyspace %s is still changing, see KEYSPACE INFO %s: wait, or ALTER it "
                      "back to what it was",
                      old->name, old->name);
    else
        return true;
    return false;
}

/* Each partition's leader brings it there (reconcile.c). Returns how many records were written. */
static size_t change_partitions(struct keyspace_work *work, const struct control_keyspace *old,
                                struct control_keyspace *new, struct record *records)
{
    size_t count = 0;
    new->before = old->contract;
    new->changing = true;
    for (size_t i = 0; i < work->catalogue.partition_count; i++) {
        struct control_partition partition = work->catalogue.partitions[i];
        bool is_part = partition.keyspace == old->id && !partition.dropped;
        if (!is_part || count == old->contract.partitions)
            continue;
        wanted_set(&work->catalogue, old, new, &partition);
        record_of_partition(&records[count++], &partition);
        work->catalogue.partitions[i] = partition;
    }
    return count;
}

bool keyspace_is_overloaded(struct keyspace_work *work)
{
    for (size_t i = 0; i < work->catalogue.place_count; i++) {
        struct node_id node = work->catalogue.nodes[i].id;
        size_t load = load_of(&work->catalogue, node);
        if (load <= NODE_GROUPS_MAX)
            continue;
        keyspace_fail(work, "ERR node %llu would carry %zu replicas, and %d is the most",
                      (unsigned long long)node.value, load, NODE_GROUPS_MAX);
        return true;
    }
    return false;
}

static void alter(struct keyspace_work *work, const struct control_keyspace *old,
                  struct control_keyspace *new)
{
    size_t count = 1;
    struct record *records =
        memory_zeroed(old->contract.partitions + RECORDS_BESIDE, sizeof *records);
    bool words = only_words_differ(&old->contract, &new->contract);
    if (!words)
        count += change_partitions(work, old, new, &records[count]);
    record_of_keyspace(&records[0], new);
    if (words || !keyspace_is_overloaded(work))
        keyspace_write(work, records, count);
    memory_free(records);
}

void keyspace_alter(struct keyspace_work *work)
{
    const struct command_call *call = work->call;
    const struct control_keyspace *old = keyspace_named(work);
    char why[CLUSTER_LINE_SIZE];
    if (!old || !may_change(work, old,
                            "KEYSPACE CREATE name ... makes another one with the "
                            "contract that is wanted"))
        return;
    struct control_keyspace new = *old;
    if (cluster_contract_read(call->arguments + 3, call->count - 3, &new.contract, why) ||
        cluster_contract_check(&new.contract, work->catalogue.nodes, work->catalogue.place_count,
                               why)) {
        keyspace_fail(work, "ERR %s", why);
        return;
    }
    if (may_become(work, old, &new.contract) && database_is_free(work, &new.contract, new.id))
        alter(work, old, &new);
}

void keyspace_drop(struct keyspace_work *work)
{
    const struct control_keyspace *old = keyspace_named(work);
    if (!old || !may_change(work, old, "FLUSHALL empties what a connection has open"))
        return;
    struct control_keyspace gone = *old;
    size_t count = 0, partitions = gone.contract.partitions;
    struct record *records = memory_zeroed(partitions + RECORDS_BESIDE, sizeof *records);
    gone.dropped = true;
    record_of_keyspace(&records[count++], &gone);
    for (size_t i = 0; i < work->catalogue.partition_count; i++) {
        struct control_partition partition = work->catalogue.partitions[i];
        if (partition.keyspace != gone.id || count == 1 + partitions)
            continue;
        partition.dropped = true; /* CONTROL-6: the record stays */
        record_of_partition(&records[count++], &partition);
    }
    keyspace_write(work, records, count);
    memory_free(records);
}
