/* NODE DRAIN, UNDRAIN, REMOVE and REPLACE, REPLICA MOVE: what a member is there for, and where its
 * replicas go. Each runs on the newest state of the leader of `system` and is one entry: the duty,
 * and what every partition that it touches is to become (CONTROL-16). Nothing waits here: the
 * leaders of those partitions bring them there (reconcile.c), whoever dies meanwhile. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define MOST_SYSTEM 5

/* ---- what a duty asks of the catalogue ---- */

/* `system` has as many copies as the nodes that serve allow: 1, 3 or 5. Only a node that goes by
 * command makes them fewer (R18); `default` and all others keep what their contract says. */
static void size_system(const struct control_catalogue *catalogue,
                        struct control_keyspace *keyspace)
{
    unsigned voters = keyspace->contract.replicas;
    if (keyspace->id != KEYSPACE_SYSTEM)
        return;
    if (voters > catalogue->place_count)
        voters = 1;
    keyspace->contract.replicas = cluster_growth(voters, catalogue->place_count, MOST_SYSTEM);
}

/* False: one line says which keyspace could not have what its contract says on the nodes that would
 * serve, and what would work. */
static bool contracts_hold(const struct control_catalogue *catalogue, char why[CLUSTER_LINE_SIZE])
{
    char reason[CLUSTER_LINE_SIZE];
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        struct control_keyspace keyspace = catalogue->keyspaces[i];
        unsigned copies = keyspace.contract.replicas;
        if (keyspace.dropped)
            continue;
        size_system(catalogue, &keyspace);
        bool few = copies > catalogue->place_count && keyspace.id != KEYSPACE_SYSTEM;
        if (few)
            snprintf(why, CLUSTER_LINE_SIZE,
                     "keyspace %s has %u copies, and %zu node%s would be left for them: let "
                     "another node join first%s%s%s",
                     keyspace.name, copies, catalogue->place_count,
                     catalogue->place_count == 1 ? "" : "s",
                     keyspace.id > KEYSPACE_DEFAULT ? ", or KEYSPACE ALTER " : "",
                     keyspace.id > KEYSPACE_DEFAULT ? keyspace.name : "",
                     keyspace.id > KEYSPACE_DEFAULT ? " REPLICAS with fewer" : "");
        else if (cluster_contract_check(&keyspace.contract, catalogue->nodes,
                                        catalogue->place_count, reason))
            snprintf(why, CLUSTER_LINE_SIZE, "keyspace %.64s: %.240s", keyspace.name, reason);
        else
            continue;
        return false;
    }
    return true;
}

bool duty_fits(const struct control_catalogue *catalogue, const struct control_keyspace *keyspace)
{
    struct cluster_contract contract = keyspace->contract;
    char why[CLUSTER_LINE_SIZE];
    contract.readers_min = 0;
    return !cluster_contract_check(&contract, catalogue->nodes, catalogue->place_count, why);
}

static bool has_node(const struct raft_configuration *configuration, struct node_id node)
{
    return raft_find_member_on(configuration, node) != NULL;
}

/* Whether a replica of the partition is on that node, or is to be, or may be yet. */
static bool touches(const struct control_catalogue *catalogue,
                    const struct control_partition *partition, struct node_id node)
{
    struct control_partition born = *partition;
    struct raft_configuration present;
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition->keyspace);
    if (partition->dropped || !keyspace)
        return false;
    wanted_write_birth(catalogue, keyspace, &born);
    wanted_present(&born, &present);
    return has_node(&present, node);
}

size_t control_replicas_on(const struct control_catalogue *catalogue, struct node_id node)
{
    size_t count = 0;
    for (size_t i = 0; i < catalogue->partition_count; i++)
        count += touches(catalogue, &catalogue->partitions[i], node);
    return count;
}

const char *control_duty_word(const struct control_catalogue *catalogue,
                              const struct control_node *node)
{
    switch (node->duty) {
    case CONTROL_DUTY_SERVES: return "serves";
    case CONTROL_DUTY_DRAINS:
        return control_replicas_on(catalogue, node->member.id) ? "drains" : "drained";
    case CONTROL_DUTY_AWAY: return "away";
    case CONTROL_DUTY_REMOVED: return "removed";
    }
    return "serves";
}

