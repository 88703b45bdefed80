/* inside.h - private to control/. */
#ifndef HOLDFAST_CONTROL_INSIDE_H
#define HOLDFAST_CONTROL_INSIDE_H

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
    uint64_t next_ns, asked_ns;
    struct buffer input;
    /* what it last answered */
    enum probe_answer answer;
    bool is_self, other_list, promise_saved;
    uint64_t instance;
    struct node_member facts;
    struct node_promise promise;
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
    bool has_found, catalogued;
    uint64_t next_ns;
    char failure[CONTROL_LINE_SIZE], waits_for[CONTROL_LINE_SIZE];
};

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

/* directory.c */
/* Whether a formed directory goes with the options of this start. False: not yet (a node of one
 * moves, and that must be durable), or never: then the failure says why. NODE-5 */
bool directory_fits(struct control *control);

/* catalogue.c */
void catalogue_step(struct control *control);

#endif
