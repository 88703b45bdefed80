#include "holdfast/place.h"

#include "holdfast/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int place_beside(const char *name, char out[PLACE_PATH_SIZE])
{
    char own[PLACE_PATH_SIZE];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own);
    char *slash = size > 0 ? memrchr(own, '/', (size_t)size) : NULL;
    if (!slash)
        return -1;
    int length = snprintf(out, PLACE_PATH_SIZE, "%.*s/%s", (int)(slash - own), own, name);
    return length < PLACE_PATH_SIZE ? access(out, X_OK) : -1;
}

int place_lock(const char *dir)
{
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        complain(EXIT_TROUBLE, "cannot make the directory %s: %s; give another --dir", dir,
                 strerror(errno));
        return -1;
    }
    int descriptor = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        complain(EXIT_TROUBLE, "cannot open the directory %s: %s; give another --dir", dir,
                 strerror(errno));
        return -1;
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        complain(EXIT_TROUBLE,
                 "%s is in use by another holdfast dev: stop it, or give another --dir", dir);
        close(descriptor);
        return -1;
    }
    return 0; /* open until the process ends: that is the lock */
}

static void shape_path(const char *dir, const char *suffix, char out[PLACE_PATH_SIZE])
{
    snprintf(out, PLACE_PATH_SIZE, "%.4000s/shape%s", dir, suffix);
}

int place_read_shape(const char *dir, struct place_shape *out)
{
    char path[PLACE_PATH_SIZE];
    struct place_shape shape;
    shape_path(dir, "", path);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    int found = fscanf(file, "nodes %ld port %ld", &shape.nodes, &shape.port);
    fclose(file);
    if (found != 2)
        return -1;
    *out = shape;
    return 0;
}

int place_write_shape(const char *dir, struct place_shape shape)
{
    char path[PLACE_PATH_SIZE], fresh[PLACE_PATH_SIZE];
    shape_path(dir, "", path);
    shape_path(dir, ".new", fresh);
    FILE *file = fopen(fresh, "we");
    bool good = file && fprintf(file, "nodes %ld port %ld\n", shape.nodes, shape.port) > 0;
    if (file)
        good = fclose(file) == 0 && good;
    if (good && rename(fresh, path) == 0)
        return 0;
    complain(EXIT_TROUBLE, "cannot write %s: %s", fresh, strerror(errno));
    return -1;
}
