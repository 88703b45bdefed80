/* dev.h - `holdfast dev`: a local cluster in the foreground. Shared by its files only.
 *
 *   dev.c       options, the loop, the end
 *   children.c  the processes: start, notice an end, start again, stop
 *   logs.c      what the nodes wrote, line by line
 *   watch.c     what the nodes say of themselves
 *   screen.c    the live view; without a terminal the lines go to stdout as they come
 *
 * One thread: it waits for a signal, a key or the next tick, and no step takes longer than
 * WATCH_TIMEOUT_MS. */
#ifndef HOLDFAST_HOLDFAST_DEV_H
#define HOLDFAST_HOLDFAST_DEV_H

#include "holdfast/health.h"
#include "holdfast/place.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DEV_NODES_MAX        9 /* one digit names a node */
#define DEV_LINES_MAX        128
#define DEV_LINE_SIZE        320
#define DEV_ADDRESS_SIZE     32
#define DEV_PEER_MORE        10000
#define DEV_HTTP_MORE        1000
#define WATCH_TIMEOUT_MS     250
#define RESTART_DELAY_MIN_MS 200
#define RESTART_DELAY_MAX_MS 5000

struct dev_node {
    int number; /* from 1 */
    char dir[PLACE_PATH_SIZE], log_path[PLACE_PATH_SIZE];
    char address[DEV_ADDRESS_SIZE], peer_address[DEV_ADDRESS_SIZE], http_address[DEV_ADDRESS_SIZE];
    /* the process */
    pid_t pid; /* 0: none */
    uint64_t started_ms, restart_at_ms;
    unsigned delay_ms, restarts;
    /* its log */
    int log_fd; /* -1: not there yet */
    char partial[DEV_LINE_SIZE];
    size_t partial_size;
    /* what is known of it; "-" and -1: nothing */
    bool ready;
    char role[16], state[24];
    int64_t applied, lag;
};

struct dev {
    size_t count;
    long port;
    const char *dir;
    bool has_shape; /* DIR holds a cluster already */
    char program[PLACE_PATH_SIZE];
    char join[DEV_NODES_MAX * DEV_ADDRESS_SIZE];
    struct dev_node nodes[DEV_NODES_MAX];
    char lines[DEV_LINES_MAX][DEV_LINE_SIZE]; /* a ring: what happened, and what the nodes logged */
    size_t line_count;                        /* ever; the newest are kept */
    struct health health;
    bool live; /* the view, instead of lines on stdout */
    bool was_ready;
    int signals; /* signalfd of what ends us, of our children and of the window */
};

/* children.c. -1 after the line on stderr. */
int children_check_ports(const struct dev *dev);
int children_start(struct dev *dev, struct dev_node *node);
/* Notices who ended and when it starts again; starts whose time has come. */
void children_tend(struct dev *dev);
void children_kill(struct dev *dev, struct dev_node *node);
/* SIGTERM to all, SIGKILL after 10 s or at a second signal; returns when none is left. */
void children_stop(struct dev *dev);

/* logs.c */
void logs_say(struct dev *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));
void logs_read(struct dev *dev);

/* watch.c */
void watch_nodes(struct dev *dev);
bool watch_is_ready(struct dev *dev); /* every /readyz answers 200 */

/* screen.c */
struct screen;
struct screen *screen_open(void); /* NULL: the terminal cannot show it */
void screen_close(struct screen *screen);
void screen_draw(struct screen *screen, const struct dev *dev);
void screen_resize(struct screen *screen);
/* Handles the keys typed so far; false: the user wants to end. */
bool screen_obey(struct screen *screen, struct dev *dev);

#endif
