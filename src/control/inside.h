/* inside.h - private to control/. */
#ifndef HOLDFAST_CONTROL_INSIDE_H
#define HOLDFAST_CONTROL_INSIDE_H

#include "base/list.h"
#include "control/control.h"

#define PROBE_REPLY_ITEMS 9
#define PROBE_INPUT_MAX   (1u << 20)

enum probe_answer {
    PROBE_SILENT = 0,
    PROBE_EMPTY,
    PROBE_PROMISED,
    PROBE_MEMBER
};

/* One listed address and the conversation with it. */
struct probe {
    char address[WIRE_ADDRESS_SIZE];
    struct io_stream stream;
    bool open, connected, asked, no_such_host;
    bool asked_to_join; /* what was asked is MEMBER JOIN */
    uint64_t next_ns, asked_ns;
    struct buffer input;
    /* what it last answered */
    enum probe_answer answer;
    bool is_self, other_list, promise_saved;
    uint64_t instance;
    struct node_member facts;
    struct node_promise promise;
    /* of a member: its cluster, and where that knows it */
    struct cluster_id cluster;
    char known[WIRE_ADDRESS_SIZE];
};

/* What this node has to report, see report.c. */
struct reports {
    struct list waiting; /* struct report, owned */
    size_t count;
    bool is_sent, is_here; /* the first is under way; it was written on this node's own replica */
    struct replica_gate gate;
    uint32_t epoch; /* of the forward under way */
    uint64_t sent_ns, retry_ns;
};

/* A question to all nodes for what they have set aside, see gather.c. */
struct gather {
    bool is_under_way, discards;
    struct group_id group;
    uint64_t term;
    uint32_t epoch;
    uint64_t began_ns, ended_ns;
    size_t waits_for, missing;
    struct ledger *found; /* owned; never saved */
};

/* replay.c: a record that is proposed again here, where its partition is led */
enum replay_stage {
    REPLAY_IDLE = 0,
    REPLAY_GATHER,
    REPLAY_RUN,
    REPLAY_COMMIT,
    REPLAY_REPORT,
    REPLAY_DONE
};
struct replay {
    enum replay_stage stage;
    struct group_id group;
    uint64_t term, ticket; /* of who asked; 0: nobody has */
    bool overwrites, disk_is_full;
    struct store *store; /* the replica's, to be recognised */
    const struct command_table *commands;
    uint64_t serving_term, next_ns, report_until_ns;
    struct ledger *items; /* owned; never saved */
    size_t at;            /* of its entries: the next one */
    struct replica_walk walk;
    struct replay_key *keys; /* owned; by hash */
    size_t key_count, key_capacity;
    bool any_changed, all_changed; /* since: any key at all; every key */
    struct replica_gate gate;
    uint64_t replayed, before, untold, skipped, total;
    size_t missing;      /* nodes that could not be asked */
    struct buffer skips; /* words of a reply, CONTROL_REPLAY_WORDS for each key */
    size_t skip_count;
    char key[CONTROL_REPORT_KEY_SIZE];
};
struct replay_wish {
    struct group_id group;
    uint64_t term, ticket;
    bool overwrites;
};

/* replay_ask.c: the one question of this node that is under way */
struct replay_ask {
    struct replay_wish wish; /* ticket 0: none */
    uint32_t epoch;
    bool is_sent, is_heard, is_answered;
    uint64_t began_ns, next_ns, used_ns;
    struct buffer answer;
};

/* restored.c: the question that is under way, and whose turn it is */
struct restoring {
    bool is_waiting, is_asking;
    struct group_id group; /* of the question */
    uint64_t term;
    uint32_t epoch;
    unsigned attempts;
    size_t next_cut; /* of the ledger */
    uint64_t asked_ns, next_ns;
};

/* survey.c: the question to all that is under way, or was last */
struct survey {
    bool is_under_way;
    struct buffer asked; /* its words */
    uint32_t epoch;
    uint64_t began_ns, ended_ns;
    size_t count, waits_for;
    struct control_answer *answers; /* owned */
};

/* gossip.c: the last question, and whose turn it is */
struct gossip {
    uint32_t epoch;
    size_t turn;
    uint64_t next_ns;
};

/* away.c: for how long the others were not heard */
struct silence {
    struct node_id node;
    uint64_t ns;
};
struct away {
    struct silence silences[NODE_MEMBERS_MAX];
    size_t count;
    uint64_t looked_ns, next_ns;
};

/* short.c: groups that were led here under SHORT degrade, and what was said of them. */
struct short_group {
    struct group_id group;
    uint64_t keyspace, reported_term;
    bool is_short, reported_short;
};
struct short_keyspace {
    uint64_t id;
    bool told;
};
struct shorts {
    struct short_group *groups;       /* owned */
    struct short_keyspace *keyspaces; /* owned */
    size_t group_count, keyspace_count;
    uint64_t next_ns;
};

