/* checksum.h - XXH3, 64 bits: for log records, messages, tables. Not for secrets. Floor 0. */
#ifndef HOLDFAST_BASE_CHECKSUM_H
#define HOLDFAST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *bytes, size_t size);
uint64_t checksum_seeded(const void *bytes, size_t size, uint64_t seed);

#endif
