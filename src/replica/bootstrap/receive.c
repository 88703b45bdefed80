/* receive.c - a snapshot from a peer: asked for, taken chunk by chunk, settled. Whatever is lost on
 * the way is asked for again, of the next source when this one stays silent. */
#include "replica/bootstrap/bootstrap.h"

#include <stdio.h>

#define CHUNKS_AHEAD   2 /* asked for, so that the link has work while one is written */
#define SILENCE_NS     (1000 * 1000000ull)
#define LINKS_NS       (300 * 1000000ull) /* in which links to others than the leader come up */
#define RETRY_NS       (5 * 1000000000ull)
#define CHUNK_SIZE_MAX ((size_t)1 << 32)
#define DAMAGED_MAX    3

static void forget(struct bootstrap_receiving *receiving)
{
    buffer_deinit(&receiving->chunk);
    *receiving = (struct bootstrap_receiving){.retry_ns = receiving->retry_ns};
}

void bootstrap_end_receiving(struct bootstrap *bootstrap)
{
    snapshot_end(bootstrap->receiving.writer);
    forget(&bootstrap->receiving);
}

void bootstrap_pause_receiving(struct bootstrap *bootstrap)
{
    snapshot_receive_keep(bootstrap->receiving.writer); /* BOOT-6 */
    forget(&bootstrap->receiving);
}

void bootstrap_point(const struct bootstrap *bootstrap, struct bootstrap_point *out)
{
    const struct bootstrap_receiving *receiving = &bootstrap->receiving;
    if (bootstrap->reader) {
        const struct snapshot *snapshot = snapshot_reader_of(bootstrap->reader);
        out->phase = BOOTSTRAP_LOADS;
        out->done = (uint64_t)snapshot->count + bootstrap->chunk;
        out->of = 2 * (uint64_t)snapshot->count;
        out->bytes = bootstrap->chunk < snapshot->count ? snapshot->chunks[bootstrap->chunk].offset
                                                        : snapshot->size;
        return;
    }
    out->phase = BOOTSTRAP_RECEIVES;
    out->done = receiving->writer ? snapshot_receive_next(receiving->writer) : 0;
    out->of = 2 * (uint64_t)receiving->count;
    out->bytes = receiving->writer ? snapshot_receive_bytes(receiving->writer) : 0;
}

/* ---- asking ---- */

static void ask(struct bootstrap_receiving *receiving, struct replica_turn *turn,
                const struct bootstrap_want *want, bool again)
{
    bool begins = receiving->state == BOOTSTRAP_ASKED;
    struct wire_snapshot message = {.group = want->group,
                                    .from = want->self,
                                    .to = receiving->source,
                                    .index = begins ? want->least : receiving->index,
                                    .term = begins ? 0 : receiving->term,
                                    .again = again};
    if (receiving->outlining) {
        message.chunk = WIRE_SNAPSHOT_OUTLINE;
        message.count = 1;
    } else if (!begins) {
        message.chunk = snapshot_receive_next(receiving->writer);
        message.count = snapshot_receive_missing(receiving->writer, CHUNKS_AHEAD);
        message.again |= receiving->jumped;
        receiving->jumped = false;
    }
    bool is_leader = replica_id_equal(receiving->source, want->leader);
    struct node_id node =
        is_leader ? want->leader_node : raft_node_of(want->members, receiving->source);
    struct wire_frame *frame =
        node.value
            ? peer_frame(turn->peers, peer_of(turn->peers, node, want->group), WIRE_LINK_DATA)
            : NULL;
    if (frame)
        wire_add_snapshot(frame, WIRE_SNAPSHOT_ASK, &message);
    receiving->moved_ns = turn->now_ns;
}

static bool may_ask(struct replica_turn *turn, const struct bootstrap_want *want,
                    const struct raft_member *member)
{
    struct peer_id peer = peer_of(turn->peers, member->node, want->group);
    return !replica_id_equal(member->replica, want->self) &&
           !replica_id_equal(member->replica, want->leader) && member->kind != RAFT_WITNESS &&
           peer_is_up(turn->peers, peer, WIRE_LINK_DATA);
}

/* BOOT-7: the member behind the last one that was asked; behind all of them the leader, whom they
 * may not know. */
static void next_source(struct bootstrap_receiving *receiving, struct replica_turn *turn,
                        const struct bootstrap_want *want)
{
    const struct raft_configuration *members = want->members;
    size_t at = 0, count = members->member_count;
    while (at < count && (!replica_id_equal(members->members[at].replica, receiving->source) ||
                          replica_id_equal(receiving->source, want->leader)))
        at++;
    for (size_t i = 1; i <= count + 1; i++) {
        size_t place = (at + i) % (count + 1);
        const struct raft_member *member = place < count ? &members->members[place] : NULL;
        if (member && !may_ask(turn, want, member))
            continue;
        receiving->source = member ? member->replica : want->leader;
        return;
    }
}

static bool has_source(struct replica_turn *turn, const struct bootstrap_want *want)
{
    for (size_t i = 0; i < want->members->member_count; i++)
        if (may_ask(turn, want, &want->members->members[i]))
            return true;
    return false;
}

