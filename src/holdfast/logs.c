#include "holdfast/dev.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_line(struct dev *dev, const char *line)
{
    snprintf(dev->lines[dev->line_count++ % DEV_LINES_MAX], DEV_LINE_SIZE, "%s", line);
    if (!dev->live)
        printf("%s\n", line);
}

void logs_say(struct dev *dev, const char *format, ...)
{
    char line[DEV_LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    add_line(dev, line);
}

/* A log is somebody's text: control bytes would move the cursor. */
static void end_line(struct dev *dev, struct dev_node *node)
{
    char line[DEV_LINE_SIZE];
    for (size_t i = 0; i < node->partial_size; i++)
        if ((unsigned char)node->partial[i] < 32 || node->partial[i] == 127)
            node->partial[i] = '?';
    snprintf(line, sizeof line, "node %d: %.*s", node->number, (int)node->partial_size,
             node->partial);
    node->partial_size = 0;
    add_line(dev, line);
}

static void take(struct dev *dev, struct dev_node *node, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            end_line(dev, node);
        else if (node->partial_size < sizeof node->partial)
            node->partial[node->partial_size++] = bytes[i];
    }
}

void logs_read(struct dev *dev)
{
    char bytes[4096];
    for (size_t i = 0; i < dev->count; i++) {
        struct dev_node *node = &dev->nodes[i];
        ssize_t got;
        if (node->log_fd < 0)
            node->log_fd = open(node->log_path, O_RDONLY | O_CLOEXEC);
        while (node->log_fd >= 0 && (got = read(node->log_fd, bytes, sizeof bytes)) > 0)
            take(dev, node, bytes, (size_t)got);
    }
}
