/* configuration.c - sets of members and their quorums; the stack of configurations in the log
 * (dissertation 4.1, 4.3; R1, R2).
 *
 * Layout of an encoded configuration (version 1): u8 version, u8 joint, varint C, varint E, joint
 * only: varint old C, varint old E, u8 member count, then per member: varint replica, varint node,
 * u8 kind, u8 old kind, u8 priority. Nothing after it. */
#include "base/memory.h"
#include "raft/state.h"

#include <assert.h>

#define CONFIGURATION_VERSION 1
#define CONFIGURATION_SIZE_MAX                                                                     \
    (3 + 4 * VARINT_SIZE_MAX + RAFT_MEMBERS_MAX * (2 * VARINT_SIZE_MAX + 3))

enum half {
    HALF_NEW = 0,
    HALF_OLD
};

static bool votes_in(const struct raft_member *member, enum half half)
{
    enum raft_member_kind kind = half == HALF_NEW ? member->kind : member->old_kind;
    return kind == RAFT_VOTER || kind == RAFT_WITNESS;
}

bool raft_member_is_voter(const struct raft_member *member)
{
    return votes_in(member, HALF_NEW) || votes_in(member, HALF_OLD);
}

/* RAFT-9: every voter of the half, whatever its state. */
static size_t voter_count(const struct raft_configuration *configuration, enum half half)
{
    size_t count = 0;
    for (size_t i = 0; i < configuration->member_count; i++)
        count += votes_in(&configuration->members[i], half);
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
    return joint ? member->kind || member->old_kind : member->kind && !member->old_kind;
}

bool raft_configuration_is_valid(const struct raft_configuration *configuration)
{
    const struct raft_configuration *c = configuration;
    if (c->member_count > RAFT_MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < c->member_count; i++) {
        if (!member_is_valid(&c->members[i], c->joint))
            return false;
        for (size_t j = 0; j < i; j++)
            if (replica_id_equal(c->members[i].replica, c->members[j].replica))
                return false;
    }
    if (!quorums_are_valid(voter_count(c, HALF_NEW), c->commit_quorum, c->election_quorum))
        return false;
    if (!c->joint)
        return c->old_commit_quorum == 0 && c->old_election_quorum == 0;
    return quorums_are_valid(voter_count(c, HALF_OLD), c->old_commit_quorum,
                             c->old_election_quorum);
}

static size_t store_header(const struct raft_configuration *c, uint8_t *at)
{
    size_t size = 0;
    at[size++] = CONFIGURATION_VERSION;
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
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        size += varint_store(bytes + size, member->replica.value);
        size += varint_store(bytes + size, member->node.value);
        bytes[size++] = (uint8_t)member->kind;
        bytes[size++] = (uint8_t)member->old_kind;
        bytes[size++] = member->priority;
    }
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

