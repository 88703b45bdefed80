/* place.h - where things are: the programs beside this one, and the directory of a local cluster.
 */
#ifndef HOLDFAST_HOLDFAST_PLACE_H
#define HOLDFAST_HOLDFAST_PLACE_H

#define PLACE_PATH_SIZE 4096

/* The program `name` in this program's own folder; -1: it is not there or cannot run. */
int place_beside(const char *name, char out[PLACE_PATH_SIZE]);

/* A directory of `holdfast dev`: it remembers its shape, because its nodes remember their
 * addresses. */
struct place_shape {
    long nodes, port;
};

/* Makes `dir` and takes its lock for the life of the process. -1 after the line on stderr. */
int place_lock(const char *dir);
/* Reads what `dir` remembers into `out`; -1: it remembers nothing. */
int place_read_shape(const char *dir, struct place_shape *out);
/* -1 after the line on stderr. */
int place_write_shape(const char *dir, struct place_shape shape);

#endif
