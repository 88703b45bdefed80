/* The search: linearize any operation whose predecessors are all linearized, go back when stuck. */
#include "sim/linear.h"

#include "base/memory.h"
#include "base/random.h"

#include <stdlib.h>

struct state {
    struct value value;
    bool leased; /* it has a deadline, between these two */
    uint64_t earliest_ns, latest_ns;
};

/* Calls and returns in the order of happenings, as a doubly linked list with a head at 0. */
struct node {
    uint32_t next, previous;
    uint32_t operation;
    uint32_t match; /* of a call: its return, 0: none; of a return: 0 */
    bool is_call;
};

struct choice {
    uint32_t call;
    unsigned branch;
    struct state before;
};

struct search {
    const struct history_key *key;
    uint64_t tolerance_ns;
    struct node *nodes;
    uint32_t node_count;
    uint64_t *labels; /* random, one for each operation: the set of linearized ones is their xor */
    bool *taken;
    struct choice *stack;
    uint32_t depth, deepest;
    uint64_t set;
    struct state state;
    uint32_t remaining; /* completed operations that are not linearized */
    uint64_t *memo;     /* open addressing; 0: free */
    uint64_t memo_mask, memo_count;
};

/* ---- the model ---- */

static void set_deadline(struct state *state, const struct operation *operation,
                         uint64_t tolerance_ns)
{
    state->leased = operation->ttl_ns > 0;
    state->earliest_ns = 0;
    state->latest_ns = HISTORY_NEVER;
    if (!state->leased || tolerance_ns == HISTORY_NEVER)
        return;
    uint64_t early_ns = operation->invoked_ns + operation->ttl_ns * 9 / 10;
    state->earliest_ns = early_ns > tolerance_ns ? early_ns - tolerance_ns : 0;
    if (operation->returned_ns != HISTORY_NEVER)
        state->latest_ns = operation->returned_ns + operation->ttl_ns * 11 / 10 + tolerance_ns;
}

static void put(struct state *state, const struct operation *operation, uint64_t tolerance_ns)
{
    state->value = operation->argument;
    set_deadline(state, operation, tolerance_ns);
}

static void make_absent(struct state *state)
{
    memset(state, 0, sizeof *state);
}

/* What the operation answers on this state, and the state after it. */
static struct value run(const struct operation *operation, struct state *state,
                        uint64_t tolerance_ns)
{
    struct value old = state->value, result = {0};
    switch (operation->kind) {
    case OPERATION_SET: put(state, operation, tolerance_ns); break;
    case OPERATION_SET_NX:
    case OPERATION_SET_XX:
        result.present = old.present == (operation->kind == OPERATION_SET_XX);
        if (result.present)
            put(state, operation, tolerance_ns);
        break;
    case OPERATION_SET_GET: put(state, operation, tolerance_ns); return old;
    case OPERATION_GET:
    case OPERATION_RANGE: return old;
    case OPERATION_DEL: make_absent(state); return value_of_number(old.present);
    case OPERATION_ADD:
        state->value = value_of_number(old.number + operation->argument.number);
        return state->value;
    case OPERATION_APPEND:
        state->value = value_append(old, operation->argument);
        return value_of_number(state->value.length);
    case OPERATION_PUSH:
        state->value = value_push(old, operation->argument);
        return value_of_number(state->value.length);
    case OPERATION_CAS:
        result.present = value_equal(old, operation->expected);
        if (result.present)
            put(state, operation, tolerance_ns);
        break;
    case OPERATION_EXPIRE:
        if (old.present)
            set_deadline(state, operation, tolerance_ns);
        return value_of_number(old.present);
    }
    return result;
}

/* Branch 0: the value is still there; branch 1: its deadline has passed just before. */
static bool step(const struct search *search, const struct operation *operation, unsigned branch,
                 struct state *state)
{
    bool can_expire = state->value.present && state->leased;
    if (branch == 1) {
        if (!can_expire || operation->returned_ns < state->earliest_ns)
            return false;
        make_absent(state);
    } else if (can_expire && operation->invoked_ns > state->latest_ns) {
        return false;
    }
    struct value result = run(operation, state, search->tolerance_ns);
    return operation->outcome != OUTCOME_DONE || value_equal(result, operation->result);
}

