#include "sim/disk.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

/* How one power cut treats what was not synced. All of them happen to real disks; mixing them per
 * cut finds more than one coin for each block would: "everything" and "nothing" are rare under
 * independent coins. */
enum loss_mode {
    LOSE_ALL,
    LOSE_NOTHING,
    LOSE_TAIL,
    LOSE_ANY
};

static enum loss_mode draw_mode(struct disk *disk)
{
    switch (random_below(&disk->random, 8)) {
    case 0: return LOSE_ALL;
    case 1: return LOSE_NOTHING;
    case 2:
    case 3: return LOSE_TAIL;
    default: return LOSE_ANY;
    }
}

/* ---- names ---- */

static void choose_names(struct disk *disk)
{
    enum loss_mode mode = draw_mode(disk);
    size_t prefix = random_below(&disk->random, disk->pending_count + 1);
    for (size_t i = 0; i < disk->pending_count; i++) {
        bool *chosen = &disk->pending[i].chosen;
        switch (mode) {
        case LOSE_ALL: *chosen = false; break;
        case LOSE_NOTHING: *chosen = true; break;
        case LOSE_TAIL: *chosen = i < prefix; break;
        case LOSE_ANY: *chosen = random_next(&disk->random) % 2 == 0; break;
        }
    }
    pending_choose_ancestors(disk);
}

static void drop_pending(struct disk *disk)
{
    for (size_t i = 0; i < disk->pending_count; i++) {
        memory_free(disk->pending[i].path);
        memory_free(disk->pending[i].to);
        inode_unref(disk, disk->pending[i].inode);
    }
    disk->pending_count = 0;
}

/* A name whose directory did not survive is gone with it. Parents come before children in the order
 * of paths. */
static void drop_orphans(struct disk *disk)
{
    struct names *names = &disk->durable_names;
    for (size_t i = 0; i < names->count;) {
        char parent[IO_PATH_SIZE];
        bool found;
        path_parent(names->list[i].path, parent);
        names_place(names, parent, &found);
        if (found)
            i++;
        else
            names_set(disk, names, names->list[i].path, NULL);
    }
}

static void lose_names(struct disk *disk)
{
    choose_names(disk);
    pending_apply_chosen(disk);
    drop_pending(disk);
    drop_orphans(disk);
    while (disk->names.count > 0)
        names_set(disk, &disk->names, disk->names.list[disk->names.count - 1].path, NULL);
    for (size_t i = 0; i < disk->durable_names.count; i++)
        names_set(disk, &disk->names, disk->durable_names.list[i].path,
                  disk->durable_names.list[i].inode);
}

/* ---- blocks ---- */

static const struct page zero_page;

static struct page *torn_page(struct disk *disk, const struct page *old, const struct page *newer)
{
    size_t sectors = 1 + random_below(&disk->random, IO_BLOCK_SIZE / DISK_SECTOR_SIZE - 1);
    struct page *page = memory_allocate(sizeof *page);
    page->refs = 1;
    memcpy(page->bytes, (old == NULL ? &zero_page : old)->bytes, IO_BLOCK_SIZE);
    memcpy(page->bytes, (newer == NULL ? &zero_page : newer)->bytes, sectors * DISK_SECTOR_SIZE);
    return page;
}

static struct page *garbage_page(struct disk *disk)
{
    struct page *page = memory_allocate(sizeof *page);
    page->refs = 1;
    for (size_t i = 0; i < IO_BLOCK_SIZE; i += sizeof(uint64_t))
        store_u64(page->bytes + i, random_next(&disk->random));
    return page;
}

enum fate {
    FATE_OLD,
    FATE_NEW,
    FATE_TORN
};

static enum fate draw_fate(struct disk *disk, enum loss_mode mode, uint64_t number, uint64_t edge)
{
    switch (mode) {
    case LOSE_ALL: return FATE_OLD;
    case LOSE_NOTHING: return FATE_NEW;
    case LOSE_TAIL: return number < edge ? FATE_NEW : number == edge ? FATE_TORN : FATE_OLD;
    case LOSE_ANY: break;
    }
    uint64_t draw = random_below(&disk->random, 8);
    return draw < 3 ? FATE_OLD : draw < 6 ? FATE_NEW : FATE_TORN;
}

