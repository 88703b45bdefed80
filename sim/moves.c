/* Drains, returns, replacements, moves. */
#include "sim/moves.h"

#include "resp/resp.h"

#include <stdio.h>
#include <string.h>

#define SECOND     1000000000ull
#define RETRY_NS   (SECOND / 5)
#define GROUPS_MAX 8 /* ids that are tried */
#define IDS_MAX    6

static uint64_t below(struct moves *moves, uint64_t bound)
{
    return random_below(&moves->random, bound);
}

static void draw_time(struct moves *moves, uint64_t now_ns)
{
    moves->is_open = false;
    moves->act_ns = moves->gap_ns ? now_ns + 1 + below(moves, 2 * moves->gap_ns)
                    : moves->back ? now_ns
                                  : UINT64_MAX;
}

void moves_init(struct moves *moves, unsigned nodes, uint64_t seed)
{
    memset(moves, 0, sizeof *moves);
    random_init(&moves->random, seed ^ 0x304e5);
    random_init(&moves->reads, seed ^ 0x304e4ead);
    moves->has_readers = random_below(&moves->reads, 2) == 0;
    moves->nodes = nodes;
    moves->gap_ns = below(moves, 2) ? (2 + below(moves, 10)) * SECOND : 0;
    draw_time(moves, 0);
}

static unsigned draw_node(struct moves *moves)
{
    return 1 + (unsigned)below(moves, moves->nodes);
}

static void draw_reader(struct moves *moves)
{
    unsigned group = (unsigned)random_below(&moves->reads, GROUPS_MAX);
    if (random_below(&moves->reads, 2))
        snprintf(moves->words, MOVES_WORDS_SIZE, "REPLICA ADD %u ON %u", group,
                 1 + (unsigned)random_below(&moves->reads, moves->nodes));
    else
        snprintf(moves->words, MOVES_WORDS_SIZE, "REPLICA REMOVE %u/%u", group,
                 1 + (unsigned)random_below(&moves->reads, IDS_MAX));
}

static void draw(struct moves *moves)
{
    unsigned node = draw_node(moves), other = draw_node(moves);
    moves->is_open = true;
    if (moves->back) {
        snprintf(moves->words, MOVES_WORDS_SIZE, "NODE UNDRAIN %u", moves->back);
        moves->back = moves->back < moves->nodes ? moves->back + 1 : 0;
        return;
    }
    if (moves->has_readers && random_below(&moves->reads, 4) == 0) {
        draw_reader(moves);
        return;
    }
    switch (below(moves, 6)) {
    case 0:
    case 1: snprintf(moves->words, MOVES_WORDS_SIZE, "NODE DRAIN %u", node); break;
    case 2:
    case 3: snprintf(moves->words, MOVES_WORDS_SIZE, "NODE UNDRAIN %u", node); break;
    case 4: snprintf(moves->words, MOVES_WORDS_SIZE, "NODE REPLACE %u BY %u", node, other); break;
    default:
        snprintf(moves->words, MOVES_WORDS_SIZE, "REPLICA MOVE %u/%u TO %u",
                 (unsigned)below(moves, GROUPS_MAX), 1 + (unsigned)below(moves, IDS_MAX), node);
    }
}

bool moves_ask(struct moves *moves, uint64_t now_ns, struct buffer *out)
{
    char line[MOVES_WORDS_SIZE];
    struct slice words[8];
    size_t count = 0;
    if (now_ns < moves->act_ns)
        return false;
    if (!moves->is_open)
        draw(moves);
    memcpy(line, moves->words, sizeof line);
    for (char *at = line, *rest; (at = strtok_r(at, " ", &rest)) != NULL; at = NULL)
        words[count++] = slice_of_text(at);
    resp_request(out, words, count);
    moves->act_ns = UINT64_MAX; /* until the answer */
    return true;
}

static bool begins(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.at, word, size) == 0;
}

static bool is_refusal(struct slice error)
{
    static const char *const known[] = {"ERR node ",
                                        "ERR there is no ",
                                        "ERR partition ",
                                        "ERR SPREAD ",
                                        "ERR a node cannot take its own",
                                        "ERR READERS ",
                                        "ERR replica ",
                                        "ERR keyspace "};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (begins(error, known[i]))
            return true;
    return false;
}

const char *moves_answer(struct moves *moves, struct slice error, uint64_t now_ns)
{
    if (error.at && (begins(error, "TRYAGAIN") || begins(error, "MISCONF") ||
                     begins(error, "NOREPLICAS") || begins(error, "UNKNOWNOUTCOME"))) {
        moves_lose(moves, now_ns);
        return NULL;
    }
    if (error.at && !is_refusal(error))
        return "an error that this request cannot meet";
    moves->taken += !error.at;
    moves->refused += error.at != NULL;
    draw_time(moves, now_ns);
    return NULL;
}

void moves_lose(struct moves *moves, uint64_t now_ns)
{
    moves->act_ns = now_ns + RETRY_NS;
}

void moves_settle(struct moves *moves, bool all_serve, uint64_t now_ns)
{
    bool is_asked = moves->is_open && moves->act_ns == UINT64_MAX;
    moves->gap_ns = 0;
    moves->back = all_serve && (moves->taken || moves->is_open) ? 1 : 0;
    if (!is_asked)
        draw_time(moves, now_ns);
}

bool moves_are_settled(const struct moves *moves)
{
    return !moves->back && !moves->is_open;
}
