/* control.h - how a cluster comes to be, and what its system keyspace says of it. Floor 7; used by
 * worker/ and admin/.
 *
 * Formation (DESIGN section 9). A node with an empty directory and --join asks every listed client
 * address who it is. The lowest address in byte order is the former. When every listed address has
 * answered "empty", the former picks a cluster id and asks each for a promise; a promise (former,
 * cluster id) is durable before it is given, and who has given one answers no other former. When
 * all have promised, the former writes the formation and starts; the others fetch it from whoever
 * has it. A crash of anyone at any point resumes: promise and formation are in the log.
 *
 * The catalogue (nodes, keyspaces, partitions, where they are) is the data of the system keyspace:
 * JSON records under node:ID, keyspace:ID, partition:ID and `counters`. KEYSPACE changes it like
 * any write: it runs on the system leader's newest state and ships its records as one entry. Each
 * node looks at what is committed, and creates the groups that are placed on it. A node without a
 * replica of `system` asks for the records once a second, and whenever somebody wants to be sure.
 *
 *   KEYSPACE CREATE -> records, one entry -> every node: catalogue -> node_add_partition
 *
 * Promises.
 * CONTROL-1  Two formers can never both form: each needs a durable promise of every listed node.
 * CONTROL-2  A node whose directory is empty, and whose address is already a member, stops and says
 * so (its votes are lost, R4), unless it was told to begin anew. CONTROL-3  A cluster of one forms
 * without asking anybody when there is no --join. It may be started again at another address, and
 * joins nobody. CONTROL-4  The system keyspace's first records (node:ID, keyspace:ID, partition:ID)
 * are one entry. CONTROL-5  What KEYSPACE changes is one entry: a keyspace and its partitions are
 * there together or not at all. CONTROL-6  Ids of keyspaces and partitions rise and are never given
 * twice; a dropped one leaves a record that says so, and only that record ends a group. CONTROL-7
 * Once control_is_confirmed says so, the catalogue holds whatever was acknowledged before
 * control_ask. CONTROL-8  A report is sent until it is committed, and is there once however often
 * it was sent; the newest text of a key stays. CONTROL-9  A failover leaves one record, of the
 * leader that came of it: said when it serves, said again with its first write, and kept however
 * the next one goes. CONTROL-11  A node that joins and what grows with it are one entry; the same
 * ticket is given the same id, and nobody else is. CONTROL-13  A cut write that is proposed again
 * runs whole or not at all, at most once, and not over what was written since unless that is
 * wanted; what does not run is named. CONTROL-12  The leader of a group changes it towards a
 * catalogue that the leader of `system` has confirmed in this term, and never back to an older one.
 * CONTROL-14  Nothing that the catalogue says of a node holds for a directory that it does not know
 * by its ticket: one that began anew (NODE-10) has nothing before it is taken back, and then under
 * new replica ids alone (R4); one whose place another has taken stops.
 * CONTROL-16  A node's duty (drains, away, removed) and what each of its partitions is to become
 * are one entry; it is refused where a contract could not be kept. CONTROL-17  A node that is down
 * is replaced after replace_after_ns of being unheard by the leader of `system`, one fault domain
 * at a time (R18), and no replica of it goes that its own leader hears; back before that is done,
 * it is called back. CONTROL-18  A node that was removed gets no replica again, and does not start.
 * CONTROL-19  What becomes of a node or a replica is told as an event once, by whom it is known.
 * CONTROL-20  No voter waits for a reader: a change of who votes is made when those have caught up;
 * a reader that goes, goes when the one in its place has.
 * CONTROL-15  Who reaches a member that knows of a node hears of it, be that node the leader of
 * `system`, which can tell it to nobody who does not know it. */
#ifndef HOLDFAST_CONTROL_CONTROL_H
#define HOLDFAST_CONTROL_CONTROL_H

#include "base/status.h"
#include "cluster/cluster.h"
#include "command/command.h"
#include "io/io.h"
#include "node/node.h"
#include "resp/resp.h"

#define CONTROL_LINE_SIZE  320
#define CONTROL_PROBES_MAX NODE_MEMBERS_MAX

struct control;

