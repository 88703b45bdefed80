/* once.h - the table of ONCE as part of a store; private to store/. Its door is in store.h. */
#ifndef HOLDFAST_STORE_ONCE_H
#define HOLDFAST_STORE_ONCE_H

#include "base/list.h"
#include "store/inside.h"

uint64_t store_once_memory_bytes(const struct store *store);
uint64_t store_once_digest(const struct store *store);

#endif
