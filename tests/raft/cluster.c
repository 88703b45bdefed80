#include "tests/raft/cluster.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void trace(struct cluster *cluster, const char *format,
                                                        ...)
{
    char line[256];
    va_list arguments;
    if (!cluster->trace)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cluster->trace(cluster->hook, line);
}

__attribute__((format(printf, 3, 4))) static void require(struct cluster *cluster, bool holds,
                                                          const char *format, ...)
{
    char line[256];
    va_list arguments;
    if (holds)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cluster->fail(cluster->hook, line);
    fatal("a failed oracle was passed by: %s", line);
}

/* ---- life ---- */

struct raft_configuration cluster_voters(size_t voters, size_t learners, uint32_t commit,
                                         uint32_t election)
{
    struct raft_configuration c = {.commit_quorum = commit, .election_quorum = election};
    for (size_t i = 0; i < voters + learners; i++)
        c.members[c.member_count++] = (struct raft_member){
            .replica = {i + 1}, .node = {i + 1}, .kind = i < voters ? RAFT_VOTER : RAFT_LEARNER};
    return c;
}

struct cluster *cluster_create(size_t count, const struct raft_configuration *configuration,
                               uint64_t seed)
{
    assert(count <= REPLICAS_MAX);
    struct cluster *cluster = memory_zeroed(1, sizeof *cluster);
    cluster->count = count;
    cluster->seed = seed;
    cluster->options = (struct raft_options){
        .group = {7},
        .election_timeout_min_ns = 100 * MILLISECOND,
        .election_timeout_max_ns = 200 * MILLISECOND,
        .drift_ppm = 1000,
        .inflight_entries_max = 256,
        .inflight_bytes_max = 1 << 20,
    };
    cluster->configurations[cluster->configuration_count++] = *configuration;
    cluster->now_ns = 1000 * MILLISECOND;
    cluster->next_value = 1;
    return cluster;
}

void cluster_destroy(struct cluster *cluster)
{
    for (uint64_t id = 1; id <= cluster->count; id++)
        raft_destroy(cluster->replicas[id].raft);
    memory_free(cluster);
}

uint64_t cluster_now_of(const struct cluster *cluster, uint64_t id)
{
    int64_t elapsed = (int64_t)(cluster->now_ns / 1000000) * cluster->replicas[id].drift_ppm;
    return (uint64_t)((int64_t)cluster->now_ns + elapsed);
}

const struct raft_view *cluster_view(const struct cluster *cluster, uint64_t id)
{
    return raft_view(cluster->replicas[id].raft);
}

/* The newest configuration that is committed at or before `index`, with its index. */
static struct raft_configuration committed_configuration(const struct cluster *cluster,
                                                         uint64_t index)
{
    struct raft_configuration configuration = cluster->configurations[0];
    while (index > 0 && !cluster->committed[index].configuration)
        index--;
    if (index > 0)
        configuration = cluster->configurations[cluster->committed[index].configuration - 1];
    configuration.index = index;
    return configuration;
}

static size_t add_term(struct raft_term_start *terms, size_t count, uint64_t term, uint64_t index)
{
    if (count == 0 || terms[count - 1].term != term)
        terms[count++] = (struct raft_term_start){term, index};
    return count;
}

static size_t committed_terms(const struct cluster *cluster, uint64_t index,
                              struct raft_term_start *terms)
{
    size_t count = 0;
    for (uint64_t i = 1; i <= index; i++)
        count = add_term(terms, count, cluster->committed[i].term, i);
    return count;
}

/* Nobody may look at what was compacted. */
static void spoil(struct entry *log, uint64_t through)
{
    for (uint64_t i = 1; i <= through; i++)
        log[i] = (struct entry){.value = UINT64_MAX};
}