static enum status take_header(struct slice *from, struct raft_configuration *c)
{
    struct slice bytes;
    if (slice_take(from, 2, &bytes) || bytes.at[0] != CONFIGURATION_VERSION || bytes.at[1] > 1)
        return STATUS_INVALID;
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

static enum status take_member(struct slice *from, struct raft_member *member)
{
    struct slice bytes;
    if (varint_take(from, &member->replica.value) || varint_take(from, &member->node.value) ||
        slice_take(from, 3, &bytes))
        return STATUS_INVALID;
    member->kind = (enum raft_member_kind)bytes.at[0];
    member->old_kind = (enum raft_member_kind)bytes.at[1];
    member->priority = bytes.at[2];
    return STATUS_OK;
}

enum status raft_configuration_decode(struct slice bytes, struct raft_configuration *out)
{
    struct raft_configuration c = {0};
    if (take_header(&bytes, &c))
        return STATUS_INVALID;
    for (size_t i = 0; i < c.member_count; i++)
        if (take_member(&bytes, &c.members[i]))
            return STATUS_INVALID;
    if (bytes.size != 0 || !raft_configuration_is_valid(&c))
        return STATUS_INVALID;
    *out = c;
    return STATUS_OK;
}

static size_t quorum_size(const struct raft_configuration *c, enum quorum quorum, enum half half)
{
    size_t commit = half == HALF_NEW ? c->commit_quorum : c->old_commit_quorum;
    size_t election = half == HALF_NEW ? c->election_quorum : c->old_election_quorum;
    switch (quorum) {
    case QUORUM_COMMIT: return commit;
    case QUORUM_ELECTION: return election;
    case QUORUM_CONFIRMATION: return voter_count(c, half) - election + 1; /* R2: meets every E */
    }
    return 0;
}

/* The `count`-th highest of the half's values. Insertion into a short descending array: at most 16
 * members. */
static uint64_t half_value(const struct raft_configuration *c, enum half half, size_t count,
                           const uint64_t *values)
{
    uint64_t highest[RAFT_MEMBERS_MAX];
    size_t size = 0;
    for (size_t i = 0; i < c->member_count; i++) {
        if (!votes_in(&c->members[i], half)) /* RAFT-8 */
            continue;
        size_t at = size++;
        for (; at > 0 && highest[at - 1] < values[i]; at--)
            highest[at] = highest[at - 1];
        highest[at] = values[i];
    }
    return count >= 1 && count <= size ? highest[count - 1] : 0;
}

uint64_t raft_quorum_value(const struct raft_configuration *configuration, enum quorum quorum,
                           const uint64_t *values)
{
    const struct raft_configuration *c = configuration;
    uint64_t value = half_value(c, HALF_NEW, quorum_size(c, quorum, HALF_NEW), values);
    if (!c->joint)
        return value;
    uint64_t old = half_value(c, HALF_OLD, quorum_size(c, quorum, HALF_OLD), values);
    return old < value ? old : value;
}

size_t raft_confirmation_count(const struct raft_configuration *configuration)
{
    size_t count = quorum_size(configuration, QUORUM_CONFIRMATION, HALF_NEW), old;
    if (!configuration->joint)
        return count;
    old = quorum_size(configuration, QUORUM_CONFIRMATION, HALF_OLD);
    return old > count ? old : count;
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

bool raft_is_alone(const struct raft *raft)
{
    size_t voters = 0;
    for (size_t i = 0; i < raft->peer_count; i++)
        voters += raft_is_voter(raft, i);
    return voters == 1 && raft_self_is_voter(raft);
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
    while (raft->configuration_count > 1 && active(raft)->index >= from)
        raft->configuration_count--;
    if (raft->configuration_count != count)
        rebuild_peers(raft);
}

/* What a committed configuration replaced cannot come back (RAFT-7): forget it, so that the stack
 * stays small. */
void raft_configuration_committed(struct raft *raft)
{
    size_t keep = raft->configuration_count - 1;
    while (keep > 0 && raft->configurations[keep].index > raft->view.commit)
        keep--;
    if (keep == 0)
        return;
    raft->configuration_count -= keep;
    memmove(raft->configurations, raft->configurations + keep,
            raft->configuration_count * sizeof *raft->configurations);
}

static const struct raft_member *find_member(const struct raft_configuration *c,
                                             struct replica_id replica)
{
    for (size_t i = 0; i < c->member_count; i++)
        if (replica_id_equal(c->members[i].replica, replica))
            return &c->members[i];
    return NULL;
}

/* Each voter of `a` in half `a_half` is one of `b` in `b_half`. */
static bool voters_are_within(const struct raft_configuration *a, enum half a_half,
                              const struct raft_configuration *b, enum half b_half)
{
    for (size_t i = 0; i < a->member_count; i++) {
        const struct raft_member *other = find_member(b, a->members[i].replica);
        if (votes_in(&a->members[i], a_half) && !(other && votes_in(other, b_half)))
            return false;
    }
    return true;
}

static bool halves_agree(const struct raft_configuration *a, enum half a_half,
                         const struct raft_configuration *b, enum half b_half)
{
    return quorum_size(a, QUORUM_COMMIT, a_half) == quorum_size(b, QUORUM_COMMIT, b_half) &&
           quorum_size(a, QUORUM_ELECTION, a_half) == quorum_size(b, QUORUM_ELECTION, b_half) &&
           voters_are_within(a, a_half, b, b_half) && voters_are_within(b, b_half, a, a_half);
}

/* Voters and quorums change through a joint configuration only (dissertation 4.3; with (C, E) even
 * one voter more is not safe in one step). Learners and priorities may change at once. */
bool raft_configuration_may_follow(const struct raft *raft, const struct raft_configuration *next)
{
    const struct raft_configuration *now = active(raft);
    if (!raft_configuration_is_valid(next) || (now->joint && next->joint))
        return false;
    return halves_agree(now, HALF_NEW, next, next->joint ? HALF_OLD : HALF_NEW);
}
