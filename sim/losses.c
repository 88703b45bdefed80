/* Where each written value has stood, and what became of those places. */
#include "sim/losses.h"

#include "base/memory.h"
#include "control/control.h"
#include "replica/ledger/ledger.h"
#include "replica/log/log.h"
#include "resp/resp.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_MAX (8u << 20)

/* An entry of a leader that had the value in it. */
struct place {
    struct group_id group;
    uint64_t index, term;
    uint32_t next; /* of the same value, plus 1; 0: none */
};

struct seen { /* of a group, on one node: what it led with */
    uint64_t term, index;
};

struct losses {
    struct seen seen[ORACLE_NODES_MAX][ORACLE_GROUPS_MAX];
    struct place *places; /* owned */
    size_t place_count, place_capacity;
    uint32_t *first; /* owned; by the value's number: its newest place, plus 1 */
    size_t first_count;
};

struct losses *losses_create(void)
{
    return memory_zeroed(1, sizeof(struct losses));
}

void losses_destroy(struct losses *losses)
{
    if (!losses)
        return;
    memory_free(losses->places);
    memory_free(losses->first);
    memory_free(losses);
}

/* ---- places ---- */

static void add_place(struct losses *losses, uint64_t value, const struct wire_entry *entry)
{
    if (value >= losses->first_count) {
        size_t count = 2 * (size_t)value + 1024;
        losses->first = memory_resize(losses->first, count * sizeof *losses->first);
        memset(losses->first + losses->first_count, 0,
               (count - losses->first_count) * sizeof *losses->first);
        losses->first_count = count;
    }
    if (losses->place_count == losses->place_capacity) {
        losses->place_capacity = losses->place_capacity ? 2 * losses->place_capacity : 1024;
        losses->places =
            memory_resize(losses->places, losses->place_capacity * sizeof *losses->places);
    }
    losses->places[losses->place_count++] = (struct place){.group = entry->group,
                                                           .index = entry->index,
                                                           .term = entry->term,
                                                           .next = losses->first[value]};
    losses->first[value] = (uint32_t)losses->place_count;
}

/* "v123." wherever it stands (workload.c, draw_value). */
static void note_entry(struct losses *losses, const struct wire_entry *entry)
{
    const char *at = (const char *)entry->payload.at, *end = at + entry->payload.size;
    for (; at < end; at++) {
        uint64_t value = 0;
        const char *digit = at + 1;
        if (*at != 'v')
            continue;
        for (; digit < end && *digit >= '0' && *digit <= '9' && digit - at < 9; digit++)
            value = 10 * value + (uint64_t)(*digit - '0');
        if (digit > at + 1 && digit < end && *digit == '.')
            add_place(losses, value, entry);
    }
}

static void note_group(struct losses *losses, unsigned node, const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    uint64_t group = replica_group(replica).value;
    if (view->role != RAFT_LEADER || group <= GROUP_DEFAULT.value || group >= ORACLE_GROUPS_MAX)
        return;
    struct seen *seen = &losses->seen[node][group];
    if (seen->term != view->term)
        *seen = (struct seen){.term = view->term, .index = view->term_start};
    for (; seen->index < view->last_index; seen->index++) {
        struct wire_entry entry;
        if (!entries_have(&replica->entries, seen->index + 1))
            continue;
        struct slice bytes = entries_at(&replica->entries, seen->index + 1);
        if (wire_entry_take_checked(&bytes, &entry) == STATUS_OK)
            note_entry(losses, &entry);
    }
}

void losses_turned(struct losses *losses, unsigned node, struct node *inside)
{
    for (size_t i = 0; node_is_started(inside) && i < node_group_count(inside); i++)
        note_group(losses, node, node_group_at(inside, i));
}

/* ---- LOSS LIST ---- */