void cluster_start(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    struct raft_term_start terms[ENTRIES_MAX];
    struct raft_configuration configurations[CONFIGURATIONS_MAX];
    struct raft_restart restart = {.term = replica->durable_state.term,
                                   .vote = replica->durable_state.vote,
                                   .unsure = cluster_is_unsure(cluster, id),
                                   .history = replica->durable_state.history,
                                   .snapshot_index = replica->durable_base,
                                   .last_index = replica->durable_last,
                                   .terms = terms,
                                   .configurations = configurations,
                                   .now_ns = cluster_now_of(cluster, id)};
    configurations[restart.configuration_count++] =
        committed_configuration(cluster, replica->durable_base);
    memcpy(replica->log, replica->durable_log, sizeof replica->log);
    replica->last = replica->durable_last;
    replica->base = replica->durable_base;
    restart.term_count = replica->base ? replica->base_term_count : 0;
    memcpy(terms, replica->base_terms, restart.term_count * sizeof *terms);
    for (uint64_t i = replica->base + 1; i <= replica->last; i++) {
        struct entry *entry = &replica->log[i];
        restart.term_count = add_term(terms, restart.term_count, entry->term, i);
        if (entry->configuration) {
            configurations[restart.configuration_count] =
                cluster->configurations[entry->configuration - 1];
            configurations[restart.configuration_count++].index = i;
        }
    }
    struct raft_options options = cluster->options;
    options.self.value = id;
    options.random_seed = cluster->seed * 1000 + id + 100 * replica->next_ticket;
    options.restarted = replica->ever_started;
    replica->power_lost = false;
    replica->ever_started = true;
    replica->raft = raft_create(&options, &restart);
    replica->seen = replica->traced = *raft_view(replica->raft);
    replica->round_wanted = false;
}

void cluster_crash(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    replica->power_lost = cluster_is_unsure(cluster, id); /* a doubt stays until it is settled */
    raft_destroy(replica->raft);
    replica->raft = NULL;
    replica->record_count = 0;
    for (size_t i = 0; i < READS_MAX; i++)
        if (cluster->reads[i].replica == id)
            cluster->reads[i].waiting = false;
}

bool cluster_is_unsure(const struct cluster *cluster, uint64_t id)
{
    const struct replica *replica = &cluster->replicas[id];
    return replica->power_lost || replica->durable_state.unsure ||
           (replica->raft && raft_view(replica->raft)->unsure);
}

void cluster_lose_power(struct cluster *cluster, uint64_t id, uint64_t entries)
{
    struct replica *replica = &cluster->replicas[id];
    bool unsure = cluster_is_unsure(cluster, id);
    cluster_crash(cluster, id);
    uint64_t synced = replica->durable_last; /* a configuration is, and what is before it (R4) */
    while (synced > replica->durable_base && !replica->durable_log[synced].configuration)
        synced--;
    uint64_t left = replica->durable_last - synced;
    replica->durable_last -= entries < left ? entries : left;
    replica->power_lost = unsure || entries > 0;
    for (size_t i = cluster->packet_count; i > 0; i--)
        if (cluster->packets[i - 1].from == id || cluster->packets[i - 1].to == id)
            cluster_drop(cluster, i - 1);
}

/* ---- the network ---- */

static const char *kind_text(enum raft_message_kind kind)
{
    static const char *const texts[] = {
        "?",      "pre-vote", "pre-vote answer", "vote",           "vote answer",
        "append", "accept",   "run now",         "snapshot offer", "snapshot answer"};
    return texts[kind];
}

static void trace_packet(struct cluster *cluster, const struct packet *packet)
{
    const struct raft_message *m = &packet->message;
    char text[160] = "";
    size_t room = sizeof text;
    if (packet->kind == PACKET_BEAT)
        snprintf(text, room, "heartbeat term %" PRIu64 " round %" PRIu64 " commit %" PRIu64,
                 m->term, m->round, m->commit);
    else if (packet->kind == PACKET_BEAT_ANSWER)
        snprintf(text, room, "heartbeat answer term %" PRIu64 " round %" PRIu64 " %s", m->term,
                 m->round, m->granted ? "agreed" : "disagreed");
    else if (m->kind == RAFT_APPEND)
        snprintf(text, room,
                 "append term %" PRIu64 " after %" PRIu64 "@%" PRIu64 " through %" PRIu64
                 " commit %" PRIu64,
                 m->term, m->index, m->log_term, m->last_index, m->commit);
    else if (m->kind == RAFT_ACCEPT && m->granted)
        snprintf(text, room, "accept term %" PRIu64 " written %" PRIu64 " persisted %" PRIu64,
                 m->term, m->written, m->persisted);
    else if (m->kind == RAFT_ACCEPT)
        snprintf(text, room, "reject term %" PRIu64 " after %" PRIu64 " hint %" PRIu64 "@%" PRIu64,
                 m->term, m->index, m->written, m->log_term);
    else if (m->kind == RAFT_SNAPSHOT_OFFER)
        snprintf(text, room, "snapshot offer term %" PRIu64 " through %" PRIu64 "@%" PRIu64,
                 m->term, m->index, m->log_term);
    else if (m->kind == RAFT_SNAPSHOT_ANSWER)
        snprintf(text, room,
                 "snapshot answer term %" PRIu64 " through %" PRIu64 " %s written %" PRIu64,
                 m->term, m->index, m->granted ? "there" : "wanted", m->written);
    else if (m->kind == RAFT_RUN_NOW)
        snprintf(text, room, "run now term %" PRIu64 "%s", m->term,
                 m->transfer ? ", handed over" : "");
    else
        snprintf(text, room, "%s term %" PRIu64 " last %" PRIu64 "@%" PRIu64 "%s",
                 kind_text(m->kind), m->term, m->index, m->log_term,
                 m->kind == RAFT_PRE_VOTE || m->kind == RAFT_VOTE ? ""
                 : m->granted                                     ? " granted"
                                                                  : " refused");
    if (m->lease_remaining_ns)
        snprintf(text + strlen(text), room - strlen(text), " promised for %" PRIu64 " ms",
                 (uint64_t)(m->lease_remaining_ns / MILLISECOND));
    trace(cluster, "%" PRIu64 " -> %" PRIu64 " %s%s", packet->from, packet->to, text,
          cluster->cut[packet->from][packet->to] ? " (lost)" : "");
}