/* ---- one entry ---- */

struct duty_change {
    struct keyspace_work *work;
    bool by_command;
    struct record *records;
    size_t count;
};

static void change_begin(struct duty_change *change, struct keyspace_work *work, bool by_command)
{
    const struct control_catalogue *catalogue = &work->catalogue;
    size_t most = catalogue->partition_count + catalogue->keyspace_count + 2;
    *change = (struct duty_change){.work = work,
                                   .by_command = by_command,
                                   .records = memory_zeroed(most, sizeof(struct record))};
}

static void change_end(struct duty_change *change)
{
    if (!keyspace_is_overloaded(change->work))
        keyspace_write(change->work, change->records, change->count);
    memory_free(change->records);
}

static void add_partition(struct duty_change *change, const struct control_partition *partition,
                          size_t at)
{
    record_of_partition(&change->records[change->count++], partition);
    change->work->catalogue.partitions[at] = *partition;
}

/* A keyspace whose number of copies follows from the nodes: all of its partitions change. True: it
 * was this one. */
static bool resize(struct duty_change *change, const struct control_keyspace *before)
{
    struct control_catalogue *catalogue = &change->work->catalogue;
    struct control_keyspace keyspace = *before;
    size_system(catalogue, &keyspace);
    if (keyspace.contract.replicas == before->contract.replicas)
        return false;
    if (!keyspace.changing)
        keyspace.before = before->contract;
    keyspace.changing = true;
    record_of_keyspace(&change->records[change->count++], &keyspace);
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        struct control_partition partition = catalogue->partitions[i];
        if (partition.keyspace != keyspace.id || partition.dropped)
            continue;
        wanted_set(catalogue, before, &keyspace, &partition);
        add_partition(change, &partition, i);
    }
    return true;
}

/* Each partition that has to do with the node is placed anew, on those that serve now; where they
 * are too few it stays as it is. */
static void place_anew(struct duty_change *change, struct node_id node)
{
    struct control_catalogue *catalogue = &change->work->catalogue;
    for (size_t k = 0; k < catalogue->keyspace_count; k++) {
        const struct control_keyspace *keyspace = &catalogue->keyspaces[k];
        if (keyspace->dropped || (change->by_command && resize(change, keyspace)) ||
            !duty_fits(catalogue, keyspace))
            continue;
        for (size_t i = 0; i < catalogue->partition_count; i++) {
            struct control_partition partition = catalogue->partitions[i];
            if (partition.keyspace != keyspace->id ||
                !(touches(catalogue, &partition, node) ||
                  wanted_lacks_readers(catalogue, keyspace, &partition)))
                continue;
            wanted_set(catalogue, keyspace, keyspace, &partition);
            add_partition(change, &partition, i);
        }
    }
}

/* In the catalogue at hand. */
static void set_duty(struct keyspace_work *work, struct control_node *node, enum control_duty duty)
{
    node->duty = duty;
    node->since_us = work->call->now_us;
    catalogue_finish(&work->catalogue);
}

static void write_duty(struct keyspace_work *work, struct node_id id, bool by_command)
{
    struct duty_change change;
    change_begin(&change, work, by_command);
    record_of_node(&change.records[change.count++], catalogue_find_node(&work->catalogue, id));
    place_anew(&change, id);
    change_end(&change);
}

/* ---- the verbs of NODE ---- */

/* NULL: the error was replied. */
static struct control_node *named_node(struct keyspace_work *work, struct slice word)
{
    int64_t id = 0;
    struct control_node *node = NULL;
    if (!slice_to_i64(word, &id) && id > 0)
        node = catalogue_find_node(&work->catalogue, (struct node_id){(uint64_t)id});
    if (node && node->duty != CONTROL_DUTY_REMOVED)
        return node;
    if (node)
        keyspace_fail(work, "ERR node %lld was removed, and its number is never given again",
                      (long long)id);
    else
        keyspace_fail(work, "ERR there is no node '%.*s': NODE LIST shows all",
                      (int)(word.size < 32 ? word.size : 32), (const char *)word.at);
    return NULL;
}

