/* contract_parts.h - what the files of the contract suite share. */
#ifndef HOLDFAST_TEST_IO_CONTRACT_PARTS_H
#define HOLDFAST_TEST_IO_CONTRACT_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "contract.h"

/* The next event of this kind and tag; others on the way to it are passed over. Fails after
 * CONTRACT_WAIT_MS without any. */
struct io_event wait_event(struct io *io, enum io_event_kind kind, uint64_t tag);

/* Nothing happens, now or in a moment. */
void assert_hush(struct io *io);

struct io_counters counters_of(struct io *io);

#define assert_status(expected, call) assert_int_equal((expected), (call))

int run_clock_tests(void);
int run_stream_tests(void);
int run_file_tests(void);

int open_world(void **state);
int close_world(void **state);

#define in_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

#endif