struct control_options {
    const char *join;           /* "" : none; HOST:PORT,... client addresses */
    const char *client_address; /* where this node serves clients, as others may reach it */
    const char *peer_address;
    const char *site, *zone, *host;
    bool follows; /* not worker 0 of its node: it forms nothing */
    /* An empty directory at the address of a member takes the place of the one that was there,
     * which is lost for good. */
    bool begins_anew;
    uint64_t replace_after_ns; /* a member that is down for so long is replaced; 0: none is */
    unsigned weight;           /* 0: CONTROL_WEIGHT_DEFAULT */
    uint64_t tag;              /* io tags used: tag .. tag + CONTROL_PROBES_MAX - 1 */
};

/* INVALID with one line: the list cannot be read, is too long, names an address twice. */
MUST_USE enum status control_create(struct io *io, const struct control_options *options,
                                    struct control **out, char why[CONTROL_LINE_SIZE]);
void control_destroy(struct control *control);

/* The node is known only after the command table is, and `client_address` only after it listens
 * (port 0). A formed one is started once what recovery found is durable, and if its directory goes
 * with the options. */
void control_attach(struct control *control, struct node *node, const char *client_address);

/* NODE PROBE; NODE PROMISE former cluster-id list-hash (five arguments): served by admin/. */
void control_answer(struct control *control, struct reply *reply);
void control_promise(struct control *control, const struct slice *arguments, struct reply *reply);

bool control_handle_event(struct control *control, const struct io_event *event);
/* What a link brought; true: it was an answer to this part. */
bool control_handle_peer(struct control *control, const struct peer_happening *happening);
void control_tick(struct control *control);
uint64_t control_deadline_ns(const struct control *control);

/* "" or the one line with which the node must stop. */
const char *control_failure(const struct control *control);
/* What formation waits for, in plain words; "" when formed. Changes are worth a line in the log. */
const char *control_waits_for(const struct control *control);

/* Another line for the operator's log, of members and groups; false: none. */
bool control_take_event(struct control *control, char out[CONTROL_LINE_SIZE]);
/* NULL: this node carries what it is to carry; else why not, in static words. */
const char *control_unready(const struct control *control);
/* No growth or change of a contract is under way, as far as is known here, and the groups of this
 * node have the members that they are to have. For oracles and tests. */
bool control_is_settled(const struct control *control);

/* ---- the catalogue ---- */

#define KEYSPACE_SYSTEM  0 /* ids of the two that every cluster has */
#define KEYSPACE_DEFAULT 1

struct control_keyspace {
    uint64_t id;
    char name[CLUSTER_NAME_SIZE];
    struct cluster_contract contract;
    bool dropped;  /* the name is free again, the id never */
    bool changing; /* not every partition has what the contract asks for; until then `before`
                      says what else a partition may have */
    struct cluster_contract before;
};

struct control_partition {
    struct group_id group;
    uint64_t keyspace;
    unsigned first_slot, last_slot;
    struct raft_configuration initial; /* of its birth; no members: those of the formation (system,
                                          default) */
    /* What its leader brings it to: voters, behind them readers (learners that stay), and quorums;
     * no members: as it was born. R1: what it has is in its own log. */
    struct raft_configuration wanted;
    /* While that is under way: what was wanted before. Who of it is wanted again is the same
     * replica: its group may never have let go of it. */
    struct raft_configuration before;
    uint64_t change, settled;       /* how often that was changed; which of them its leader has
                                       reported as done: equal, nothing is under way */
    uint64_t lead_change;           /* which of them was about who leads, at once; 0: none yet */
    struct replica_id next_replica; /* rises, never reused (R5) */
    struct node_id joiner;          /* whose join began the change; 0: nobody's */
    /* Of those named above: their logs were damaged, and they are never made again with nothing in
     * them (R4). */
    struct replica_id gone[RAFT_MEMBERS_MAX];
    size_t gone_count;
    bool dropped;
};

/* What a member is there for. */
enum control_duty {
    CONTROL_DUTY_SERVES = 0,
    CONTROL_DUTY_DRAINS, /* its replicas go elsewhere, and none comes: NODE DRAIN */
    CONTROL_DUTY_AWAY,   /* the same, by itself: it was down for too long, and is expected back */
    CONTROL_DUTY_REMOVED /* for good: it has no replica and gets none, its id is never given again
                          */
};

