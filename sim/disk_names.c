#include "sim/disk.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- paths ---- */

enum status path_normalize(const char *path, char out[IO_PATH_SIZE])
{
    size_t size = 0;
    if (path[0] == 0 || strlen(path) >= IO_PATH_SIZE - 1)
        return STATUS_INVALID;
    while (*path != 0) {
        size_t part = strcspn(path, "/");
        if (part > 0 && !(part == 1 && path[0] == '.')) {
            out[size++] = '/';
            memcpy(out + size, path, part);
            size += part;
        }
        path += part + (path[part] == '/');
    }
    if (size == 0)
        out[size++] = '/';
    out[size] = 0;
    return STATUS_OK;
}

void path_parent(const char *path, char out[IO_PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    assert(slash != NULL);
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, path, size);
    out[size] = 0;
}

static bool is_directly_inside(const char *path, const char *directory)
{
    char parent[IO_PATH_SIZE];
    path_parent(path, parent);
    return strcmp(parent, directory) == 0 && strcmp(path, "/") != 0;
}

static bool is_inside(const char *path, const char *directory)
{
    size_t size = strlen(directory);
    return strncmp(path, directory, size) == 0 && path[size] == '/';
}

/* ---- sorted names ---- */

size_t names_place(const struct names *names, const char *path, bool *found)
{
    size_t low = 0, high = names->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(names->list[middle].path, path);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void names_insert(struct names *names, size_t place, const char *path)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 16 : names->capacity * 2;
        names->list = memory_resize(names->list, names->capacity * sizeof(struct name));
    }
    memmove(names->list + place + 1, names->list + place,
            (names->count - place) * sizeof(struct name));
    names->count++;
    names->list[place] = (struct name){.path = memory_copy_text(path)};
}

static void names_erase(struct names *names, size_t place)
{
    memory_free(names->list[place].path);
    names->count--;
    memmove(names->list + place, names->list + place + 1,
            (names->count - place) * sizeof(struct name));
}

void names_set(struct disk *disk, struct names *names, const char *path, struct inode *inode)
{
    bool is_volatile = names == &disk->names, found;
    size_t place = names_place(names, path, &found);
    struct inode *before = found ? names->list[place].inode : NULL;
    if (inode != NULL) {
        inode->refs++;
        inode->links += is_volatile;
        inode_count_again(disk, inode);
        if (!found)
            names_insert(names, place, path);
        names->list[place].inode = inode;
    } else if (found) {
        names_erase(names, place);
    }
    if (before != NULL) {
        before->links -= is_volatile;
        inode_unref(disk, before);
    }
}

/* Moves what is inside a directory with it. */
static void names_move_inside(struct disk *disk, struct names *names, const char *from,
                              const char *to)
{
    for (size_t i = 0; i < names->count;) {
        struct name name = names->list[i];
        char moved[2 * IO_PATH_SIZE];
        if (!is_inside(name.path, from)) {
            i++;
            continue;
        }
        snprintf(moved, sizeof moved, "%s%s", to, name.path + strlen(from));
        char *old_path = memory_copy_text(name.path);
        names_set(disk, names, moved, name.inode);
        names_set(disk, names, old_path, NULL);
        memory_free(old_path);
        i = 0;
    }
}

static void names_rename(struct disk *disk, struct names *names, const char *from, const char *to,
                         struct inode *inode)
{
    if (strcmp(from, to) == 0)
        return;
    names_set(disk, names, to, inode);
    names_set(disk, names, from, NULL);
    if (inode->is_directory)
        names_move_inside(disk, names, from, to);
}

struct inode *disk_find(const struct disk *disk, const char *path)
{
    bool found;
    size_t place = names_place(&disk->names, path, &found);
    return found ? disk->names.list[place].inode : NULL;
}

size_t disk_first_inside(const struct disk *disk, const char *path)
{
    char prefix[IO_PATH_SIZE + 1];
    bool found;
    bool is_root = strcmp(path, "/") == 0;
    snprintf(prefix, sizeof prefix, "%s/", is_root ? "" : path);
    size_t place = names_place(&disk->names, prefix, &found);
    return found ? place + 1 : place;
}

/* ---- operations, durable later ---- */

static void operation_deinit(struct disk *disk, struct name_operation *operation)
{
    memory_free(operation->path);
    memory_free(operation->to);
    inode_unref(disk, operation->inode);
}

void pending_apply(struct disk *disk, struct name_operation *operation)
{
    struct names *names = &disk->durable_names;
    switch (operation->kind) {
    case NAME_LINK: names_set(disk, names, operation->path, operation->inode); break;
    case NAME_UNLINK: names_set(disk, names, operation->path, NULL); break;
    case NAME_RENAME:
        names_rename(disk, names, operation->path, operation->to, operation->inode);
        break;
    }
}

void pending_apply_chosen(struct disk *disk)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->pending_count; i++) {
        struct name_operation *operation = &disk->pending[i];
        if (operation->chosen) {
            pending_apply(disk, operation);
            operation_deinit(disk, operation);
        } else {
            disk->pending[kept++] = *operation;
        }
    }
    disk->pending_count = kept;
}

static bool names_path(const struct name_operation *operation, const char *path)
{
    return strcmp(operation->path, path) == 0 ||
           (operation->to != NULL && strcmp(operation->to, path) == 0);
}

