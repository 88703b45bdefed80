/* What a connection was told of its writes, where that may come before the commit: for each
 * partition the newest (term, index). When the leader that runs its next request there finds that
 * this was cut, it answers WRITELOST instead, once (R10). The node of the connection keeps the
 * tokens: replies of other nodes bring them, requests take them along. */
#include "server/inside.h"

#include "base/memory.h"

#define TOKENS_MAX 1024 /* partitions; past that the one longest there is forgotten */

void tokens_deinit(struct tokens *tokens)
{
    memory_free(tokens->list);
    *tokens = (struct tokens){0};
}

static struct token *find(const struct tokens *tokens, struct group_id group)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (group_id_equal(tokens->list[i].group, group))
            return &tokens->list[i];
    return NULL;
}

struct token token_of(const struct client *client, struct group_id group)
{
    const struct token *token = find(&client->tokens, group);
    return token ? *token : (struct token){.group = group};
}

static struct token *add(struct tokens *tokens)
{
    if (tokens->count == TOKENS_MAX) {
        tokens->count--;
        memmove(tokens->list, tokens->list + 1, tokens->count * sizeof *tokens->list);
    }
    if (tokens->count == tokens->capacity) {
        tokens->capacity = tokens->capacity ? 2 * tokens->capacity : 2;
        tokens->list = memory_resize(tokens->list, tokens->capacity * sizeof *tokens->list);
    }
    return &tokens->list[tokens->count++];
}

void token_note(struct client *client, const struct token *token)
{
    struct token *old = find(&client->tokens, token->group);
    if (!token->index || (old && token->term < old->term) ||
        (old && token->term == old->term && token->index <= old->index))
        return;
    if (!old)
        old = add(&client->tokens);
    *old = *token;
}

void token_forget(struct client *client, const struct token *token)
{
    struct token *old = find(&client->tokens, token->group);
    if (old && old->term == token->term && old->index == token->index)
        *old = client->tokens.list[--client->tokens.count];
}

struct token token_of_write(const struct pending *pending)
{
    struct token token = {.group = pending->group};
    if (pending->kind == PENDING_GATED && pending->gate.wrote && pending->gate.early) {
        token.term = pending->gate.term;
        token.index = pending->gate.index;
    }
    return token;
}

/* A leader that serves has the whole log of earlier terms: what is not in it is cut. */
static bool is_cut(const struct replica *replica, const struct token *token)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    return token->index && token->term < view->term &&
           (token->index > view->last_index ||
            raft_term_at(replica_raft(replica), token->index) != token->term);
}

bool token_is_lost(struct session *session, const struct replica *replica,
                   const struct pending *pending)
{
    const struct token *token = &pending->token;
    if (!token->index || !is_cut(replica, token))
        return false;
    bool told = session->told.term == token->term && session->told.index == token->index &&
                group_id_equal(session->told.group, token->group);
    session->told = *token;
    if (!session->remote)
        token_forget(client_of_session(session), token);
    return !told; /* requests that were on their way together tell it once */
}
