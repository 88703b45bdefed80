/* replay.c - a record of the ledger proposed again, on the leader of its partition (LOSS REPLAY).
 *
 *     gather: what all nodes have kept -> read: the log, from the first entry after the lost term
 * on
 *       -> run: each cut entry as one entry, behind ONCE -> commit -> report -> done
 *
 * What was written since the cut is known from the log itself, up to the turn in which an entry
 * runs. Each cut entry is a client of ONCE of its own, so it runs once however often it is asked
 * for and whoever leads; one that is skipped leaves nothing there, and may run later. */
#include "control/inside.h"

#include "base/memory.h"
#include "replica/ledger/ledger.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>

#define WALK_BYTES     (4u << 20) /* of the log in one turn */
#define RUN_ITEMS      256        /* entries in one turn */
#define RUN_BYTES      (1u << 20)
#define SKIPS_SIZE_MAX (64u << 20)
#define REPORT_NS      (2000 * 1000000ull) /* then it is done without: `system` hears of it later */
#define STEP_NS        (2 * 1000000ull)
#define NAME_SIZE      80

enum skip {
    SKIP_CHANGED = 1,
    SKIP_BEHIND,
    SKIP_TOGETHER,
    SKIP_UNTOLD,
    SKIP_DIFFERS,
    SKIP_REPEATED,
    SKIP_UNKEPT,
    SKIP_TOO_LARGE,
    SKIP_IN_LOG,
};

static const char *const skip_words[] = {
    [SKIP_CHANGED] = "changed since",
    [SKIP_BEHIND] = "an earlier write to it is skipped",
    [SKIP_TOGETHER] = "skipped with another key of the same write",
    [SKIP_UNTOLD] = "the log no longer tells whether it was changed since",
    [SKIP_DIFFERS] = "the write cannot be applied to what it holds now",
    [SKIP_REPEATED] = "its client has sent the write again",
    [SKIP_UNKEPT] = "only index and term of the write were kept",
    [SKIP_TOO_LARGE] = "too large for one entry",
    [SKIP_IN_LOG] = "the write is in the log: it was not lost after all",
};

/* ---- keys of the record ---- */

struct replay_key {
    uint64_t hash;
    bool changed, behind;
};