static void transmit(struct cluster *cluster, const struct packet *packet)
{
    trace_packet(cluster, packet);
    if (cluster->cut[packet->from][packet->to] || packet->to > cluster->count)
        return;
    if (cluster->packet_count == PACKETS_MAX)
        cluster_drop(cluster, 0);
    cluster->packets[cluster->packet_count++] = *packet;
}

void cluster_drop(struct cluster *cluster, size_t place)
{
    cluster->packet_count--;
    memmove(cluster->packets + place, cluster->packets + place + 1,
            (cluster->packet_count - place) * sizeof *cluster->packets);
}

void cluster_duplicate(struct cluster *cluster, size_t place)
{
    if (cluster->packet_count < PACKETS_MAX) {
        cluster->packets[cluster->packet_count] = cluster->packets[place];
        cluster->packet_count++;
    }
}

/* ---- oracles ---- */

static void check_leader(struct cluster *cluster, uint64_t id)
{
    const struct raft_view *view = cluster_view(cluster, id);
    struct replica *replica = &cluster->replicas[id];
    if (view->role != RAFT_LEADER)
        return;
    require(cluster, view->term < TERMS_MAX, "too many terms");
    uint64_t *leader = &cluster->leader_of[view->term];
    require(cluster, *leader == 0 || *leader == id,
            "RAFT-1: %" PRIu64 " and %" PRIu64 " lead term %" PRIu64, *leader, id, view->term);
    if (*leader == id)
        return;
    *leader = id;
    uint64_t kept =
        replica->last < cluster->committed_last ? replica->last : cluster->committed_last;
    while (kept && raft_term_at(replica->raft, kept) != cluster->committed[kept].term)
        kept--;
    if (view->unsure_election && kept < cluster->committed_last) { /* R4: it says so */
        trace(cluster, "what was committed past %" PRIu64 " is lost", kept);
        cluster->committed_last = kept;
    }
    for (uint64_t i = 1; i <= cluster->committed_last; i++) /* leader completeness */
        require(cluster,
                i <= replica->base ||
                    (i <= replica->last && replica->log[i].term == cluster->committed[i].term),
                "RAFT-7: leader %" PRIu64 " of term %" PRIu64 " lacks committed entry %" PRIu64, id,
                view->term, i);
    for (uint64_t other = 1; other <= cluster->count; other++) {
        struct raft *raft = cluster->replicas[other].raft;
        require(cluster,
                other == id || !raft || !raft_lease_is_valid(raft, cluster_now_of(cluster, other)),
                "RAFT-10: %" PRIu64 " leads while the lease of %" PRIu64 " runs", id, other);
    }
}

static void check_commit(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    const struct raft_view *view = raft_view(replica->raft);
    require(cluster, view->commit >= replica->seen.commit || replica->begins_anew,
            "RAFT-7: commit of %" PRIu64 " goes back", id);
    require(cluster, view->last_index == replica->last,
            "replica %" PRIu64 " has %" PRIu64 " entries, raft %" PRIu64, id, replica->last,
            view->last_index);
    if (view->role == RAFT_LEADER && view->commit > replica->seen.commit)
        require(cluster, raft_term_at(replica->raft, view->commit) == view->term,
                "RAFT-4 at %" PRIu64, view->commit);
    if (replica->begins_anew)
        replica->seen.commit = view->commit;
    for (uint64_t i = replica->seen.commit + 1; i <= view->commit; i++) {
        if (i <= replica->base)
            continue;
        if (i > cluster->committed_last) {
            cluster->committed[i] = replica->log[i];
            cluster->committed_last = i;
        }
        require(cluster,
                cluster->committed[i].term == replica->log[i].term &&
                    cluster->committed[i].value == replica->log[i].value,
                "RAFT-3: entry %" PRIu64 " of %" PRIu64 " is not the committed one", i, id);
    }
}

