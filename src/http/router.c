/* Finding a route: a tree with one level a path segment, built once. */
#include "http_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct str literal;                /* of this segment; unused in a parameter node */
    struct node *children, *sibling;   /* literal ones, in a list: few a level */
    struct node *param;                /* the child that matches any segment */
    struct route_match *match;         /* routes that end here */
};
struct router {
    struct node root;
};

const char *method_name(enum http_method m)
{
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return (unsigned)m < HTTP_METHOD_COUNT ? names[m] : "?";
}

static void node_free(struct node *n)
{
    for (struct node *c = n->children, *next; c != NULL; c = next) {
        next = c->sibling;
        node_free(c);
        free(c);
    }
    if (n->param != NULL) node_free(n->param);
    free(n->param);
    free(n->match);
}

void router_free(struct router *router)
{
    if (router == NULL) return;
    node_free(&router->root);
    free(router);
}

static struct node *child(struct node *n, struct str segment, bool is_param)
{
    if (is_param) {
        if (n->param == NULL) n->param = calloc(1, sizeof *n->param);
        return n->param;
    }
    for (struct node *c = n->children; c != NULL; c = c->sibling)
        if (str_eq(c->literal, segment)) return c;
    struct node *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->literal = segment;
    c->sibling = n->children;
    return n->children = c;
}

/* What is wrong with a route's own description, in words; NULL if nothing is. */
static const char *route_fault(const struct http_route *r)
{
    if (r->pattern[0] != '/') return "its pattern does not begin with '/'";
    if (r->name == NULL || r->fn == NULL) return "it lacks a name or a handler";
    if ((unsigned)r->method >= HTTP_METHOD_COUNT) return "its method is unknown";
    if (r->scopes == 0 && !(r->flags & HTTP_PUBLIC)) return "it has neither scopes nor HTTP_PUBLIC";
    if (r->body == HTTP_BODY_STREAM && (r->flags & HTTP_INLINE)) return "a streamed body cannot be read inline";
    if (r->body != HTTP_BODY_NONE && r->method == HTTP_GET) return "GET has no body";
    size_t n = 0;
    for (const struct http_param *p = r->params; p != NULL && p->name != NULL; p++)
        if (++n > PARAMS_MAX || (p->kind == HTTP_PARAM_ENUM && p->words == NULL)) return "its parameters are wrong";
    return NULL;
}

static enum meros_code add(struct router *router, const struct http_route *r, struct route_stats *st, struct meros_err *err)
{
    const char *fault = route_fault(r);
    if (fault != NULL) return err_set(err, MEROS_INTERNAL, "route %s: %s", r->pattern, fault);
    struct node *n = &router->root;
    size_t param_segment[PATH_PARAMS_MAX], n_params = 0, depth = 0;
    for (const char *at = r->pattern + 1;; depth++) {
        size_t len = strcspn(at, "/");
        bool is_param = len > 2 && at[0] == '{' && at[len - 1] == '}';
        if (depth == SEGMENTS_MAX || (is_param && n_params == PATH_PARAMS_MAX))
            return err_set(err, MEROS_INTERNAL, "route %s: too many segments or parameters", r->pattern);
        if (is_param) param_segment[n_params++] = depth;
        n = child(n, (struct str){at, len}, is_param);
        if (n == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the routes");
        if (at[len] == '\0') break;
        at += len + 1;
    }
    if (n->match == NULL && (n->match = calloc(1, sizeof *n->match)) == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the routes");
    if (n->match->by_method[r->method] != NULL)
        return err_set(err, MEROS_INTERNAL, "route %s %s is there twice", method_name(r->method), r->pattern);
    n->match->by_method[r->method] = r;
    n->match->stats[r->method] = st;
    n->match->n_params = n_params;
    memcpy(n->match->param_segment, param_segment, n_params * sizeof param_segment[0]);
    return MEROS_OK;
}

enum meros_code router_new(const struct http_route *routes, struct route_stats *stats, struct router **out,
                           struct meros_err *err)
{
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the routes");
    for (const struct http_route *r = routes; r->pattern != NULL; r++) {
        enum meros_code rc = add(router, r, &stats[r - routes], err);
        if (rc != MEROS_OK) {
            router_free(router);
            return rc;
        }
    }
    *out = router;
    return MEROS_OK;
}

static const struct route_match *find(const struct node *n, const struct str *segments, size_t left)
{
    if (left == 0) return n->match;
    for (const struct node *c = n->children; c != NULL; c = c->sibling) {
        if (!str_eq(c->literal, *segments)) continue;
        const struct route_match *m = find(c, segments + 1, left - 1);
        if (m != NULL) return m;
        break;
    }
    return n->param != NULL && segments->n > 0 ? find(n->param, segments + 1, left - 1) : NULL;
}

const struct route_match *router_find(const struct router *router, const struct str *segments, size_t n)
{
    return find(&router->root, segments, n);
}

void router_allow(const struct route_match *m, char *out, size_t cap)
{
    size_t n = 0;
    for (int i = 0; i < HTTP_METHOD_COUNT; i++)
        if (m->by_method[i] != NULL)
            n += (size_t)snprintf(out + n, n < cap ? cap - n : 0, "%s%s, ", method_name((enum http_method)i),
                                  i == HTTP_GET ? ", HEAD" : "");
    snprintf(out + n, n < cap ? cap - n : 0, "OPTIONS");
}
