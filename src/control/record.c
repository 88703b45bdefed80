/* The records of the system keyspace as JSON texts. They are written by the leader alone and read
 * by every node; the words are those of KEYSPACE CREATE, so one reader serves both. */
#include "control/inside.h"

#include <jansson.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_VERSION 1

/* ---- writing ---- */

/* Takes `root`. Every text below is bounded, and so is a record. */
static void store_json(struct record *record, json_t *root)
{
    assert(root);
    size_t size = json_dumpb(root, record->text, sizeof record->text - 1, JSON_COMPACT);
    assert(size > 0 && size < sizeof record->text);
    record->text[size] = 0;
    json_decref(root);
}

/* Names from flags may hold any byte: what is not UTF-8 becomes '?'. */
static json_t *json_of_text(const char *text)
{
    char plain[512];
    json_t *value = json_string(text);
    if (value)
        return value;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *at = plain; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return json_string(plain);
}

static void store_key(struct record *record, const char *kind, uint64_t id)
{
    snprintf(record->key, sizeof record->key, "%s:%llu", kind, (unsigned long long)id);
}

static const char *const duty_words[] = {"serves", "drains", "away", "removed"};
#define DUTIES (sizeof duty_words / sizeof duty_words[0])

void record_of_node(struct record *record, const struct control_node *node)
{
    const struct node_member *member = &node->member;
    store_key(record, "node", member->id.value);
    json_t *root =
        json_pack("{s:i,s:I,s:o,s:o,s:o,s:o,s:o}", "version", RECORD_VERSION, "id",
                  (json_int_t)member->id.value, "addr", json_of_text(member->client_address),
                  "peer", json_of_text(member->peer_address), "site", json_of_text(member->site),
                  "zone", json_of_text(member->zone), "host", json_of_text(member->host));
    if (node->ticket) {
        char ticket[20];
        snprintf(ticket, sizeof ticket, "%016llx", (unsigned long long)node->ticket);
        json_object_set_new(root, "ticket", json_string(ticket));
    }
    if (node->duty) { /* earlier versions know no other than to serve */
        json_object_set_new(root, "duty", json_string(duty_words[node->duty]));
        json_object_set_new(root, "since", json_integer((json_int_t)node->since_us));
    }
    if (node->weight && node->weight != CONTROL_WEIGHT_DEFAULT)
        json_object_set_new(root, "weight", json_integer(node->weight));
    if (node->features)
        json_object_set_new(root, "features", json_integer(node->features));
    store_json(record, root);
}

void record_of_features(struct record *record, unsigned level)
{
    snprintf(record->key, sizeof record->key, "features");
    store_json(record, json_pack("{s:i,s:i}", "version", RECORD_VERSION, "level", (int)level));
}

/* The words of KEYSPACE CREATE, into an object that is there. */
static void put_contract(json_t *root, const struct cluster_contract *contract)
{
    char ack[CLUSTER_WORD_SIZE], sync[CLUSTER_WORD_SIZE], prefer[CLUSTER_WORD_SIZE] = "";
    if (contract->prefer_site[0])
        snprintf(prefer, sizeof prefer, "site=%s", contract->prefer_site);
    json_t *words =
        json_pack("{s:s,s:i,s:i,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:o}", "mode", "leader", "replicas",
                  (int)contract->replicas, "partitions", (int)contract->partitions, "ack",
                  cluster_ack_word(contract, ack), "failover", cluster_failover_word(contract),
                  "read", "strong", "sync", cluster_sync_word(contract, sync), "short",
                  cluster_short_word(contract), "db", (int)contract->database, "spread",
                  cluster_spread_word(contract), "prefer", json_of_text(prefer));
    json_object_update(root, words);
    json_decref(words);
    if (contract->readers_max) { /* earlier versions know none */
        char readers[CLUSTER_WORD_SIZE];
        json_object_set_new(root, "readers", json_string(cluster_readers_word(contract, readers)));
    }
}

void record_of_keyspace(struct record *record, const struct control_keyspace *keyspace)
{
    store_key(record, "keyspace", keyspace->id);
    json_t *root = json_pack("{s:i,s:I,s:s}", "version", RECORD_VERSION, "id",
                             (json_int_t)keyspace->id, "name", keyspace->name);
    put_contract(root, &keyspace->contract);
    json_object_set_new(root, "dropped", json_boolean(keyspace->dropped));
    if (keyspace->changing) {
        json_t *before = json_object();
        put_contract(before, &keyspace->before);
        json_object_set_new(root, "before", before);
    }
    store_json(record, root);
}

static json_t *json_of_member(const struct raft_member *member)
{
    return json_pack("{s:I,s:I}", "id", (json_int_t)member->replica.value, "node",
                     (json_int_t)member->node.value);
}