/* As the leader of `system` answers it; what is told is told by a replica that has everything. */
static bool ask_list(const struct cluster *cluster, struct buffer *out)
{
    struct replica *replica = NULL;
    for (unsigned i = 0; i < cluster->options.nodes && !replica; i++)
        if (cluster_is_formed(cluster, i))
            replica =
                node_group(worker_node(cluster_worker(cluster, i, GROUP_SYSTEM)), GROUP_SYSTEM);
    if (!replica)
        return false;
    struct slice words[] = {slice_of_text("LOSS"), slice_of_text("LIST")};
    struct reply reply = {.out = out, .protocol = 3};
    struct command_call call = {
        .store = replica_store(replica), .arguments = words, .count = 2, .reply = &reply};
    control_execute_loss(&call);
    return true;
}

/* The state that the list gives for a term; NULL: it is not in it. The list is flat enough: ids and
 * states are the only texts of their names. */
static const char *state_in(struct slice list, struct group_id group, uint64_t term, char state[16])
{
    struct resp_item item, value;
    bool is_it = false;
    char id[48];
    snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)group.value, (unsigned long long)term);
    while (!resp_item_take(&list, &item)) {
        bool names_id = item.type == '$' && slice_equal(item.bytes, slice_of_text("id"));
        bool names_state = item.type == '$' && slice_equal(item.bytes, slice_of_text("state"));
        if ((!names_id && !names_state) || resp_item_take(&list, &value))
            continue;
        if (names_id)
            is_it = slice_equal(value.bytes, slice_of_text(id));
        if (names_state && is_it) {
            snprintf(state, 16, "%.*s", (int)value.bytes.size, (const char *)value.bytes.at);
            return state;
        }
    }
    return NULL;
}

/* ---- the ledgers ---- */

struct asked {
    const struct losses *losses;
    const struct cluster *cluster;
    struct buffer list;
    struct losses_facts facts;
};

static struct ledger *ledger_of(const struct cluster *cluster, unsigned node, unsigned worker)
{
    struct worker *at = cluster->nodes[node].workers[worker];
    return at && node_is_started(worker_node(at)) ? node_ledger(worker_node(at)) : NULL;
}

/* Calls `each` for every cut of every ledger until it says false. */
static bool each_cut(const struct cluster *cluster, struct asked *asked,
                     bool (*each)(struct asked *asked, const struct ledger_cut *cut))
{
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (unsigned w = 0; w < cluster->nodes[i].worker_count; w++) {
            const struct ledger *ledger = ledger_of(cluster, i, w);
            for (size_t c = 0; ledger && c < ledger_count(ledger); c++)
                if (!each(asked, ledger_at(ledger, c)))
                    return false;
        }
    return true;
}

static bool is_lost(const struct ledger_cut *cut)
{
    return ledger_verdicts(cut, LEDGER_ACKNOWLEDGED) || ledger_verdicts(cut, LEDGER_POSSIBLY);
}

/* Of a keyspace that was dropped nobody can say what it had. */
static bool is_decided(const struct cluster *cluster, const struct ledger_cut *cut)
{
    bool lives = false;
    for (unsigned i = 0; i < cluster->options.nodes && !lives; i++)
        lives = cluster_is_formed(cluster, i) &&
                node_group(worker_node(cluster_worker(cluster, i, cut->group)), cut->group);
    return cut->decided || cut->discarded || !lives;
}

static bool is_told(struct asked *asked, const struct ledger_cut *cut)
{
    char state[16];
    if (!is_decided(asked->cluster, cut))
        return false;
    return !is_lost(cut) || state_in(slice_of_buffer(&asked->list), cut->group, cut->term, state);
}

static bool begin(struct asked *asked, const struct losses *losses, const struct cluster *cluster)
{
    *asked = (struct asked){.losses = losses, .cluster = cluster};
    buffer_init(&asked->list, LIST_MAX);
    return ask_list(cluster, &asked->list);
}

bool losses_are_told(const struct cluster *cluster)
{
    struct asked asked;
    bool told = begin(&asked, NULL, cluster) && each_cut(cluster, &asked, is_told);
    buffer_deinit(&asked.list);
    return told;
}