struct control {
    struct io *io;
    struct node *node;
    struct control_options options;
    char *join, *client_address, *peer_address, *site, *zone, *host;
    uint64_t instance; /* of this process: to recognise itself behind an address */
    size_t probe_count;
    struct probe probes[CONTROL_PROBES_MAX]; /* sorted by address in byte order */
    uint64_t list_hash;
    struct node_formation found; /* fetched from a member */
    bool has_found, has_first_records;
    struct node_id joined; /* what the cluster calls this node that joins it; 0: not answered */
    /* the catalogue and the questions for it */
    struct control_catalogue catalogue;
    bool has_catalogue;
    size_t groups_seen;               /* of this node, when the catalogue was last followed */
    uint64_t seen_executed;           /* of the replica here, when it was last looked at */
    uint64_t asked, answered, wanted; /* tickets: sent, answered, handed out */
    bool is_asking;
    uint32_t ask_epoch; /* of the forward under way */
    uint64_t asked_ns, next_ask_ns, retry_ns;
    unsigned refusals;           /* of questions, since one was answered */
    struct node_id named_leader; /* by who refused the last question; 0: nobody was */
    size_t next_member;          /* whose turn it is to be asked */
    struct reports reports;
    struct gather gather;
    struct replay replay;
    struct replay_ask replay_ask;
    uint64_t flights_seen, failover_retry_ns, failovers_more;
    char failover_line[CONTROL_LINE_SIZE];
    /* reconcile.c */
    uint64_t next_look_ns, next_sync_look_ns;
    bool has_changes; /* the catalogue wants something of some group */
    bool is_changing; /* a group that is led here is not what the catalogue wants */
    uint64_t change_ticket, change_terms; /* the question that a change waits for; 0: none */
    struct group_id told_group;           /* the last placement that was told as an event */
    uint64_t told_change;
    char line[CONTROL_LINE_SIZE];
    uint64_t place_ticket; /* the question whether this node's place is another's; 0: none */
    struct shorts shorts;
    struct restoring restoring;
    struct gossip gossip;
    struct away away;
    struct survey survey;
    uint64_t next_ns;
    char failure[CONTROL_LINE_SIZE], waits_for[CONTROL_LINE_SIZE];
};

struct keyspace_work;

/* probe.c */
void probe_tick(struct control *control, struct probe *probe, size_t index, uint64_t now_ns);
void probe_event(struct control *control, struct probe *probe, const struct io_event *event);
void probe_close(struct control *control, struct probe *probe);

