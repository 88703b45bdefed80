/* wire.h - the bytes that nodes exchange and log: entries, frames, messages. Pure. Floor 2; used by
 * peer/, replica/, node/, control/.
 *
 * An entry is encoded once: the same bytes are logged, sent and applied. A frame carries what one
 * turn has for one link: messages of many groups. Everything is little-endian, carries a format
 * version (R21), and is validated whole before any of it is believed.
 *
 *   entry    0 u32 length (all bytes, this included)
 *            4 u8  version (1)
 *            5 u8  kind
 *            6 u16 flags
 *            8 u64 checksum: XXH3 of bytes [16, length), seeded with bytes [0, 8)
 *           16 u64 group
 *           24 u64 index, 1 or more
 *           32 u64 term, 1 or more
 *           40 i64 time_us (group time; strictly rising in a log)
 *           48 u8  when it could be acknowledged: wire_ack, and WIRE_ACK_EARLY
 *           49 zero bytes x 7
 *           56 [ONCE: u64 client id, u64 sequence]
 *              [CONNECTION: u64 node id, u64 connection id]
 *              the payload. NOOP: empty. CONFIGURATION: raft_configuration_encode.
 *              COMMANDS: command.h "effects". MARK, FROZEN, INGEST: reserved.
 *
 *   frame    0 u32 length (all bytes)
 *            4 u8  version (1)
 *            5 zero bytes x 3
 *            8 u64 checksum: XXH3 of bytes [16, length), seeded with bytes [0, 8)
 *           16 messages, at least one: u8 kind, zero bytes x 3, u32 length of the body, body
 *              (bodies: message_add.c)
 *
 * Promises. WIRE-1 nothing in a decoded message points outside the frame, every count and kind is
 * in range. WIRE-2 encode then decode gives the same message; a format version that this build does
 * not know is FOREIGN, never guessed. WIRE-3 entries in an APPEND have rising indexes without gaps,
 * terms that do not fall, the message's group, and checksums that hold. Golden bytes:
 * tests/golden/wire.txt. */
#ifndef HOLDFAST_WIRE_WIRE_H
#define HOLDFAST_WIRE_WIRE_H

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "raft/raft.h"

/* ---- entries ---- */

#define WIRE_ENTRY_HEADER_SIZE 56
#define WIRE_ENTRY_PREFIX_MAX  (WIRE_ENTRY_HEADER_SIZE + 32)
#define WIRE_ENTRY_SIZE_MAX    (513u << 20)

enum wire_entry_kind {
    WIRE_ENTRY_NOOP = 1,
    WIRE_ENTRY_CONFIGURATION,
    WIRE_ENTRY_COMMANDS,
    WIRE_ENTRY_MARK,
    WIRE_ENTRY_FROZEN,
    WIRE_ENTRY_INGEST,
};
enum {
    WIRE_ENTRY_ONCE = 1,
    WIRE_ENTRY_CONNECTION = 2
}; /* flags */

/* When a write is acknowledged. 1 to RAFT_MEMBERS_MAX: so many voters, the leader among them, have
 * it persisted. */
enum wire_ack {
    WIRE_ACK_CONTRACT = 0, /* as the keyspace says; in an entry: with its commit */
    WIRE_ACK_ASYNC = 29,   /* the leader's kernel has it */
    WIRE_ACK_QUORUM = 30,  /* its commit */
    WIRE_ACK_ALL = 31,     /* every voter of the in-sync set has it persisted */
};
#define WIRE_ACK_EARLY 0x80 /* in an entry: that may have come before its commit */

struct wire_entry {
    enum wire_entry_kind kind;
    uint16_t flags;
    struct group_id group;
    uint64_t index, term;
    int64_t time_us;
    uint8_t ack;
    uint64_t once_client, once_sequence;
    uint64_t connection_node, connection;
    struct slice payload; /* borrowed */
    struct slice bytes;   /* decode: the whole entry, borrowed */
};

/* Appends the entry; the payload is given in up to two pieces (its count in front, see
 * effect_count_store). TOO_LARGE when over the maximum. */
MUST_USE enum status wire_entry_encode(const struct wire_entry *entry,
                                       const struct slice payload[2], struct buffer *out);