/* ---- the memo ---- */

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * 0x9fb21c651e98df25ull;
    return hash ^ hash >> 29;
}

static uint64_t fingerprint(uint64_t set, const struct state *state)
{
    uint64_t hash = mix(set, state->value.present);
    hash = mix(hash, state->value.number);
    hash = mix(hash, state->value.length);
    hash = mix(hash, state->earliest_ns + state->leased);
    hash = mix(hash, state->latest_ns);
    return hash ? hash : 1;
}

static void memo_put(uint64_t *memo, uint64_t mask, uint64_t mark)
{
    uint64_t at = mark & mask;
    while (memo[at] && memo[at] != mark)
        at = (at + 1) & mask;
    memo[at] = mark;
}

static void memo_grow(struct search *search)
{
    uint64_t mask = search->memo_mask * 2 + 1;
    uint64_t *memo = memory_zeroed(mask + 1, sizeof *memo);
    for (uint64_t i = 0; i <= search->memo_mask; i++)
        if (search->memo[i])
            memo_put(memo, mask, search->memo[i]);
    memory_free(search->memo);
    search->memo = memo;
    search->memo_mask = mask;
}

/* False: this set with this state was tried before. */
static bool memo_add(struct search *search, uint64_t mark)
{
    if (search->memo_count * 2 > search->memo_mask)
        memo_grow(search);
    uint64_t at = mark & search->memo_mask;
    for (; search->memo[at]; at = (at + 1) & search->memo_mask)
        if (search->memo[at] == mark)
            return false;
    search->memo[at] = mark;
    search->memo_count++;
    return true;
}

/* ---- the list ---- */

static void unlink_node(struct search *search, uint32_t at)
{
    struct node *node = &search->nodes[at];
    search->nodes[node->previous].next = node->next;
    search->nodes[node->next].previous = node->previous;
}

static void relink_node(struct search *search, uint32_t at)
{
    struct node *node = &search->nodes[at];
    search->nodes[node->previous].next = at;
    search->nodes[node->next].previous = at;
}

static void lift(struct search *search, uint32_t call)
{
    unlink_node(search, call);
    if (search->nodes[call].match)
        unlink_node(search, search->nodes[call].match);
}

static void unlift(struct search *search, uint32_t call)
{
    if (search->nodes[call].match)
        relink_node(search, search->nodes[call].match);
    relink_node(search, call);
}

struct moment {
    uint64_t at;
    uint32_t operation;
    bool is_call;
};

static int by_moment(const void *a, const void *b)
{
    const struct moment *first = a, *second = b;
    return first->at < second->at ? -1 : first->at > second->at;
}

static bool counts(const struct operation *operation)
{
    if (operation->outcome == OUTCOME_DONE)
        return true;
    return operation->outcome == OUTCOME_UNKNOWN && operation_writes(operation->kind);
}

static void build_list(struct search *search)
{
    const struct history_key *key = search->key;
    struct moment *moments = memory_allocate((2 * key->count + 1) * sizeof *moments);
    uint32_t *calls = memory_zeroed(key->count + 1, sizeof *calls);
    uint32_t count = 0;
    for (uint32_t i = 0; i < key->count; i++) {
        const struct operation *operation = &key->operations[i];
        if (!counts(operation))
            continue;
        moments[count++] = (struct moment){operation->invoked, i, true};
        if (operation->outcome == OUTCOME_DONE)
            moments[count++] = (struct moment){operation->returned, i, false};
    }
    qsort(moments, count, sizeof *moments, by_moment);
    search->nodes = memory_zeroed(count + 1, sizeof *search->nodes);
    search->nodes[0] = (struct node){.next = count ? 1 : 0, .previous = count};
    for (uint32_t i = 1; i <= count; i++) {
        const struct moment *moment = &moments[i - 1];
        search->nodes[i] = (struct node){.next = i == count ? 0 : i + 1,
                                         .previous = i - 1,
                                         .operation = moment->operation,
                                         .is_call = moment->is_call};
        if (moment->is_call)
            calls[moment->operation] = i;
        else
            search->nodes[calls[moment->operation]].match = i;
        search->remaining += !moment->is_call;
    }
    search->node_count = count;
    memory_free(calls);
    memory_free(moments);
}