static void check_reads(struct cluster *cluster, uint64_t id)
{
    const struct raft_view *view = cluster_view(cluster, id);
    for (size_t i = 0; i < READS_MAX; i++) {
        struct read *read = &cluster->reads[i];
        if (!read->waiting || read->replica != id)
            continue;
        if (view->role != RAFT_LEADER || view->term != read->term) {
            read->waiting = false;
        } else if (view->confirmed_round >= read->round) {
            read->waiting = false;
            cluster->reads_confirmed++;
            require(cluster, read->index >= read->must_see,
                    "RAFT-11: a read at %" PRIu64 " missed %" PRIu64, read->index, read->must_see);
        }
    }
}

void cluster_check_logs(struct cluster *cluster)
{
    for (uint64_t a = 1; a <= cluster->count; a++) {
        for (uint64_t b = 1; b < a; b++) {
            struct replica *left = &cluster->replicas[a], *right = &cluster->replicas[b];
            bool agree = false;
            uint64_t base = left->base > right->base ? left->base : right->base;
            for (uint64_t i = left->last < right->last ? left->last : right->last; i > base; i--) {
                bool same_term = left->log[i].term == right->log[i].term;
                agree = agree || same_term;
                require(cluster, !agree || (same_term && left->log[i].value == right->log[i].value),
                        "RAFT-3: logs of %" PRIu64 " and %" PRIu64 " part before %" PRIu64, a, b,
                        i);
            }
        }
    }
}

void cluster_read(struct cluster *cluster, uint64_t id)
{
    struct raft *raft = cluster->replicas[id].raft;
    uint64_t now_ns = cluster_now_of(cluster, id);
    if (!raft_is_serving(raft))
        return;
    const struct raft_view *view = raft_view(raft);
    require(cluster, !raft_lease_is_valid(raft, now_ns) || view->commit >= cluster->committed_last,
            "RAFT-10: leased read on %" PRIu64 " at %" PRIu64 " misses %" PRIu64, id, view->commit,
            cluster->committed_last);
    for (size_t i = 0; i < READS_MAX; i++) {
        if (cluster->reads[i].waiting)
            continue;
        cluster->reads[i] = (struct read){
            true, id, view->term, view->round + 1, view->commit, cluster->committed_last};
        return;
    }
}

/* ---- steps ---- */

static void add_record(struct cluster *cluster, struct replica *replica, struct record record)
{
    require(cluster, replica->record_count < RECORDS_MAX, "too many records wait for the disk");
    record.ticket = ++replica->next_ticket;
    replica->records[replica->record_count++] = record;
}

static void add_entry(struct cluster *cluster, struct replica *replica, uint64_t index,
                      struct entry entry)
{
    require(cluster, index <= ENTRIES_MAX, "log too long");
    replica->log[index] = entry;
    replica->last = index;
    add_record(cluster, replica, (struct record){.index = index, .entry = entry});
}

/* Ends a turn: what it appended is stored. */
static void note_written(struct cluster *cluster, uint64_t id)
{
    struct raft_event event = {.kind = RAFT_WRITTEN, .ticket = cluster->replicas[id].next_ticket};
    cluster_step(cluster, id, &event);
}

static void trace_view(struct cluster *cluster, uint64_t id)
{
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    struct replica *replica = &cluster->replicas[id];
    const struct raft_view *view = raft_view(replica->raft), *seen = &replica->traced;
    if (view->role != seen->role || view->term != seen->term ||
        view->leader.value != seen->leader.value)
        trace(cluster, "%" PRIu64 " is %s, term %" PRIu64 ", leader %" PRIu64, id,
              roles[view->role], view->term, view->leader.value);
    if (replica->outputs.truncate_from)
        trace(cluster, "%" PRIu64 " truncates from %" PRIu64, id, replica->outputs.truncate_from);
    if (view->transfer_to.value != seen->transfer_to.value)
        trace(cluster, "%" PRIu64 " hands over to %" PRIu64, id, view->transfer_to.value);
    if (view->commit != seen->commit)
        trace(cluster, "%" PRIu64 " commits through %" PRIu64, id, view->commit);
    replica->traced = *view;
}

static void save_state(struct cluster *cluster, struct replica *replica)
{
    struct buffer bytes;
    struct record record = {.version = replica->outputs.state_version};
    buffer_init(&bytes, 64);
    raft_state_encode(replica->raft, &bytes);
    enum status status = raft_state_decode(slice_of_buffer(&bytes), &record.state);
    require(cluster, status == STATUS_OK, "state does not decode");
    buffer_deinit(&bytes);
    add_record(cluster, replica, record);
}

