/* service.h - what the service manager is told: systemd's notifications (sd_notify(3)), by hand.
 *
 * Who starts the process and wants to hear of it gives the name of a datagram socket in
 * NOTIFY_SOCKET, a path or, behind '@', an abstract name; and in WATCHDOG_USEC how long it may be
 * silent. A thread of its own looks at the facts that /livez and /readyz are answered from, and
 * sends what is new, so that no worker ever waits for that socket. Without NOTIFY_SOCKET there is
 * no thread.
 *
 *   service_start -> STATUS, EXTEND_TIMEOUT_USEC -> service_say_ready -> READY, STATUS, WATCHDOG
 *                 -> service_say_stopping -> STOPPING -> service_stop
 *
 * Promises. SERVICE-1 READY=1 is said once this node has recovered and listens, and waits for no
 * other node: ordered starts would wait for each other for ever. SERVICE-2 WATCHDOG=1 is said only
 * while every worker turns. SERVICE-3 More time for a start is asked for only while it reads or
 * computes: one that hangs is ended by the service manager. Non-promise: what was said may be lost;
 * what could not be sent is sent later. */
#ifndef HOLDFAST_HOLDFASTD_SERVICE_H
#define HOLDFAST_HOLDFASTD_SERVICE_H

#include "base/status.h"
#include "http/http.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_TEXT_SIZE 256
#define SERVICE_WHY_SIZE  256

/* ---- deciding: what is to be said now ---- */

enum service_phase {
    SERVICE_RECOVERING,
    SERVICE_RUNNING,
    SERVICE_STOPPING
};

struct service_view {
    enum service_phase phase;
    uint64_t now_ns;
    uint64_t work;      /* RECOVERING: what the process has read and computed, see service.c */
    bool turns;         /* RUNNING: every worker has turned lately */
    bool ready;         /* /readyz */
    const char *reason; /* why not; static text, NULL: not known yet */
};

struct service_said {
    bool began, ready, stopping;
    uint64_t work;
    uint64_t watchdog_ns, next_watchdog_ns; /* how long it may be silent; 0: for ever */
    char status[SERVICE_TEXT_SIZE];
};

/* Writes the message that is due into `out`, "" when none is, and takes it as said. */
void service_decide(struct service_said *said, const struct service_view *view,
                    char out[SERVICE_TEXT_SIZE]);

/* ---- doing ---- */

struct service;

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: no child is to speak
 * in the name of this process. Before any other thread. *out is NULL when nobody wants to hear.
 * INVALID with one line: a name that is no socket's; the caller goes on without. */
MUST_USE enum status service_start(struct service **out, char why[SERVICE_WHY_SIZE]);

/* From any thread; NULL is fine. `facts` are borrowed until service_stop. */
void service_say_ready(struct service *service, struct http_facts *facts);
void service_say_stopping(struct service *service);

/* Ends the thread. `last` stays as the status: why the process ends; "": as it was asked to. */
void service_stop(struct service *service, const char *last);

#endif
