/* Phi accrual (Hayashibara, Defago, Yared, Katayama 2004), in integers, so that every machine comes
 * to the same. CLUSTER-12
 *
 * The gaps between arrivals are taken to be normal. Phi = -log10 of the probability that a gap is
 * longer than the silence is now. */
#include "cluster/cluster.h"

#include <assert.h>

#define NS_PER_US 1000
#define STEP      500 /* thousandths of a deviation between two numbers of the table */

/* Phi, in thousandths, of a silence that is so many half deviations longer than the mean. */
static const uint32_t tail[] = {301,   511,   800,   1175,  1643,  2207,  2870,  3633,  4499,
                                5469,  6543,  7721,  9006,  10396, 11893, 13496, 15206, 17023,
                                18947, 20979, 23118, 25365, 27719, 30181, 32750};
#define TAIL_COUNT (sizeof tail / sizeof tail[0])
#define PHI_MAX    99000

/* Thousandths of a deviation -> thousandths of phi. Shorter than the mean: hardly anything. */
static uint32_t phi_of(uint64_t distance)
{
    uint64_t at = distance / STEP, rest = distance % STEP;
    if (at + 1 >= TAIL_COUNT)
        return PHI_MAX;
    return (uint32_t)(tail[at] + (tail[at + 1] - tail[at]) * rest / STEP);
}

/* The other way round. */
static uint64_t distance_of(uint32_t phi)
{
    size_t at = 0;
    if (phi <= tail[0])
        return 0;
    while (at + 2 < TAIL_COUNT && tail[at + 1] < phi)
        at++;
    uint64_t over = (uint64_t)(phi - tail[at]) * STEP;
    uint64_t width = tail[at + 1] - tail[at];
    return at * STEP + (over + width - 1) / width;
}

static uint64_t root_of(uint64_t square)
{
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= square)
            root += bit;
    return root;
}

/* ---- what is usual ---- */

/* Never shorter than what the sender promises: on a busy link gaps are short, and it may fall idle
 * at any moment. */
static uint64_t mean_us(const struct cluster_detector *detector)
{
    uint64_t pace_us = detector->patience.pace_ns / NS_PER_US;
    uint64_t mean = detector->count ? detector->sum_us / detector->count : 0;
    return mean > pace_us ? mean : pace_us;
}

/* At least a quarter of the pace: an even stream would make the first late message a death. */
static uint64_t deviation_us(const struct cluster_detector *detector)
{
    uint64_t least = detector->patience.pace_ns / NS_PER_US / 4, count = detector->count;
    if (count < 2)
        return least;
    uint64_t mean = detector->sum_us / count, square = detector->squares_us / count;
    uint64_t deviation = square > mean * mean ? root_of(square - mean * mean) : 0;
    return deviation > least ? deviation : least;
}

static uint64_t clamp(const struct cluster_detector *detector, uint64_t ns)
{
    const struct cluster_patience *patience = &detector->patience;
    uint64_t least = ns > patience->floor_ns ? ns : patience->floor_ns;
    return least < patience->ceiling_ns ? least : patience->ceiling_ns; /* CLUSTER-12 */
}

static uint64_t silence_of(const struct cluster_detector *detector, uint32_t phi)
{
    uint64_t distance_us = distance_of(phi) * deviation_us(detector) / 1000;
    return clamp(detector, (mean_us(detector) + distance_us) * NS_PER_US);
}

static void forget_oldest(struct cluster_detector *detector)
{
    uint64_t gap = detector->gaps_us[detector->next];
    detector->sum_us -= gap;
    detector->squares_us -= gap * gap;
}

static void note_gap(struct cluster_detector *detector, uint64_t gap_us)
{
    if (detector->count == CLUSTER_GAPS_MAX)
        forget_oldest(detector);
    else
        detector->count++;
    detector->gaps_us[detector->next] = (uint32_t)gap_us;
    detector->sum_us += gap_us;
    detector->squares_us += gap_us * gap_us;
    detector->next = (detector->next + 1) % CLUSTER_GAPS_MAX;
    detector->after_ns = silence_of(detector, CLUSTER_PHI);
}

/* ---- what happens ---- */

void cluster_detector_init(struct cluster_detector *detector,
                           const struct cluster_patience *patience)
{
    assert(patience->pace_ns && patience->floor_ns <= patience->ceiling_ns);
    assert(patience->ceiling_ns / NS_PER_US <= UINT32_MAX);
    *detector = (struct cluster_detector){.patience = *patience};
    detector->after_ns = silence_of(detector, CLUSTER_PHI);
}

/* A gap past the ceiling was a fault: it says nothing of what is usual. */
void cluster_detector_hear(struct cluster_detector *detector, uint64_t now_ns)
{
    uint64_t gap_ns = now_ns - detector->sampled_ns;
    bool first = !detector->heard_ns;
    detector->heard_ns = now_ns;
    detector->refused = false;
    if (!first && gap_ns < detector->patience.pace_ns / 2)
        return;
    detector->sampled_ns = now_ns;
    if (!first && gap_ns < detector->patience.ceiling_ns)
        note_gap(detector, gap_ns / NS_PER_US);
}

void cluster_detector_refuse(struct cluster_detector *detector)
{
    detector->refused = true;
}

void cluster_detector_report(struct cluster_detector *detector, unsigned failed, uint64_t now_ns,
                             uint64_t lasts_ns)
{
    detector->reported = failed < CLUSTER_REPORTS_MAX ? failed : CLUSTER_REPORTS_MAX;
    detector->reported_until_ns = now_ns + lasts_ns;
}

void cluster_detector_sleep(struct cluster_detector *detector, uint64_t ns, uint64_t now_ns)
{
    if (!detector->heard_ns)
        return;
    uint64_t heard_ns = detector->heard_ns + ns, sampled_ns = detector->sampled_ns + ns;
    detector->heard_ns = heard_ns < now_ns ? heard_ns : now_ns;
    detector->sampled_ns = sampled_ns < now_ns ? sampled_ns : now_ns;
}

/* ---- what follows ---- */

/* By the beginning of the silence: what counted then counts to its end. */
static uint32_t reported_phi(const struct cluster_detector *detector)
{
    return detector->heard_ns < detector->reported_until_ns ? detector->reported * 1000 : 0;
}

uint32_t cluster_detector_phi(const struct cluster_detector *detector, uint64_t now_ns)
{
    if (!detector->heard_ns || now_ns <= detector->heard_ns)
        return 0;
    uint64_t silent_us = (now_ns - detector->heard_ns) / NS_PER_US, mean = mean_us(detector);
    if (silent_us < mean) /* grows to that of the mean, which is a silence of every second gap */
        return (uint32_t)(tail[0] * silent_us / mean);
    uint64_t distance = (silent_us - mean) * 1000 / deviation_us(detector);
    uint32_t phi = phi_of(distance) + reported_phi(detector);
    return phi < PHI_MAX ? phi : PHI_MAX;
}

uint64_t cluster_detector_due_ns(const struct cluster_detector *detector)
{
    uint32_t reported = reported_phi(detector);
    if (!detector->heard_ns)
        return UINT64_MAX;
    if (detector->refused)
        return detector->heard_ns + detector->patience.floor_ns;
    uint64_t after_ns =
        reported ? silence_of(detector, CLUSTER_PHI - reported) : detector->after_ns;
    return detector->heard_ns + after_ns;
}

bool cluster_detector_suspects(const struct cluster_detector *detector, uint64_t now_ns)
{
    return now_ns >= cluster_detector_due_ns(detector);
}
