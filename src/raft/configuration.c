/* configuration.c - sets of members and their quorums; the stack of configurations in the log
 * (dissertation 4.1, 4.3; R1, R2).
 *
 * Layout of an encoded configuration: u8 version, u8 joint, varint C, varint E, joint only: varint
 * old C, varint old E, u8 member count, then per member: varint replica, varint node, u8 kind, u8
 * old kind, u8 priority, in versions 2 and 3: u8 flags (1 out of sync); in version 3 at the end: u8
 * sync, 1 .. RAFT_SYNC_MAX. Nothing after it. Version 3 has a sync, version 2 none and a flag set
 * somewhere, version 1 neither, so that each configuration has one encoding. */
#include "base/memory.h"
#include "raft/state.h"

#include <assert.h>

#define VERSION_PLAIN    1
#define VERSION_FLAGS    2
#define VERSION_SYNC     3
#define FLAG_OUT_OF_SYNC 1
#define CONFIGURATION_SIZE_MAX                                                                     \
    (4 + 4 * VARINT_SIZE_MAX + RAFT_MEMBERS_MAX * (2 * VARINT_SIZE_MAX + 4))

bool raft_votes_in(const struct raft_member *member, enum half half)
{
    enum raft_member_kind kind = half == HALF_NEW ? member->kind : member->old_kind;
    return kind == RAFT_VOTER || kind == RAFT_WITNESS;
}

bool raft_member_is_voter(const struct raft_member *member)
{
    return raft_votes_in(member, HALF_NEW) || raft_votes_in(member, HALF_OLD);
}

/* RAFT-9: every voter of the half, whatever its state. */
size_t raft_voter_count(const struct raft_configuration *configuration, enum half half)
{
    size_t count = 0;
    for (size_t i = 0; i < configuration->member_count; i++)
        count += raft_votes_in(&configuration->members[i], half);
    return count;
}

static bool quorums_are_valid(size_t voters, uint32_t commit, uint32_t election)
{
    if (commit < 1 || commit > voters || election < 1 || election > voters)
        return false;
    return (size_t)commit + election > voters && 2 * (size_t)election > voters; /* RAFT-12 */
}

static bool member_is_valid(const struct raft_member *member, bool joint)
{
    if (member->replica.value == 0 || member->node.value == 0)
        return false;
    if ((unsigned)member->kind > RAFT_WITNESS || (unsigned)member->old_kind > RAFT_WITNESS)
        return false;
    if (member->out_of_sync && !raft_member_is_voter(member))
        return false;
    return joint ? member->kind || member->old_kind : member->kind && !member->old_kind;
}

bool raft_configuration_is_valid(const struct raft_configuration *configuration)
{
    const struct raft_configuration *c = configuration;
    if (c->member_count > RAFT_MEMBERS_MAX || c->sync > RAFT_SYNC_MAX)
        return false;
    for (size_t i = 0; i < c->member_count; i++) {
        if (!member_is_valid(&c->members[i], c->joint))
            return false;
        for (size_t j = 0; j < i; j++)
            if (replica_id_equal(c->members[i].replica, c->members[j].replica))
                return false;
    }
    if (!quorums_are_valid(raft_voter_count(c, HALF_NEW), c->commit_quorum, c->election_quorum))
        return false;
    if (!c->joint)
        return c->old_commit_quorum == 0 && c->old_election_quorum == 0;
    return quorums_are_valid(raft_voter_count(c, HALF_OLD), c->old_commit_quorum,
                             c->old_election_quorum);
}

static bool has_flags(const struct raft_configuration *c)
{
    for (size_t i = 0; i < c->member_count; i++)
        if (c->members[i].out_of_sync)
            return true;
    return false;
}

static uint8_t version_of(const struct raft_configuration *c)
{
    return c->sync ? VERSION_SYNC : has_flags(c) ? VERSION_FLAGS : VERSION_PLAIN;
}