/* False: the contracts could not be kept without that node, and the error says what would work. */
static bool take_duty(struct keyspace_work *work, struct control_node *node, enum control_duty duty,
                      const char *done)
{
    char why[CLUSTER_LINE_SIZE];
    set_duty(work, node, duty);
    if (contracts_hold(&work->catalogue, why))
        return true;
    keyspace_fail(work, "ERR node %llu cannot be %s: %s", (unsigned long long)node->member.id.value,
                  done, why);
    return false;
}

static void drain(struct keyspace_work *work, struct control_node *node)
{
    if (node->duty == CONTROL_DUTY_DRAINS)
        reply_ok(work->call->reply);
    else if (take_duty(work, node, CONTROL_DUTY_DRAINS, "drained"))
        write_duty(work, node->member.id, true);
}

static void serve_again(struct keyspace_work *work, struct control_node *node)
{
    if (node->duty == CONTROL_DUTY_SERVES) {
        reply_ok(work->call->reply);
        return;
    }
    set_duty(work, node, CONTROL_DUTY_SERVES);
    write_duty(work, node->member.id, true);
}

/* "", or that all of a keyspace may be on that node alone. */
static void say_sole(const struct control_catalogue *catalogue, struct node_id node,
                     char out[CLUSTER_LINE_SIZE])
{
    out[0] = 0;
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition->keyspace);
        if (!keyspace || keyspace->contract.replicas > 1 || !touches(catalogue, partition, node))
            continue;
        snprintf(out, CLUSTER_LINE_SIZE,
                 ": of keyspace %s, which has one copy, partition %llu and all that is in it",
                 keyspace->name, (unsigned long long)partition->group.value);
        return;
    }
}

static void remove_node(struct keyspace_work *work, struct control_node *node, bool force)
{
    unsigned long long id = node->member.id.value;
    size_t left = control_replicas_on(&work->catalogue, node->member.id);
    char sole[CLUSTER_LINE_SIZE];
    say_sole(&work->catalogue, node->member.id, sole);
    if (left && !force)
        keyspace_fail(work,
                      "ERR node %llu has %zu replica%s yet: %s, and NODE LIST shows when it has "
                      "none; NODE REMOVE %llu FORCE gives up what only it has%s",
                      id, left, left == 1 ? "" : "s",
                      node->duty == CONTROL_DUTY_DRAINS ? "it is being drained"
                                                        : "NODE DRAIN moves them away",
                      id, sole);
    else if (take_duty(work, node, CONTROL_DUTY_REMOVED, "removed"))
        write_duty(work, node->member.id, true);
}

/* ---- a node is down, and back (away.c) ---- */

bool duty_may_go(const struct control_catalogue *catalogue, struct node_id node)
{
    struct control_catalogue without = *catalogue;
    bool may = false;
    without.nodes = memory_allocate((catalogue->place_count + 1) * sizeof *without.nodes);
    without.place_count = 0;
    for (size_t i = 0; i < catalogue->place_count; i++)
        if (!node_id_equal(catalogue->nodes[i].id, node))
            without.nodes[without.place_count++] = catalogue->nodes[i];
    for (size_t i = 0; i < catalogue->partition_count && !may; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        may = touches(catalogue, partition, node) &&
              duty_fits(&without, catalogue_find_id(catalogue, partition->keyspace));
    }
    memory_free(without.nodes);
    return may;
}

bool duty_is_replaced(const struct control_catalogue *catalogue, struct node_id node)
{
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        if (!partition->dropped && partition->settled < partition->change &&
            has_node(&partition->before, node) && !has_node(&partition->wanted, node))
            return true;
    }
    return false;
}

/* One that comes late changes nothing: it may have been said before another one said the contrary,
 * and who sees it so says it again. */