/* LEDGER-4 */
static bool is_cut(struct asked *asked, const struct ledger_cut *cut)
{
    for (size_t i = 0; i < cut->count; i++) {
        bool restored = cut->items[i].verdict == LEDGER_RESTORED;
        if (!cut->decided || restored == oracle_is_committed(asked->cluster->oracle, cut->group,
                                                             cut->items[i].index, cut->term))
            continue;
        verdict_fail(asked->cluster->verdict, "ledger",
                     "the ledger has entry %llu of term %llu of group %llu as %s, which is %s",
                     (unsigned long long)cut->items[i].index, (unsigned long long)cut->term,
                     (unsigned long long)cut->group.value, restored ? "restored" : "lost",
                     restored ? "lost" : "committed");
    }
    return true;
}

/* ---- one write ---- */

static bool is_in_a_ledger(const struct cluster *cluster, const struct place *place)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (unsigned w = 0; w < cluster->nodes[i].worker_count; w++) {
            const struct ledger *ledger = ledger_of(cluster, i, w);
            const struct ledger_cut *cut =
                ledger ? ledger_find(ledger, place->group, place->term) : NULL;
            for (size_t c = 0; cut && c < cut->count; c++)
                if (cut->items[c].index == place->index && cut->items[c].verdict != LEDGER_NOT &&
                    cut->items[c].verdict != LEDGER_RESTORED)
                    return true;
        }
    return false;
}

/* What became of a write that was acknowledged; each of its places is one attempt. */
static void judge(struct asked *asked, const struct history_key *key,
                  const struct operation *operation)
{
    const struct losses *losses = asked->losses;
    const struct cluster *cluster = asked->cluster;
    bool listed = false, unknown = false;
    char state[16] = "";
    uint32_t first =
        operation->written < losses->first_count ? losses->first[operation->written] : 0;
    for (uint32_t at = first; at; at = losses->places[at - 1].next) {
        const struct place *place = &losses->places[at - 1];
        if (oracle_is_committed(cluster->oracle, place->group, place->index, place->term))
            return;
        listed |= is_in_a_ledger(cluster, place);
        const char *said =
            state_in(slice_of_buffer(&asked->list), place->group, place->term, state);
        unknown |= said && strcmp(said, "unknown") == 0;
    }
    asked->facts.listed += listed;
    asked->facts.unknown += !listed && unknown;
    if (!first || listed || unknown)
        return; /* without a place: the leader died in the turn in which it answered */
    verdict_fail(cluster->verdict, "ledger",
                 "key %s: v%llu was acknowledged at %.3f ms and is lost (group %llu, entry %llu of "
                 "term %llu, record %s), and no ledger has it",
                 key->name, (unsigned long long)operation->written,
                 (double)operation->returned_ns / 1e6,
                 (unsigned long long)losses->places[first - 1].group.value,
                 (unsigned long long)losses->places[first - 1].index,
                 (unsigned long long)losses->places[first - 1].term, state[0] ? state : "missing");
}

static bool has_run(const struct operation *operation)
{
    bool conditional = operation->kind == OPERATION_SET_NX || operation->kind == OPERATION_SET_XX;
    return operation->outcome == OUTCOME_DONE && operation->written &&
           (!conditional || operation->result.present);
}

struct losses_facts losses_check(const struct losses *losses, const struct cluster *cluster,
                                 const struct history *history, const struct spaces *spaces,
                                 const struct spaces_fate *fate)
{
    struct asked asked;
    bool has_list = begin(&asked, losses, cluster);
    for (uint32_t i = 0; has_list && i < history->key_count; i++) {
        const struct history_key *key = &history->keys[i];
        const struct space *space = &spaces->at[key->space];
        bool judged = space->early && spaces_is_open(spaces, key->space, key->life) &&
                      !(space->lax_sync && fate->unsure_elections);
        for (uint32_t o = 0; judged && o < key->count; o++)
            if (has_run(&key->operations[o]))
                judge(&asked, key, &key->operations[o]);
    }
    if (has_list)
        (void)each_cut(cluster, &asked, is_cut);
    buffer_deinit(&asked.list);
    return asked.facts;
}