/* Takes one entry off the front, checksum checked; does not look at what kind of payload it is.
 * INVALID (cut off, malformed), DAMAGED (checksum), FOREIGN (version). */
MUST_USE enum status wire_entry_take(struct slice *from, struct wire_entry *out);
/* The same for bytes whose checksum has held before in this process: from a frame that was taken,
 * from memory. */
MUST_USE enum status wire_entry_take_checked(struct slice *from, struct wire_entry *out);
/* Length of the entry at the front, from its first 4 bytes; 0 when fewer are there or it is out of
 * range. */
size_t wire_entry_length(struct slice from);

/* ---- frames and messages ---- */

#define WIRE_FRAME_HEADER_SIZE 16
#define WIRE_FRAME_SIZE_MAX    (520u << 20)
#define WIRE_BEATS_MAX         65536
#define WIRE_ADDRESS_SIZE      64

enum wire_kind {
    WIRE_HELLO = 1,
    WIRE_IDLE,
    WIRE_RAFT,
    WIRE_HEARTBEAT,
    WIRE_HEARTBEAT_ANSWER,
    WIRE_FORWARD,
    WIRE_FORWARD_REPLY,
    WIRE_FORWARD_CLOSE,
    WIRE_SNAPSHOT_ASK = 16, /* to who has one: begin, or go on */
    WIRE_SNAPSHOT_HEADER,   /* answers: what it is, and its header */
    WIRE_SNAPSHOT_PART,     /* a piece of one chunk */
    WIRE_SNAPSHOT_NONE,     /* that one is not here */
};

enum wire_link {
    WIRE_LINK_DATA = 1,
    WIRE_LINK_CONTROL
};

struct wire_hello { /* the first message in each direction */
    struct cluster_id cluster;
    struct node_id from, to;
    uint64_t incarnation;     /* of this start of the sender */
    uint32_t worker, workers; /* the sender's, and how many its node has */
    uint16_t to_worker;       /* of the receiver's node */
    enum wire_link link;
    char client_address[WIRE_ADDRESS_SIZE]; /* where the sender serves clients */
};

/* What each heartbeat and each answer says of its sender. */
enum wire_node_state {
    WIRE_NODE_ENDS = 1, /* it is being stopped: nobody is to wait for its copies (R15) */
    WIRE_NODE_FULL = 2, /* its disk has no room, or stands still, or it loads: it is not to be
                           handed leadership */
    WIRE_NODE_STATES = 3
};

#define WIRE_BEHIND_UNKNOWN ((1ull << 56) - 1)

struct wire_beat { /* R6: one of each group that the sender leads (HEARTBEAT) or that the answer is
                      about */
    struct group_id group;
    struct replica_id from, to;
    uint64_t term, round, commit;
    uint64_t behind; /* HEARTBEAT: 1 + bytes of the committed entries that the receiver has not
                        accepted yet, as far as the sender has heard; 0: not said */
    bool agreed;     /* ANSWER */
};

enum wire_forward_flag {
    WIRE_FORWARD_RESP3 = 1,
    WIRE_FORWARD_WRITE = 2,
    WIRE_FORWARD_RETRY = 4,
    WIRE_FORWARD_ACK = 3 /* the upper five bits: the connection's wire_ack */
};

struct wire_forward { /* one request of a client's connection, to be run by the receiver, the leader
                         of `group` */
    struct group_id group;
    uint64_t session; /* the connection at the origin node; unique for an incarnation */
    uint32_t epoch;   /* rises whenever the origin starts to send again from a refused request on */
    uint64_t sequence; /* 1, 2, 3 ... in a session and epoch: the receiver runs them in order,
                          without gaps */
    uint8_t flags, database;
    uint16_t waited_ms; /* since the origin read it, 0 where any time will do; 65,535: or more */
    /* The newest write of the session in this group that was acknowledged, maybe before its commit;
     * 0: none. */
    uint64_t token_term, token_index;
    struct slice request; /* varint argument count, then varint size + bytes each */
};

enum wire_outcome {
    WIRE_OUTCOME_DONE = 1, /* `reply` holds the rendered reply */
    WIRE_OUTCOME_REFUSED, /* not appended and never will be (R16): the origin may send it elsewhere;
                             `leader`: a hint or 0 */
    WIRE_OUTCOME_UNKNOWN, /* appended, fate unknown */
};