static void send_messages(struct cluster *cluster, uint64_t id)
{
    struct raft_outputs *outputs = &cluster->replicas[id].outputs;
    for (size_t i = 0; i < outputs->message_count; i++) {
        struct packet packet = {
            .kind = PACKET_MESSAGE, .from = id, .message = outputs->messages[i]};
        packet.to = packet.message.to.value;
        transmit(cluster, &packet);
    }
}

static bool is_witness(const struct raft *raft, uint64_t id)
{
    const struct raft_configuration *c = raft_configuration(raft);
    for (size_t i = 0; i < c->member_count; i++)
        if (c->members[i].replica.value == id)
            return c->members[i].kind == RAFT_WITNESS;
    return false;
}

static void offer_snapshot(struct cluster *cluster, uint64_t id, struct packet *packet)
{
    struct replica *replica = &cluster->replicas[id];
    struct raft_event sent = {.kind = RAFT_SNAPSHOT_SENT,
                              .from = {packet->to},
                              .index = replica->base,
                              .now_ns = cluster_now_of(cluster, id)};
    packet->message.index = replica->base;
    packet->message.log_term = raft_term_at(replica->raft, replica->base);
    transmit(cluster, packet);
    raft_step(replica->raft, &sent, &replica->outputs);
}

static void send_appends(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    for (uint64_t to = 1; to <= cluster->count; to++) {
        struct packet packet = {.kind = PACKET_MESSAGE, .from = id, .to = to};
        struct raft_message *message = &packet.message;
        uint64_t first, last;
        enum raft_next next;
        while ((next = raft_next_append(replica->raft, (struct replica_id){to}, true, message,
                                        &first, &last)) != RAFT_NEXT_NOTHING) {
            if (next == RAFT_NEXT_SNAPSHOT && is_witness(replica->raft, id))
                break; /* it has none: that one waits */
            if (next == RAFT_NEXT_SNAPSHOT) {
                offer_snapshot(cluster, id, &packet);
                continue;
            }
            require(cluster, first > replica->base, "RAFT-14: sends from a spoilt log");
            if (last >= first + APPEND_MAX)
                last = first + APPEND_MAX - 1;
            message->last_index = last;
            for (uint64_t i = first; i <= last; i++)
                packet.entries[i - first] = replica->log[i];
            transmit(cluster, &packet);
            struct raft_event sent = {
                .kind = RAFT_SENT, .from = {to}, .index = last, .bytes = 100 * (last + 1 - first)};
            sent.now_ns = cluster_now_of(cluster, id);
            raft_step(replica->raft, &sent, &replica->outputs);
        }
    }
}

/* RAFT-19: once it is durable the log is empty, and nothing of the old one counts. */
static void give_up_void(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    struct raft_configuration initial = cluster->configurations[0];
    struct raft_event event = {.kind = RAFT_BEGIN_ANEW, .configurations = &initial};
    trace(cluster, "%" PRIu64 " begins anew: void from %" PRIu64, id,
          cluster_view(cluster, id)->void_from);
    cluster_persist(cluster, id, RECORDS_MAX);
    replica->base = replica->durable_base = replica->last = replica->durable_last = 0;
    replica->base_term_count = 0;
    replica->begins_anew = true;
    cluster_step(cluster, id, &event);
    replica->begins_anew = false;
}

/* What waits for the disk are entries of a log that is gone. */
static void begin_anew(struct replica *replica, uint64_t index)
{
    size_t kept = 0;
    for (size_t i = 0; i < replica->record_count; i++)
        if (replica->records[i].version)
            replica->records[kept++] = replica->records[i];
    replica->record_count = kept;
    replica->base = replica->last = replica->durable_last = index;
    spoil(replica->log, index);
}

