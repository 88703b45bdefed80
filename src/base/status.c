#include "base/status.h"

const char *status_text(enum status status)
{
    switch (status) {
    case STATUS_OK: return "ok";
    case STATUS_AGAIN: return "not ready yet";
    case STATUS_CLOSED: return "connection closed";
    case STATUS_END: return "end reached";
    case STATUS_NOT_FOUND: return "not found";
    case STATUS_EXISTS: return "exists already";
    case STATUS_IN_USE: return "in use by another process";
    case STATUS_INVALID: return "malformed";
    case STATUS_TOO_LARGE: return "too large";
    case STATUS_NO_SPACE: return "no space left";
    case STATUS_DAMAGED: return "damaged";
    case STATUS_FOREIGN: return "of another cluster or version";
    case STATUS_IO: return "input/output error";
    case STATUS_REFUSED: return "refused";
    case STATUS_DENIED: return "no permission";
    case STATUS_EXHAUSTED: return "too few file descriptors: raise ulimit -n";
    }
    return "unknown status";
}
