/* meter.c - how fast something goes, by what was seen of it in the last seconds. */
#include "replica/bootstrap/bootstrap.h"

#define LOOK_EVERY_NS (2 * 1000000000ull) /* so the last two to four seconds count */
#define LEAST_NS      (500 * 1000000ull)  /* less says nothing */

void bootstrap_meter_note(struct bootstrap_meter *meter, const struct bootstrap_point *now)
{
    bool goes_on = meter->now.at_ns && now->phase == meter->now.phase &&
                   now->done >= meter->now.done && now->bytes >= meter->now.bytes;
    meter->now = *now;
    if (!goes_on) {
        meter->before = meter->last = *now;
    } else if (now->at_ns >= meter->last.at_ns + LOOK_EVERY_NS) {
        meter->before = meter->last;
        meter->last = *now;
    }
}

void bootstrap_meter_reset(struct bootstrap_meter *meter)
{
    *meter = (struct bootstrap_meter){0};
}

/* a * b / c without overflow where the result fits. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((__uint128_t)a * b / c);
}

bool bootstrap_meter_tell(const struct bootstrap_meter *meter, uint64_t now_ns,
                          struct replica_progress *out)
{
    const struct bootstrap_point *from = &meter->before, *now = &meter->now;
    if (!now->at_ns || !now->of)
        return false;
    uint64_t done = now->done < now->of ? now->done : now->of;
    uint64_t passed_ns = now_ns > from->at_ns ? now_ns - from->at_ns : 0;
    *out = (struct replica_progress){.percent = (unsigned)scaled(100, done, now->of),
                                     .has_rate = passed_ns >= LEAST_NS};
    if (!out->has_rate)
        return true;
    out->bytes_per_second = scaled(now->bytes - from->bytes, 1000000000, passed_ns);
    out->has_eta = done > from->done;
    if (out->has_eta)
        out->eta_ms = scaled(now->of - done, passed_ns / 1000000, done - from->done);
    return true;
}