void cluster_step(struct cluster *cluster, uint64_t id, struct raft_event *event)
{
    struct replica *replica = &cluster->replicas[id];
    event->now_ns = cluster_now_of(cluster, id);
    event->wall_us = (int64_t)(cluster->now_ns / 1000) + replica->wall_offset_us;
    raft_step(replica->raft, event, &replica->outputs);
    const struct raft_view *view = raft_view(replica->raft);
    if (replica->outputs.truncate_from)
        replica->last = replica->outputs.truncate_from - 1;
    if (event->kind == RAFT_SNAPSHOT_INSTALLED && view->first_index == event->index + 1)
        begin_anew(replica, event->index);
    if (replica->outputs.save_state)
        save_state(cluster, replica);
    replica->round_wanted = replica->round_wanted || replica->outputs.round_wanted;
    trace_view(cluster, id);
    send_messages(cluster, id);
    if (event->kind != RAFT_RECEIVE && event->kind != RAFT_PROPOSE &&
        event->kind != RAFT_PROPOSE_CONFIGURATION) {
        check_commit(cluster, id);
        raft_validate(replica->raft);
    }
    check_leader(cluster, id);
    if (event->kind == RAFT_RECEIVE || event->kind == RAFT_PROPOSE ||
        event->kind == RAFT_PROPOSE_CONFIGURATION)
        return; /* the caller stores the entries first, and then finishes the turn */
    check_reads(cluster, id);
    replica->seen = *view;
    if (view->role == RAFT_LEADER && view->last_index < view->term_start) {
        struct raft_event no_op = {.kind = RAFT_PROPOSE};
        cluster_step(cluster, id, &no_op);
        add_entry(cluster, replica, view->last_index, (struct entry){.term = view->term});
        note_written(cluster, id);
        return;
    }
    if (view->role == RAFT_LEADER)
        send_appends(cluster, id);
    else if (view->void_from && event->kind == RAFT_TICK)
        give_up_void(cluster, id);
}

void cluster_event(struct cluster *cluster, uint64_t id, enum raft_event_kind kind)
{
    struct raft_event event = {.kind = kind};
    cluster_step(cluster, id, &event);
}

void cluster_transfer(struct cluster *cluster, uint64_t id, uint64_t to)
{
    struct raft_event event = {.kind = RAFT_TRANSFER, .from = {to}};
    cluster_step(cluster, id, &event);
}

void cluster_tick(struct cluster *cluster, uint64_t id)
{
    cluster_event(cluster, id, RAFT_TICK);
}

void cluster_lost(struct cluster *cluster, uint64_t id, uint64_t peer)
{
    struct raft_event event = {.kind = RAFT_PEER_LOST, .from = {peer}};
    cluster_step(cluster, id, &event);
}

void cluster_round(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    replica->round_wanted = false;
    cluster_event(cluster, id, RAFT_ROUND);
    const struct raft_view *view = raft_view(replica->raft);
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    for (size_t i = 0; view->role == RAFT_LEADER && i < configuration->member_count; i++) {
        struct packet packet = {
            .kind = PACKET_BEAT, .from = id, .to = configuration->members[i].replica.value};
        packet.message.term = view->term;
        packet.message.round = view->round;
        packet.message.commit = view->commit;
        if (packet.to != id)
            transmit(cluster, &packet);
    }
}

bool cluster_propose(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    uint64_t last = raft_view(replica->raft)->last_index;
    struct raft_event event = {.kind = RAFT_PROPOSE, .bytes = 100};
    cluster_step(cluster, id, &event);
    const struct raft_view *view = raft_view(replica->raft);
    if (view->last_index == last)
        return false;
    add_entry(cluster, replica, last + 1,
              (struct entry){.term = view->term, .value = cluster->next_value++});
    note_written(cluster, id);
    return true;
}

bool cluster_propose_configuration(struct cluster *cluster, uint64_t id,
                                   const struct raft_configuration *configuration)
{
    struct replica *replica = &cluster->replicas[id];
    uint64_t last = raft_view(replica->raft)->last_index;
    struct raft_event event = {
        .kind = RAFT_PROPOSE_CONFIGURATION, .bytes = 100, .configurations = configuration};
    cluster_step(cluster, id, &event);
    const struct raft_view *view = raft_view(replica->raft);
    if (view->last_index == last)
        return false;
    require(cluster, cluster->configuration_count < CONFIGURATIONS_MAX, "too many configurations");
    cluster->configurations[cluster->configuration_count++] = *configuration;
    struct entry entry = {view->term, cluster->next_value++, cluster->configuration_count};
    add_entry(cluster, replica, last + 1, entry);
    note_written(cluster, id);
    return true;
}

bool cluster_leave(struct cluster *cluster, uint64_t id)
{
    const struct raft_configuration *now = raft_configuration(cluster->replicas[id].raft);
    struct raft_configuration next;
    if (!now->joint)
        return false;
    raft_configuration_leave(now, &next);
    return cluster_propose_configuration(cluster, id, &next);
}

