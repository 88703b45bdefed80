/* client.h - the clients: connections on machines of their own, each with its own pace, to a random
 * node, doing random operations on few keys, so that they conflict; everything goes into a history.
 *
 * A connection opens one of the keyspaces and stays there. The first one also creates and drops
 * them.
 *
 * An answer that does not come in time leaves its operation UNKNOWN, and the connection goes on
 * with another node. TRYAGAIN, NOREPLICAS and MISCONF are promises that nothing happened;
 * UNKNOWNOUTCOME is none; behind ONCE it means: ask again. */
#ifndef HOLDFAST_SIM_CLIENT_H
#define HOLDFAST_SIM_CLIENT_H

#include "sim/cluster.h"
#include "sim/history.h"
#include "sim/spaces.h"

#include "base/random.h"

#define CLIENT_CONNECTIONS_MAX 32
#define CLIENT_TRACKED_MAX     HISTORY_KEYS_MAX

struct client;

struct client_options {
    unsigned connections;
    uint64_t think_min_ns, think_max_ns;     /* between an answer and the next request */
    uint64_t timeout_min_ns, timeout_max_ns; /* drawn for each connection */
    unsigned pipeline_percent;               /* requests that bring more behind them */
    unsigned read_percent;
};

struct client_facts {
    uint64_t requests, timeouts, connects;
    /* of each node: when the newest write that it answered with success was asked */
    uint64_t write_asked_ns[CLUSTER_NODES_MAX];
};

/* Adds a machine and starts it; the slots of `history` are there already. */
struct client *client_create(struct world *world, const struct cluster *cluster,
                             struct history *history, struct spaces *spaces,
                             const struct client_options *options, uint64_t seed,
                             struct verdict *verdict);
void client_destroy(struct client *client);

struct machine_id client_machine(const struct client *client);
void client_turn(struct client *client, const struct world_turn *turn);

/* From now on the connections are shared out among all nodes. */
void client_spread(struct client *client);

/* No new requests; true once nothing waits for an answer. */
void client_pause(struct client *client);
bool client_is_idle(const struct client *client);

/* Then: every key is read once through every node that is up. client_reading_is_done. */
void client_read_all(struct client *client);
bool client_reading_is_done(const struct client *client);
/* Keys whose final read failed are read again by themselves. */

struct client_facts client_facts(const struct client *client);

#endif
