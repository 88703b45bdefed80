/* file.c - the files of the cuts: one is written at a time, under another name, synced, then named.
 * The log has what a file lacks: what cannot be saved now is tried again later. */
#include "replica/ledger/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_NS      (1000 * 1000000ull)
#define FILE_SIZE_MAX ((size_t)1 << 30)
#define SUFFIX        ".cut"

static void path_of(const struct ledger *ledger, struct group_id group, uint64_t term,
                    const char *more, char path[IO_PATH_SIZE])
{
    snprintf(path, IO_PATH_SIZE, "%s/%llu-%llu" SUFFIX "%s", ledger->dir,
             (unsigned long long)group.value, (unsigned long long)term, more);
}

/* ---- saving ---- */

static bool make_dir(struct ledger *ledger)
{
    char parent[IO_PATH_SIZE];
    if (ledger->made_dir)
        return true;
    snprintf(parent, sizeof parent, "%s", ledger->dir);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = 0;
    ledger->made_dir = !io_dir_make(ledger->io, ledger->dir) && !io_dir_sync(ledger->io, parent);
    return ledger->made_dir;
}

/* False: not now. */
static bool write_draft(struct ledger *ledger, const struct ledger_cut *cut)
{
    char path[IO_PATH_SIZE];
    struct buffer text;
    buffer_init(&text, FILE_SIZE_MAX);
    ledger_write(ledger, cut, &text);
    struct slice piece = slice_of_buffer(&text);
    path_of(ledger, cut->group, cut->term, ".tmp", path);
    (void)!io_file_remove(ledger->io, path); /* of an attempt that a crash ended */
    enum status status = io_file_open(ledger->io, path, IO_FILE_CREATE, &ledger->file);
    bool opened = !status;
    if (!status)
        status = io_file_write(ledger->io, ledger->file, &piece, 1, 0);
    if (!status)
        io_file_sync_start(ledger->io, ledger->file, text.size, ledger->tag);
    else if (opened)
        io_file_close(ledger->io, ledger->file);
    buffer_deinit(&text);
    return status == STATUS_OK;
}

static struct ledger_cut *first_unsaved(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->cuts[i].unsaved)
            return &ledger->cuts[i];
    return NULL;
}

bool ledger_is_saved(const struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->cuts[i].unsaved)
            return false;
    return true;
}

void ledger_tick(struct ledger *ledger, uint64_t now_ns)
{
    struct ledger_cut *cut = ledger->is_saving ? NULL : first_unsaved(ledger);
    if (!cut || now_ns < ledger->retry_ns)
        return;
    ledger->is_saving = make_dir(ledger) && write_draft(ledger, cut);
    ledger->is_publishing = false;
    ledger->retry_ns = now_ns + RETRY_NS;
    ledger->saving_group = cut->group;
    ledger->saving_term = cut->term;
    ledger->saving_version = cut->version;
}

uint64_t ledger_deadline_ns(const struct ledger *ledger)
{
    for (size_t i = 0; !ledger->is_saving && i < ledger->count; i++)
        if (ledger->cuts[i].unsaved)
            return ledger->retry_ns;
    return UINT64_MAX;
}

static void publish(struct ledger *ledger)
{
    char draft[IO_PATH_SIZE], path[IO_PATH_SIZE];
    path_of(ledger, ledger->saving_group, ledger->saving_term, ".tmp", draft);
    path_of(ledger, ledger->saving_group, ledger->saving_term, "", path);
    ledger->is_publishing = true;
    io_file_publish_start(ledger->io, draft, path, ledger->tag);
}

static void published(struct ledger *ledger)
{
    size_t i = 0;
    while (i < ledger->count && !(group_id_equal(ledger->cuts[i].group, ledger->saving_group) &&
                                  ledger->cuts[i].term == ledger->saving_term))
        i++;
    if (i < ledger->count && ledger->cuts[i].version == ledger->saving_version)
        ledger->cuts[i].unsaved = false;
    ledger->retry_ns = 0;
}

bool ledger_handle_event(struct ledger *ledger, const struct io_event *event)
{
    bool own = event->kind == IO_SYNCED || event->kind == IO_FILE_DONE;
    if (!own || event->tag != ledger->tag)
        return false;
    if (!ledger->is_saving)
        return true;
    if (!ledger->is_publishing)
        io_file_close(ledger->io, ledger->file);
    if (!event->status && !ledger->is_publishing) {
        publish(ledger);
        return true;
    }
    ledger->is_saving = false;
    if (!event->status)
        published(ledger);
    return true;
}

/* ---- at a start ---- */

static void load_file(struct ledger *ledger, const char *path)
{
    struct io_file file;
    uint64_t size = 0;
    size_t got = 0;
    if (io_file_open(ledger->io, path, IO_FILE_READ, &file))
        return;
    if (!io_file_size(ledger->io, file, &size) && size && size <= FILE_SIZE_MAX) {
        uint8_t *bytes = memory_allocate((size_t)size);
        if (!io_file_read(ledger->io, file, bytes, (size_t)size, 0, &got))
            (void)!ledger_read(ledger, slice_of(bytes, got));
        memory_free(bytes);
    }
    io_file_close(ledger->io, file);
}

static bool is_cut(const char *name)
{
    size_t size = strlen(name), suffix = sizeof SUFFIX - 1;
    return size > suffix && strcmp(name + size - suffix, SUFFIX) == 0;
}

/* What stands in the log and not in its file, or the other way round, is in memory afterwards; a
 * file is written again only when the log brought something. */
void ledger_load(struct ledger *ledger, unsigned worker, unsigned workers)
{
    char *names = NULL, path[IO_PATH_SIZE];
    size_t count = 0;
    if (io_dir_list(ledger->io, ledger->dir, &names, &count))
        return; /* there is none yet */
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        snprintf(path, sizeof path, "%s/%s", ledger->dir, name);
        if (is_cut(name) && strtoull(name, NULL, 10) % workers == worker)
            load_file(ledger, path);
    }
    memory_free(names);
}
