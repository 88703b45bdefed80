/* WAIT, WAITAOF: how many copies the writes of this connection have. They stand in the line of
 * replies like any request, so all writes before them are committed when they are looked at; what
 * they wait for is more than that.
 *
 *   WAIT n ms            how many other replicas have them, after at most ms (0: no limit)
 *   WAIT QUORUM|ALL ms   how many replicas have them, or an error: never a number that is too low
 *   WAITAOF local n ms   on the leader's disk, on how many other disks */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define PATIENCE_MAX_MS 86400000

static bool is_aof(const struct command *command)
{
    return command->name[4] != 0;
}

static bool read_count(struct slice word, int64_t most, unsigned *out)
{
    int64_t number;
    if (slice_to_i64(word, &number) || number < 0 || number > most)
        return false;
    *out = (unsigned)number;
    return true;
}

static bool read_wanted(const struct routed_call *call, struct wait *wait, unsigned voters)
{
    struct slice word = call->arguments[1];
    bool quorum = slice_is_word(word, "QUORUM"), all = slice_is_word(word, "ALL");
    unsigned local = 0;
    wait->aof = is_aof(call->command);
    wait->strict = !wait->aof && (quorum || all);
    if (wait->strict) {
        wait->copies = all ? voters : voters / 2 + 1;
        return true;
    }
    if (wait->aof && !read_count(word, 1, &local))
        return false;
    wait->local = local;
    return read_count(call->arguments[wait->aof ? 2 : 1], 1000000, &wait->copies);
}

/* NULL, or why not. */
static const char *read_call(const struct routed_call *call, struct wait *wait, unsigned voters)
{
    int64_t ms;
    *wait = (struct wait){0};
    if (!read_wanted(call, wait, voters))
        return wait->aof ? "ERR value is not an integer or out of range; WAITAOF takes 0 or 1 for "
                           "the leader's disk, then a number of other disks"
                         : "ERR value is not an integer or out of range; WAIT takes a number, "
                           "QUORUM or ALL";
    if (slice_to_i64(call->arguments[call->count - 1], &ms) || ms > PATIENCE_MAX_MS)
        return "ERR timeout is not an integer or out of range";
    if (ms < 0)
        return "ERR timeout is negative";
    wait->limit_ns = (uint64_t)ms * 1000000;
    return NULL;
}

bool wait_run(struct server *server, struct session *session, struct pending *pending,
              struct replica *replica, const struct routed_call *call)
{
    struct wait wait;
    const char *error = read_call(call, &wait, replica_voters(replica));
    uint64_t now_ns = node_turn(server->node)->now_ns;
    if (error) {
        reply_error(call->reply, "%s", error);
        return true;
    }
    wait.deadline_ns = wait.limit_ns ? now_ns + wait.limit_ns : UINT64_MAX;
    const struct written *written = session_written(session, pending->group);
    if (written) { /* else: nothing was written */
        wait.index = written->index;
        wait.term = written->term;
    }
    pending->wait = memory_allocate(sizeof wait);
    *pending->wait = wait;
    pending->kind = PENDING_WAIT;
    return true;
}

/* A leader that a change has taken out of the voters is no copy of a strict one. */
static void answer(struct pending *pending, unsigned local, unsigned others, unsigned copies)
{
    struct buffer bytes;
    buffer_init(&bytes, 256);
    struct reply reply = {.out = &bytes, .protocol = pending->protocol};
    if (pending->wait->aof) {
        reply_array(&reply, 2);
        reply_integer(&reply, local);
        reply_integer(&reply, others);
    } else {
        reply_integer(&reply, pending->wait->strict ? copies : others);
    }
    session_set_reply(pending, slice_of_buffer(&bytes));
    buffer_deinit(&bytes);
}

static void give_up(struct server *server, struct session *session, struct pending *pending,
                    unsigned copies)
{
    char error[160];
    snprintf(error, sizeof error,
             "NOREPLICAS the writes of this connection are on %u replicas, not on %u, after %llu "
             "ms; WHY "
             "KEYSPACE names what is missing",
             copies, pending->wait->copies,
             (unsigned long long)(pending->wait->limit_ns / 1000000));
    session_fail(server, session, pending, error);
}

bool wait_settle(struct server *server, struct session *session, struct pending *pending)
{
    const struct wait *wait = pending->wait;
    struct replica *replica = node_group(server->node, pending->group);
    if (!replica || !replica_is_serving(replica) ||
        (wait->index && raft_view(replica_raft(replica))->term != wait->term)) {
        session_fail(server, session, pending,
                     "UNBLOCKED the leader changed while waiting; ask again");
        return true;
    }
    unsigned copies = replica_copies(replica, wait->index);
    unsigned local = raft_view(replica_raft(replica))->persisted >= wait->index;
    unsigned others = replica_copies_elsewhere(replica, wait->index);
    bool enough =
        wait->strict ? copies >= wait->copies : others >= wait->copies && local >= wait->local;
    if (enough || (!wait->strict && server->release_ns >= wait->deadline_ns)) {
        answer(pending, local, others, copies);
        return true;
    }
    if (server->release_ns < wait->deadline_ns)
        return false;
    give_up(server, session, pending, copies);
    return true;
}

uint64_t wait_patience_ns(const struct command *command, const struct slice *arguments,
                          size_t count)
{
    int64_t ms = 0;
    bool waits = strncmp(command->name, "WAIT", 4) == 0;
    if (!waits || slice_to_i64(arguments[count - 1], &ms) || ms < 0 || ms > PATIENCE_MAX_MS)
        return 0;
    return (ms ? (uint64_t)ms : PATIENCE_MAX_MS) * 1000000;
}