void cluster_persist(struct cluster *cluster, uint64_t id, size_t records)
{
    struct replica *replica = &cluster->replicas[id];
    uint64_t version = 0, ticket = 0;
    if (records > replica->record_count)
        records = replica->record_count;
    if (records == 0)
        return;
    for (size_t i = 0; i < records; i++) {
        struct record *record = &replica->records[i];
        ticket = record->ticket;
        if (record->version) {
            version = record->version;
            replica->durable_state = record->state;
        } else if (record->index > replica->durable_base) {
            replica->durable_log[record->index] = record->entry;
            replica->durable_last = record->index;
        }
    }
    replica->record_count -= records;
    memmove(replica->records, replica->records + records,
            replica->record_count * sizeof *replica->records);
    if (version) {
        struct raft_event saved = {.kind = RAFT_STATE_SAVED, .version = version};
        cluster_step(cluster, id, &saved);
    }
    struct raft_event persisted = {.kind = RAFT_PERSISTED, .ticket = ticket};
    cluster_step(cluster, id, &persisted);
}

/* ---- snapshots ---- */

static void keep_terms(struct replica *replica, uint64_t index)
{
    const struct raft_term_start *terms;
    replica->base_term_count = raft_term_starts(replica->raft, index, &terms);
    assert(replica->base_term_count <= BASE_TERMS_MAX);
    memcpy(replica->base_terms, terms, replica->base_term_count * sizeof *terms);
}

void cluster_compact(struct cluster *cluster, uint64_t id, uint64_t index)
{
    struct replica *replica = &cluster->replicas[id];
    struct raft_event event = {.kind = RAFT_COMPACTED, .index = index};
    if (is_witness(replica->raft, id) && index > cluster_view(cluster, id)->everywhere)
        index = cluster_view(cluster, id)->everywhere;
    event.index = index;
    if (index <= replica->base)
        return;
    const struct raft_configuration *configuration = raft_configuration_at(replica->raft, index);
    require(cluster,
            configuration && configuration->index == committed_configuration(cluster, index).index,
            "RAFT-14: not the configuration at %" PRIu64, index);
    replica->base = index;
    keep_terms(replica, index);
    if (replica->durable_base < index) /* else it has a newer one that raft did not need */
        replica->durable_base = index;
    spoil(replica->log, index);
    spoil(replica->durable_log, index);
    trace(cluster, "%" PRIu64 " compacts through %" PRIu64, id, index);
    cluster_step(cluster, id, &event);
}

/* RAFT-19: the snapshot is right, and what is committed here is not. */
static bool finds_void(struct cluster *cluster, uint64_t id, const struct raft_event *snapshot)
{
    struct raft_event event = {.kind = RAFT_FOUND_VOID};
    struct raft_term_start last = {snapshot->term, snapshot->index};
    if (raft_judge_snapshot(cluster->replicas[id].raft, last, snapshot->terms, snapshot->term_count,
                            &event.index) != RAFT_KINSHIP_VOID)
        return false;
    cluster_step(cluster, id, &event);
    return true;
}

bool cluster_install(struct cluster *cluster, uint64_t id)
{
    struct replica *replica = &cluster->replicas[id];
    struct raft_term_start terms[ENTRIES_MAX];
    if (cluster_view(cluster, id)->offered_index)
        cluster_persist(cluster, id, RECORDS_MAX); /* R3 */
    uint64_t index = cluster_view(cluster, id)->offered_index;
    uint64_t term = cluster_view(cluster, id)->offered_term;
    if (index == 0)
        return false;
    require(cluster, index <= cluster->committed_last && cluster->committed[index].term == term,
            "RAFT-14: %" PRIu64 " is offered %" PRIu64 ", which is not committed", id, index);
    struct raft_configuration configuration = committed_configuration(cluster, index);
    struct raft_event event = {.kind = RAFT_SNAPSHOT_INSTALLED,
                               .index = index,
                               .term = term,
                               .configurations = &configuration,
                               .terms = terms,
                               .term_count = committed_terms(cluster, index, terms)};
    if (finds_void(cluster, id, &event))
        return true;
    replica->durable_base = index;
    if (replica->durable_last < index || replica->durable_log[index].term != term)
        replica->durable_last = index;
    spoil(replica->durable_log, index);
    trace(cluster, "%" PRIu64 " installs through %" PRIu64, id, index);
    require(cluster, event.term_count <= BASE_TERMS_MAX, "too many terms");
    memcpy(replica->base_terms, terms, event.term_count * sizeof *terms);
    replica->base_term_count = event.term_count;
    cluster_step(cluster, id, &event);
    return true;
}

/* ---- delivery ---- */

