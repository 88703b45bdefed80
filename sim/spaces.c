/* Contracts, and the life of keyspaces. */
#include "sim/spaces.h"

#include "resp/resp.h"

#define SECOND   1000000000ull
#define RETRY_NS (SECOND / 5)
#define NEVER_NS HISTORY_NEVER

static uint64_t below(struct spaces *spaces, uint64_t bound)
{
    return random_below(&spaces->random, bound);
}

/* ---- contracts ---- */

static void draw_ack(struct spaces *spaces, struct space *space, char *out, size_t size)
{
    static const char *const words[] = {"quorum", "all", "local", "quorum"};
    unsigned followers = space->replicas > 1 ? 1 + (unsigned)below(spaces, space->replicas - 1) : 0;
    bool available = below(spaces, 3) == 0;
    uint64_t what = below(spaces, 6);
    if (what < 4) {
        space->early = available && what == 2;
        snprintf(out, size, "ACK %s FAILOVER %s", words[what], available ? "available" : "safe");
    } else if (what == 4 && followers) {
        space->early = available && followers + 1 <= space->replicas / 2;
        snprintf(out, size, "ACK semisync:%u FAILOVER %s", followers,
                 available ? "available" : "safe");
    } else {
        space->early = true;
        snprintf(out, size, "ACK async FAILOVER available");
    }
}

static void draw_sync(struct spaces *spaces, struct space *space, char *out, size_t size)
{
    uint64_t what = below(spaces, 4);
    space->lax_sync = what > 1;
    if (what == 2)
        snprintf(out, size, "SYNC interval:1000");
    else
        snprintf(out, size, "SYNC %s", what == 3 ? "os" : "always");
}

static void draw_replicas(struct spaces *spaces, struct space *space)
{
    space->replicas = below(spaces, 2) ? 3 : 1 + (unsigned)below(spaces, spaces->nodes);
    if (!space->replicas_max || space->replicas < space->replicas_min)
        space->replicas_min = space->replicas;
    if (space->replicas > space->replicas_max)
        space->replicas_max = space->replicas;
}

static void draw_contract(struct spaces *spaces, struct space *space)
{
    char ack[48], sync[24];
    draw_replicas(spaces, space);
    space->partitions = below(spaces, 2) ? 1 : 2 + (unsigned)below(spaces, 3);
    draw_ack(spaces, space, ack, sizeof ack);
    draw_sync(spaces, space, sync, sizeof sync);
    snprintf(space->words, sizeof space->words, "REPLICAS %u PARTITIONS %u %s %s SHORT %s",
             space->replicas, space->partitions, ack, sync,
             below(spaces, 3) ? "refuse" : "degrade");
}

static uint64_t draw_end(struct spaces *spaces, uint64_t now_ns)
{
    return below(spaces, 3) ? NEVER_NS : now_ns + (1 + below(spaces, 30)) * SECOND;
}

bool spaces_aim_at_losses(uint64_t seed)
{
    struct random random;
    random_init(&random, seed ^ 0x1055e5);
    return random_below(&random, 8) == 0;
}

static void draw_early(struct spaces *spaces, struct space *space)
{
    static const char *const acks[] = {"async", "local"};
    space->replicas = space->replicas_min = space->replicas_max = 3;
    space->early = true;
    space->lax_sync = false;
    spaces->alter_gap_ns = 0;
    spaces->keeps = true;
    snprintf(space->words, sizeof space->words,
             "REPLICAS 3 PARTITIONS %u ACK %s FAILOVER available SYNC always SHORT refuse",
             space->partitions, acks[below(spaces, 2)]);
}