static void begin(struct bootstrap *bootstrap, struct replica_turn *turn,
                  const struct bootstrap_want *want)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    struct replica_id failed =
        receiving->state == BOOTSTRAP_IDLE ? receiving->source : (struct replica_id){0};
    bootstrap_pause_receiving(bootstrap);
    receiving->state = BOOTSTRAP_ASKED;
    receiving->source = failed.value ? failed : want->leader;
    next_source(receiving, turn, want);
    ask(receiving, turn, want, true);
}

/* It begins anew a little later, with the next source: what this one has may never do. */
static void give_up(struct bootstrap *bootstrap, uint64_t retry_ns)
{
    struct replica_id source = bootstrap->receiving.source;
    bootstrap_pause_receiving(bootstrap);
    bootstrap->receiving.source = source;
    bootstrap->receiving.retry_ns = retry_ns;
}

static void fail(struct bootstrap *bootstrap, struct replica_turn *turn, enum status status,
                 const char *why)
{
    give_up(bootstrap, turn->now_ns + RETRY_NS);
    if (status == STATUS_IN_USE || bootstrap->trouble_is_said)
        return;
    bootstrap->trouble_is_said = true;
    snprintf(turn->snapshots->line, sizeof turn->snapshots->line,
             "a snapshot from another node was not taken (%.170s); it is tried again", why);
}

void bootstrap_refuse(struct bootstrap *bootstrap, struct replica_turn *turn)
{
    give_up(bootstrap, turn->now_ns + SILENCE_NS);
}

/* ---- what comes ---- */

static void take_header(struct bootstrap *bootstrap, struct replica_turn *turn,
                        const struct bootstrap_want *want, const struct wire_snapshot *header)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    if (receiving->state != BOOTSTRAP_ASKED || header->index < want->least)
        return;
    bootstrap_end_writing(bootstrap, turn->snapshots); /* what it would say is old */
    enum status status = snapshot_receive_begin(turn->snapshots->files, want->group, header->bytes,
                                                &receiving->writer, why);
    if (status) {
        fail(bootstrap, turn, status, why);
        return;
    }
    receiving->state = BOOTSTRAP_RECEIVING;
    receiving->index = header->index;
    receiving->term = header->term;
    receiving->count = header->count;
    receiving->keys = header->keys;
    receiving->content = header->content;
    buffer_init(&receiving->chunk, CHUNK_SIZE_MAX);
    receiving->outlining = header->count && snapshot_receive_may_reuse(receiving->writer);
    if (header->count)
        ask(receiving, turn, want, true);
}

/* The next chunk is to come from a peer. */
static bool is_missing(const struct bootstrap_receiving *receiving)
{
    return snapshot_receive_next(receiving->writer) < receiving->count &&
           snapshot_receive_missing(receiving->writer, 1);
}

/* What it says is taken, or else all chunks are asked for. */
static void take_outline(struct bootstrap_receiving *receiving, struct replica_turn *turn,
                         const struct bootstrap_want *want)
{
    struct slice bytes = slice_of_buffer(&receiving->chunk);
    receiving->outlining = false;
    receiving->jumped = true;
    (void)!snapshot_receive_outline(receiving->writer, bytes, receiving->count);
    buffer_reset(&receiving->chunk);
    if (is_missing(receiving))
        ask(receiving, turn, want, true);
}

static void take_chunk(struct bootstrap *bootstrap, struct replica_turn *turn,
                       const struct bootstrap_want *want)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    enum status status =
        snapshot_receive_chunk(receiving->writer, slice_of_buffer(&receiving->chunk), why);
    receiving->is_whole = status == STATUS_AGAIN;
    if (status == STATUS_AGAIN)
        return;
    buffer_reset(&receiving->chunk);
    receiving->damaged = status == STATUS_DAMAGED ? receiving->damaged + 1 : 0;
    /* Time and again: the source has another snapshot of that mark than the one that gave the
     * header. All from the beginning, with a header of its own. */
    if (status && (status != STATUS_DAMAGED || receiving->damaged > DAMAGED_MAX))
        fail(bootstrap, turn, status, why);
    else if (status || is_missing(receiving))
        ask(receiving, turn, want, status == STATUS_DAMAGED);
    bootstrap->taken += !status;
}

static void take_part(struct bootstrap *bootstrap, struct replica_turn *turn,
                      const struct bootstrap_want *want, const struct wire_snapshot *part)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    if (receiving->state != BOOTSTRAP_RECEIVING || receiving->is_whole ||
        part->index != receiving->index || part->term != receiving->term ||
        part->chunk != (receiving->outlining ? WIRE_SNAPSHOT_OUTLINE
                                             : snapshot_receive_next(receiving->writer)))
        return;
    if (part->offset == 0)
        buffer_reset(&receiving->chunk); /* it begins again */
    if (part->offset != receiving->chunk.size ||
        buffer_append(&receiving->chunk, part->bytes.at, part->bytes.size))
        return;
    receiving->moved_ns = turn->now_ns;
    receiving->refusals = 0;
    if (receiving->chunk.size < part->size)
        return;
    if (receiving->outlining)
        take_outline(receiving, turn, want);
    else
        take_chunk(bootstrap, turn, want);
}

