/* log.h - the lines that the operator reads: stderr, each with its time. From any thread. */
#ifndef HOLDFAST_HOLDFASTD_LOG_H
#define HOLDFAST_HOLDFASTD_LOG_H

void log_line(const char *line);

#endif