static size_t store_header(const struct raft_configuration *c, uint8_t *at)
{
    size_t size = 0;
    at[size++] = version_of(c);
    at[size++] = c->joint;
    size += varint_store(at + size, c->commit_quorum);
    size += varint_store(at + size, c->election_quorum);
    if (c->joint) {
        size += varint_store(at + size, c->old_commit_quorum);
        size += varint_store(at + size, c->old_election_quorum);
    }
    at[size++] = (uint8_t)c->member_count;
    return size;
}

void raft_configuration_encode(const struct raft_configuration *configuration, struct buffer *out)
{
    uint8_t bytes[CONFIGURATION_SIZE_MAX];
    assert(raft_configuration_is_valid(configuration));
    size_t size = store_header(configuration, bytes);
    bool flags = version_of(configuration) != VERSION_PLAIN;
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        size += varint_store(bytes + size, member->replica.value);
        size += varint_store(bytes + size, member->node.value);
        bytes[size++] = (uint8_t)member->kind;
        bytes[size++] = (uint8_t)member->old_kind;
        bytes[size++] = member->priority;
        if (flags)
            bytes[size++] = member->out_of_sync ? FLAG_OUT_OF_SYNC : 0;
    }
    if (configuration->sync)
        bytes[size++] = configuration->sync;
    enum status status = buffer_append(out, bytes, size);
    assert(status == STATUS_OK);
}

static enum status take_count(struct slice *from, uint32_t *out)
{
    uint64_t value;
    if (varint_take(from, &value) || value > RAFT_MEMBERS_MAX)
        return STATUS_INVALID;
    *out = (uint32_t)value;
    return STATUS_OK;
}

static enum status take_header(struct slice *from, struct raft_configuration *c, uint8_t *version)
{
    struct slice bytes;
    if (slice_take(from, 2, &bytes) || bytes.at[1] > 1 || bytes.at[0] < VERSION_PLAIN ||
        bytes.at[0] > VERSION_SYNC)
        return STATUS_INVALID;
    *version = bytes.at[0];
    c->joint = bytes.at[1];
    if (take_count(from, &c->commit_quorum) || take_count(from, &c->election_quorum))
        return STATUS_INVALID;
    if (c->joint &&
        (take_count(from, &c->old_commit_quorum) || take_count(from, &c->old_election_quorum)))
        return STATUS_INVALID;
    if (slice_take(from, 1, &bytes) || bytes.at[0] > RAFT_MEMBERS_MAX)
        return STATUS_INVALID;
    c->member_count = bytes.at[0];
    return STATUS_OK;
}

static enum status take_member(struct slice *from, struct raft_member *member, bool flags)
{
    struct slice bytes;
    if (varint_take(from, &member->replica.value) || varint_take(from, &member->node.value) ||
        slice_take(from, 3, &bytes))
        return STATUS_INVALID;
    member->kind = (enum raft_member_kind)bytes.at[0];
    member->old_kind = (enum raft_member_kind)bytes.at[1];
    member->priority = bytes.at[2];
    if (!flags)
        return STATUS_OK;
    if (slice_take(from, 1, &bytes) || bytes.at[0] > FLAG_OUT_OF_SYNC)
        return STATUS_INVALID;
    member->out_of_sync = bytes.at[0];
    return STATUS_OK;
}

enum status raft_configuration_decode(struct slice bytes, struct raft_configuration *out)
{
    struct raft_configuration c = {0};
    uint8_t version;
    struct slice sync;
    if (take_header(&bytes, &c, &version))
        return STATUS_INVALID;
    for (size_t i = 0; i < c.member_count; i++)
        if (take_member(&bytes, &c.members[i], version != VERSION_PLAIN))
            return STATUS_INVALID;
    if (version == VERSION_SYNC && slice_take(&bytes, 1, &sync))
        return STATUS_INVALID;
    c.sync = version == VERSION_SYNC ? sync.at[0] : 0;
    if (bytes.size != 0 || version != version_of(&c) || !raft_configuration_is_valid(&c))
        return STATUS_INVALID;
    *out = c;
    return STATUS_OK;
}