/* Nobody has that one any more: another one will do. */
static void take_none(struct bootstrap *bootstrap, struct replica_turn *turn,
                      const struct bootstrap_want *want)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    if (++receiving->refusals > want->members->member_count) {
        bootstrap_pause_receiving(bootstrap);
        receiving->retry_ns = turn->now_ns + SILENCE_NS;
        return;
    }
    next_source(receiving, turn, want);
    ask(receiving, turn, want, true);
}

void bootstrap_hear_answer(struct bootstrap *bootstrap, struct replica_turn *turn,
                           const struct bootstrap_want *want, enum wire_kind kind,
                           const struct wire_snapshot *answer)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    bool asked = receiving->state == BOOTSTRAP_ASKED || receiving->state == BOOTSTRAP_RECEIVING;
    if (!asked || !replica_id_equal(answer->from, receiving->source))
        return;
    if (kind == WIRE_SNAPSHOT_HEADER)
        take_header(bootstrap, turn, want, answer);
    else if (kind == WIRE_SNAPSHOT_PART)
        take_part(bootstrap, turn, want, answer);
    else
        take_none(bootstrap, turn, want);
}

/* ---- from turn to turn ---- */

static void settle(struct bootstrap *bootstrap, struct replica_turn *turn)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    enum status status = snapshot_receive_end(receiving->writer, receiving->count, receiving->keys,
                                              receiving->content, why);
    if (status) {
        fail(bootstrap, turn, status, why);
        return;
    }
    receiving->state = BOOTSTRAP_SETTLING;
}

static enum status step(struct bootstrap *bootstrap, struct replica_turn *turn)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    enum status status = STATUS_OK;
    while (status == STATUS_OK)
        status = snapshot_step(receiving->writer, why);
    if (status == STATUS_AGAIN)
        return STATUS_OK;
    if (status != STATUS_END) {
        fail(bootstrap, turn, status, why);
        return STATUS_OK;
    }
    bootstrap->newest = receiving->index;
    bootstrap->trouble_is_said = false;
    bootstrap_end_receiving(bootstrap);
    return STATUS_END;
}

/* A chunk that is here already. */
static void reuse(struct bootstrap *bootstrap, struct replica_turn *turn,
                  const struct bootstrap_want *want)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    enum status status = snapshot_receive_reuse(receiving->writer, why);
    receiving->jumped = true;
    receiving->moved_ns = turn->now_ns;
    bootstrap->reused += !status;
    if (status && status != STATUS_AGAIN && status != STATUS_NOT_FOUND)
        fail(bootstrap, turn, status, why);
    else if (status != STATUS_AGAIN && is_missing(receiving))
        ask(receiving, turn, want, true);
}

static void receive_on(struct bootstrap *bootstrap, struct replica_turn *turn,
                       const struct bootstrap_want *want)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    bool is_all = snapshot_receive_next(receiving->writer) == receiving->count;
    if (receiving->is_whole) {
        take_chunk(bootstrap, turn, want);
    } else if (receiving->index < want->least) {
        begin(bootstrap, turn, want); /* the leader's log does not go back to it any more */
    } else if (!is_all && !receiving->outlining && !is_missing(receiving)) {
        reuse(bootstrap, turn, want);
    } else if (is_all) {
        settle(bootstrap, turn);
    } else if (turn->now_ns > receiving->moved_ns + SILENCE_NS) {
        receiving->jumped = true;
        if (receiving->outlining && ++receiving->refusals > want->members->member_count)
            receiving->outlining = false; /* of an older version: all of it, then */
        next_source(receiving, turn, want);
        ask(receiving, turn, want, true);
    }
}

enum status bootstrap_receive(struct bootstrap *bootstrap, struct replica_turn *turn,
                              const struct bootstrap_want *want)
{
    struct bootstrap_receiving *receiving = &bootstrap->receiving;
    if (bootstrap->newest >= want->least)
        return STATUS_END; /* a crash came between its name and the log's new beginning */
    switch (receiving->state) {
    case BOOTSTRAP_IDLE:
        if (!receiving->wanted_ns)
            receiving->wanted_ns = turn->now_ns;
        if (turn->now_ns >= receiving->retry_ns &&
            (has_source(turn, want) || turn->now_ns >= receiving->wanted_ns + LINKS_NS))
            begin(bootstrap, turn, want);
        return STATUS_OK;
    case BOOTSTRAP_ASKED:
        if (turn->now_ns <= receiving->moved_ns + SILENCE_NS)
            return STATUS_OK;
        next_source(receiving, turn, want);
        ask(receiving, turn, want, true);
        return STATUS_OK;
    case BOOTSTRAP_RECEIVING: receive_on(bootstrap, turn, want); return STATUS_OK;
    case BOOTSTRAP_SETTLING: return step(bootstrap, turn);
    }
    return STATUS_OK;
}
