/* dump.c - one readable text of a raft, for scripts and for people. */
#include "raft/state.h"

static const char *role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER: return "follower";
    case RAFT_PRE_CANDIDATE: return "pre-candidate";
    case RAFT_CANDIDATE: return "candidate";
    case RAFT_LEADER: return "leader";
    }
    return "?";
}

static void print_log(const struct raft *raft, struct buffer *text)
{
    const struct raft_view *view = &raft->view;
    buffer_print(text, "  log");
    if (view->first_index > 1)
        buffer_print(text, " first %llu", (unsigned long long)view->first_index);
    buffer_print(text, " last %llu persisted %llu commit %llu terms",
                 (unsigned long long)view->last_index, (unsigned long long)view->persisted,
                 (unsigned long long)view->commit);
    for (size_t i = 0; i < raft->terms.count; i++)
        buffer_print(text, " %llu@%llu", (unsigned long long)raft->terms.starts[i].term,
                     (unsigned long long)raft->terms.starts[i].first_index);
    buffer_print(text, "\n");
}

static void print_members(const struct raft *raft, struct buffer *text)
{
    static const char *const kinds[] = {"-", "voter", "learner", "witness"};
    const struct raft_configuration *c = raft_configuration(raft);
    buffer_print(text, "  configuration at %llu C %u E %u", (unsigned long long)c->index,
                 c->commit_quorum, c->election_quorum);
    if (c->sync)
        buffer_print(text, " sync %u", c->sync);
    if (c->joint)
        buffer_print(text, " joint with C %u E %u", c->old_commit_quorum, c->old_election_quorum);
    for (size_t i = 0; i < c->member_count; i++) {
        buffer_print(text, ", %llu %s", (unsigned long long)c->members[i].replica.value,
                     kinds[c->members[i].kind]);
        if (c->joint)
            buffer_print(text, "/%s", kinds[c->members[i].old_kind]);
        if (c->members[i].out_of_sync)
            buffer_print(text, " out of sync");
    }
    buffer_print(text, "\n");
}

static void print_progress(const struct raft *raft, struct buffer *text)
{
    const struct raft_view *view = &raft->view;
    buffer_print(text, "  rounds %llu confirmed %llu\n", (unsigned long long)view->round,
                 (unsigned long long)view->confirmed_round);
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        if (i == raft->self_place)
            continue;
        buffer_print(text, "  peer %llu written %llu persisted %llu next %llu round %llu%s",
                     (unsigned long long)peer->replica.value, (unsigned long long)peer->written,
                     (unsigned long long)peer->persisted, (unsigned long long)peer->next,
                     (unsigned long long)peer->round, peer->probing ? " probing" : "");
        if (peer->snapshot > peer->written)
            buffer_print(text, " snapshot %llu", (unsigned long long)peer->snapshot);
        buffer_print(text, "\n");
    }
}

void raft_dump(const struct raft *raft, struct buffer *text)
{
    const struct raft_view *view = &raft->view;
    buffer_print(text, "replica %llu %s term %llu vote %llu leader %llu",
                 (unsigned long long)raft->options.self.value, role_text(view->role),
                 (unsigned long long)view->term, (unsigned long long)raft->vote.value,
                 (unsigned long long)view->leader.value);
    if (view->unsure)
        buffer_print(text, " unsure");
    if (view->history.term)
        buffer_print(text, " history %llu@%llu", (unsigned long long)view->history.term,
                     (unsigned long long)view->history.index);
    if (view->void_from)
        buffer_print(text, " void from %llu", (unsigned long long)view->void_from);
    if (view->saved_version != view->state_version)
        buffer_print(text, " unsaved");
    if (raft->ignored)
        buffer_print(text, " ignored %llu", (unsigned long long)raft->ignored);
    buffer_print(text, "\n");
    print_log(raft, text);
    print_members(raft, text);
    if (view->role == RAFT_LEADER)
        print_progress(raft, text);
}