static bool builds_on(const struct name_operation *later, const struct name_operation *earlier)
{
    if (names_path(earlier, later->path) || (later->to != NULL && names_path(earlier, later->to)))
        return true;
    return later->kind == NAME_RENAME && later->inode->is_directory &&
           (is_inside(earlier->path, later->path) ||
            (earlier->to != NULL && is_inside(earlier->to, later->path)));
}

/* An operation on a name cannot be durable without the earlier ones on the same name: a file
 * system's journal keeps their order. */
void pending_choose_ancestors(struct disk *disk)
{
    for (size_t i = disk->pending_count; i-- > 0;)
        for (size_t k = 0; disk->pending[i].chosen && k < i; k++)
            if (builds_on(&disk->pending[i], &disk->pending[k]))
                disk->pending[k].chosen = true;
}

static void pending_add(struct disk *disk, enum name_operation_kind kind, const char *path,
                        const char *to, struct inode *inode)
{
    if (disk->pending_count == DISK_PENDING_MAX) {
        for (size_t i = 0; i < DISK_PENDING_MAX / 2; i++)
            disk->pending[i].chosen = true;
        pending_apply_chosen(disk);
    }
    if (disk->pending_count == disk->pending_capacity) {
        disk->pending_capacity = disk->pending_capacity == 0 ? 8 : disk->pending_capacity * 2;
        disk->pending =
            memory_resize(disk->pending, disk->pending_capacity * sizeof(struct name_operation));
    }
    if (inode != NULL)
        inode_ref(inode);
    disk->pending[disk->pending_count++] = (struct name_operation){
        .kind = kind,
        .path = memory_copy_text(path),
        .to = to == NULL ? NULL : memory_copy_text(to),
        .inode = inode,
    };
}

static bool has_parent(const struct disk *disk, const char *path)
{
    char parent[IO_PATH_SIZE];
    path_parent(path, parent);
    const struct inode *directory = disk_find(disk, parent);
    return directory != NULL && directory->is_directory;
}

enum status disk_make(struct disk *disk, const char *path, bool is_directory, struct inode **out)
{
    if (disk_find(disk, path) != NULL)
        return STATUS_EXISTS;
    if (!has_parent(disk, path))
        return STATUS_NOT_FOUND;
    struct inode *inode = memory_zeroed(1, sizeof *inode);
    inode->is_directory = is_directory;
    names_set(disk, &disk->names, path, inode);
    pending_add(disk, NAME_LINK, path, NULL, inode);
    *out = inode;
    return STATUS_OK;
}

enum status disk_remove(struct disk *disk, const char *path)
{
    const struct inode *inode = disk_find(disk, path);
    if (inode == NULL)
        return STATUS_NOT_FOUND;
    if (inode->is_directory)
        return STATUS_IO;
    names_set(disk, &disk->names, path, NULL);
    pending_add(disk, NAME_UNLINK, path, NULL, NULL);
    return STATUS_OK;
}

/* Whether every path inside `from` still fits when it begins with `to`. */
static bool fits_inside(const struct disk *disk, const char *from, const char *to)
{
    for (size_t i = 0; i < disk->names.count; i++) {
        const char *path = disk->names.list[i].path;
        if (is_inside(path, from) && strlen(path) - strlen(from) + strlen(to) >= IO_PATH_SIZE)
            return false;
    }
    return true;
}

enum status disk_rename(struct disk *disk, const char *from, const char *to)
{
    struct inode *inode = disk_find(disk, from);
    const struct inode *target = disk_find(disk, to);
    if (inode == NULL || !has_parent(disk, to))
        return STATUS_NOT_FOUND;
    if (is_inside(to, from) || !fits_inside(disk, from, to) ||
        (target != NULL && target->is_directory))
        return STATUS_IO;
    pending_add(disk, NAME_RENAME, from, to, inode);
    names_rename(disk, &disk->names, from, to, inode);
    return STATUS_OK;
}

void disk_sync_directory(struct disk *disk, const char *directory)
{
    for (size_t i = 0; i < disk->pending_count; i++) {
        struct name_operation *operation = &disk->pending[i];
        operation->chosen = is_directly_inside(operation->path, directory) ||
                            (operation->to != NULL && is_directly_inside(operation->to, directory));
    }
    pending_choose_ancestors(disk);
    pending_apply_chosen(disk);
}

void disk_sync_name(struct disk *disk, const char *path)
{
    for (size_t i = 0; i < disk->pending_count; i++)
        disk->pending[i].chosen = names_path(&disk->pending[i], path);
    pending_choose_ancestors(disk);
    pending_apply_chosen(disk);
}

/* ---- life ---- */

void disk_init(struct disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof *disk);
    disk->file_size_limit = UINT64_MAX;
    random_init(&disk->random, seed);
    struct inode *root = memory_zeroed(1, sizeof *root);
    root->is_directory = true;
    names_set(disk, &disk->names, "/", root);
    names_set(disk, &disk->durable_names, "/", root);
}

static void names_deinit(struct disk *disk, struct names *names)
{
    while (names->count > 0)
        names_set(disk, names, names->list[names->count - 1].path, NULL);
    memory_free(names->list);
}

void disk_deinit(struct disk *disk)
{
    for (size_t i = 0; i < disk->pending_count; i++)
        operation_deinit(disk, &disk->pending[i]);
    memory_free(disk->pending);
    names_deinit(disk, &disk->names);
    names_deinit(disk, &disk->durable_names);
    assert(disk->used == 0);
}