void spaces_init(struct spaces *spaces, struct history *history, unsigned nodes, unsigned founders,
                 uint64_t seed)
{
    static const enum key_kind kinds[] = {KEY_STRING, KEY_COUNTER, KEY_LIST, KEY_PAIR, KEY_LEASE};
    memset(spaces, 0, sizeof *spaces);
    random_init(&spaces->random, seed ^ 0x59ace5);
    random_init(&spaces->reads, seed ^ 0x4eade45);
    spaces->has_readers = random_below(&spaces->reads, 2) == 0;
    spaces->nodes = nodes;
    moves_init(&spaces->moves, nodes, seed);
    spaces->alter_gap_ns = below(spaces, 3) ? (1 + below(spaces, 8)) * SECOND : 0;
    spaces->at[0] = (struct space){.state = SPACE_OPEN,
                                   .name = "default",
                                   .replicas = nodes < 3 ? nodes : 3,
                                   .replicas_min = founders < 3 ? 1 : 3,
                                   .replicas_max = 3,
                                   .partitions = 1,
                                   .act_ns = NEVER_NS,
                                   .alter_ns = NEVER_NS};
    bool aims = spaces_aim_at_losses(seed);
    spaces->count = aims ? 2 : 1 + (unsigned)below(spaces, SPACES_MAX);
    for (unsigned i = 1; i < spaces->count; i++) {
        struct space *space = &spaces->at[i];
        snprintf(space->name, sizeof space->name, "k%u", i);
        draw_contract(spaces, space);
        if (aims)
            draw_early(spaces, space);
        space->returns = below(spaces, 3) > 0;
        space->act_ns = below(spaces, 15 * SECOND);
        space->alter_ns = NEVER_NS;
        uint64_t first = below(spaces, 5);
        for (uint64_t k = 0; k < 2 + below(spaces, 3); k++)
            history_add_slot(history, kinds[(first + k) % 5], i);
    }
}

/* ---- choosing ---- */

unsigned spaces_pick(struct spaces *spaces)
{
    unsigned space = (unsigned)below(spaces, 2 * (uint64_t)spaces->count);
    if (spaces->keeps && space)
        space = 1; /* the one that the run is for */
    bool usable = space < spaces->count && !spaces->only_default;
    return usable && spaces->at[space].state == SPACE_OPEN ? space : 0;
}

bool spaces_is_open(const struct spaces *spaces, unsigned space, unsigned life)
{
    return spaces->at[space].state == SPACE_OPEN && spaces->at[space].life == life;
}

/* ---- changes ---- */

static void draw_alter(struct spaces *spaces, struct space *space, uint64_t now_ns)
{
    space->alters = false;
    space->alter_ns =
        spaces->alter_gap_ns ? now_ns + 1 + below(spaces, 2 * spaces->alter_gap_ns) : NEVER_NS;
}

/* Where copies go: groups move. A site that no node names, or none yet, is refused. */
static void draw_place(struct spaces *spaces, char *out, size_t size)
{
    static const char *const levels[] = {"none", "host", "zone", "site"};
    uint64_t what = below(spaces, 3);
    size_t used = 0;
    if (what != 1)
        used =
            (size_t)snprintf(out, size, "SPREAD %s%s", levels[below(spaces, 4)], what ? " " : "");
    if (what && below(spaces, 4) == 0)
        snprintf(out + used, size - used, "PREFER none");
    else if (what)
        snprintf(out + used, size - used, "PREFER site=s%u",
                 (unsigned)below(spaces, spaces->sites + 1));
}

/* Copies that never vote; more than there are nodes are refused. */
static void draw_readers(struct spaces *spaces, char *out, size_t size)
{
    unsigned least = (unsigned)random_below(&spaces->reads, 3);
    unsigned most = least + (unsigned)random_below(&spaces->reads, 3);
    snprintf(out, size, "READERS %u..%u", least, most);
}

/* What its contract allows to be lost, it allows for good: an old one may still hold somewhere. */
static void begin_alter(struct spaces *spaces, struct space *space)
{
    char ack[48] = "", sync[24] = "", replicas[16] = "";
    bool early = space->early, lax_sync = space->lax_sync;
    uint64_t what = below(spaces, 6); /* 0: SYNC alone, 1: with the others, else without */
    space->alters = true;
    if (spaces->has_readers && random_below(&spaces->reads, 3) == 0) {
        draw_readers(spaces, space->change, sizeof space->change);
        return;
    }
    if (what > 3 && spaces->sites) {
        draw_place(spaces, space->change, sizeof space->change);
        return;
    }
    if (what) {
        draw_replicas(spaces, space);
        snprintf(replicas, sizeof replicas, "REPLICAS %u", space->replicas);
        space->early = false;
        draw_ack(spaces, space, ack, sizeof ack);
        space->early |= early;
    }
    if (what < 2) {
        draw_sync(spaces, space, sync, sizeof sync);
        space->lax_sync |= lax_sync;
    }
    snprintf(space->change, sizeof space->change, "%s %s %s", replicas, ack, sync);
}