/* What this build can read. A cluster is at a level when all of its nodes can read that and NODE
 * RAISE has said so; one that this build forms begins there. Below a level nothing of it is sent.
 *     1  heartbeats say how far their receiver is behind */
#define CONTROL_FEATURE_LEVEL 1

#define CONTROL_WEIGHT_DEFAULT 100
#define CONTROL_WEIGHT_MAX     1000

struct control_node {
    struct node_member member;
    uint64_t ticket; /* of its join; 0: it formed the cluster */
    enum control_duty duty;
    int64_t since_us;  /* of the duty, group time; 0: since it came */
    unsigned weight;   /* its share of replicas beside the others; 0: CONTROL_WEIGHT_DEFAULT */
    unsigned features; /* the feature level that its build can read, as of its last start */
};

struct control_catalogue {
    uint64_t epoch; /* rises with each change */
    uint64_t next_keyspace, next_group;
    struct node_id next_node;
    unsigned level; /* of the features that nodes may use towards each other (R21) */
    size_t node_count, keyspace_count, partition_count;
    struct control_node *members; /* owned, as the next three; each in the order of its ids */
    struct cluster_member *nodes; /* those of the members that serve: replicas go to them alone */
    size_t place_count;           /* how many those are */
    struct control_keyspace *keyspaces; /* the dropped ones too */
    struct control_partition *partitions;
    const struct control_partition **by_slot; /* owned; the living ones by keyspace and slot */
    size_t living_count;
    size_t node_capacity, keyspace_capacity, partition_capacity;
};

/* The newest that this node knows. Borrowed until the next event or tick. */
const struct control_catalogue *control_catalogue(const struct control *control);
/* A ticket; control_is_confirmed becomes true for it, with the leader of `system` reachable within
 * a round trip. CONTROL-7 */
uint64_t control_ask(struct control *control);
/* Something newer than the catalogue here is known to this node: ask for it now. */
void control_look_again(struct control *control);
bool control_is_confirmed(const struct control *control, uint64_t ticket);

/* Living ones only; NULL: none. Names are compared in any case, as all words of a client. */
const struct control_keyspace *catalogue_find_name(const struct control_catalogue *catalogue,
                                                   struct slice name);
const struct control_keyspace *catalogue_find_database(const struct control_catalogue *catalogue,
                                                       unsigned database);
/* Dropped ones too. */
const struct control_keyspace *catalogue_find_id(const struct control_catalogue *catalogue,
                                                 uint64_t id);
/* Dropped ones too; NULL: unknown. */
const struct control_partition *catalogue_find_group(const struct control_catalogue *catalogue,
                                                     struct group_id group);
/* The keyspace of that partition, dropped ones too; NULL: unknown. */
const struct control_keyspace *catalogue_find_keyspace(const struct control_catalogue *catalogue,
                                                       struct group_id group);
/* The partition of a slot; NULL: the keyspace is unknown or dropped. */
const struct control_partition *catalogue_find_slot(const struct control_catalogue *catalogue,
                                                    uint64_t keyspace, unsigned slot);

/* All nodes can read a feature level above the one that the cluster is at: NODE RAISE. */
bool control_may_raise(const struct control_catalogue *catalogue);
/* NULL: unknown. */
const struct control_node *control_member(const struct control_catalogue *catalogue,
                                          struct node_id node);
/* Of how many partitions the node has a replica, is to have one, or may have one yet. */
size_t control_replicas_on(const struct control_catalogue *catalogue, struct node_id node);
/* "serves", "drains", "drained" once it has no replica left, "away" or "removed". */
const char *control_duty_word(const struct control_catalogue *catalogue,
                              const struct control_node *node);
/* That replica is one of its readers, or is to be; `partition` may be NULL: nobody knows. */
bool partition_reads(const struct control_partition *partition, struct replica_id replica);
/* What `partition` has, or will have when its change is settled. */
const struct raft_configuration *partition_wanted(const struct control_partition *partition);
/* The nodes of that, the first candidate in front and the readers behind the voters; those of the
 * formation too. Returns how many. */