/* Both sides become `page` (whose reference is taken over). */
static void settle_block(struct block *block, struct page *page)
{
    if (page != NULL)
        page->refs++;
    page_unref(block->content);
    page_unref(block->durable);
    block->content = block->durable = page;
}

static struct page *ref(struct page *page)
{
    if (page != NULL)
        page->refs++;
    return page;
}

/* Returns whether the newest content was lost. */
static bool lose_block(struct disk *disk, struct block *block, enum fate fate)
{
    block->dirty = false;
    if (block->content == block->durable)
        return false;
    if (disk->garbage_per_million > 0 &&
        random_below(&disk->random, 1000000) < disk->garbage_per_million) {
        settle_block(block, garbage_page(disk));
        return true;
    }
    switch (fate) {
    case FATE_OLD: settle_block(block, ref(block->durable)); return true;
    case FATE_NEW: settle_block(block, ref(block->content)); return false;
    case FATE_TORN: break;
    }
    settle_block(block, torn_page(disk, block->durable, block->content));
    return true;
}

static void clear_past_end(struct inode *inode, struct block *block, uint64_t number)
{
    uint64_t start = number * IO_BLOCK_SIZE;
    if (start >= inode->size) {
        settle_block(block, NULL);
        return;
    }
    size_t kept = inode->size - start;
    if (kept >= IO_BLOCK_SIZE || block->content == NULL)
        return;
    uint8_t bytes[IO_BLOCK_SIZE] = {0};
    memcpy(bytes, block->content->bytes, kept);
    block_set(block, bytes);
}

static uint64_t draw_size(struct disk *disk, const struct inode *inode, enum loss_mode mode)
{
    uint64_t least = inode->durable_size, most = inode->size;
    if (mode == LOSE_ALL || least >= most)
        return least;
    if (mode == LOSE_NOTHING)
        return most;
    switch (random_below(&disk->random, 3)) {
    case 0: return least;
    case 1: return most;
    default: break;
    }
    uint64_t between =
        (least + random_below(&disk->random, most - least)) / IO_BLOCK_SIZE * IO_BLOCK_SIZE;
    return between < least ? least : between;
}

static uint64_t lose_blocks(struct disk *disk, struct inode *inode)
{
    enum loss_mode mode = draw_mode(disk);
    uint64_t lost = 0;
    uint64_t blocks = (inode->size + IO_BLOCK_SIZE - 1) / IO_BLOCK_SIZE;
    uint64_t edge = random_below(&disk->random, blocks + 1);
    if (inode->dirty_count >
        0) /* an edge among what is not synced, else the tail is mostly whole */
        edge = inode->dirty[random_below(&disk->random, inode->dirty_count)];
    inode->size = inode->durable_size = draw_size(disk, inode, mode);
    for (uint64_t leaf = 0; leaf < inode->leaf_count; leaf++) {
        for (uint64_t k = 0; inode->leaves[leaf] != NULL && k < DISK_LEAF_BLOCKS; k++) {
            uint64_t number = leaf * DISK_LEAF_BLOCKS + k;
            struct block *block = &inode->leaves[leaf]->blocks[k];
            if (block->content != block->durable)
                lost += lose_block(disk, block, draw_fate(disk, mode, number, edge));
            block->dirty = false;
            clear_past_end(inode, block, number);
        }
    }
    inode->dirty_count = 0;
    return lost;
}

void inode_sync_cut(struct disk *disk, struct inode *inode, struct covering *covering)
{
    enum loss_mode mode = draw_mode(disk);
    uint64_t edge = random_below(&disk->random, covering->count + 1);
    for (size_t i = 0; i < covering->count; i++) {
        struct block *block = inode_block(inode, covering->numbers[i]);
        if (draw_fate(disk, mode, i, edge) == FATE_NEW)
            block_set_durable(disk, block, ref(covering->pages[i]));
    }
    if (covering->size > inode->durable_size && draw_fate(disk, mode, 0, edge) == FATE_NEW)
        inode->durable_size = covering->size;
    covering_drop(covering);
}

uint64_t disk_power_cut(struct disk *disk)
{
    uint64_t lost = 0;
    lose_names(disk);
    for (size_t i = 0; i < disk->names.count; i++) {
        struct inode *inode = disk->names.list[i].inode;
        assert(inode->handles == 0);
        inode->lock_holder = NULL;
        lost += lose_blocks(disk, inode);
    }
    return lost;
}