void duty_take_report(struct command_call *call, struct slice key, struct slice text)
{
    struct keyspace_work work = {.call = call};
    size_t size = strlen("away:");
    int64_t id = 0;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    bool is_back = slice_is_word(text, "back");
    struct control_node *node = NULL;
    if (!slice_to_i64(slice_of(key.at + size, key.size - size), &id) && id > 0)
        node = catalogue_find_node(&work.catalogue, (struct node_id){(uint64_t)id});
    enum control_duty from = is_back ? CONTROL_DUTY_AWAY : CONTROL_DUTY_SERVES;
    enum control_duty to = is_back ? CONTROL_DUTY_SERVES : CONTROL_DUTY_AWAY;
    if (node && node->duty == from) {
        set_duty(&work, node, to);
        write_duty(&work, node->member.id, false);
    } else {
        reply_ok(call->reply);
    }
    catalogue_deinit(&work.catalogue);
}

/* ---- one replica to another node ---- */

/* False: it is there already, or SPREAD forbids it; the error was replied. */
static bool swap(struct keyspace_work *work, const struct control_keyspace *keyspace,
                 const struct control_partition *partition, struct node_id from, struct node_id to,
                 struct wanted_place *place)
{
    const struct raft_configuration *wanted = partition_wanted(partition);
    struct cluster_member members[CLUSTER_REPLICAS_MAX];
    size_t count = 0;
    *place = (struct wanted_place){.voters = wanted_voters(wanted), .count = wanted->member_count};
    for (size_t i = 0; i < wanted->member_count; i++) {
        struct node_id node = wanted->members[i].node;
        place->nodes[i] = node_id_equal(node, from) ? to : node;
        for (size_t k = 0; i < place->voters && k < work->catalogue.place_count; k++)
            if (node_id_equal(work->catalogue.nodes[k].id, place->nodes[i]))
                members[count++] = work->catalogue.nodes[k];
    }
    enum cluster_spread spread = keyspace->contract.spread;
    size_t domains = cluster_domain_count(members, count, spread);
    if (has_node(wanted, to))
        keyspace_fail(
            work,
            "ERR node %llu has a replica of partition %llu already: another node works, or NODE "
            "DRAIN, which chooses",
            (unsigned long long)to.value, (unsigned long long)partition->group.value);
    else if (spread && domains < count)
        keyspace_fail(work,
                      "ERR SPREAD %s of keyspace %s: two replicas of partition %llu would be on "
                      "one %s; a node elsewhere works",
                      cluster_spread_word(&keyspace->contract), keyspace->name,
                      (unsigned long long)partition->group.value,
                      cluster_spread_word(&keyspace->contract));
    else
        return true;
    return false;
}

/* False: replied. */
static bool serves(struct keyspace_work *work, const struct control_node *node)
{
    if (node->duty != CONTROL_DUTY_SERVES)
        keyspace_fail(work, "ERR node %llu takes no replica: it is being drained or given up",
                      (unsigned long long)node->member.id.value);
    return node->duty == CONTROL_DUTY_SERVES;
}

static bool move_one(struct duty_change *change, size_t at, struct node_id from, struct node_id to)
{
    struct control_catalogue *catalogue = &change->work->catalogue;
    struct control_partition partition = catalogue->partitions[at];
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition.keyspace);
    struct wanted_place place;
    wanted_write_birth(catalogue, keyspace, &partition);
    if (!swap(change->work, keyspace, &partition, from, to, &place))
        return false;
    wanted_set_nodes(keyspace, keyspace, &partition, &place);
    add_partition(change, &partition, at);
    return true;
}

/* Of one keyspace; what the other node has already goes elsewhere. False: replied. */
static bool replace_in(struct duty_change *change, const struct control_keyspace *keyspace,
                       struct node_id from, struct node_id to)
{
    struct control_catalogue *catalogue = &change->work->catalogue;
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        struct control_partition partition = catalogue->partitions[i];
        if (partition.keyspace != keyspace->id || !touches(catalogue, &partition, from))
            continue;
        if (!touches(catalogue, &partition, to)) {
            if (!move_one(change, i, from, to))
                return false;
            continue;
        }
        wanted_set(catalogue, keyspace, keyspace, &partition);
        add_partition(change, &partition, i);
    }
    return true;
}