static void receive_beat(struct cluster *cluster, const struct packet *packet)
{
    const struct raft_message *m = &packet->message;
    struct raft_event event = {.kind = packet->kind == PACKET_BEAT ? RAFT_HEARTBEAT
                                                                   : RAFT_HEARTBEAT_ANSWER,
                               .from = {packet->from},
                               .term = m->term,
                               .round = m->round,
                               .commit = m->commit,
                               .agreed = m->granted};
    event.message.wall_us = m->wall_us;
    cluster_step(cluster, packet->to, &event);
    if (packet->kind != PACKET_BEAT)
        return;
    struct replica *replica = &cluster->replicas[packet->to];
    struct packet answer = {.kind = PACKET_BEAT_ANSWER, .from = packet->to, .to = packet->from};
    answer.message.term = raft_view(replica->raft)->term;
    answer.message.round = m->round;
    answer.message.granted = raft_agrees(replica->raft, (struct replica_id){packet->from}, m->term);
    answer.message.wall_us = (int64_t)(cluster->now_ns / 1000) + replica->wall_offset_us;
    transmit(cluster, &answer);
}

static void receive_message(struct cluster *cluster, const struct packet *packet)
{
    const struct raft_message *m = &packet->message;
    uint64_t id = packet->to, terms[APPEND_MAX], indexes[APPEND_MAX];
    struct replica *replica = &cluster->replicas[id];
    struct raft_configuration configurations[APPEND_MAX];
    struct raft_event event = {.kind = RAFT_RECEIVE,
                               .message = *m,
                               .entry_terms = terms,
                               .configuration_indexes = indexes,
                               .configurations = configurations};
    for (uint64_t i = 0; m->kind == RAFT_APPEND && i < m->last_index - m->index; i++) {
        terms[i] = packet->entries[i].term;
        if (packet->entries[i].configuration) {
            configurations[event.configuration_count] =
                cluster->configurations[packet->entries[i].configuration - 1];
            indexes[event.configuration_count++] = m->index + 1 + i;
        }
    }
    cluster_step(cluster, id, &event);
    uint64_t from = raft_view(replica->raft)->accepted_from;
    for (uint64_t i = from; from && i <= m->last_index; i++)
        add_entry(cluster, replica, i, packet->entries[i - m->index - 1]);
    note_written(cluster, id);
}

void cluster_deliver(struct cluster *cluster, size_t place)
{
    struct packet packet = cluster->packets[place];
    cluster_drop(cluster, place);
    if (!cluster->replicas[packet.to].raft || cluster->cut[packet.from][packet.to])
        return;
    if (packet.kind == PACKET_MESSAGE)
        receive_message(cluster, &packet);
    else
        receive_beat(cluster, &packet);
}

void cluster_settle(struct cluster *cluster)
{
    bool moved = true;
    for (size_t turns = 0; moved; turns++) {
        require(cluster, turns < 10000, "the cluster does not come to rest");
        moved = cluster->packet_count > 0;
        if (moved)
            cluster_deliver(cluster, 0);
        for (uint64_t id = 1; id <= cluster->count; id++) {
            struct replica *replica = &cluster->replicas[id];
            if (!replica->raft)
                continue;
            moved = moved || replica->record_count || replica->round_wanted;
            if (cluster_view(cluster, id)->void_from)
                cluster_tick(cluster, id);
            moved = cluster_install(cluster, id) || moved;
            if (cluster->leaves_joint && cluster_view(cluster, id)->leave_joint)
                moved = cluster_leave(cluster, id) || moved;
            cluster_persist(cluster, id, RECORDS_MAX);
            if (replica->round_wanted)
                cluster_round(cluster, id);
        }
    }
}

void cluster_run(struct cluster *cluster, uint64_t ns)
{
    uint64_t end = cluster->now_ns + ns, pace = cluster->options.election_timeout_min_ns / 10;
    cluster_settle(cluster);
    while (cluster->now_ns < end) {
        cluster->now_ns += MILLISECOND;
        for (uint64_t id = 1; id <= cluster->count; id++) {
            if (!cluster->replicas[id].raft)
                continue;
            if (cluster_now_of(cluster, id) >= cluster_view(cluster, id)->deadline_ns)
                cluster_tick(cluster, id);
            if (cluster->now_ns % pace < MILLISECOND &&
                cluster_view(cluster, id)->role == RAFT_LEADER)
                cluster_round(cluster, id);
        }
        cluster_settle(cluster);
    }
}

uint64_t cluster_leader(const struct cluster *cluster)
{
    uint64_t leader = 0, term = 0;
    for (uint64_t id = 1; id <= cluster->count; id++) {
        if (!cluster->replicas[id].raft)
            continue;
        const struct raft_view *view = cluster_view(cluster, id);
        if (view->role == RAFT_LEADER && view->term > term) {
            leader = id;
            term = view->term;
        }
    }
    return leader;
}