struct wire_forward_reply {
    uint64_t session;
    uint32_t epoch;
    uint64_t sequence;
    enum wire_outcome outcome;
    struct node_id leader;
    uint64_t token_term, token_index; /* DONE: of this write, as above */
    struct slice reply;
};

/* A snapshot on its way from replica to replica. ASK without a term: any at `index` or past it;
 * with one: the chunks `chunk` .. `chunk` + `count` - 1 of that very one may be sent, and if
 * `again` the sending begins at `chunk`, whatever was sent before. Chunk WIRE_SNAPSHOT_OUTLINE: the
 * outline of its chunks, in PARTs of that number; who does not know it says nothing. */
#define WIRE_SNAPSHOT_OUTLINE UINT32_MAX
struct wire_snapshot {
    struct group_id group;
    struct replica_id from, to;
    uint64_t index, term;  /* of the snapshot's last entry */
    uint32_t chunk, count; /* HEADER: how many there are; ASK: see above; PART: which one */
    bool again;
    uint64_t offset, size;  /* PART: where it begins in its chunk, and how large that is */
    uint64_t keys, content; /* HEADER: of the whole */
    struct slice bytes;     /* HEADER, PART; borrowed */
};

struct wire_message {
    enum wire_kind kind;
    union {
        struct wire_hello hello;
        struct {
            struct raft_message message;
            struct slice entries; /* APPEND: checked entries, one after the other; else empty */
        } raft;
        struct {
            int64_t wall_us; /* the sender's clock */
            uint32_t count;
            uint8_t state;      /* enum wire_node_state */
            struct slice beats; /* see wire_beat_take */
        } heartbeat;            /* and answer */
        struct wire_forward forward;
        struct wire_forward_reply forward_reply;
        struct wire_snapshot snapshot;
        struct {
            uint64_t session;
        } forward_close;
    };
};

/* A frame is opened on a buffer, messages are added, then it is closed (length, checksum). Several
 * may stand in one buffer. */
struct wire_frame {
    struct buffer *out;
    size_t start;
};
void wire_frame_open(struct wire_frame *frame, struct buffer *out);
bool wire_frame_is_empty(const struct wire_frame *frame);
void wire_frame_close(struct wire_frame *frame); /* an empty frame is taken back */

void wire_add_hello(struct wire_frame *frame, const struct wire_hello *hello);
void wire_add_idle(struct wire_frame *frame);
/* Entries may be given in several pieces (they lie in arena chunks). */
void wire_add_raft(struct wire_frame *frame, const struct raft_message *message,
                   const struct slice *entries, size_t pieces);
void wire_add_heartbeat(struct wire_frame *frame, bool answer, uint8_t state, int64_t wall_us,
                        const struct wire_beat *beats, uint32_t count);
void wire_add_forward(struct wire_frame *frame, const struct wire_forward *forward);
void wire_add_forward_reply(struct wire_frame *frame, const struct wire_forward_reply *reply);
void wire_add_forward_close(struct wire_frame *frame, uint64_t session);
void wire_add_snapshot(struct wire_frame *frame, enum wire_kind kind,
                       const struct wire_snapshot *snapshot);

/* One whole frame at the front of `input`? OK: *size and *messages. AGAIN: *size is what is needed.
 * INVALID, DAMAGED, FOREIGN: drop the link. */
MUST_USE enum status wire_frame_take(struct slice input, size_t *size, struct slice *messages);
/* The next message; END at the end; INVALID: drop the link. Everything in it is borrowed from the
 * frame. On INVALID `out` holds nothing of use. */
MUST_USE enum status wire_message_take(struct slice *messages, struct wire_message *out);
MUST_USE enum status wire_beat_take(struct slice *beats, struct wire_beat *out);

/* The arguments of a forwarded request. encode appends; take fills `arguments` (room for `max`),
 * INVALID otherwise. */
void wire_request_encode(const struct slice *arguments, size_t count, struct buffer *out);
MUST_USE enum status wire_request_take(struct slice request, struct slice *arguments, size_t max,
                                       size_t *count);
/* The argument behind the command's name, a key for most; false: there is none. */
bool wire_request_guess_key(struct slice request, struct slice *key);

#endif
