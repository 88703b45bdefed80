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
 * Promises.
 * CONTROL-1  Two formers can never both form: each needs a durable promise of every listed node.
 * CONTROL-2  A node whose directory is empty, and whose address is already a member, stops and says
 * so (its votes are lost, R4). CONTROL-3  A cluster of one forms without asking anybody when there
 * is no --join. It may be started again at another address, and joins nobody. CONTROL-4  The system
 * keyspace's first records (node:ID, keyspace:ID, partition:ID) are one entry. */
#ifndef HOLDFAST_CONTROL_CONTROL_H
#define HOLDFAST_CONTROL_CONTROL_H

#include "base/status.h"
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
    uint64_t tag; /* io tags used: tag .. tag + CONTROL_PROBES_MAX - 1 */
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
void control_tick(struct control *control);
uint64_t control_deadline_ns(const struct control *control);

/* "" or the one line with which the node must stop. */
const char *control_failure(const struct control *control);
/* What formation waits for, in plain words; "" when formed. Changes are worth a line in the log. */
const char *control_waits_for(const struct control *control);

#endif
