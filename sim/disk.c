#include "sim/disk.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

static const uint8_t zeros[IO_BLOCK_SIZE];

/* ---- pages and blocks ---- */

static struct page *page_create(const uint8_t *bytes)
{
    struct page *page = memory_allocate(sizeof *page);
    page->refs = 1;
    memcpy(page->bytes, bytes, IO_BLOCK_SIZE);
    return page;
}

static struct page *page_ref(struct page *page)
{
    if (page != NULL)
        page->refs++;
    return page;
}

void page_unref(struct page *page)
{
    if (page != NULL && --page->refs == 0)
        memory_free(page);
}

static const uint8_t *page_bytes(const struct page *page)
{
    return page == NULL ? zeros : page->bytes;
}

bool block_is_same(const struct page *a, const struct page *b)
{
    return a == b || memcmp(page_bytes(a), page_bytes(b), IO_BLOCK_SIZE) == 0;
}

struct block *inode_block(const struct inode *inode, uint64_t number)
{
    uint64_t leaf = number / DISK_LEAF_BLOCKS;
    if (leaf >= inode->leaf_count || inode->leaves[leaf] == NULL)
        return NULL;
    return &inode->leaves[leaf]->blocks[number % DISK_LEAF_BLOCKS];
}

static struct block *make_block(struct inode *inode, uint64_t number)
{
    size_t leaf = number / DISK_LEAF_BLOCKS;
    if (leaf >= inode->leaf_count) {
        size_t count = inode->leaf_count * 2 > leaf + 1 ? inode->leaf_count * 2 : leaf + 1;
        inode->leaves = memory_resize(inode->leaves, count * sizeof(struct leaf *));
        memset(inode->leaves + inode->leaf_count, 0,
               (count - inode->leaf_count) * sizeof(struct leaf *));
        inode->leaf_count = count;
    }
    if (inode->leaves[leaf] == NULL)
        inode->leaves[leaf] = memory_zeroed(1, sizeof(struct leaf));
    return &inode->leaves[leaf]->blocks[number % DISK_LEAF_BLOCKS];
}

void block_set_durable(struct disk *disk, struct block *block, struct page *page)
{
    if (disk->keep_old && !block_is_same(page, block->durable)) {
        page_unref(block->old);
        block->old = block->durable;
        block->rewritten = true;
    } else {
        page_unref(block->durable);
    }
    block->durable = page;
}

void block_set(struct block *block, const uint8_t bytes[IO_BLOCK_SIZE])
{
    struct page *page = page_create(bytes);
    page_unref(block->content);
    page_unref(block->durable);
    block->content = page;
    block->durable = page_ref(page);
}

/* ---- inodes ---- */

static void free_blocks(struct inode *inode)
{
    for (size_t i = 0; i < inode->leaf_count; i++) {
        struct leaf *leaf = inode->leaves[i];
        for (size_t k = 0; leaf != NULL && k < DISK_LEAF_BLOCKS; k++) {
            page_unref(leaf->blocks[k].content);
            page_unref(leaf->blocks[k].durable);
            page_unref(leaf->blocks[k].old);
        }
        memory_free(leaf);
    }
    memory_free(inode->leaves);
    memory_free(inode->dirty);
}

void inode_ref(struct inode *inode)
{
    inode->refs++;
}

void inode_unref(struct disk *disk, struct inode *inode)
{
    if (inode == NULL)
        return;
    inode_count_again(disk, inode);
    assert(inode->refs > 0);
    if (--inode->refs > 0)
        return;
    assert(!inode->is_counted);
    free_blocks(inode);
    memory_free(inode);
}

/* Space is taken while a process could still reach the bytes. */
void inode_count_again(struct disk *disk, struct inode *inode)
{
    bool counts = inode->links > 0 || inode->handles > 0;
    if (counts == inode->is_counted)
        return;
    inode->is_counted = counts;
    uint64_t bytes = inode->charged_blocks * IO_BLOCK_SIZE;
    disk->used += counts ? bytes : 0 - bytes;
}

void inode_hold(struct inode *inode)
{
    inode->refs++;
    inode->handles++;
}

void inode_release(struct disk *disk, struct inode *inode)
{
    if (inode == NULL)
        return;
    assert(inode->handles > 0);
    inode->handles--;
    inode_unref(disk, inode);
}

/* ---- space ---- */

static bool has_space(const struct disk *disk, uint64_t bytes)
{
    return disk->capacity == 0 ||
           (disk->used <= disk->capacity && bytes <= disk->capacity - disk->used);
}

static bool is_charged(const struct inode *inode, uint64_t number)
{
    const struct block *block = inode_block(inode, number);
    return number < inode->reserved || (block != NULL && block->charged);
}

static bool charge_block(struct disk *disk, struct inode *inode, uint64_t number)
{
    if (is_charged(inode, number))
        return true;
    if (!has_space(disk, IO_BLOCK_SIZE))
        return false;
    make_block(inode, number)->charged = true;
    inode->charged_blocks++;
    if (inode->is_counted)
        disk->used += IO_BLOCK_SIZE;
    return true;
}

