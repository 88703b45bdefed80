/* fake_io.h - the streams, clock and timers of io/io.h in memory: several ios on one virtual
 * network whose wires can be cut. Files, messages between workers and io_gather are not there.
 *
 * Bytes written lie in the writer's send buffer (bounded: writes come up short) until fake_step
 * carries them over in pieces of random size. A cut holds them back, and an end that happens during
 * a cut is never heard of on the other side: its stream is half-open until it is written to after
 * the cut. */
#ifndef HOLDFAST_TEST_PEER_FAKE_IO_H
#define HOLDFAST_TEST_PEER_FAKE_IO_H

#include "io/io.h"

#define FAKE_IOS 4

struct fake_network;

struct fake_network *fake_create(uint64_t seed);
void fake_destroy(struct fake_network *network);

/* The io of host `which`; addresses are "h<which>:<port>". */
struct io *fake_io(struct fake_network *network, unsigned which);

/* Ends the process of that host: every stream is closed, timers and listeners are gone. */
void fake_kill(struct fake_network *network, unsigned which);

/* Bytes from `from` to `to` do not arrive while cut; connecting needs both directions. */
void fake_cut(struct fake_network *network, unsigned from, unsigned to, bool cut);

/* Time passes, bytes travel. */
void fake_step(struct fake_network *network, uint64_t ns);

/* What a gather would hand out now. */
size_t fake_gather(struct io *io, struct io_event *events, size_t max);

size_t fake_open_streams(struct io *io); /* listeners included */
uint64_t fake_write_calls(struct io *io);
uint64_t fake_timer_sets(struct io *io);
uint64_t fake_accepts(struct io *io);

#endif