static json_t *json_of_members(const struct raft_configuration *configuration,
                               enum raft_member_kind kind)
{
    json_t *members = json_array();
    for (size_t i = 0; i < configuration->member_count; i++)
        if (configuration->members[i].kind == kind)
            json_array_append_new(members, json_of_member(&configuration->members[i]));
    return members;
}

/* Who was there and who reads: earlier versions take each for a voter that is to go. */
static json_t *json_of_before(const struct raft_configuration *before)
{
    json_t *members = json_array();
    for (size_t i = 0; i < before->member_count; i++) {
        json_t *member = json_of_member(&before->members[i]);
        if (before->members[i].kind == RAFT_LEARNER)
            json_object_set_new(member, "reader", json_true());
        json_array_append_new(members, member);
    }
    return members;
}

static json_t *json_of_change(const struct control_partition *partition)
{
    const struct raft_configuration *wanted = &partition->wanted;
    json_t *change = json_pack(
        "{s:I,s:I,s:I,s:I,s:o,s:i,s:i}", "number", (json_int_t)partition->change, "settled",
        (json_int_t)partition->settled, "next_replica", (json_int_t)partition->next_replica.value,
        "joiner", (json_int_t)partition->joiner.value, "replicas",
        json_of_members(wanted, RAFT_VOTER), "commit", (int)wanted->commit_quorum, "election",
        (int)wanted->election_quorum);
    if (wanted_voters(wanted) < wanted->member_count) /* of which earlier versions know nothing */
        json_object_set_new(change, "readers", json_of_members(wanted, RAFT_LEARNER));
    if (partition->lead_change)
        json_object_set_new(change, "lead", json_integer((json_int_t)partition->lead_change));
    if (wanted->sync)
        json_object_set_new(change, "sync", json_integer(wanted->sync));
    if (partition->before.member_count)
        json_object_set_new(change, "before", json_of_before(&partition->before));
    return change;
}

void record_of_partition(struct record *record, const struct control_partition *partition)
{
    char slots[32];
    const struct raft_configuration *initial = &partition->initial;
    store_key(record, "partition", partition->group.value);
    snprintf(slots, sizeof slots, "%u-%u", partition->first_slot, partition->last_slot);
    json_t *root =
        json_pack("{s:i,s:I,s:I,s:s,s:o,s:i,s:i,s:b}", "version", RECORD_VERSION, "id",
                  (json_int_t)partition->group.value, "keyspace", (json_int_t)partition->keyspace,
                  "slots", slots, "replicas", json_of_members(initial, RAFT_VOTER), "commit",
                  (int)initial->commit_quorum, "election", (int)initial->election_quorum, "dropped",
                  (int)partition->dropped);
    if (partition->change)
        json_object_set_new(root, "change", json_of_change(partition));
    json_t *gone = json_array();
    for (size_t i = 0; i < partition->gone_count; i++)
        json_array_append_new(gone, json_integer((json_int_t)partition->gone[i].value));
    json_object_set_new(root, "gone", gone);
    store_json(record, root);
}

void record_of_counters(struct record *record, const struct control_catalogue *catalogue)
{
    snprintf(record->key, sizeof record->key, "counters");
    store_json(record, json_pack("{s:i,s:I,s:I,s:I,s:I}", "version", RECORD_VERSION, "epoch",
                                 (json_int_t)catalogue->epoch, "keyspace",
                                 (json_int_t)catalogue->next_keyspace, "partition",
                                 (json_int_t)catalogue->next_group, "node",
                                 (json_int_t)catalogue->next_node.value));
}

/* ---- reading ---- */

/* NULL: not JSON, or of another version. */
static json_t *load(struct slice text)
{
    json_t *root = json_loadb((const char *)text.at, text.size, 0, NULL);
    if (json_integer_value(json_object_get(root, "version")) == RECORD_VERSION)
        return root;
    json_decref(root);
    return NULL;
}

