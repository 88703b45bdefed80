/* adapter_real.c - the real io for the contract suite: a directory of its own, and libc calls that
 * fail when told to.
 *
 * The definitions of fdatasync and accept4 below take the place of libc's in this program. What
 * they count lives in statics, since libc's signatures leave no other place. */
#include "contract.h"

#include "base/memory.h"
#include "io/real.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct io *ios[CONTRACT_IOS];
static char directory[128];

/* ---- faults ---- */

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fault_changed = PTHREAD_COND_INITIALIZER;
static bool fail_sync, hold_syncs, fail_accepts;

int fdatasync(int descriptor)
{
    pthread_mutex_lock(&fault_lock);
    while (hold_syncs)
        pthread_cond_wait(&fault_changed, &fault_lock);
    bool failing = fail_sync;
    fail_sync = false;
    pthread_mutex_unlock(&fault_lock);
    if (failing) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, descriptor);
}

int accept4(int descriptor, struct sockaddr *address, socklen_t *size, int flags)
{
    if (fail_accepts) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_accept4, descriptor, address, size, flags);
}

static void set_fault(bool *fault, bool value)
{
    pthread_mutex_lock(&fault_lock);
    *fault = value;
    pthread_mutex_unlock(&fault_lock);
    pthread_cond_broadcast(&fault_changed);
}

bool contract_fail_next_sync(void)
{
    set_fault(&fail_sync, true);
    return true;
}

bool contract_hold_syncs(bool held)
{
    set_fault(&hold_syncs, held);
    return true;
}

bool contract_fail_accepts(bool failing)
{
    fail_accepts = failing; /* accepted by the same thread */
    return true;
}

bool contract_limit_file_size(uint64_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes == UINT64_MAX ? limit.rlim_max : (rlim_t)bytes;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

enum status contract_lock_elsewhere(const char *path)
{
    char name[256];
    snprintf(name, sizeof name, "%s/lock", path);
    int descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert(descriptor >= 0);
    int failed = flock(descriptor, LOCK_EX | LOCK_NB);
    close(descriptor);
    return failed ? STATUS_IN_USE : STATUS_OK;
}

/* ---- the world ---- */

void contract_open(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%.100s/io-contract-XXXXXX", base ? base : "/tmp");
    char *made = mkdtemp(directory);
    assert(made);
    for (unsigned i = 0; i < CONTRACT_IOS; i++)
        ios[i] = io_create(&(struct io_real_options){.worker = i});
    io_connect_workers(ios, CONTRACT_IOS);
}

void contract_destroy(unsigned which)
{
    io_destroy(ios[which]);
    ios[which] = NULL;
}

static void remove_tree(const char *path)
{
    DIR *opened = opendir(path);
    struct dirent *entry;
    char name[512];
    while (opened && (entry = readdir(opened))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%.200s/%s", path, entry->d_name);
        if (unlink(name) != 0)
            remove_tree(name);
    }
    if (opened)
        closedir(opened);
    rmdir(path);
}

void contract_close(void)
{
    contract_hold_syncs(false);
    contract_limit_file_size(UINT64_MAX);
    contract_fail_accepts(false);
    for (unsigned i = 0; i < CONTRACT_IOS; i++)
        contract_destroy(i);
    set_fault(&fail_sync, false);
    remove_tree(directory);
}

struct io *contract_io(unsigned which)
{
    return ios[which];
}

const char *contract_dir(void)
{
    return directory;
}

const char *contract_host(void)
{
    return "127.0.0.1";
}

/* Takes the adapter's own timer out; true if it was there. */
static bool remove_own_timer(struct io_event *events, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (events[i].kind == IO_TIMER && events[i].tag == CONTRACT_TIMER) {
            memmove(&events[i], &events[i + 1], (*count - i - 1) * sizeof events[0]);
            (*count)--;
            return true;
        }
    return false;
}

size_t contract_gather(struct io *io, struct io_event *events, size_t max, unsigned wait_ms)
{
    /* Even a mere look gets a moment: a timer that is due would take the only place in the array.
     */
    io_timer_set(io, CONTRACT_TIMER, io_now_ns(io) + (wait_ms ? wait_ms : 1) * 1000000ull);
    for (;;) {
        size_t count = io_gather(io, events, max);
        assert(count > 0 && count <= max);
        bool late = remove_own_timer(events, &count);
        if (late || count > 0) {
            io_timer_cancel(io, CONTRACT_TIMER);
            return count;
        }
    }
}
