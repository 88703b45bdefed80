/* What this part asks of another worker or node, and what it reports there, goes the way of a
 * client's forwarded request, in a session that no client has: those have an index below 2^32 - 1.
 */
#include "control/inside.h"

#define QUESTION_SIZE_MAX (2 * (CONTROL_REPORT_KEY_SIZE + CONTROL_REPORT_TEXT_MAX))

bool question_send(struct control *control, struct peer_id to, const struct question *question)
{
    struct wire_frame *frame =
        to.node.value ? peer_frame(node_peers(control->node), to, WIRE_LINK_DATA) : NULL;
    struct buffer request;
    if (!frame)
        return false;
    buffer_init(&request, QUESTION_SIZE_MAX);
    wire_request_encode(question->words, question->count, &request);
    struct wire_forward forward = {.group = GROUP_SYSTEM,
                                   .session = question->session,
                                   .epoch = question->epoch,
                                   .sequence = 1,
                                   .flags = question->writes ? WIRE_FORWARD_WRITE : 0,
                                   .request = slice_of_buffer(&request)};
    wire_add_forward(frame, &forward);
    buffer_deinit(&request);
    return true;
}