size_t partition_nodes(const struct control_catalogue *catalogue,
                       const struct control_partition *partition,
                       struct node_id out[RAFT_MEMBERS_MAX]);

/* KEYSPACE CREATE | LIST | INFO | EXPLAIN | ALTER | DROP | RECORDS: a data command of the system
 * group; admin/ has its row. */
void control_execute_keyspace(struct command_call *call);
/* PARTITION EXPLAIN id: why its copies are where they are; the same. CLUSTER-7 */
void control_execute_partition(struct command_call *call);
/* MEMBER JOIN ticket client-address peer-address site zone host: a node asks to be taken in, and is
 * told its id; with the same ticket again, the same one. CONTROL-11 */
void control_execute_member(struct command_call *call);

/* NODE DRAIN id | UNDRAIN id | REPLACE id BY id | REMOVE id [FORCE], and REPLICA MOVE
 * partition/replica TO node | ADD partition ON node | REMOVE partition/replica (of readers): data
 * commands of the system group; admin/ has their rows. CONTROL-16
 */
void control_execute_node(struct command_call *call);
void control_execute_replica(struct command_call *call);

/* ---- reports ----
 *
 * What one node has seen and the whole cluster must be able to tell: a text (JSON) under a key
 * "KIND:NAME" in the data of `system`. The node says it; it is sent to the leader of `system` until
 * it is committed there. Said again under the same key it replaces what was there. The kinds and
 * how many of each are kept stand in report.c. What is waiting is lost with the process: who must
 * not lose it keeps it until control_is_reported, and says it again after a start. */
#define CONTROL_REPORT_KEY_SIZE 96 /* with a 0 at the end */
#define CONTROL_REPORT_TEXT_MAX 4096
#define CONTROL_REPORTS_MAX     256 /* that wait at once */
#define CONTROL_FAILOVERS_MAX   1000
#define CONTROL_LOSSES_MAX      10000
#define CONTROL_SHORTS_MAX      10000
#define CONTROL_EVENTS_MAX      2000

/* Copies both. False: no such kind, too large, or as many as may wait do: say it later. */
bool control_report(struct control *control, const char *key, struct slice text);
/* Nothing waits under that key: what was said of it is committed, or nothing ever was. */
bool control_is_reported(const struct control *control, const char *key);

struct control_reported {
    struct slice key, text; /* borrowed from the store until its next change */
    int64_t at_us;          /* group time at which the key was first reported; unique */
};
/* For data commands of the system group: the records of a kind ("loss:"), the oldest first.
 * Returns how many; *out goes with memory_free. */
size_t control_reported(struct store *store, const char *kind, struct control_reported **out);

/* SHORT degrade: whether a write is to be acknowledged with the copies of its commit now. */
bool control_is_short(const struct cluster_contract *contract, const struct replica *replica,
                      uint64_t now_ns);

/* ---- losses (R10) ---- */

struct ledger_cut; /* replica/ledger/ledger.h */
/* What all nodes that can be reached have set aside of that term; `missing`: how many could not be
 * asked. AGAIN: under way, to be called again. *out is borrowed until the next call, NULL: nothing.
 * `discards`: each node forgets it at the same time. */
MUST_USE enum status control_gather(struct control *control, struct group_id group, uint64_t term,
                                    bool discards, const struct ledger_cut **out, size_t *missing);
/* The writes of a record proposed again, on the leader of the partition, which is asked wherever it
 * is; each at most once, and none twice however often this is asked. AGAIN: under way, to be called
 * again. OK: *out gets an error, or an array of CONTROL_REPLAY_NUMBERS numbers and
 * CONTROL_REPLAY_WORDS words for each key that was skipped, as RESP2. */
#define CONTROL_REPLAY_NUMBERS 6 /* replayed now, before; nobody was told; skipped; nodes; all */
#define CONTROL_REPLAY_WORDS   4 /* key or null; database; index; a number for skip_word */
MUST_USE enum status control_replay(struct control *control, struct group_id group, uint64_t term,
                                    bool overwrites, struct buffer *out);
