/* spaces.h - the keyspaces of a run. Number 0 is `default`; the others have contracts drawn from
 * the seed, are created while faults run, and some are dropped and created again under the same
 * name. While one is open, ALTER gives it other numbers of copies and other promises.
 *
 *     WANTED -> CREATING -> OPEN -> DROPPING -> GONE or, in its next life, WANTED
 *
 * Keys have the same names in every keyspace and in every life of one: what leaks from one to
 * another is a value that nobody wrote there.
 *
 * What a contract promises decides how its histories are judged (spaces_is_strict): linearizable,
 * unless acknowledged writes may be missing by the contract's own words, and something has happened
 * that may have taken them. */
#ifndef HOLDFAST_SIM_SPACES_H
#define HOLDFAST_SIM_SPACES_H

#include "sim/history.h"
#include "sim/moves.h"

#include "base/random.h"

#define SPACES_MAX        HISTORY_SPACES_MAX
#define SPACE_WORDS_SIZE  160
#define SPACE_CHANGE_SIZE 96

enum space_state {
    SPACE_WANTED,
    SPACE_CREATING,
    SPACE_OPEN,
    SPACE_DROPPING,
    SPACE_GONE,
};

struct space {
    enum space_state state;
    char name[16];
    char words[SPACE_WORDS_SIZE];   /* its contract, as KEYSPACE CREATE takes it */
    char change[SPACE_CHANGE_SIZE]; /* the newest ALTER */
    unsigned replicas, partitions;
    unsigned replicas_min, replicas_max; /* of this run: what is asked for comes later */
    bool lax_sync;     /* SYNC interval or os: power cuts may take what was acknowledged */
    bool early;        /* acknowledged before the commit: a failover may take it */
    bool returns;      /* after a drop it is created again */
    bool unclear;      /* an attempt at what is under way is of unknown outcome */
    bool alters;       /* OPEN: an ALTER is asked, or to be asked again */
    bool alter_lost;   /* one of this life is of unknown outcome: it may come at any time */
    unsigned life;     /* rises when it is created */
    uint64_t act_ns;   /* WANTED: to be created then; OPEN: to be dropped then */
    uint64_t alter_ns; /* OPEN: to be altered then */
};

struct spaces {
    struct space at[SPACES_MAX];
    unsigned count;
    unsigned nodes; /* that there will be; not all are there from the first */
    unsigned sites; /* the caller's: the nodes are of s0, s1, ...; 0: they do not say */
    struct random random;
    uint64_t alter_gap_ns; /* about so long between two changes; 0: none */
    struct random reads;   /* for readers, in every second run: the other draws stay as they are */
    bool has_readers;
    bool keeps;         /* none is dropped */
    uint64_t altered;   /* changes that were acknowledged */
    struct moves moves; /* of the nodes on which they are */
    bool only_default;  /* a node is down for good: the others may have lost their quorum */
};

/* What has happened to the groups of all but the first two. */
struct spaces_fate {
    bool unsure_elections; /* R4: somebody led who cannot know what was lost */
    bool failovers;
};

/* `founders`: so many nodes begin. */
void spaces_init(struct spaces *spaces, struct history *history, unsigned nodes, unsigned founders,
                 uint64_t seed);

/* One run in eight aims at what a failover takes: its first keyspace answers before the commit, for
 * as long as the run goes on, and the plan cuts leaders off, whose clients reach them. */
bool spaces_aim_at_losses(uint64_t seed);

/* One that is open; `default` half of the time. */
unsigned spaces_pick(struct spaces *spaces);
bool spaces_is_open(const struct spaces *spaces, unsigned space, unsigned life);

#define SPACES_MOVE SPACES_MAX /* in place of a number: a change of nodes */

/* A change that is due: its request is appended, and it is under way. False: none is due. */
bool spaces_ask(struct spaces *spaces, uint64_t now_ns, unsigned *space, struct buffer *out);
/* NULL, or what is wrong with it. `error`: NULL data for success. */
const char *spaces_answer(struct spaces *spaces, struct history *history, unsigned space,
                          struct slice error, uint64_t now_ns);
/* The outcome is not known. */
void spaces_lose(struct spaces *spaces, unsigned space, uint64_t now_ns);

/* No more drops or changes; what is wanted is created at once. spaces_are_settled when all is done.
 */
void spaces_settle(struct spaces *spaces, uint64_t now_ns);
bool spaces_are_settled(const struct spaces *spaces);

bool spaces_is_strict(const struct spaces *spaces, unsigned space, const struct spaces_fate *fate);

#endif
