/* disk.h - the model of one machine's disk: files of blocks with a volatile and a durable side, and
 * names likewise.
 *
 * Picture. A block has up to four contents, each a shared page (NULL = zeros, so an empty 64 MiB
 * file costs a few pointers):
 *
 *     content   what a reader sees (page cache); changed by a write
 *     durable   what is on the platter; becomes the content that a sync covered, or a write-back
 *     old       the durable one before it; only with keep_old
 *     and what a sync in flight covers: the content when it began (struct covering)
 *
 * `dirty` says that the next sync will cover the block. After a failed sync content and durable
 * differ and the block is nevertheless clean: the page cache shows bytes that no later sync writes
 * (fsyncgate).
 *
 * Names: `names` is what a process sees, `durable_names` what a power cut leaves at least;
 * `pending` are the operations in between, in order. Everything is kept sorted by path; there is
 * nothing here whose order depends on an address.
 *
 * The disk knows no time, no faults by count and no io: it is told what happens. Private to sim/.
 */
#ifndef HOLDFAST_SIM_DISK_H
#define HOLDFAST_SIM_DISK_H

#include "base/bytes.h"
#include "base/random.h"
#include "io/io.h"

#define DISK_SECTOR_SIZE   512
#define DISK_LEAF_BLOCKS   64
#define DISK_PENDING_MAX   256 /* then the older half is written back, as a kernel would */
#define DISK_FILE_SIZE_MAX (1ull << 36)

struct page {
    uint32_t refs;
    uint8_t bytes[IO_BLOCK_SIZE];
};

struct block {
    struct page *content, *durable, *old; /* one reference each; NULL = zeros */
    bool dirty;                           /* is in inode->dirty */
    bool charged;                         /* takes space */
    bool rewritten;                       /* `old` means something */
};

struct leaf {
    struct block blocks[DISK_LEAF_BLOCKS];
};

struct inode {
    uint32_t refs;    /* names, durable names, pending operations, handles, tasks, locks */
    uint32_t links;   /* volatile names */
    uint32_t handles; /* open files and tasks */
    bool is_directory;
    bool is_counted; /* its blocks are in disk->used */
    const void *lock_holder;
    uint64_t size, durable_size;
    uint64_t reserved;       /* blocks below this number are charged (a prepared file) */
    uint64_t charged_blocks; /* all of them */
    struct leaf **leaves;    /* owned */
    size_t leaf_count;
    uint64_t *dirty; /* block numbers; owned */
    size_t dirty_count, dirty_capacity;
    uint64_t synced_until_ns; /* syncs of one file end in order */
};

struct name {
    char *path; /* owned; absolute, no double or trailing slash; the root is "/" */
    struct inode *inode;
};

struct names {
    struct name *list; /* sorted by path */
    size_t count, capacity;
};

enum name_operation_kind {
    NAME_LINK,
    NAME_UNLINK,
    NAME_RENAME
};

struct name_operation {
    enum name_operation_kind kind;
    char *path, *to;     /* owned; `to` for a rename */
    struct inode *inode; /* LINK and RENAME: what the name then means */
    bool chosen;
};

struct disk {
    struct names names, durable_names;
    struct name_operation *pending;
    size_t pending_count, pending_capacity;
    uint64_t used, capacity; /* bytes; capacity 0: no limit */
    uint64_t file_size_limit;
    uint32_t garbage_per_million;
    bool keep_old;
    struct random random;
};

/* The pages that one sync covers. */
struct covering {
    uint64_t *numbers;
    struct page **pages;
    size_t count;
    uint64_t size; /* of the file when it began */
};

void disk_init(struct disk *disk, uint64_t seed);
void disk_deinit(struct disk *disk);

/* ---- files: disk.c ---- */

void inode_ref(struct inode *inode);
void inode_unref(struct disk *disk, struct inode *inode);
void inode_hold(struct inode *inode); /* a handle: ref, and its space stays taken */
void inode_release(struct disk *disk, struct inode *inode);

/* OK, or NO_SPACE with what found room written (a prefix). */
enum status inode_write(struct disk *disk, struct inode *inode, const struct slice *pieces,
                        size_t count, uint64_t offset);
size_t inode_read(const struct inode *inode, uint8_t *into, size_t size, uint64_t offset);

/* Makes the empty `inode` one of `size` durable zeros with its space taken; OK or NO_SPACE. */
enum status inode_reserve(struct disk *disk, struct inode *inode, uint64_t size);

/* A sync begins; the blocks it covers are clean from now on. It ends with one of the next two,
 * which empty `covering`. */
void inode_sync_begin(struct inode *inode, struct covering *covering);
void inode_sync_end(struct disk *disk, struct inode *inode, struct covering *covering);
void covering_drop(
    struct covering *covering); /* it failed: nothing becomes durable, all is clean */

/* The page cache of what no sync waits for is dropped: readers see what is on the platter. */
void inode_drop_cache(struct inode *inode);

/* Interrupted by the end of its process: the blocks wait for another sync. */
void inode_sync_undo(struct inode *inode, struct covering *covering);

/* A power cut in the middle of it: any subset becomes durable. */
void inode_sync_cut(struct disk *disk, struct inode *inode, struct covering *covering);

/* The number-th block when there is one that was ever written; else NULL. */
struct block *inode_block(const struct inode *inode, uint64_t number);
bool block_is_same(const struct page *a, const struct page *b);
void block_set(struct block *block, const uint8_t bytes[IO_BLOCK_SIZE]); /* content and durable */

/* ---- names: disk_names.c. Paths are normal (path_normalize). ---- */

enum status path_normalize(const char *path,
                           char out[IO_PATH_SIZE]);         /* INVALID when too long or empty */
void path_parent(const char *path, char out[IO_PATH_SIZE]); /* of "/" it is "/" */

struct inode *disk_find(const struct disk *disk, const char *path); /* borrowed; NULL */

/* A new empty file or directory under a new name; NOT_FOUND without its parent directory, EXISTS.
 * Borrowed. */
enum status disk_make(struct disk *disk, const char *path, bool is_directory, struct inode **out);
enum status disk_remove(struct disk *disk, const char *path); /* files only */
enum status disk_rename(struct disk *disk, const char *from, const char *to);

/* Makes the operations pending on names directly inside `directory` durable, with those that they
 * build on. */
void disk_sync_directory(struct disk *disk, const char *directory);
void disk_sync_name(struct disk *disk, const char *path); /* of this name only */

/* The first name inside directory `path`, and how many follow it (with deeper ones). */
size_t disk_first_inside(const struct disk *disk, const char *path);

/* ---- loss: disk_loss.c ---- */

/* Power is lost: names and blocks become one of their possible durable states. Locks go; no handle
 * may be left. Returns how many blocks did not get their newest content. */
uint64_t disk_power_cut(struct disk *disk);

/* for disk_names.c and disk_loss.c */
void names_set(struct disk *disk, struct names *names, const char *path,
               struct inode *inode); /* NULL: remove */
size_t names_place(const struct names *names, const char *path, bool *found);
void pending_apply(struct disk *disk, struct name_operation *operation); /* to the durable names */
void pending_choose_ancestors(struct disk *disk);
void pending_apply_chosen(struct disk *disk);
void page_unref(struct page *page);
void block_set_durable(struct disk *disk, struct block *block, struct page *page); /* takes it */
void inode_count_again(struct disk *disk, struct inode *inode);

#endif
