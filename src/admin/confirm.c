/* Being sure of the catalogue before it is told from, as far as that is possible now. */
#include "admin/inside.h"

#define CONFIRM_TIMEOUT_NS (500 * 1000000ull) /* less than a request is held */
#define CONFIRM_UNUSED_NS  (100 * 1000000ull) /* whoever asked is gone */

bool admin_confirm(struct server_call *call, bool *is_sure)
{
    struct admin *admin = call->owner;
    uint64_t now_ns = node_turn(admin->node)->now_ns;
    if (!admin->ticket || now_ns > admin->wanted_ns + CONFIRM_UNUSED_NS) {
        admin->ticket = control_ask(admin->control);
        admin->asked_ns = now_ns;
    }
    admin->wanted_ns = now_ns;
    *is_sure = control_is_confirmed(admin->control, admin->ticket);
    if (!*is_sure && now_ns < admin->asked_ns + CONFIRM_TIMEOUT_NS) {
        call->later = call->works = true;
        return false;
    }
    return true;
}

void admin_confirm_end(struct server_call *call)
{
    struct admin *admin = call->owner;
    admin->ticket = 0;
}