static void ask_contract(const struct space *space, const char *verb, const char *contract,
                         struct buffer *out)
{
    char line[SPACE_WORDS_SIZE + 48];
    struct slice words[24];
    size_t count = 0;
    snprintf(line, sizeof line, "KEYSPACE %s %s %s", verb, space->name, contract);
    for (char *at = line, *rest; (at = strtok_r(at, " ", &rest)) != NULL; at = NULL)
        words[count++] = slice_of_text(at);
    resp_request(out, words, count);
}

static void ask_drop(const struct space *space, struct buffer *out)
{
    struct slice words[] = {slice_of_text("KEYSPACE"), slice_of_text("DROP"),
                            slice_of_text(space->name)};
    resp_request(out, words, 3);
}

static bool ask_alter(struct spaces *spaces, uint64_t now_ns, unsigned *at, struct buffer *out)
{
    for (unsigned i = 1; i < spaces->count; i++) {
        struct space *space = &spaces->at[i];
        if (space->state != SPACE_OPEN || now_ns < space->alter_ns)
            continue;
        if (!space->alters)
            begin_alter(spaces, space);
        space->alter_ns = NEVER_NS; /* until the answer */
        ask_contract(space, "ALTER", space->change, out);
        *at = i;
        return true;
    }
    return false;
}

bool spaces_ask(struct spaces *spaces, uint64_t now_ns, unsigned *at, struct buffer *out)
{
    for (unsigned i = 1; i < spaces->count; i++) {
        struct space *space = &spaces->at[i];
        if (now_ns < space->act_ns || space->state == SPACE_GONE)
            continue;
        bool creates = space->state == SPACE_WANTED || space->state == SPACE_CREATING;
        space->state = creates ? SPACE_CREATING : SPACE_DROPPING;
        space->act_ns = NEVER_NS; /* until the answer */
        if (creates)
            ask_contract(space, "CREATE", space->words, out);
        else
            ask_drop(space, out);
        *at = i;
        return true;
    }
    if (ask_alter(spaces, now_ns, at, out))
        return true;
    *at = SPACES_MOVE;
    return moves_ask(&spaces->moves, now_ns, out);
}

static void created(struct spaces *spaces, struct history *history, unsigned at, uint64_t now_ns)
{
    struct space *space = &spaces->at[at];
    space->state = SPACE_OPEN;
    space->unclear = false;
    space->life++;
    space->act_ns = spaces->keeps ? NEVER_NS : draw_end(spaces, now_ns);
    space->alter_lost = false;
    draw_alter(spaces, space, now_ns);
    history_begin_life(history, at, space->life);
}

/* A DROP or an ALTER that may still come must not meet the next life: that gets another name. */
static void dropped(struct spaces *spaces, unsigned at, uint64_t now_ns)
{
    struct space *space = &spaces->at[at];
    space->state = space->returns ? SPACE_WANTED : SPACE_GONE;
    space->alters = false;
    space->act_ns = now_ns + below(spaces, 2 * SECOND);
    if (space->unclear || space->alter_lost)
        snprintf(space->name, sizeof space->name, "k%u.%u", at, space->life);
    space->unclear = false;
    space->returns = below(spaces, 2);
}

static bool begins(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.at, word, size) == 0;
}

static bool ends(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.at + text.size - size, word, size) == 0;
}

/* The same one again: it says the same however often it comes. */
static void lose_alter(struct space *space, uint64_t now_ns)
{
    space->alter_lost = true;
    space->alter_ns = now_ns + RETRY_NS;
}