static int by_hash(const void *a, const void *b)
{
    const struct replay_key *left = a, *right = b;
    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

static struct replay_key *find_key(const struct replay *replay, const struct store_key *key)
{
    struct replay_key wanted = {.hash = store_key_hash(replay->store, key)};
    if (!replay->key_count)
        return NULL;
    return bsearch(&wanted, replay->keys, replay->key_count, sizeof wanted, by_hash);
}

static void add_key(void *owner, const struct store_key *key)
{
    struct replay *replay = owner;
    if (replay->key_count == replay->key_capacity) {
        replay->key_capacity = replay->key_capacity ? 2 * replay->key_capacity : 64;
        replay->keys = memory_resize(replay->keys, replay->key_capacity * sizeof *replay->keys);
    }
    replay->keys[replay->key_count++] =
        (struct replay_key){.hash = store_key_hash(replay->store, key)};
}

/* The commands of a cut entry; false: it was not kept. */
static bool payload_of(const struct ledger_item *item, struct slice *payload)
{
    struct slice bytes = item->bytes;
    struct wire_entry entry;
    if (!bytes.size || wire_entry_take(&bytes, &entry) || entry.kind != WIRE_ENTRY_COMMANDS)
        return false;
    *payload = entry.payload;
    return true;
}

static void collect_keys(struct replay *replay, const struct command_table *commands)
{
    const struct ledger_cut *cut = ledger_find(replay->items, replay->group, replay->term);
    struct slice payload;
    bool whole;
    for (size_t i = 0; i < cut->count; i++)
        if (payload_of(&cut->items[i], &payload))
            (void)!command_replay_keys(commands, payload, add_key, replay, &whole);
    size_t kept = 0;
    if (replay->key_count)
        qsort(replay->keys, replay->key_count, sizeof *replay->keys, by_hash);
    for (size_t i = 0; i < replay->key_count; i++)
        if (!kept || replay->keys[kept - 1].hash != replay->keys[i].hash)
            replay->keys[kept++] = replay->keys[i];
    replay->key_count = kept;
}

/* ---- what the log says of them since ---- */

/* The name of a cut entry as a client of ONCE; index 0: what all of the record begin with. */
static struct slice name_of(const struct replay *replay, uint64_t index, char name[NAME_SIZE])
{
    int size = snprintf(name + 1, NAME_SIZE - 1, "loss %llu-%llu ",
                        (unsigned long long)replay->group.value, (unsigned long long)replay->term);
    name[0] = COMMAND_ONCE_OWN;
    if (index)
        size += snprintf(name + 1 + size, NAME_SIZE - 1 - (size_t)size, "%llu",
                         (unsigned long long)index);
    return slice_of(name, (size_t)size + 1);
}

struct look {
    struct replay *replay;
    bool own;
};

static void look_for_own(void *owner, const struct command *command, uint8_t database,
                         const struct slice *arguments, size_t count)
{
    struct look *look = owner;
    char name[NAME_SIZE];
    struct slice own = name_of(look->replay, 0, name);
    (void)database;
    look->own |= count > 1 && strcmp(command->name, "_ONCE") == 0 && arguments[1].size > own.size &&
                 memcmp(arguments[1].at, own.at, own.size) == 0;
}

static void mark_changed(void *owner, const struct store_key *key)
{
    struct replay *replay = owner;
    struct replay_key *found = find_key(replay, key);
    if (found)
        found->changed = true;
    replay->any_changed = true;
}

/* What this record itself has brought back is no change. */
static void see_entry(void *owner, const struct wire_entry *entry)
{
    struct replay *replay = owner;
    struct look look = {.replay = replay};
    bool whole = false;
    if (entry->kind != WIRE_ENTRY_COMMANDS)
        return;
    (void)!command_effect_each(replay->commands, entry->payload, look_for_own, &look);
    if (look.own)
        return;
    (void)!command_replay_keys(replay->commands, entry->payload, mark_changed, replay, &whole);
    replay->all_changed |= whole;
}

/* ---- one cut entry ---- */

struct verdicts {
    struct replay *replay;
    const struct ledger_item *item;
    enum skip found; /* the reason that stops it; 0: none */
    bool telling;
};

static enum skip reason_of(const struct replay *replay, const struct store_key *key)
{
    const struct replay_key *known = find_key(replay, key);
    if (replay->walk.lost)
        return SKIP_UNTOLD;
    if (replay->all_changed || (known && known->changed))
        return SKIP_CHANGED;
    return known && known->behind ? SKIP_BEHIND : 0;
}

static void tell_skip(struct replay *replay, const struct store_key *key, uint64_t index,
                      enum skip why)
{
    struct reply reply = {.out = &replay->skips, .protocol = 2};
    if (key)
        reply_bulk(&reply, key->bytes);
    else
        reply_null(&reply);
    reply_integer(&reply, key ? key->database : -1);
    reply_integer(&reply, (int64_t)index);
    reply_integer(&reply, why);
    replay->skip_count++;
}

static void judge_key(void *owner, const struct store_key *key)
{
    struct verdicts *verdicts = owner;
    enum skip why = verdicts->replay->overwrites ? 0 : reason_of(verdicts->replay, key);
    if (!verdicts->telling) {
        verdicts->found = verdicts->found ? verdicts->found : why;
        return;
    }
    bool own = verdicts->found >= SKIP_DIFFERS;
    tell_skip(verdicts->replay, key, verdicts->item->index,
              own   ? verdicts->found
              : why ? why
                    : SKIP_TOGETHER);
    struct replay_key *known = find_key(verdicts->replay, key);
    if (known && verdicts->found != SKIP_IN_LOG)
        known->behind = true;
}

/* Why an entry does not run; 0: it does. */
static enum skip judge(struct replay *replay, const struct ledger_item *item, struct slice payload,
                       int64_t now_us)
{
    struct verdicts verdicts = {.replay = replay, .item = item};
    bool whole;
    if (command_replay_keys(replay->commands, payload, judge_key, &verdicts, &whole))
        return SKIP_DIFFERS;
    if (!verdicts.found && whole && !replay->overwrites)
        verdicts.found = replay->walk.lost ? SKIP_UNTOLD : replay->any_changed ? SKIP_CHANGED : 0;
    if (verdicts.found)
        return verdicts.found;
    switch (command_replay_try(replay->commands, replay->store, payload, now_us)) {
    case COMMAND_REPLAY_FITS: return 0;
    case COMMAND_REPLAY_DIFFERS: return SKIP_DIFFERS;
    case COMMAND_REPLAY_REPEATED: return SKIP_REPEATED;
    }
    return SKIP_DIFFERS;
}

/* Key by key; one of all keys is told without a name. */
static void skip(struct replay *replay, const struct ledger_item *item, struct slice payload,
                 enum skip why)
{
    struct verdicts verdicts = {.replay = replay, .item = item, .found = why, .telling = true};
    size_t before = replay->skip_count;
    bool whole;
    replay->skipped++;
    (void)!command_replay_keys(replay->commands, payload, judge_key, &verdicts, &whole);
    if (replay->skip_count == before)
        tell_skip(replay, NULL, item->index, why);
}

/* False: the log takes nothing now. Between judge and here only the time has moved on: what has
 * expired by now may stop it yet. */
static bool propose(struct replay *replay, struct replica *replica, struct replica_turn *turn,
                    const struct ledger_item *item, struct slice payload)
{
    char name[NAME_SIZE];
    struct store_once_request once = {.client = name_of(replay, item->index, name), .number = 1};
    struct slice words[2] = {slice_of_text(command_replay.name), payload};
    struct buffer out;
    buffer_init(&out, 4096);
    struct reply reply = {.out = &out, .protocol = 2};
    struct command_call call = {
        .command = &command_replay, .arguments = words, .count = 2, .once = &once, .reply = &reply};
    struct replica_gate gate = {.ack = WIRE_ACK_QUORUM};
    enum replica_outcome outcome = replica_execute(replica, turn, &call, &gate);
    buffer_deinit(&out);
    if (outcome != REPLICA_RAN && !call.may_write)
        return false;
    if (outcome != REPLICA_RAN)
        skip(replay, item, payload, SKIP_DIFFERS);
    else if (call.failed)
        skip(replay, item, payload, SKIP_TOO_LARGE);
    else
        replay->replayed++;
    return true;
}

/* CONTROL-13 */
static bool run_item(struct replay *replay, struct replica *replica, struct replica_turn *turn,
                     const struct ledger_item *item)
{
    char name[NAME_SIZE];
    struct slice payload = {0}, kept;
    struct slice client = name_of(replay, item->index, name);
    enum skip why = payload_of(item, &payload) ? 0 : SKIP_UNKEPT;
    if (item->verdict == LEDGER_NOT) {
        replay->untold++; /* nobody was told of it, or was told that nobody knows */
        return true;
    }
    if (store_once_find(replay->store, client, 1, &kept) != STORE_ONCE_NEW) {
        replay->before++;
        return true;
    }
    /* Cut by a leader whose own entries came to nothing: who still had it led next. */
    if (raft_term_at(replica_raft(replica), item->index) == replay->term)
        why = SKIP_IN_LOG;
    if (!why)
        why = judge(replay, item, payload, replica_last_entry_us(replica) + 1);
    if (!why)
        return propose(replay, replica, turn, item, payload);
    skip(replay, item, payload, why);
    return true;
}

/* ---- the stages ---- */

static void forget(struct replay *replay)
{
    ledger_destroy(replay->items);
    memory_free(replay->keys);
    replay->items = NULL;
    replay->keys = NULL;
    replay->key_count = replay->key_capacity = 0;
}

void replay_deinit(struct control *control)
{
    forget(&control->replay);
    buffer_deinit(&control->replay.skips);
}

/* Begun anew by whoever asks again, with what has run behind ONCE. */
static void give_up(struct replay *replay)
{
    forget(replay);
    replay->stage = REPLAY_IDLE;
    replay->ticket = 0;
}

static void end(struct replay *replay, struct replica *replica)
{
    replica_walk_end(replica);
    forget(replay);
    replay->stage = REPLAY_DONE;
}

static void gather(struct control *control, struct replica *replica)
{
    struct replay *replay = &control->replay;
    const struct ledger_cut *cut;
    if (control_gather(control, replay->group, replay->term, false, &cut, &replay->missing))
        return;
    if (!cut || !cut->count) {
        end(replay, replica);
        return;
    }
    replay->items = ledger_create(control->io, "", 0, replay->commands);
    for (size_t i = 0; i < cut->count; i++)
        ledger_merge(replay->items, replay->group, replay->term, &cut->items[i]);
    replay->total = cut->count;
    collect_keys(replay, replay->commands);
    uint64_t first = replica_first_after(replica, replay->term);
    replay->walk =
        (struct replica_walk){.next = first, .each = see_entry, .owner = replay, .lost = !first};
    replica_walk_begin(replica, &replay->walk);
    replay->stage = REPLAY_RUN;
}

static void run(struct control *control, struct replica *replica)
{
    struct replay *replay = &control->replay;
    struct replica_turn *turn = node_turn(control->node);
    size_t bytes = 0;
    if (!replica_walk_on(replica, turn, WALK_BYTES))
        return;
    const struct ledger_cut *cut = ledger_find(replay->items, replay->group, replay->term);
    for (size_t i = 0; i < RUN_ITEMS && bytes < RUN_BYTES && replay->at < cut->count; i++) {
        const struct ledger_item *item = &cut->items[replay->at];
        if (!run_item(replay, replica, turn, item)) {
            replay->disk_is_full = true;
            end(replay, replica);
            return;
        }
        bytes += item->bytes.size;
        replay->at++;
    }
    if (replay->at < cut->count)
        return;
    /* What was skipped rests on the log here, as a read does: it is told when that is committed. */
    replay->gate = (struct replica_gate){.index = raft_view(replica_raft(replica))->last_index,
                                         .term = replay->serving_term,
                                         .asked_ns = turn->now_ns};
    replay->stage = REPLAY_COMMIT;
}

static bool report(struct control *control)
{
    struct replay *replay = &control->replay;
    char text[CONTROL_REPORT_TEXT_MAX];
    uint64_t done = replay->replayed + replay->before;
    snprintf(replay->key, sizeof replay->key, "loss:%llu-%llu-p",
             (unsigned long long)replay->group.value, (unsigned long long)replay->term);
    json_t *root = json_pack("{s:i,s:I,s:I,s:I,s:b}", "version", 1, "replayed", (json_int_t)done,
                             "skipped", (json_int_t)replay->skipped, "writes",
                             (json_int_t)replay->total, "overwrite", (int)replay->overwrites);
    size_t size = json_dumpb(root, text, sizeof text, JSON_COMPACT);
    json_decref(root);
    return size > 0 && size < sizeof text &&
           control_report(control, replay->key, slice_of(text, size));
}

static void commit(struct control *control, struct replica *replica)
{
    struct replay *replay = &control->replay;
    struct replica_turn *turn = node_turn(control->node);
    switch (replica_gate(replica, turn, &replay->gate, io_now_ns(control->io))) {
    case REPLICA_GATE_OPEN:
        replay->report_until_ns = turn->now_ns + REPORT_NS;
        if (report(control))
            replay->stage = REPLAY_REPORT;
        return;
    case REPLICA_GATE_UNCONFIRMED: turn->round_wanted = true; return;
    case REPLICA_GATE_WAITS: return;
    case REPLICA_GATE_CUT:
    case REPLICA_GATE_LOST: replica_walk_end(replica); give_up(replay);
    }
}

void replay_tick(struct control *control)
{
    struct replay *replay = &control->replay;
    if (replay->stage == REPLAY_IDLE || replay->stage == REPLAY_DONE)
        return;
    struct replica *replica = node_group(control->node, replay->group);
    uint64_t now_ns = node_turn(control->node)->now_ns;
    replay->next_ns = now_ns + STEP_NS;
    if (!replica || replica_store(replica) != replay->store || !replica_is_serving(replica) ||
        raft_view(replica_raft(replica))->term != replay->serving_term) {
        if (replica)
            replica_walk_end(replica);
        give_up(replay);
        return;
    }
    if (replay->stage == REPLAY_GATHER)
        gather(control, replica);
    if (replay->stage == REPLAY_RUN)
        run(control, replica);
    if (replay->stage == REPLAY_COMMIT)
        commit(control, replica);
    if (replay->stage == REPLAY_REPORT &&
        (control_is_reported(control, replay->key) || now_ns >= replay->report_until_ns))
        end(replay, replica);
}

uint64_t replay_deadline_ns(const struct control *control)
{
    enum replay_stage stage = control->replay.stage;
    return stage == REPLAY_IDLE || stage == REPLAY_DONE ? UINT64_MAX : control->replay.next_ns;
}

/* ---- for whoever asks ---- */

static void begin(struct control *control, struct replica *replica, const struct replay_wish *wish)
{
    struct replay *replay = &control->replay;
    forget(replay);
    buffer_deinit(&replay->skips);
    *replay = (struct replay){.stage = REPLAY_GATHER,
                              .group = wish->group,
                              .term = wish->term,
                              .ticket = wish->ticket,
                              .overwrites = wish->overwrites,
                              .store = replica_store(replica),
                              .commands = node_turn(control->node)->commands,
                              .serving_term = raft_view(replica_raft(replica))->term};
    buffer_init(&replay->skips, SKIPS_SIZE_MAX);
}

static void tell(const struct replay *replay, struct reply *reply)
{
    const uint64_t numbers[CONTROL_REPLAY_NUMBERS] = {replay->replayed, replay->before,
                                                      replay->untold,   replay->skipped,
                                                      replay->missing,  replay->total};
    if (replay->disk_is_full) {
        reply_error(reply,
                    "MISCONF the leader's disk is full: %llu writes were replayed and the others "
                    "not; send it again when there is room",
                    (unsigned long long)numbers[0]);
        return;
    }
    reply_array(reply, CONTROL_REPLAY_NUMBERS + CONTROL_REPLAY_WORDS * replay->skip_count);
    for (size_t i = 0; i < CONTROL_REPLAY_NUMBERS; i++)
        reply_integer(reply, (int64_t)numbers[i]);
    (void)!buffer_append(reply->out, replay->skips.at, replay->skips.size);
}

void replay_serve(struct control *control, const struct replay_wish *wish, struct reply *reply)
{
    struct replay *replay = &control->replay;
    struct replica *replica = node_group(control->node, wish->group);
    char text[40];
    if (!replica || !replica_is_serving(replica)) {
        struct node_id leader = node_known_leader_of(control->node, wish->group);
        snprintf(text, sizeof text, "ELSEWHERE %u", (unsigned)leader.value);
        reply_status(reply, text);
        return;
    }
    bool ends = replay->stage == REPLAY_IDLE || replay->stage == REPLAY_DONE;
    if (replay->ticket != wish->ticket && !ends) {
        reply_status(reply, "BUSY");
        return;
    }
    if (replay->ticket == wish->ticket && replay->stage == REPLAY_DONE) {
        tell(replay, reply);
        return;
    }
    if (replay->ticket != wish->ticket)
        begin(control, replica, wish);
    reply_status(reply, "RUNNING");
}

const char *control_skip_word(int64_t why)
{
    bool known = why > 0 && (size_t)why < sizeof skip_words / sizeof skip_words[0];
    return known ? skip_words[why] : "skipped";
}