static void write_replacement(struct keyspace_work *work, struct node_id from, struct node_id to)
{
    struct control_catalogue *catalogue = &work->catalogue;
    struct duty_change change;
    bool good = true;
    change_begin(&change, work, true);
    record_of_node(&change.records[change.count++], catalogue_find_node(catalogue, from));
    for (size_t k = 0; good && k < catalogue->keyspace_count; k++) {
        const struct control_keyspace *keyspace = &catalogue->keyspaces[k];
        if (!keyspace->dropped && !resize(&change, keyspace))
            good = replace_in(&change, keyspace, from, to);
    }
    if (good)
        change_end(&change);
    else
        memory_free(change.records);
}

/* All of one node to another one; the first then drains. */
static void replace_node(struct keyspace_work *work, struct control_node *node, struct slice word)
{
    struct control_node *by = named_node(work, word);
    if (!by || !serves(work, by))
        return;
    if (by == node)
        keyspace_fail(work, "ERR a node cannot take its own place: name another one");
    else if (take_duty(work, node, CONTROL_DUTY_DRAINS, "replaced"))
        write_replacement(work, node->member.id, by->member.id);
}

static void read_catalogue(struct keyspace_work *work)
{
    catalogue_init(&work->catalogue);
    catalogue_read_store(&work->catalogue, work->call->store);
}

