/* memory.h - allocation that does not fail: it answers or ends the process with one line. Sizes
 * that come from outside are bounded by the caller before they get here. Floor 0. */
#ifndef HOLDFAST_BASE_MEMORY_H
#define HOLDFAST_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memory_allocate(size_t size); /* uninitialised; size 0 gives a unique pointer */
void *memory_zeroed(size_t count,
                    size_t size); /* all bytes zero; overflow of count * size is fatal */
void *memory_resize(void *memory, size_t size); /* like realloc */
void memory_free(void *memory);                 /* NULL is fine */
char *memory_copy_text(const char *text);       /* owned by the caller */

/* A load that nothing waits for; several of them are under way at the same time. Not a prefetch:
 * processors drop one whose page is not among those that they know how to translate, and where many
 * small things lie in much memory hardly any page is. */
static inline void memory_touch(const void *at)
{
    (void)*(const volatile uint8_t *)at;
}

/* The ground gave way: print "holdfast: <text>" on stderr and abort. Never for trouble that a peer
 * or a client can cause. */
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
