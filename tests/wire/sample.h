/* sample.h - random but valid entries and messages, and what the tests of wire/ do with them. */
#ifndef HOLDFAST_TEST_WIRE_SAMPLE_H
#define HOLDFAST_TEST_WIRE_SAMPLE_H

#include "base/random.h"
#include "wire/wire.h"

struct sample {
    struct random random;
    struct buffer bytes; /* what the newest message borrows */
    struct wire_beat beats[40];
};

void sample_init(struct sample *sample, uint64_t seed);
void sample_deinit(struct sample *sample);

/* One message of any kind; valid until the next. */
void sample_message(struct sample *sample, struct wire_message *out);

void sample_entry(struct sample *sample, struct wire_entry *out);

/* wire_add_* of the kind of `message`. */
void sample_add(struct wire_frame *frame, const struct wire_message *message);

bool sample_messages_equal(const struct wire_message *a, const struct wire_message *b);
bool sample_entries_equal(const struct wire_entry *a, const struct wire_entry *b);

/* Decodes everything that `bytes` claims to hold and touches every byte that it hands out (for the
 * sanitizers). Returns the number of messages. */
size_t sample_decode(struct slice bytes);

/* Computes the checksums of a frame (and of the entries in it, where they can be found) anew. */
void sample_repair(uint8_t *frame, size_t size);

#endif