/* formation.c */
void formation_step(struct control *control);
const struct probe *formation_self(const struct control *control);
/* What the options of this start say of this node; `id` is left alone. */
void formation_describe_self(const struct control *control, struct node_member *out);
void formation_fail(struct control *control, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void formation_wait(struct control *control, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* readmit.c */
/* True: what the catalogue says of this node is said of this directory. CONTROL-14 */
bool readmit_is_over(const struct control *control);
void readmit_tick(struct control *control);
/* One entry: the node with its new ticket, and what that changes. Replies OK, unless it was
 * refused. */
void readmit_write(struct keyspace_work *work, const struct control_node *node);
/* The report readmit:NODE, with its tickets before and from now on, on the leader of `system`. */
void readmit_execute(struct command_call *call, struct slice key, struct slice text);

/* join.c */
/* Where this node is, as the others are to know it. */
const char *join_address(const struct control *control);
bool join_is_possible(struct control *control);
void join_step(struct control *control);
/* Whether that member is to be asked MEMBER JOIN now. */
bool join_wants(const struct control *control, const struct probe *probe);
void join_request(const struct control *control, struct buffer *out);
void join_answer(struct control *control, const struct resp_item *item);

/* reconcile.c */
void reconcile_tick(struct control *control);
uint64_t reconcile_deadline_ns(const struct control *control);

/* directory.c */
/* HOST:PORT of every address of its machine: nobody else can reach it by that. */
bool control_is_any_host(const char *address);
/* Whether a formed directory goes with the options of this start. False: not yet (a node of one
 * moves, and that must be durable), or never: then the failure says why. NODE-5 */
bool directory_fits(struct control *control);
/* first.c: the records that a cluster begins with */
void first_records_step(struct control *control);

/* record.c: one record as a JSON text, version 1. Who meets a field that he does not know passes
 * over it; a version that he does not know, over the record. */
#define RECORD_KEY_SIZE  48
#define RECORD_TEXT_SIZE 2048
struct record {
    char key[RECORD_KEY_SIZE], text[RECORD_TEXT_SIZE];
};
void record_of_node(struct record *record, const struct control_node *node);
void record_of_keyspace(struct record *record, const struct control_keyspace *keyspace);
void record_of_partition(struct record *record, const struct control_partition *partition);
void record_of_features(struct record *record, unsigned level);
void record_of_counters(struct record *record, const struct control_catalogue *catalogue);
/* False: not a record of that kind, or not one that this version reads. */
bool record_read_node(struct slice text, struct control_node *out);
bool record_read_keyspace(struct slice text, struct control_keyspace *out);
bool record_read_partition(struct slice text, struct control_partition *out);
bool record_read_features(struct slice text, struct control_catalogue *out);
bool record_read_counters(struct slice text, struct control_catalogue *out);

/* catalogue.c */
void catalogue_init(struct control_catalogue *catalogue);
void catalogue_deinit(struct control_catalogue *catalogue);
/* One record of the system keyspace, in any order; catalogue_finish behind the last. */
void catalogue_add(struct control_catalogue *catalogue, struct slice key, struct slice text);
void catalogue_finish(struct control_catalogue *catalogue);
/* NULL: unknown. */
struct control_node *catalogue_find_node(const struct control_catalogue *catalogue,
                                         struct node_id node);
void catalogue_read_store(struct control_catalogue *catalogue, struct store *store);

/* keyspace.c and keyspace_tell.c: one KEYSPACE under way, with the catalogue of the newest state */
struct keyspace_work {
    struct command_call *call;
    struct control_catalogue catalogue;
};
void keyspace_fail(struct keyspace_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* That of argument 2; NULL: the error was replied. */
const struct control_keyspace *keyspace_named(struct keyspace_work *work);
/* One entry: the records and the counters behind them (there is room), with a higher epoch. Replies
 * OK, unless it was refused. */
void keyspace_write(struct keyspace_work *work, struct record *records, size_t count);
/* True: a node would carry too many replicas; the error is replied. */
bool keyspace_is_overloaded(struct keyspace_work *work);
void keyspace_create(struct keyspace_work *work);
void keyspace_alter(struct keyspace_work *work);
void keyspace_drop(struct keyspace_work *work);

/* events.c */
/* The catalogue is about to be replaced by a newer one: what it says of duties is told. */
void events_compare(struct control *control, const struct control_catalogue *newer);

/* away.c */
void away_tick(struct control *control);

/* duty.c */
/* What its contract says of copies that vote can be had on the nodes that serve: readers are there
 * as far as nodes are left. */
bool duty_fits(const struct control_catalogue *catalogue, const struct control_keyspace *keyspace);
/* Whether some replica of that node could be elsewhere, as its contract says. */
bool duty_may_go(const struct control_catalogue *catalogue, struct node_id node);
/* A replica of that node is on its way to another one. */
bool duty_is_replaced(const struct control_catalogue *catalogue, struct node_id node);
/* The report away:NODE, gone or back, on the leader of `system`. Replies. */
void duty_take_report(struct command_call *call, struct slice key, struct slice text);
/* lead.c */
/* PARTITION TRANSFER, of that partition of work->catalogue: replies. */
void lead_transfer(struct keyspace_work *work, const struct control_partition *named);

/* load.c */
/* What each of catalogue->nodes carries, counted over all partitions. */
void load_count(struct control_catalogue *catalogue);
/* A partition that had replicas there is to have them here: the counts follow. */
void load_move(const struct control_catalogue *catalogue, const struct raft_configuration *was,
               const struct node_id *nodes, size_t count);
/* How many of the members that are wanted vote; the readers stand behind them. */
size_t wanted_voters(const struct raft_configuration *wanted);

/* facts.c */
void facts_tick(struct control *control);
/* A report weight:NODE or features:NODE, on the leader of `system`: replies. False: it is neither.
 */
bool facts_execute(struct command_call *call, struct slice key, struct slice text);
/* NODE RAISE: replies. */
void facts_raise(struct keyspace_work *work);

/* wanted.c */
/* `system` and `default` begin where the formation says: now that stands in `partition`. As it was
 * born, its contract was that of `keyspace`. */
void wanted_write_birth(const struct control_catalogue *catalogue,
                        const struct control_keyspace *keyspace,
                        struct control_partition *partition);
/* What `partition` of `keyspace` is to become; as it was, the contract was that of `before`. */
void wanted_set(const struct control_catalogue *catalogue, const struct control_keyspace *before,
                const struct control_keyspace *keyspace, struct control_partition *partition);
/* Fewer read than the contract says, and a node is there that could. */
bool wanted_lacks_readers(const struct control_catalogue *catalogue,
                          const struct control_keyspace *keyspace,
                          const struct control_partition *partition);
struct wanted_place {
    struct node_id nodes[RAFT_MEMBERS_MAX]; /* the voters, the first candidate in front; then the
                                               readers */
    size_t voters, count;                   /* contract.replicas of them; all */
};
/* The same with nodes that were chosen elsewhere. Its birth is written. */
void wanted_set_nodes(const struct control_keyspace *before,
                      const struct control_keyspace *keyspace, struct control_partition *partition,
                      const struct wanted_place *place);
/* Whom its group may have by now: who is wanted and, while a change is open, who was before; those
 * first who are both. Nobody where its birth is not written. */
void wanted_present(const struct control_partition *partition, struct raft_configuration *out);
/* What that node had of the partition counts no more (R4): another replica is wanted there in its
 * place; or it was the only one, which nobody can give it back, and is noted as gone. False: it has
 * none. */
/* That replica is one of those that are noted as gone. */
bool partition_has_lost(const struct control_partition *partition, struct replica_id replica);
bool wanted_replace(const struct control_catalogue *catalogue, struct control_partition *partition,
                    struct node_id node);
bool wanted_is_settled(const struct control_catalogue *catalogue, uint64_t keyspace);
/* On the leader of `system`: that change of the group is done. */
/* How raft's configurations say it; 0 is left to say "as before". */
uint8_t wanted_sync(const struct cluster_contract *contract);
void wanted_settle(struct command_call *call, uint64_t group, uint64_t change);

/* question.c */
enum question_session {
    QUESTION_SURVEY = 0, /* survey.c */
    QUESTION_GOSSIP,     /* gossip.c */
    QUESTION_COMMITTED,  /* restored.c */
    QUESTION_REPLAY,     /* replay_ask.c */
    QUESTION_GATHER,     /* gather.c */
    QUESTION_REPORT,     /* report.c */
    QUESTION_CATALOGUE   /* follow.c */
};
#define QUESTION_SESSION(which) (UINT64_MAX - 6 + (which))
struct question {
    uint64_t session; /* QUESTION_SESSION; the answer comes back with it and with the epoch */
    uint32_t epoch;
    bool writes;
    const struct slice *words;
    size_t count;
};
/* False: that one is unknown, or cannot be reached now, or has enough to hear. */
bool question_send(struct control *control, struct peer_id to, const struct question *question);

/* survey.c */
void survey_deinit(struct control *control);
bool survey_handle_peer(struct control *control, const struct peer_happening *happening);

/* gossip.c */
void gossip_tick(struct control *control);
bool gossip_handle_peer(struct control *control, const struct wire_forward_reply *reply);
uint64_t gossip_deadline_ns(const struct control *control);

/* follow.c: keeps the catalogue, and the groups that it places here */
void follow_tick(struct control *control);
uint64_t follow_deadline_ns(const struct control *control);

/* failover.c */
void failover_tick(struct control *control);
uint64_t failover_deadline_ns(const struct control *control);

/* report.c */
void report_init(struct control *control);
void report_deinit(struct control *control);
/* True: it was the answer to a report. */
bool report_handle_peer(struct control *control, const struct wire_forward_reply *reply);
void report_tick(struct control *control);
/* On the leader of `system`: a record of a kind that is kept. Replies. */
void report_keep(struct command_call *call, struct slice key, struct slice text);
uint64_t report_deadline_ns(const struct control *control);

/* short.c */
void short_tick(struct control *control);
void short_deinit(struct control *control);
/* Partitions of the keyspace whose leader last said that it answers with fewer copies. */
size_t short_count(struct store *store, const struct control_catalogue *catalogue,
                   uint64_t keyspace);

/* loss.c and gather.c */
void loss_tick(struct control *control);
/* Records of losses that LOSS LIST shows of that keyspace. */
size_t loss_count_open(struct store *store, const struct control_catalogue *catalogue,
                       uint64_t keyspace);
void gather_deinit(struct control *control);
bool gather_handle_peer(struct control *control, const struct wire_forward_reply *reply);

/* restored.c */
void restored_tick(struct control *control);
uint64_t restored_deadline_ns(const struct control *control);
bool restored_handle_peer(struct control *control, const struct wire_forward_reply *reply);
void restored_serve(struct control *control, struct group_id group, uint64_t term,
                    struct reply *reply);

/* replay.c */
void replay_tick(struct control *control);
uint64_t replay_deadline_ns(const struct control *control);
void replay_deinit(struct control *control);
/* One question of whoever asks: begins, or tells how far it is: a status, at last an array of
 * CONTROL_REPLAY_NUMBERS numbers and CONTROL_REPLAY_WORDS words for each key, or an error. */
void replay_serve(struct control *control, const struct replay_wish *wish, struct reply *reply);

/* replay_ask.c */
void replay_ask_tick(struct control *control);
uint64_t replay_ask_deadline_ns(const struct control *control);
void replay_ask_deinit(struct control *control);
bool replay_handle_peer(struct control *control, const struct wire_forward_reply *reply);

#endif
