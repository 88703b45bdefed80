/* moves.h - who moves replicas about: nodes are drained and called back, one takes another's place,
 * single replicas go elsewhere, readers come and go, while keyspaces change and faults run. What
 * the cluster refuses is refused by a sentence that is known here; what it takes must end (the
 * growth oracle). */
#ifndef HOLDFAST_SIM_MOVES_H
#define HOLDFAST_SIM_MOVES_H

#include "base/bytes.h"
#include "base/random.h"

#define MOVES_WORDS_SIZE 48

struct moves {
    struct random random;
    struct random reads; /* for readers, in every second run */
    bool has_readers;
    unsigned nodes;               /* that there will be */
    uint64_t gap_ns;              /* about so long between two; 0: none */
    uint64_t act_ns;              /* UINT64_MAX: one is asked, or none comes */
    char words[MOVES_WORDS_SIZE]; /* the newest */
    bool is_open;                 /* it is to be asked, or asked again */
    unsigned back;                /* the end of a run: the next node that is called back; 0: none */
    uint64_t taken, refused;
};

void moves_init(struct moves *moves, unsigned nodes, uint64_t seed);
/* One that is due: its request is appended. False: none is. */
bool moves_ask(struct moves *moves, uint64_t now_ns, struct buffer *out);
/* NULL, or what is wrong with it. `error`: NULL data for success. */
const char *moves_answer(struct moves *moves, struct slice error, uint64_t now_ns);
/* The outcome is not known: the same again says it. */
void moves_lose(struct moves *moves, uint64_t now_ns);
/* No more of them; `all_serve`: every node is called back first, so that what waits for nodes goes
 * on. */
void moves_settle(struct moves *moves, bool all_serve, uint64_t now_ns);
bool moves_are_settled(const struct moves *moves);

#endif