const char *control_skip_word(int64_t why);
/* LEDGER ITEMS|DISCARD|COMMITTED group term: what this node has, of the log in the end. LEDGER
 * REPLAY group term ticket KEEP|OVERWRITE: replay.c. admin/ has its row. */
void control_serve_ledger(struct control *control, const struct slice *arguments, size_t count,
                          struct reply *reply);
/* LOSS LIST [keyspace], and the others where no node has what they ask for: a data command of the
 * system group; admin/ has its row. */
void control_execute_loss(struct command_call *call);

/* Records of losses that LOSS LIST shows and nobody has settled, as the replica of `system` here
 * has them; 0 without one. Reads every record: not in each turn. */
size_t control_losses_open(const struct control *control);

/* ---- a question to all nodes ---- */

#define CONTROL_SURVEY_MAX 512 /* bytes of a question */
#define CONTROL_ANSWER_MAX (64u << 20)
struct control_answer {
    struct node_id node;
    unsigned worker;
    bool is_there, is_awaited;
    struct buffer bytes; /* the reply, as RESP2 */
};
/* Asks each worker of every other node, and the others of this one, `words`, which a verb of
 * COMMAND_PEER answers at once. AGAIN: under way, to be called again. OK: each that is known, with
 * its answer or without; *out is borrowed until the next call. */
MUST_USE enum status control_survey(struct control *control, const struct slice *words,
                                    size_t count, const struct control_answer **out, size_t *found);
/* Its log was damaged or lost, and the cluster has not taken this node back yet (CONTROL-14). */
bool control_waits_to_be_taken_back(const struct control *control);

/* ---- what the loss of nodes would mean (CLUSTER-10) ---- */

/* The nodes of the catalogue in its order, as this one sees them now. Whom it does not reach is
 * down if `is_sure`, else nobody knows. Goes with memory_free. */
struct cluster_seen_node *control_see_nodes(struct control *control, bool is_sure, size_t *count);

/* Who is in a group, by the replica here or by its record; nobody where both are missing. */
void control_see_group(struct control *control, struct group_id id, struct cluster_group *out);

struct control_outlook {
    const struct control_keyspace *keyspace; /* borrowed until the next event or tick */
    struct cluster_outlook outlook;
};
/* For each keyspace what is left without the nodes that are marked. Returns how many; *out goes
 * with memory_free. */
size_t control_look_ahead(struct control *control, const struct cluster_seen_node *nodes,
                          size_t count, struct control_outlook **out);
/* "": the cluster bears the loss of those nodes; else the sentence with which to refuse a verb that
 * brings it about. To be asked on the leader of `system`: it goes by the catalogue that this node
 * has, and takes whom it does not reach for down. */
void control_whatif(struct control *control, const struct node_id *lost, size_t count,
                    char why[CONTROL_LINE_SIZE]);

/* A line for the operator's log; false: none. */
bool control_take_line(struct control *control, char out[CONTROL_LINE_SIZE]);

/* FAILOVERS [COUNT n] [keyspace]: the flight records of the last CONTROL_FAILOVERS_MAX failovers,
 * the newest first. The first election since a process began is none. */
void control_execute_failovers(struct command_call *call);

/* ---- events: every transition of a node or a replica, of the last CONTROL_EVENTS_MAX ---- */

struct control_event {
    const char *name; /* of at most 80 bytes, unique: what is said again under it is there once */
    const char *kind; /* "duty", "state", "in-sync", "placement", "disk", "alert" */
    struct node_id node;       /* that it is about; 0: none */
    struct group_id group;     /* with has_group */
    struct replica_id replica; /* 0: none */
    bool has_group;
    int64_t at_ms; /* wall clock of who saw it, or group time */
    const char *text;
};
/* False: as many reports wait as may: say it again later. CONTROL-19 */
bool control_tell_event(struct control *control, const struct control_event *event);
/* EVENTS [COUNT n] [keyspace], the newest first; admin/ has its row. */
void control_execute_events(struct command_call *call);

/* REPORT key text: how a report arrives at the leader of `system`; admin/ has its row. */
void control_execute_report(struct command_call *call);

#endif
