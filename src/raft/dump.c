/* dump.c - one readable text of a raft, for scripts and for people. */
#include "raft/state.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_SIZE_MAX 256

__attribute__((format(printf, 2, 3))) static void print(struct buffer *text, const char *format,
                                                        ...)
{
    char line[LINE_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 1)
        size = sizeof line - 1;
    if (size > 0 && buffer_append(text, line, (size_t)size))
        return; /* a full buffer cuts the text off, nothing else */
}

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
    print(text, "  log");
    if (view->first_index > 1)
        print(text, " first %llu", (unsigned long long)view->first_index);
    print(text, " last %llu persisted %llu commit %llu terms", (unsigned long long)view->last_index,
          (unsigned long long)view->persisted, (unsigned long long)view->commit);
    for (size_t i = 0; i < raft->terms.count; i++)
        print(text, " %llu@%llu", (unsigned long long)raft->terms.starts[i].term,
              (unsigned long long)raft->terms.starts[i].first_index);
    print(text, "\n");
}

static void print_members(const struct raft *raft, struct buffer *text)
{
    static const char *const kinds[] = {"-", "voter", "learner", "witness"};
    const struct raft_configuration *c = raft_configuration(raft);
    print(text, "  configuration at %llu C %u E %u", (unsigned long long)c->index, c->commit_quorum,
          c->election_quorum);
    if (c->joint)
        print(text, " joint with C %u E %u", c->old_commit_quorum, c->old_election_quorum);
    for (size_t i = 0; i < c->member_count; i++) {
        print(text, ", %llu %s", (unsigned long long)c->members[i].replica.value,
              kinds[c->members[i].kind]);
        if (c->joint)
            print(text, "/%s", kinds[c->members[i].old_kind]);
        if (c->members[i].out_of_sync)
            print(text, " out of sync");
    }
    print(text, "\n");
}

static void print_progress(const struct raft *raft, struct buffer *text)
{
    const struct raft_view *view = &raft->view;
    print(text, "  rounds %llu confirmed %llu\n", (unsigned long long)view->round,
          (unsigned long long)view->confirmed_round);
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        if (i == raft->self_place)
            continue;
        print(text, "  peer %llu written %llu persisted %llu next %llu round %llu%s",
              (unsigned long long)peer->replica.value, (unsigned long long)peer->written,
              (unsigned long long)peer->persisted, (unsigned long long)peer->next,
              (unsigned long long)peer->round, peer->probing ? " probing" : "");
        if (peer->snapshot > peer->written)
            print(text, " snapshot %llu", (unsigned long long)peer->snapshot);
        print(text, "\n");
    }
}

void raft_dump(const struct raft *raft, struct buffer *text)
{
    const struct raft_view *view = &raft->view;
    print(text, "replica %llu %s term %llu vote %llu leader %llu",
          (unsigned long long)raft->options.self.value, role_text(view->role),
          (unsigned long long)view->term, (unsigned long long)raft->vote.value,
          (unsigned long long)view->leader.value);
    if (view->unsure)
        print(text, " unsure");
    if (view->saved_version != view->state_version)
        print(text, " unsaved");
    if (raft->ignored)
        print(text, " ignored %llu", (unsigned long long)raft->ignored);
    print(text, "\n");
    print_log(raft, text);
    print_members(raft, text);
    if (view->role == RAFT_LEADER)
        print_progress(raft, text);
}