enum status inode_reserve(struct disk *disk, struct inode *inode, uint64_t size)
{
    assert(inode->size == 0 && inode->charged_blocks == 0 && inode->is_counted);
    uint64_t blocks = (size + IO_BLOCK_SIZE - 1) / IO_BLOCK_SIZE;
    if (size > DISK_FILE_SIZE_MAX || size > disk->file_size_limit ||
        !has_space(disk, blocks * IO_BLOCK_SIZE))
        return STATUS_NO_SPACE;
    inode->reserved = inode->charged_blocks = blocks;
    disk->used += blocks * IO_BLOCK_SIZE;
    inode->size = inode->durable_size = size;
    return STATUS_OK;
}

/* ---- reading and writing ---- */

static void mark_dirty(struct inode *inode, struct block *block, uint64_t number)
{
    if (block->dirty)
        return;
    if (inode->dirty_count == inode->dirty_capacity) {
        inode->dirty_capacity = inode->dirty_capacity == 0 ? 8 : inode->dirty_capacity * 2;
        inode->dirty = memory_resize(inode->dirty, inode->dirty_capacity * sizeof(uint64_t));
    }
    inode->dirty[inode->dirty_count++] = number;
    block->dirty = true;
}

/* The page to change. Now and then a kernel writes a dirty page back by itself, so a version
 * between two syncs can be what a power cut leaves. */
static uint8_t *open_page(struct disk *disk, struct block *block)
{
    if (block->dirty && block->content != block->durable && random_next(&disk->random) % 16 == 0)
        block_set_durable(disk, block, page_ref(block->content));
    if (block->content == NULL || block->content->refs > 1) {
        struct page *copy = page_create(page_bytes(block->content));
        page_unref(block->content);
        block->content = copy;
    }
    return block->content->bytes;
}

static enum status write_piece(struct disk *disk, struct inode *inode, struct slice piece,
                               uint64_t offset)
{
    while (piece.size > 0) {
        uint64_t number = offset / IO_BLOCK_SIZE;
        size_t from = offset % IO_BLOCK_SIZE;
        size_t size = IO_BLOCK_SIZE - from < piece.size ? IO_BLOCK_SIZE - from : piece.size;
        if (offset + size > disk->file_size_limit || !charge_block(disk, inode, number))
            return STATUS_NO_SPACE;
        struct block *block = make_block(inode, number);
        memcpy(open_page(disk, block) + from, piece.at, size);
        mark_dirty(inode, block, number);
        offset += size;
        piece = slice_of(piece.at + size, piece.size - size);
        if (offset > inode->size)
            inode->size = offset;
    }
    return STATUS_OK;
}

enum status inode_write(struct disk *disk, struct inode *inode, const struct slice *pieces,
                        size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (offset > DISK_FILE_SIZE_MAX || pieces[i].size > DISK_FILE_SIZE_MAX - offset)
            return STATUS_NO_SPACE;
        enum status status = write_piece(disk, inode, pieces[i], offset);
        if (status != STATUS_OK)
            return status;
        offset += pieces[i].size;
    }
    return STATUS_OK;
}

size_t inode_read(const struct inode *inode, uint8_t *into, size_t size, uint64_t offset)
{
    if (offset >= inode->size)
        return 0;
    if (size > inode->size - offset)
        size = inode->size - offset;
    size_t done = 0;
    while (done < size) {
        const struct block *block = inode_block(inode, offset / IO_BLOCK_SIZE);
        size_t from = offset % IO_BLOCK_SIZE;
        size_t part = IO_BLOCK_SIZE - from < size - done ? IO_BLOCK_SIZE - from : size - done;
        memcpy(into + done, page_bytes(block == NULL ? NULL : block->content) + from, part);
        done += part;
        offset += part;
    }
    return size;
}

/* ---- syncs ---- */

void inode_sync_begin(struct inode *inode, struct covering *covering)
{
    covering->numbers = inode->dirty;
    covering->count = inode->dirty_count;
    covering->size = inode->size;
    covering->pages = memory_allocate(covering->count * sizeof(struct page *));
    for (size_t i = 0; i < covering->count; i++) {
        struct block *block = inode_block(inode, covering->numbers[i]);
        covering->pages[i] = page_ref(block->content);
        block->dirty = false;
    }
    inode->dirty = NULL;
    inode->dirty_count = inode->dirty_capacity = 0;
}

void inode_sync_end(struct disk *disk, struct inode *inode, struct covering *covering)
{
    for (size_t i = 0; i < covering->count; i++)
        block_set_durable(disk, inode_block(inode, covering->numbers[i]),
                          page_ref(covering->pages[i]));
    if (covering->size > inode->durable_size)
        inode->durable_size = covering->size;
    covering_drop(covering);
}

void inode_drop_cache(struct inode *inode)
{
    for (uint64_t leaf = 0; leaf < inode->leaf_count; leaf++) {
        for (uint64_t k = 0; inode->leaves[leaf] != NULL && k < DISK_LEAF_BLOCKS; k++) {
            struct block *block = &inode->leaves[leaf]->blocks[k];
            if (block->dirty || block->content == block->durable)
                continue;
            page_unref(block->content);
            block->content = page_ref(block->durable);
        }
    }
}

void inode_sync_undo(struct inode *inode, struct covering *covering)
{
    for (size_t i = 0; i < covering->count; i++)
        mark_dirty(inode, inode_block(inode, covering->numbers[i]), covering->numbers[i]);
    covering_drop(covering);
}

void covering_drop(struct covering *covering)
{
    for (size_t i = 0; i < covering->count; i++)
        page_unref(covering->pages[i]);
    memory_free(covering->pages);
    memory_free(covering->numbers);
    memset(covering, 0, sizeof *covering);
}