static bool take_number(const json_t *object, const char *name, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool take_text(const json_t *object, const char *name, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (!text || strlen(text) >= room)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* False: a duty of a later version, of which nobody here knows what it asks. */
static bool take_duty(const json_t *root, struct control_node *node)
{
    const char *word = json_string_value(json_object_get(root, "duty"));
    size_t i = 0;
    while (word && i < DUTIES && strcmp(word, duty_words[i]) != 0)
        i++;
    if (i == DUTIES)
        return false;
    node->duty = (enum control_duty)i;
    node->since_us = json_integer_value(json_object_get(root, "since"));
    return true;
}

bool record_read_node(struct slice text, struct control_node *out)
{
    json_t *root = load(text);
    struct control_node node = {.ticket = 0};
    struct node_member *member = &node.member;
    bool good = take_number(root, "id", INT64_MAX, &member->id.value) && member->id.value &&
                take_text(root, "addr", member->client_address, sizeof member->client_address) &&
                take_text(root, "peer", member->peer_address, sizeof member->peer_address) &&
                take_text(root, "site", member->site, sizeof member->site) &&
                take_text(root, "zone", member->zone, sizeof member->zone) &&
                take_text(root, "host", member->host, sizeof member->host);
    const char *ticket = json_string_value(json_object_get(root, "ticket"));
    if (ticket)
        node.ticket = strtoull(ticket, NULL, 16);
    good = good && take_duty(root, &node);
    uint64_t weight = CONTROL_WEIGHT_DEFAULT, features = 0; /* absent: it was never said */
    (void)take_number(root, "weight", CONTROL_WEIGHT_MAX, &weight);
    (void)take_number(root, "features", UINT32_MAX, &features);
    node.weight = (unsigned)weight;
    node.features = (unsigned)features;
    json_decref(root);
    if (good)
        *out = node;
    return good;
}

/* Fields that an earlier version left out have their defaults. */
static bool take_contract(const json_t *root, struct cluster_contract *contract)
{
    static const char *const options[] = {"mode", "ack",   "failover", "read",
                                          "sync", "short", "readers"};
    struct slice words[2 * 9];
    size_t count = 0;
    uint64_t replicas = 0, partitions = 1, database = 0;
    char why[CLUSTER_LINE_SIZE];
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const char *value = json_string_value(json_object_get(root, options[i]));
        if (!value)
            continue;
        words[count++] = slice_of_text(options[i]);
        words[count++] = slice_of_text(value);
    }
    const char *spread = json_string_value(json_object_get(root, "spread"));
    if (spread && strcmp(spread, "node") != 0) { /* as earlier versions wrote none */
        words[count++] = slice_of_text("spread");
        words[count++] = slice_of_text(spread);
    }
    const char *prefer = json_string_value(json_object_get(root, "prefer"));
    if (prefer && prefer[0]) {
        words[count++] = slice_of_text("prefer");
        words[count++] = slice_of_text(prefer);
    }
    *contract = cluster_contract_default;
    (void)take_number(root, "replicas", CLUSTER_REPLICAS_MAX, &replicas);
    (void)take_number(root, "partitions", CLUSTER_PARTITIONS_MAX, &partitions);
    (void)take_number(root, "db", CLUSTER_DATABASES - 1, &database);
    contract->replicas = (unsigned)replicas;
    contract->partitions = (unsigned)partitions;
    contract->database = (unsigned)database;
    return cluster_contract_read(words, count, contract, why) == STATUS_OK;
}

bool record_read_keyspace(struct slice text, struct control_keyspace *out)
{
    json_t *root = load(text);
    struct control_keyspace keyspace = {.id = 0};
    bool good = take_number(root, "id", INT64_MAX, &keyspace.id) &&
                take_text(root, "name", keyspace.name, sizeof keyspace.name) &&
                take_contract(root, &keyspace.contract);
    keyspace.dropped = json_is_true(json_object_get(root, "dropped"));
    const json_t *before = json_object_get(root, "before");
    keyspace.changing = before && take_contract(before, &keyspace.before);
    json_decref(root);
    if (good)
        *out = keyspace;
    return good;
}

/* Behind those that are there. */
static bool take_members(const json_t *array, enum raft_member_kind kind,
                         struct raft_configuration *to)
{
    size_t count = json_array_size(array);
    if (count > RAFT_MEMBERS_MAX - to->member_count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *member = json_array_get(array, i);
        struct raft_member *out = &to->members[to->member_count];
        if (!take_number(member, "id", INT64_MAX, &out->replica.value) ||
            !take_number(member, "node", INT64_MAX, &out->node.value))
            return false;
        bool reads = json_is_true(json_object_get(member, "reader"));
        out->kind = reads ? RAFT_LEARNER : kind;
        out->priority = to->member_count++ == 0; /* the first candidate */
    }
    return true;
}

/* A configuration that raft would refuse is no record: it is checked by the same code. */
static bool is_sound(const struct raft_configuration *initial)
{
    struct raft_configuration again;
    struct buffer bytes;
    size_t voters = wanted_voters(initial);
    if (initial->member_count == 0)
        return true;
    if (initial->commit_quorum + initial->election_quorum <= voters ||
        2 * (size_t)initial->election_quorum <= voters || initial->commit_quorum > voters ||
        initial->election_quorum > voters || !initial->commit_quorum)
        return false;
    for (size_t i = 0; i < initial->member_count; i++)
        for (size_t k = 0; k < i; k++)
            if (replica_id_equal(initial->members[i].replica, initial->members[k].replica))
                return false;
    buffer_init(&bytes, 4096);
    raft_configuration_encode(initial, &bytes);
    bool good = raft_configuration_decode(slice_of_buffer(&bytes), &again) == STATUS_OK;
    buffer_deinit(&bytes);
    return good;
}

static bool take_change(const json_t *object, struct control_partition *partition)
{
    uint64_t commit = 0, election = 0, sync = 0;
    struct raft_configuration *wanted = &partition->wanted;
    if (!object)
        return true;
    bool good = take_number(object, "number", INT64_MAX, &partition->change) &&
                take_number(object, "settled", partition->change, &partition->settled) &&
                take_number(object, "next_replica", INT64_MAX, &partition->next_replica.value) &&
                take_number(object, "joiner", INT64_MAX, &partition->joiner.value) &&
                take_members(json_object_get(object, "replicas"), RAFT_VOTER, wanted) &&
                take_members(json_object_get(object, "readers"), RAFT_LEARNER, wanted) &&
                take_members(json_object_get(object, "before"), RAFT_VOTER, &partition->before) &&
                take_number(object, "commit", RAFT_MEMBERS_MAX, &commit) &&
                take_number(object, "election", RAFT_MEMBERS_MAX, &election);
    wanted->commit_quorum = (uint32_t)commit;
    wanted->election_quorum = (uint32_t)election;
    (void)take_number(object, "sync", RAFT_SYNC_MAX, &sync); /* absent: it was never changed */
    wanted->sync = (uint8_t)sync;
    (void)take_number(object, "lead", INT64_MAX, &partition->lead_change);
    return good && partition->change && wanted->member_count && is_sound(wanted);
}

static void take_gone(const json_t *ids, struct control_partition *partition)
{
    for (size_t i = 0; i < json_array_size(ids) && i < RAFT_MEMBERS_MAX; i++)
        partition->gone[partition->gone_count++] =
            (struct replica_id){(uint64_t)json_integer_value(json_array_get(ids, i))};
}

bool record_read_partition(struct slice text, struct control_partition *out)
{
    json_t *root = load(text);
    struct control_partition partition = {.group = {0}};
    uint64_t commit = 0, election = 0;
    const char *slots = json_string_value(json_object_get(root, "slots"));
    char *end = NULL;
    bool good = slots && take_number(root, "id", INT64_MAX, &partition.group.value) &&
                take_number(root, "keyspace", INT64_MAX, &partition.keyspace) &&
                take_members(json_object_get(root, "replicas"), RAFT_VOTER, &partition.initial);
    if (good) {
        partition.first_slot = (unsigned)strtoul(slots, &end, 10);
        good = *end == '-';
        partition.last_slot = good ? (unsigned)strtoul(end + 1, &end, 10) : 0;
        good = good && !*end && partition.first_slot <= partition.last_slot &&
               partition.last_slot < CLUSTER_SLOTS;
    }
    (void)take_number(root, "commit", RAFT_MEMBERS_MAX, &commit);
    (void)take_number(root, "election", RAFT_MEMBERS_MAX, &election);
    partition.initial.commit_quorum = (uint32_t)commit;
    partition.initial.election_quorum = (uint32_t)election;
    partition.dropped = json_is_true(json_object_get(root, "dropped"));
    take_gone(json_object_get(root, "gone"), &partition);
    partition.next_replica.value = partition.initial.member_count + 1;
    good = good && take_change(json_object_get(root, "change"), &partition);
    json_decref(root);
    if (!good || !is_sound(&partition.initial))
        return false;
    *out = partition;
    return true;
}

bool record_read_features(struct slice text, struct control_catalogue *out)
{
    json_t *root = load(text);
    uint64_t level;
    bool good = take_number(root, "level", UINT32_MAX, &level);
    json_decref(root);
    if (good)
        out->level = (unsigned)level;
    return good;
}

bool record_read_counters(struct slice text, struct control_catalogue *out)
{
    json_t *root = load(text);
    uint64_t epoch, keyspace, group, node = 0;
    bool good = take_number(root, "epoch", INT64_MAX, &epoch) &&
                take_number(root, "keyspace", INT64_MAX, &keyspace) &&
                take_number(root, "partition", INT64_MAX, &group);
    (void)take_number(root, "node", INT64_MAX, &node);
    json_decref(root);
    if (!good)
        return false;
    out->epoch = epoch;
    out->next_keyspace = keyspace;
    out->next_group = group;
    out->next_node.value = node;
    return true;
}
