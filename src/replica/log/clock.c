/* Group time, R12: max(last entry, median of the voters' clocks at election) + monotonic time
 * since, slewed by at most 5 % towards the voters' median. A jump of the wall clock moves only the
 * median, and the median moves time only slowly. */
#include "replica/log/log.h"

#define SLEW_PART 20 /* at most one part in so many: 5 % */

void group_clock_start(struct group_clock *clock, uint64_t now_ns, int64_t median_us)
{
    clock->value_us = median_us > clock->last_entry_us ? median_us : clock->last_entry_us;
    clock->read_ns = now_ns;
}

int64_t group_clock_read(struct group_clock *clock, uint64_t now_ns, int64_t median_us)
{
    uint64_t passed_us = now_ns > clock->read_ns ? (now_ns - clock->read_ns) / 1000 : 0;
    if (passed_us < SLEW_PART) /* too short for a slew: the running value, nothing is settled */
        return clock->value_us + (int64_t)passed_us;
    int64_t slew_max = (int64_t)(passed_us / SLEW_PART),
            off = median_us - (clock->value_us + (int64_t)passed_us);
    int64_t slew = off > slew_max ? slew_max : off < -slew_max ? -slew_max : off;
    clock->value_us += (int64_t)passed_us + slew;
    clock->read_ns += passed_us * 1000;
    return clock->value_us;
}

int64_t group_clock_next_entry(struct group_clock *clock, uint64_t now_ns, int64_t median_us)
{
    int64_t time_us = group_clock_read(clock, now_ns, median_us);
    if (time_us <= clock->last_entry_us)
        time_us = clock->last_entry_us + 1; /* REPLICA-4: strictly rising */
    return time_us;
}
