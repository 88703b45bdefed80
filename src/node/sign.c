/* The small text file beside the logs: whose directory this is, and which logs count. A lost log is
 * then not taken for a new node, and a node whose log is damaged knows what it needs to begin anew:
 * who it is and where the others are (R4).
 *
 *     cluster, node, workers      for people, too
 *     log 2                       the logs are in wal.2, the snapshots in snapshots.2; 0: wal
 *     ticket                      by which the cluster knows this node; 0: it formed it
 *     fresh 1                     those logs are still to be begun
 *     formation, checksum         its bytes as hex; over all lines before
 *
 * One of an earlier version ends with `workers`. A sign that does not hold says nothing: then the
 * highest number among the logs counts, since a sign is durable before the logs it names are made.
 */
#include "node/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define SIGN_SIZE_MAX (256u << 10)

static void sign_path(const struct node *node, unsigned worker, char path[IO_PATH_SIZE])
{
    if (worker)
        snprintf(path, IO_PATH_SIZE, "%s/identity.%u", node->dir, worker);
    else
        snprintf(path, IO_PATH_SIZE, "%s/identity", node->dir);
}

/* ---- writing ---- */

static void put_formation(const struct node_formation *formation, struct buffer *text)
{
    struct buffer bytes;
    buffer_init(&bytes, SIGN_SIZE_MAX);
    node_encode_formation(formation, &bytes);
    buffer_print(text, "formation ");
    for (size_t i = 0; i < bytes.size; i++)
        buffer_print(text, "%02x", bytes.at[i]);
    buffer_print(text, "\n");
    buffer_deinit(&bytes);
}

static void encode(const struct node_sign *sign, struct buffer *text)
{
    buffer_print(text,
                 "cluster %016llx%016llx\nnode %llu\nworkers %u\nlog %llu\nticket %016llx\n"
                 "fresh %d\n",
                 (unsigned long long)sign->formation.cluster.high,
                 (unsigned long long)sign->formation.cluster.low,
                 (unsigned long long)sign->formation.self.value, sign->workers,
                 (unsigned long long)sign->log, (unsigned long long)sign->ticket, sign->fresh);
    put_formation(&sign->formation, text);
    buffer_print(text, "checksum %016llx\n", (unsigned long long)checksum(text->at, text->size));
}

void sign_save_start(struct node *node)
{
    char path[IO_PATH_SIZE];
    struct buffer text;
    struct node_sign sign = {.workers = node->options.workers,
                             .log = node->sign.log,
                             .ticket =
                                 node->formation.anew ? node->formation.anew : node->join.ticket,
                             .formation = node->formation};
    buffer_init(&text, SIGN_SIZE_MAX);
    encode(&sign, &text);
    sign_path(node, node->options.worker, path);
    io_file_save_start(node->io, path, slice_of_buffer(&text), UINT64_MAX);
    buffer_deinit(&text);
}

static enum status write_whole(struct io *io, const char *path, struct slice text)
{
    struct io_file file;
    enum status status = io_file_remove(io, path); /* of a start that died here */
    if (status && status != STATUS_NOT_FOUND)
        return status;
    status = io_file_open(io, path, IO_FILE_CREATE, &file);
    if (status)
        return status;
    status = io_file_write(io, file, &text, 1, 0);
    if (!status)
        status = io_file_refresh(io, file);
    io_file_close(io, file);
    return status;
}

enum status sign_write(struct node *node, const struct node_sign *sign)
{
    char path[IO_PATH_SIZE], draft[IO_PATH_SIZE];
    struct buffer text;
    buffer_init(&text, SIGN_SIZE_MAX);
    encode(sign, &text);
    sign_path(node, 0, path);
    snprintf(draft, sizeof draft, "%s/identity.new", node->dir);
    enum status status = write_whole(node->io, draft, slice_of_buffer(&text));
    if (!status)
        status = io_file_rename(node->io, draft, path);
    if (!status)
        status = io_dir_sync(node->io, node->dir);
    buffer_deinit(&text);
    return status;
}

/* ---- reading ---- */

/* What stands behind `name` in its line; NULL: no such line. */
static const char *field(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0 && line[size] == ' ')
            return line + size + 1;
    }
    return NULL;
}