/* ---- the search ---- */

/* Requests of one connection are carried out in their order (R16); one of unknown fate binds
 * nobody. */
static bool is_its_turn(const struct search *search, const struct operation *operation)
{
    if (!operation->after)
        return true;
    uint32_t before = operation->after - 1;
    return search->key->operations[before].outcome != OUTCOME_DONE || search->taken[before];
}

static bool try_branch(struct search *search, uint32_t call, unsigned branch)
{
    uint32_t at = search->nodes[call].operation;
    const struct operation *operation = &search->key->operations[at];
    struct state after = search->state;
    if (!is_its_turn(search, operation) || !step(search, operation, branch, &after))
        return false;
    if (!memo_add(search, fingerprint(search->set ^ search->labels[at], &after)))
        return false;
    search->stack[search->depth++] = (struct choice){call, branch, search->state};
    search->set ^= search->labels[at];
    search->state = after;
    search->taken[at] = true;
    search->remaining -= search->nodes[call].match != 0;
    lift(search, call);
    return true;
}

static struct choice go_back(struct search *search)
{
    struct choice choice = search->stack[--search->depth];
    uint32_t at = search->nodes[choice.call].operation;
    search->set ^= search->labels[at];
    search->state = choice.before;
    search->taken[at] = false;
    search->remaining += search->nodes[choice.call].match != 0;
    unlift(search, choice.call);
    return choice;
}

static enum linear_answer walk(struct search *search, uint64_t steps_max, uint32_t *stuck)
{
    uint32_t at = search->nodes[0].next;
    unsigned branch = 0;
    for (uint64_t steps = 0; search->remaining; steps++) {
        if (steps > steps_max)
            return LINEAR_UNDECIDED;
        if (at && search->nodes[at].is_call) {
            bool moved = false;
            for (; branch < 2 && !moved; branch++)
                moved = try_branch(search, at, branch);
            at = moved ? search->nodes[0].next : search->nodes[at].next;
            branch = 0;
            continue;
        }
        if (search->depth >= search->deepest && at) {
            search->deepest = search->depth;
            *stuck = search->nodes[at].operation;
        }
        if (!search->depth)
            return LINEAR_NO;
        struct choice choice = go_back(search);
        at = choice.call;
        branch = choice.branch + 1;
    }
    return LINEAR_YES;
}

enum linear_answer linear_check(const struct history_key *key, uint64_t tolerance_ns,
                                uint64_t steps_max, uint32_t *stuck)
{
    struct search search = {.key = key, .tolerance_ns = tolerance_ns, .memo_mask = 1023};
    struct random random;
    random_init(&random, 1);
    make_absent(&search.state);
    search.memo = memory_zeroed(search.memo_mask + 1, sizeof *search.memo);
    search.labels = memory_zeroed(key->count + 1, sizeof *search.labels);
    search.taken = memory_zeroed(key->count + 1, sizeof *search.taken);
    search.stack = memory_zeroed(key->count + 1, sizeof *search.stack);
    for (uint32_t i = 0; i < key->count; i++)
        search.labels[i] = random_next(&random);
    build_list(&search);
    *stuck = 0;
    enum linear_answer answer = walk(&search, steps_max, stuck);
    memory_free(search.nodes);
    memory_free(search.stack);
    memory_free(search.taken);
    memory_free(search.labels);
    memory_free(search.memo);
    return answer;
}