size_t raft_quorum_size(const struct raft_configuration *c, enum quorum quorum, enum half half)
{
    size_t commit = half == HALF_NEW ? c->commit_quorum : c->old_commit_quorum;
    size_t election = half == HALF_NEW ? c->election_quorum : c->old_election_quorum;
    switch (quorum) {
    case QUORUM_COMMIT: return commit;
    case QUORUM_ELECTION: return election;
    case QUORUM_CONFIRMATION:
        return raft_voter_count(c, half) - election + 1; /* R2: meets every E */
    }
    return 0;
}

/* The `count`-th highest of the half's values. Insertion into a short descending array: at most 16
 * members. */
static uint64_t half_value(const struct raft *raft, enum half half, size_t count,
                           const uint64_t *values)
{
    uint64_t highest[RAFT_MEMBERS_MAX];
    size_t size = 0;
    const struct raft_configuration *c = raft_configuration(raft);
    bool all = raft->options.faults & RAFT_FAULT_LEARNER_COUNTED;
    for (size_t i = 0; i < c->member_count; i++) {
        if (!raft_votes_in(&c->members[i], half) && !all) /* RAFT-8 */
            continue;
        size_t at = size++;
        for (; at > 0 && highest[at - 1] < values[i]; at--)
            highest[at] = highest[at - 1];
        highest[at] = values[i];
    }
    return count >= 1 && count <= size ? highest[count - 1] : 0;
}

uint64_t raft_quorum_value(const struct raft *raft, enum quorum quorum, const uint64_t *values)
{
    const struct raft_configuration *c = raft_configuration(raft);
    uint64_t value = half_value(raft, HALF_NEW, raft_quorum_size(c, quorum, HALF_NEW), values);
    if (!c->joint || (raft->options.faults & RAFT_FAULT_JOINT_IGNORED))
        return value;
    uint64_t old = half_value(raft, HALF_OLD, raft_quorum_size(c, quorum, HALF_OLD), values);
    return old < value ? old : value;
}

static const struct raft_configuration *active(const struct raft *raft)
{
    return &raft->configurations[raft->configuration_count - 1];
}

const struct raft_configuration *raft_configuration(const struct raft *raft)
{
    return active(raft);
}

struct peer *raft_peer(struct raft *raft, struct replica_id replica)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        if (replica_id_equal(raft->peers[i].replica, replica))
            return &raft->peers[i];
    return NULL;
}

bool raft_is_voter(const struct raft *raft, size_t place)
{
    return raft_member_is_voter(&active(raft)->members[place]);
}

/* In every configuration of the log: to a voter that is gone by now something may be promised yet.
 */
bool raft_is_alone(const struct raft *raft)
{
    for (size_t i = 0; i < raft->configuration_count; i++) {
        const struct raft_configuration *c = &raft->configurations[i];
        for (size_t j = 0; j < c->member_count; j++)
            if (raft_member_is_voter(&c->members[j]) &&
                !replica_id_equal(c->members[j].replica, raft->options.self))
                return false;
    }
    return raft_self_is_voter(raft);
}

/* The peers follow the active configuration; who stays keeps what is known of it, who is new starts
 * probing. */
static void rebuild_peers(struct raft *raft)
{
    const struct raft_configuration *configuration = active(raft);
    struct peer *before = memory_allocate(sizeof raft->peers);
    size_t before_count = raft->peer_count;
    memcpy(before, raft->peers, sizeof raft->peers);
    raft->peer_count = raft->self_place = configuration->member_count;
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        *peer = (struct peer){.replica = configuration->members[i].replica,
                              .next = raft->view.last_index + 1,
                              .contact_ns = raft->now_ns,
                              .probing = true};
        for (size_t j = 0; j < before_count; j++)
            if (replica_id_equal(before[j].replica, peer->replica))
                *peer = before[j];
        if (replica_id_equal(peer->replica, raft->options.self))
            raft->self_place = i;
    }
    memory_free(before);
}