static uint64_t number(const char *text, const char *name, int base)
{
    const char *at = field(text, name);
    return at ? strtoull(at, NULL, base) : 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_formation(const char *text, struct node_formation *out)
{
    const char *at = field(text, "formation");
    struct buffer bytes;
    buffer_init(&bytes, SIGN_SIZE_MAX);
    for (; at && digit(at[0]) >= 0 && digit(at[1]) >= 0; at += 2) {
        uint8_t byte = (uint8_t)(digit(at[0]) * 16 + digit(at[1]));
        (void)!buffer_append(&bytes, &byte, 1);
    }
    bool holds = at && node_decode_formation(slice_of_buffer(&bytes), out) == STATUS_OK;
    buffer_deinit(&bytes);
    return holds;
}

static bool holds(const char *text)
{
    const char *line = strstr(text, "\nchecksum ");
    return line && number(text, "checksum", 16) == checksum(text, (size_t)(line + 1 - text));
}

static void take(const char *text, struct node_sign *out)
{
    uint64_t workers = number(text, "workers", 10);
    out->is_there = true;
    out->workers = workers && workers <= PEER_WORKERS_MAX ? (unsigned)workers : 1;
    if (!holds(text))
        return;
    out->log = number(text, "log", 10);
    out->ticket = number(text, "ticket", 16);
    out->fresh = number(text, "fresh", 10) != 0;
    out->has_formation = take_formation(text, &out->formation);
}

/* The highest number among the directories wal.1, wal.2 ...; 0: there is none. */
static uint64_t last_log(struct node *node)
{
    char *names = NULL;
    size_t count = 0;
    uint64_t last = 0;
    if (io_dir_list(node->io, node->dir, &names, &count))
        return 0;
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        uint64_t found = strncmp(name, "wal.", 4) == 0 ? strtoull(name + 4, NULL, 10) : 0;
        if (found > last)
            last = found;
    }
    memory_free(names);
    return last;
}

void sign_load(struct node *node, unsigned worker, struct node_sign *out)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    size_t size = 0;
    memset(out, 0, sizeof *out);
    sign_path(node, worker, path);
    if (!io_file_open(node->io, path, IO_FILE_READ, &file)) {
        char *text = memory_zeroed(1, SIGN_SIZE_MAX);
        (void)!io_file_read(node->io, file, (uint8_t *)text, SIGN_SIZE_MAX - 1, 0, &size);
        io_file_close(node->io, file);
        take(text, out);
        memory_free(text);
    }
    if (!out->has_formation)
        out->log = last_log(node);
}

void node_log_dir(const struct node *node, char path[IO_PATH_SIZE])
{
    if (node->sign.log)
        snprintf(path, IO_PATH_SIZE, "%s/wal.%llu", node->dir, (unsigned long long)node->sign.log);
    else
        snprintf(path, IO_PATH_SIZE, "%s/wal", node->dir);
}

void node_snapshots_dir(const struct node *node, char path[IO_PATH_SIZE])
{
    if (node->sign.log)
        snprintf(path, IO_PATH_SIZE, "%s/snapshots.%llu", node->dir,
                 (unsigned long long)node->sign.log);
    else
        snprintf(path, IO_PATH_SIZE, "%s/snapshots", node->dir);
}

/* ---- beginning anew (R4) ---- */

/* A cluster of one has nobody who could give it its data back. */
bool sign_can_begin_anew(const struct node *node)
{
    return node->sign.has_formation && node->sign.formation.member_count > 1;
}

enum status sign_begin_anew(struct node *node, char why[NODE_WHY_SIZE])
{
    struct node_sign next = node->sign;
    char found[NODE_WHY_SIZE], wal[IO_PATH_SIZE], snapshots[IO_PATH_SIZE];
    uint64_t last = last_log(node);
    snprintf(found, sizeof found, "%s", why);
    node_log_dir(node, wal);
    node_snapshots_dir(node, snapshots);
    next.workers = node->options.workers;
    next.log = (last > next.log ? last : next.log) + 1;
    if (!next.fresh) /* else nobody has heard of that ticket */
        next.formation.before = next.ticket;
    next.formation.anew = next.ticket = io_random(node->io) | 1;
    next.fresh = true;
    enum status status = sign_write(node, &next);
    if (status) {
        snprintf(why, NODE_WHY_SIZE,
                 "%.300s; this node would begin anew, but cannot write that down in %s: %s", found,
                 node->dir, status_text(status));
        return status;
    }
    snprintf(why, NODE_WHY_SIZE,
             "%.400s; node %llu begins anew and gets its data from the others; %.100s and %.60s "
             "stay as they are: remove them when you need no proof",
             found, (unsigned long long)next.formation.self.value, wal,
             strrchr(snapshots, '/') + 1);
    return STATUS_AGAIN;
}