/* Fewer domains than copies, or no such site (yet). */
static bool has_no_place(struct slice error)
{
    return (begins(error, "ERR SPREAD ") && ends(error, " works, or no SPREAD")) ||
           (begins(error, "ERR PREFER site=") && ends(error, ", or PREFER none"));
}

/* More copies than there are nodes yet. */
static bool waits_for_nodes(struct slice error)
{
    return (begins(error, "ERR REPLICAS ") && ends(error, " works")) ||
           (begins(error, "ERR READERS ") && ends(error, " works, or another node"));
}

static const char *take_altered(struct spaces *spaces, struct space *space, struct slice error,
                                uint64_t now_ns)
{
    bool busy = begins(error, "ERR keyspace ") && ends(error, "back to what it was");
    if (begins(error, "TRYAGAIN") || begins(error, "MISCONF") || begins(error, "NOREPLICAS"))
        space->alter_ns = now_ns + RETRY_NS;
    else if (begins(error, "UNKNOWNOUTCOME"))
        lose_alter(space, now_ns);
    else if (error.at && !busy && !waits_for_nodes(error) && !has_no_place(error))
        return "an error that this request cannot meet";
    else
        draw_alter(spaces, space, now_ns); /* another one, where this was refused */
    spaces->altered += !error.at;
    return NULL;
}

const char *spaces_answer(struct spaces *spaces, struct history *history, unsigned at,
                          struct slice error, uint64_t now_ns)
{
    if (at == SPACES_MOVE)
        return moves_answer(&spaces->moves, error, now_ns);
    struct space *space = &spaces->at[at];
    bool creates = space->state == SPACE_CREATING;
    if (space->state == SPACE_OPEN)
        return take_altered(spaces, space, error, now_ns);
    if (begins(error, "TRYAGAIN") || begins(error, "MISCONF") || begins(error, "NOREPLICAS") ||
        (creates && waits_for_nodes(error))) {
        space->act_ns = now_ns + RETRY_NS;
        return NULL;
    }
    if (begins(error, "UNKNOWNOUTCOME")) {
        spaces_lose(spaces, at, now_ns);
        return NULL;
    }
    bool was_done = begins(error, creates ? "ERR keyspace " : "ERR there is no keyspace ") &&
                    ends(error, creates ? " shows it" : " shows all");
    if (error.at && !(was_done && space->unclear))
        return "an error that this request cannot meet";
    if (creates)
        created(spaces, history, at, now_ns);
    else
        dropped(spaces, at, now_ns);
    return NULL;
}

void spaces_lose(struct spaces *spaces, unsigned at, uint64_t now_ns)
{
    if (at == SPACES_MOVE) {
        moves_lose(&spaces->moves, now_ns);
        return;
    }
    struct space *space = &spaces->at[at];
    if (space->state == SPACE_OPEN) {
        lose_alter(space, now_ns);
        return;
    }
    space->unclear = true;
    space->act_ns = now_ns + RETRY_NS;
}

/* ---- the end of a run ---- */

void spaces_settle(struct spaces *spaces, uint64_t now_ns)
{
    spaces->alter_gap_ns = 0;
    moves_settle(&spaces->moves, spaces->count > 1, now_ns);
    for (unsigned i = 1; i < spaces->count; i++) {
        struct space *space = &spaces->at[i];
        if (space->state == SPACE_OPEN)
            space->act_ns = NEVER_NS;
        if (!space->alters)
            space->alter_ns = NEVER_NS;
        if (space->state == SPACE_WANTED)
            space->act_ns = now_ns;
    }
}

bool spaces_are_settled(const struct spaces *spaces)
{
    for (unsigned i = 1; i < spaces->count; i++)
        if (spaces->at[i].alters ||
            (spaces->at[i].state != SPACE_OPEN && spaces->at[i].state != SPACE_GONE))
            return false;
    return moves_are_settled(&spaces->moves);
}

bool spaces_is_strict(const struct spaces *spaces, unsigned at, const struct spaces_fate *fate)
{
    const struct space *space = &spaces->at[at];
    if (space->lax_sync && fate->unsure_elections)
        return false;
    return !(space->early && fate->failovers);
}
