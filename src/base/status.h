/* status.h - how expected trouble is reported. Floor 0; everybody may use it.
 *
 * A function that can meet trouble returns `enum status`; its outputs come last and stay untouched
 * on failure. Our own mistakes are assertions, which are always on; the ground giving way (a failed
 * sync) is `fatal`. errno ends in io/. */
#ifndef HOLDFAST_BASE_STATUS_H
#define HOLDFAST_BASE_STATUS_H

#define MUST_USE __attribute__((warn_unused_result))

enum status {
    STATUS_OK = 0,
    STATUS_AGAIN,     /* nothing now; an event will tell when */
    STATUS_CLOSED,    /* the other side is gone */
    STATUS_END,       /* no more items */
    STATUS_NOT_FOUND, /* no such file, key, peer */
    STATUS_EXISTS,    /* it is there already */
    STATUS_IN_USE,    /* a port or directory that another process holds */
    STATUS_INVALID,   /* malformed bytes or arguments */
    STATUS_TOO_LARGE, /* over a named maximum */
    STATUS_NO_SPACE,  /* the disk is full */
    STATUS_DAMAGED,   /* a checksum or an order that does not hold */
    STATUS_FOREIGN,   /* of another cluster, node or version */
    STATUS_IO,        /* the device or the network failed */
    STATUS_REFUSED,   /* understood, not allowed now */
    STATUS_DENIED,    /* this user may not, or the file system is read-only */
    STATUS_EXHAUSTED, /* the process has no file descriptor left */
};

/* One lower-case phrase for a status ("no space left"), for messages to people. Static storage. */
const char *status_text(enum status status);

#endif