void control_execute_node(struct command_call *call)
{
    struct keyspace_work work = {.call = call};
    struct slice word = call->arguments[1];
    bool forces = call->count == 4 && slice_is_word(call->arguments[3], "FORCE");
    bool drains = slice_is_word(word, "DRAIN"), undrains = slice_is_word(word, "UNDRAIN");
    bool removes = slice_is_word(word, "REMOVE"), replaces = slice_is_word(word, "REPLACE");
    bool by = call->count == 5 && slice_is_word(call->arguments[3], "BY");
    read_catalogue(&work);
    bool raises = slice_is_word(word, "RAISE");
    if (!drains && !undrains && !removes && !replaces && !raises)
        keyspace_fail(&work,
                      "ERR unknown subcommand '%.*s': NODE knows LIST, DRAIN, UNDRAIN, REPLACE, "
                      "REMOVE, RAISE, REPORT and WHY",
                      (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
    else if (raises ? call->count != 2 : replaces ? !by : call->count != 3 && !(removes && forces))
        keyspace_fail(&work, "ERR wrong number of arguments: NODE takes DRAIN id, UNDRAIN id, "
                             "REPLACE id BY id, REMOVE id [FORCE], RAISE");
    else if (!work.catalogue.node_count)
        keyspace_fail(&work, "TRYAGAIN the cluster has just formed and writes its first records");
    else if (raises)
        facts_raise(&work);
    else {
        struct control_node *node = named_node(&work, call->arguments[2]);
        if (node && drains)
            drain(&work, node);
        else if (node && undrains)
            serve_again(&work, node);
        else if (node && removes)
            remove_node(&work, node, forces);
        else if (node)
            replace_node(&work, node, call->arguments[4]);
    }
    catalogue_deinit(&work.catalogue);
}

/* ---- REPLICA MOVE, ADD, REMOVE ---- */

/* PARTITION/REPLICA, as all verbs of REPLICA name one. */
static bool take_name(struct slice word, struct group_id *group, struct replica_id *replica)
{
    const uint8_t *slash = word.size ? memchr(word.at, '/', word.size) : NULL;
    size_t size = slash ? (size_t)(slash - word.at) : 0;
    int64_t first = 0, second = 0;
    if (!slash || slice_to_i64(slice_of(word.at, size), &first) || first < 0 ||
        slice_to_i64(slice_of(slash + 1, word.size - size - 1), &second) || second < 1)
        return false;
    *group = (struct group_id){(uint64_t)first};
    *replica = (struct replica_id){(uint64_t)second};
    return true;
}

/* A partition that a verb names, with what was to become of it written down. */
struct aim {
    size_t at; /* its place in the catalogue */
    struct control_partition born;
    const struct control_keyspace *keyspace;
    struct raft_member member; /* the replica that is named, if one is */
};

/* False: replied. */
static bool aim_at(struct keyspace_work *work, struct group_id group, struct aim *aim)
{
    struct control_catalogue *catalogue = &work->catalogue;
    *aim = (struct aim){.at = 0};
    while (aim->at < catalogue->partition_count &&
           (!group_id_equal(catalogue->partitions[aim->at].group, group) ||
            catalogue->partitions[aim->at].dropped))
        aim->at++;
    if (aim->at == catalogue->partition_count) {
        keyspace_fail(work, "ERR there is no partition %llu", (unsigned long long)group.value);
        return false;
    }
    aim->born = catalogue->partitions[aim->at];
    aim->keyspace = catalogue_find_id(catalogue, aim->born.keyspace);
    wanted_write_birth(catalogue, aim->keyspace, &aim->born);
    return true;
}

/* False: replied. */
static bool aim_at_replica(struct keyspace_work *work, struct slice word, struct aim *aim)
{
    struct group_id group;
    struct replica_id replica;
    if (!take_name(word, &group, &replica)) {
        keyspace_fail(work,
                      "ERR a replica is named PARTITION/REPLICA, like 7/2: STATUS shows them");
        return false;
    }
    if (!aim_at(work, group, aim))
        return false;
    const struct raft_member *member = raft_find_member(partition_wanted(&aim->born), replica);
    if (member)
        aim->member = *member;
    else
        keyspace_fail(work, "ERR partition %llu has no replica %llu: KEYSPACE INFO shows which",
                      (unsigned long long)group.value, (unsigned long long)replica.value);
    return member;
}

static void move_replica(struct keyspace_work *work)
{
    struct command_call *call = work->call;
    struct aim aim;
    if (!aim_at_replica(work, call->arguments[2], &aim))
        return;
    const struct control_node *to = named_node(work, call->arguments[4]);
    if (!to || !serves(work, to))
        return;
    struct duty_change change;
    change_begin(&change, work, true);
    if (move_one(&change, aim.at, aim.member.node, to->member.id))
        change_end(&change);
    else
        memory_free(change.records);
}

/* The readers of one partition are others from now on; the first of `place` are its voters. */
static void write_readers(struct keyspace_work *work, struct aim *aim,
                          const struct wanted_place *place)
{
    struct duty_change change;
    change_begin(&change, work, true);
    load_move(&work->catalogue, partition_wanted(&aim->born), place->nodes, place->count);
    wanted_set_nodes(aim->keyspace, aim->keyspace, &aim->born, place);
    add_partition(&change, &aim->born, aim->at);
    change_end(&change);
}

static void place_without(const struct raft_configuration *wanted, struct replica_id replica,
                          struct wanted_place *out)
{
    *out = (struct wanted_place){.voters = wanted_voters(wanted)};
    for (size_t i = 0; i < wanted->member_count; i++)
        if (!replica_id_equal(wanted->members[i].replica, replica))
            out->nodes[out->count++] = wanted->members[i].node;
}

/* False: replied. */
static bool takes_another(struct keyspace_work *work, const struct aim *aim,
                          const struct control_node *node)
{
    const struct raft_configuration *wanted = partition_wanted(&aim->born);
    size_t readers = wanted->member_count - wanted_voters(wanted);
    unsigned most = aim->keyspace->contract.readers_max;
    const char *name = aim->keyspace->name;
    if (has_node(wanted, node->member.id))
        keyspace_fail(
            work, "ERR node %llu has a replica of partition %llu already: another node works",
            (unsigned long long)node->member.id.value, (unsigned long long)aim->born.group.value);
    else if (aim->keyspace->id <= KEYSPACE_DEFAULT)
        keyspace_fail(work,
                      "ERR keyspace %s belongs to every cluster and has no readers: KEYSPACE "
                      "CREATE name READERS 0..1 makes one that may",
                      name);
    else if (readers >= most)
        keyspace_fail(work,
                      "ERR READERS %u of keyspace %s: partition %llu has %zu; KEYSPACE ALTER %s "
                      "READERS %u..%zu allows another",
                      most, name, (unsigned long long)aim->born.group.value, readers, name,
                      aim->keyspace->contract.readers_min, readers + 1);
    else
        return true;
    return false;
}

static void add_replica(struct keyspace_work *work)
{
    struct command_call *call = work->call;
    struct wanted_place place;
    struct aim aim;
    int64_t group;
    if (slice_to_i64(call->arguments[2], &group) || group < 0) {
        keyspace_fail(work, "ERR REPLICA ADD takes the number of a partition: KEYSPACE INFO name "
                            "shows those of a keyspace");
        return;
    }
    if (!aim_at(work, (struct group_id){(uint64_t)group}, &aim))
        return;
    const struct control_node *node = named_node(work, call->arguments[4]);
    if (!node || !serves(work, node) || !takes_another(work, &aim, node))
        return;
    place_without(partition_wanted(&aim.born), (struct replica_id){0}, &place);
    place.nodes[place.count++] = node->member.id;
    write_readers(work, &aim, &place);
}

static void remove_replica(struct keyspace_work *work)
{
    struct wanted_place place;
    struct aim aim;
    if (!aim_at_replica(work, work->call->arguments[2], &aim))
        return;
    const struct raft_configuration *wanted = partition_wanted(&aim.born);
    size_t readers = wanted->member_count - wanted_voters(wanted);
    unsigned least = aim.keyspace->contract.readers_min;
    const char *name = aim.keyspace->name;
    if (aim.member.kind == RAFT_VOTER) {
        keyspace_fail(work,
                      "ERR replica %llu of partition %llu votes, and REPLICA REMOVE takes readers: "
                      "REPLICA MOVE puts it elsewhere, KEYSPACE ALTER %s REPLICAS makes fewer",
                      (unsigned long long)aim.member.replica.value,
                      (unsigned long long)aim.born.group.value, name);
    } else if (readers <= least) {
        keyspace_fail(work,
                      "ERR READERS %u of keyspace %s: partition %llu has %zu; KEYSPACE ALTER %s "
                      "READERS %zu..%u allows one fewer",
                      least, name, (unsigned long long)aim.born.group.value, readers, name,
                      readers - 1, aim.keyspace->contract.readers_max);
    } else {
        place_without(wanted, aim.member.replica, &place);
        write_readers(work, &aim, &place);
    }
}

static const struct replica_verb {
    const char *name, *use, *joint;
    size_t count;
    void (*run)(struct keyspace_work *work);
} replica_verbs[] = {
    {"MOVE", "partition/replica TO node", "TO", 5, move_replica},
    {"ADD", "partition ON node", "ON", 5, add_replica},
    {"REMOVE", "partition/replica", NULL, 3, remove_replica},
};
#define REPLICA_VERBS (sizeof replica_verbs / sizeof replica_verbs[0])

void control_execute_replica(struct command_call *call)
{
    struct keyspace_work work = {.call = call};
    struct slice word = call->arguments[1];
    size_t i = 0;
    while (i < REPLICA_VERBS && !slice_is_word(word, replica_verbs[i].name))
        i++;
    const struct replica_verb *verb = i < REPLICA_VERBS ? &replica_verbs[i] : NULL;
    read_catalogue(&work);
    if (!verb)
        keyspace_fail(&work,
                      "ERR unknown subcommand '%.*s': REPLICA knows MOVE, ADD, REMOVE and WHY",
                      (int)(word.size < 64 ? word.size : 64), word.at);
    else if (call->count != verb->count ||
             (verb->joint && !slice_is_word(call->arguments[3], verb->joint)))
        keyspace_fail(&work, "ERR REPLICA %s takes %s", verb->name, verb->use);
    else if (!work.catalogue.node_count)
        keyspace_fail(&work, "TRYAGAIN the cluster has just formed and writes its first records");
    else
        verb->run(&work);
    catalogue_deinit(&work.catalogue);
}
