#include "base/memory.h"
#include "floor.h"

#include <sys/mman.h>
#include <unistd.h>

void floor_ring_open(struct floor_ring *ring)
{
    int fd = memfd_create("ring", MFD_CLOEXEC);
    uint8_t *at = mmap(NULL, 2ul * FLOOR_RING_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || at == MAP_FAILED || ftruncate(fd, FLOOR_RING_SIZE))
        fatal("no memory for the ring");
    for (int half = 0; half < 2; half++)
        if (mmap(at + (size_t)half * FLOOR_RING_SIZE, FLOOR_RING_SIZE, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
            fatal("cannot map the ring");
    close(fd);
    ring->at = at;
}

uint8_t *floor_ring_place(const struct floor_ring *ring, uint64_t position)
{
    return ring->at + position % FLOOR_RING_SIZE;
}

uint8_t *floor_ring_extend(struct floor_ring *ring, size_t size)
{
    if (ring->end + size - ring->applied > FLOOR_RING_SIZE)
        fatal("the ring is full: more is in flight than an instrument should get");
    uint8_t *place = floor_ring_place(ring, ring->end);
    ring->end += size;
    return place;
}
