/* views.h - STATUS texts of a cluster of three, written short. */
#ifndef HOLDFAST_TEST_HOLDFAST_VIEWS_H
#define HOLDFAST_TEST_HOLDFAST_VIEWS_H

#include "holdfast/merge.h"

#include <stdio.h>
#include <string.h>

#define VIEW_SIZE 4096

struct own_view {
    int node, leader, term; /* leader 0: not known */
    const char *cluster;
    const char *up;         /* for each node: u or d */
    const char *disk;       /* its own; NULL: ok */
    const char *states[3];  /* of the replicas, as this node sees them; NULL: null */
    int applied[3], lag[3]; /* -1: null */
};

static inline const char *text_of_number(int number, char room[16])
{
    snprintf(room, 16, number < 0 ? "null" : "%d", number);
    return room;
}

static inline void add_replica(char *out, const struct own_view *view, int i)
{
    char state[32] = "null", applied[16], lag[16];
    if (view->states[i])
        snprintf(state, sizeof state, "\"%s\"", view->states[i]);
    snprintf(out + strlen(out), VIEW_SIZE - strlen(out),
             "%s{\"id\":%d,\"node\":%d,\"role\":\"%s\",\"state\":%s,\"since_ms\":null,"
             "\"because\":\"node %d says so\",\"applied\":%s,\"lag_entries\":%s,\"lag_ms\":%s}",
             i ? "," : "", i + 1, i + 1, view->leader == i + 1 ? "leader" : "follower", state,
             view->node, text_of_number(view->applied[i], applied),
             text_of_number(view->lag[i], lag), lag);
}

static inline json_t *make_view(const struct own_view *view)
{
    char text[VIEW_SIZE] = "", leader[16];
    snprintf(text, sizeof text, "{\"cluster_id\":\"%s\",\"node\":%d,\"nodes\":[", view->cluster,
             view->node);
    for (int i = 0; i < 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%s{\"id\":%d,\"addr\":\"n%d:1\",\"site\":\"\",\"zone\":\"\",\"state\":\"%s\","
                 "\"disk\":%s%s%s}",
                 i ? "," : "", i + 1, i + 1, view->up[i] == 'u' ? "up" : "down",
                 view->node == i + 1 ? "\"" : "",
                 view->node != i + 1 ? "null"
                 : view->disk        ? view->disk
                                     : "ok",
                 view->node == i + 1 ? "\"" : "");
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "],\"keyspaces\":[{\"name\":\"default\",\"mode\":\"leader\",\"read\":\"strong\"}],"
             "\"partitions\":[{"
             "\"keyspace\":\"default\",\"id\":1,\"slots\":\"0-16383\",\"leader\":%s,\"term\":%d,"
             "\"commit\":9,\"replicas\":[",
             text_of_number(view->leader ? view->leader : -1, leader), view->term);
    for (int i = 0; i < 3; i++)
        add_replica(text, view, i);
    snprintf(text + strlen(text), sizeof text - strlen(text), "]}]}");
    return merge_read_view(text, strlen(text));
}

/* Node `node` of a healthy cluster that node 1 leads in term 4. */
static inline struct own_view healthy_view(int node)
{
    struct own_view view = {.node = node, .leader = 1, .term = 4, .cluster = "c", .up = "uuu"};
    for (int i = 0; i < 3; i++) {
        view.states[i] = node == 1 || node == i + 1 ? "ready" : NULL;
        view.applied[i] = node == i + 1 ? 9 - i : -1;
        view.lag[i] = node == 1 ? i : -1;
    }
    return view;
}

#endif