/* Active from the append on, committed or not (dissertation 4.1). */
void raft_configuration_activate(struct raft *raft, const struct raft_configuration *configuration,
                                 uint64_t index)
{
    assert(raft->configuration_count == 0 || active(raft)->index < index);
    if (raft->configuration_count == raft->configuration_capacity) {
        raft->configuration_capacity = raft->configuration_capacity * 2 + 2;
        raft->configurations = memory_resize(
            raft->configurations, raft->configuration_capacity * sizeof *raft->configurations);
    }
    raft->configurations[raft->configuration_count] = *configuration;
    raft->configurations[raft->configuration_count++].index = index;
    rebuild_peers(raft);
}

void raft_configuration_truncate(struct raft *raft, uint64_t from)
{
    size_t count = raft->configuration_count;
    if (raft->options.faults & RAFT_FAULT_CONFIGURATION_KEPT)
        return;
    while (raft->configuration_count > 1 && active(raft)->index >= from)
        raft->configuration_count--;
    if (raft->configuration_count != count)
        rebuild_peers(raft);
}

/* The place in the stack of the one in force at `index`; 0 also when all are newer. */
static size_t place_at(const struct raft *raft, uint64_t index)
{
    size_t place = raft->configuration_count - 1;
    while (place > 0 && raft->configurations[place].index > index)
        place--;
    return place;
}

const struct raft_configuration *raft_configuration_at(const struct raft *raft, uint64_t index)
{
    if (index + 1 < raft->view.first_index || index > raft->view.last_index)
        return NULL;
    return &raft->configurations[place_at(raft, index)];
}

/* Not while joint with a half in which it has the data yet, or is to have it. */
bool raft_is_witness(const struct raft *raft, struct replica_id replica)
{
    const struct raft_member *member = raft_find_member(active(raft), replica);
    return member && (member->kind == RAFT_WITNESS || member->old_kind == RAFT_WITNESS) &&
           member->kind != RAFT_VOTER && member->old_kind != RAFT_VOTER;
}

/* Whoever is not in the newest configuration any more may still be needed while that is not
 * committed: its log may be the only one that can win (dissertation 4.2.2). Its own vote does not
 * count. */
bool raft_may_campaign(const struct raft *raft)
{
    if (raft->view.void_from) /* RAFT-19 */
        return false;
    for (size_t i = place_at(raft, raft->view.commit); i < raft->configuration_count; i++) {
        const struct raft_member *self =
            raft_find_member(&raft->configurations[i], raft->options.self);
        if (self && raft_member_is_voter(self))
            return true;
    }
    return false;
}

/* As many are kept as the log has entries of this kind: a snapshot at any mark in it needs the one
 * in force there. */
void raft_configuration_compacted(struct raft *raft, uint64_t index)
{
    size_t keep = place_at(raft, index);
    if (keep == 0)
        return;
    raft->configuration_count -= keep;
    memmove(raft->configurations, raft->configurations + keep,
            raft->configuration_count * sizeof *raft->configurations);
}

void raft_configuration_replace(struct raft *raft, const struct raft_configuration *configuration)
{
    raft->configuration_count = 0;
    raft_configuration_activate(raft, configuration, configuration->index);
}

const struct raft_member *raft_find_member(const struct raft_configuration *configuration,
                                           struct replica_id replica)
{
    for (size_t i = 0; i < configuration->member_count; i++)
        if (replica_id_equal(configuration->members[i].replica, replica))
            return &configuration->members[i];
    return NULL;
}

const struct raft_member *raft_find_member_on(const struct raft_configuration *configuration,
                                              struct node_id node)
{
    for (size_t i = 0; i < configuration->member_count; i++)
        if (node_id_equal(configuration->members[i].node, node))
            return &configuration->members[i];
    return NULL;
}

struct replica_id raft_replica_on(const struct raft_configuration *configuration,
                                  struct node_id node)
{
    const struct raft_member *member = raft_find_member_on(configuration, node);
    return member ? member->replica : (struct replica_id){0};
}

struct node_id raft_node_of(const struct raft_configuration *configuration,
                            struct replica_id replica)
{
    const struct raft_member *member = raft_find_member(configuration, replica);
    return member ? member->node : (struct node_id){0};
}
