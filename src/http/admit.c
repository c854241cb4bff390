/* What is checked before a body is read: framing that two parsers could read differently, the path, the key, the
 * parameters, the media type. libmicrohttpd 0.9.75 lets most of the bad framing through. */
#include "http_priv.h"

#include <stdio.h>
#include <string.h>
#include "meros/base/crypto.h"

#define NAME(text) {text, sizeof(text) - 1}
static const struct str known_names[H_COUNT] = {
    [H_HOST] = NAME("Host"), [H_CONTENT_LENGTH] = NAME("Content-Length"), [H_TRANSFER_ENCODING] = NAME("Transfer-Encoding"),
    [H_CONTENT_TYPE] = NAME("Content-Type"), [H_CONTENT_ENCODING] = NAME("Content-Encoding"),
    [H_ACCEPT_ENCODING] = NAME("Accept-Encoding"), [H_AUTHORIZATION] = NAME("Authorization"), [H_EXPECT] = NAME("Expect"),
    [H_ORIGIN] = NAME("Origin"), [H_REQUEST_ID] = NAME("X-Request-Id")};
/* Those of which a second one would let two readers see two different requests. */
static const bool at_most_once[H_COUNT] = {[H_HOST] = true, [H_CONTENT_LENGTH] = true, [H_TRANSFER_ENCODING] = true,
                                           [H_CONTENT_TYPE] = true, [H_CONTENT_ENCODING] = true, [H_AUTHORIZATION] = true};

struct collect {
    struct http_request *r;
    bool too_many, cut_short;
    enum known_header twice; /* H_COUNT: none */
    const char *end;         /* of the last value */
};

static void note_known(struct collect *c, struct header *h)
{
    for (int k = 0; k < H_COUNT; k++) {
        if (h->name.n != known_names[k].n || !str_ieq(h->name, known_names[k])) continue;
        if (c->r->known[k] == NULL) c->r->known[k] = h;
        else if (at_most_once[k]) c->twice = (enum known_header)k;
        return;
    }
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
                                      const char *value, size_t value_n)
{
    struct collect *c = cls;
    (void)kind;
    /* libmicrohttpd ends a value at its first NUL. Header lines lie one after the other in its memory with the line end
     * (one or two bytes) between them, so a larger gap says that there was more. (A folded header, obsolete since
     * RFC 7230 and mangled by libmicrohttpd, is moved elsewhere, and refused here as well.) */
    ptrdiff_t gap = c->end != NULL ? name - c->end : 1;
    if (gap < 1 || gap > 2) c->cut_short = true;
    c->end = value != NULL ? value + value_n : name + name_n;
    if (c->r->n_headers == HEADERS_MAX) {
        c->too_many = true;
        return MHD_NO;
    }
    struct header *h = &c->r->headers[c->r->n_headers++];
    h->name = (struct str){name, name_n};
    h->value = value != NULL ? str_trim((struct str){value, value_n}) : (struct str){"", 0};
    note_known(c, h);
    return MHD_YES;
}

static bool sane_id(struct str s)
{
    if (s.n == 0 || s.n > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c != '\0' && strchr("-_.:/+=@~", c) != NULL)))
            return false;
    }
    return true;
}

/* A bijection of 64 bits (the finalizer of SplitMix64): distinct numbers give distinct, unlike ids. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void hex16(uint64_t v, char *to)
{
    for (int i = 15; i >= 0; i--, v >>= 4) to[i] = "0123456789abcdef"[v & 15];
}

static void choose_id(struct http_request *r)
{
    const struct header *h = r->known[H_REQUEST_ID];
    if (h != NULL && sane_id(h->value)) {
        memcpy(r->id, h->value.p, h->value.n);
        r->id[h->value.n] = '\0';
        return;
    }
    uint64_t n = atomic_fetch_add_explicit(&r->server->id_next, 1, memory_order_relaxed);
    hex16(r->server->id_seed, r->id);
    hex16(mix(n ^ r->server->id_mask), r->id + 16);
    r->id[32] = '\0';
}

static enum meros_code ambiguous(struct meros_err *err, enum meros_code code, const char *why)
{
    err_set(err, code, "%s", why);
    err->close = true;
    return code;
}

static enum meros_code read_length(struct http_request *r, struct meros_err *err)
{
    const struct header *length = r->known[H_CONTENT_LENGTH], *coding = r->known[H_TRANSFER_ENCODING];
    if (coding != NULL) {
        if (length != NULL)
            return ambiguous(err, MEROS_INVALID, "The request has both Content-Length and Transfer-Encoding.");
        if (!str_ieq(coding->value, STR("chunked")))
            return ambiguous(err, MEROS_NOT_IMPLEMENTED, "The only transfer coding understood is \"chunked\".");
        r->chunked = r->has_body = true;
        return MEROS_OK;
    }
    if (length == NULL) return MEROS_OK;
    uint64_t n = 0;
    for (size_t i = 0; i < length->value.n; i++) {
        char c = length->value.p[i];
        if (c < '0' || c > '9') return ambiguous(err, MEROS_INVALID, "Content-Length is not a number.");
        if (n > INT64_MAX / 10 - 1) return ambiguous(err, MEROS_TOO_LARGE, "Content-Length is larger than anything can be.");
        n = n * 10 + (uint64_t)(c - '0');
    }
    if (length->value.n == 0) return ambiguous(err, MEROS_INVALID, "Content-Length is empty.");
    r->content_length = n;
    r->has_body = n > 0;
    return MEROS_OK;
}

static void read_method(struct http_request *r, const char *method)
{
    r->known_method = true;
    for (int m = 0; m < HTTP_METHOD_COUNT; m++)
        if (strcmp(method, method_name((enum http_method)m)) == 0) {
            r->method = (enum http_method)m;
            return;
        }
    r->is_head = strcmp(method, "HEAD") == 0; /* GET, of which libmicrohttpd keeps the body back */
    r->is_options = strcmp(method, "OPTIONS") == 0;
    r->known_method = r->is_head;
    r->method = HTTP_GET;
}

enum meros_code admit_framing(struct http_request *r, const char *method, const char *version, struct meros_err *err)
{
    struct collect c = {.r = r, .twice = H_COUNT};
    MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, collect_header, &c);
    choose_id(r);
    read_method(r, method);
    /* The version lies behind the target in libmicrohttpd's memory, one byte between them, unless a NUL cut the target. */
    if ((uintptr_t)version - (uintptr_t)r->uri != r->target.n + 1)
        return ambiguous(err, MEROS_INVALID, "The request line holds a NUL byte.");
    if (c.too_many) {
        err_set(err, MEROS_HEADERS_TOO_LARGE, "The request has more than %d header lines.", HEADERS_MAX);
        err->close = true;
        return err->code;
    }
    if (c.cut_short || (c.end != NULL && c.end[1] != '\0'))
        return ambiguous(err, MEROS_INVALID, "A header line holds a NUL byte or is folded over several lines.");
    if (c.twice != H_COUNT) {
        err_set(err, MEROS_INVALID, "The request has more than one %s header.", known_names[c.twice].p);
        err->close = true;
        return err->code;
    }
    const struct header *expect = r->known[H_EXPECT];
    r->expect_continue = expect != NULL && str_ieq(expect->value, STR("100-continue"));
    return read_length(r, err);
}

/* Bytes that no URI has: blanks, controls, and '#', which a client must not send. */
static bool target_ok(struct str t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char ch = (unsigned char)t.p[i];
        if (ch <= 0x20 || ch == 0x7F || ch == '#') return false;
    }
    return true;
}

static void allow_header(struct http_request *r, const struct route_match *m)
{
    char allow[80] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    if (m != NULL) router_allow(m, allow, sizeof allow);
    http_reply_header(r, "Allow", allow);
    if (r->is_options) cors_preflight(r, allow);
}

static enum meros_code path_params(struct http_request *r, const struct route_match *m, const struct str *segments,
                                   struct meros_err *err)
{
    const char *at = r->route->pattern + 1;
    size_t depth = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        for (; depth < m->param_segment[i]; depth++) at += strcspn(at, "/") + 1;
        struct path_param *p = &r->path_params[r->n_path_params++];
        *p = (struct path_param){.name = at + 1, .name_n = strcspn(at, "/") - 2, .value = segments[depth]};
        if (!id_valid(p->value))
            return err_set(err, MEROS_INVALID,
                           "The path's {%.*s} must be an id: 1 to %d bytes of UTF-8 without control characters.",
                           (int)p->name_n, p->name, ID_MAX);
    }
    return MEROS_OK;
}

enum meros_code admit_route(struct http_request *r, struct meros_err *err)
{
    if (r->is_options && str_is(r->target, "*")) {
        allow_header(r, NULL);
        http_reply_empty(r, 204);
        return MEROS_OK;
    }
    if (!target_ok(r->target)) return err_set(err, MEROS_INVALID, "The request's target holds a blank or a control character.");
    const char *mark = memchr(r->target.p, '?', r->target.n);
    r->path = (struct str){r->target.p, mark != NULL ? (size_t)(mark - r->target.p) : r->target.n};
    struct str segments[SEGMENTS_MAX];
    size_t n = 0;
    char *decoded = arena_alloc(&r->arena, r->path.n);
    if (decoded == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the path");
    enum meros_code rc = path_split(r->path, decoded, segments, &n, err);
    if (rc != MEROS_OK) return rc;
    const struct route_match *m = router_find(r->server->router, segments, n);
    if (m == NULL) return err_set(err, MEROS_NOT_FOUND, "There is nothing at this path.");
    if (r->is_options) {
        allow_header(r, m);
        http_reply_empty(r, 204);
        return MEROS_OK;
    }
    if (!r->known_method || m->by_method[r->method] == NULL) {
        allow_header(r, m);
        return err_set(err, MEROS_METHOD_NOT_ALLOWED, "This path does not take that method; see the Allow header.");
    }
    r->route = m->by_method[r->method];
    r->stats = m->stats[r->method];
    return path_params(r, m, segments, err);
}

/* The key of an Authorization header; STR_NONE if its scheme is not taken here. `space` has room for a decoded one. */
static struct str presented_key(const struct http_request *r, char space[512])
{
    struct str v = r->known[H_AUTHORIZATION]->value;
    size_t scheme = 0;
    while (scheme < v.n && v.p[scheme] != ' ') scheme++;
    struct str rest = str_trim((struct str){v.p + scheme, v.n - scheme});
    if (str_ieq((struct str){v.p, scheme}, STR("Bearer"))) return rest;
    if (!(r->route->flags & HTTP_BASIC_AUTH) || !str_ieq((struct str){v.p, scheme}, STR("Basic"))) return STR_NONE;
    size_t n = 0;
    if (!base64_decode_standard(rest, space, 512, &n)) return STR_NONE;
    /* user:password, and the password must be empty: a key there would be taken for the user's otherwise. Some leave the
     * colon out. */
    const char *colon = memchr(space, ':', n);
    if (colon != NULL && colon != space + n - 1) return STR_NONE;
    return (struct str){space, colon != NULL ? n - 1 : n};
}

static enum meros_code lacks_scope(const struct http_config *config, const struct http_route *route, struct meros_err *err)
{
    char words[200] = "";
    size_t at = 0;
    for (unsigned bit = 0; config->scope_words != NULL && config->scope_words[bit] != NULL; bit++) {
        if ((route->scopes >> bit & 1) == 0 || at >= sizeof words) continue;
        at += (size_t)snprintf(words + at, sizeof words - at, "%s%s", at == 0 ? "" : " or ", config->scope_words[bit]);
    }
    return err_set(err, MEROS_FORBIDDEN, "This key lacks the scope that this operation needs%s%s.", words[0] != '\0' ? ": " : "", words);
}

enum meros_code admit_auth(struct http_request *r, bool may_block, bool *out_would_block, struct meros_err *err)
{
    const struct http_route *route = r->route;
    const struct http_config *config = &r->server->config;
    bool public = (route->flags & HTTP_PUBLIC) != 0;
    /* A public route with scopes knows its caller if there is one; an unknown key is then as good as none. */
    if (public && (route->scopes == 0 || r->known[H_AUTHORIZATION] == NULL)) return MEROS_OK;
    if (r->known[H_AUTHORIZATION] == NULL)
        return err_set(err, MEROS_UNAUTHENTICATED, "Send a key: \"Authorization: Bearer KEY\".");
    char space[512];
    struct str key = presented_key(r, space);
    struct http_principal who = {0};
    enum meros_code rc = MEROS_UNAUTHENTICATED;
    if (key.n == 0) err_set(err, rc, "The Authorization header holds no key; it must be \"Bearer KEY\".");
    else if (config->auth == NULL) err_set(err, rc, "No key is accepted.");
    else rc = config->auth(config->ctx, key, may_block, out_would_block, &who, err);
    crypto_wipe(space, sizeof space);
    if (*out_would_block) return rc;
    if (rc == MEROS_OK) r->principal = who;
    if (public && (rc == MEROS_UNAUTHENTICATED || rc == MEROS_OK)) {
        err_begin(err);
        return MEROS_OK;
    }
    if (rc == MEROS_OK && (who.scopes & route->scopes) == 0)
        rc = lacks_scope(config, route, err);
    return rc;
}

static bool media_listed(const char *list, struct str type)
{
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (str_ieq((struct str){at, n}, type)) return true;
        at += n;
        at += strspn(at, " ");
    }
    return false;
}

static enum meros_code check_media(const struct http_request *r, struct meros_err *err)
{
    const struct http_route *route = r->route;
    struct str value = r->known[H_CONTENT_TYPE] != NULL ? r->known[H_CONTENT_TYPE]->value : STR_NONE;
    const char *semicolon = value.n > 0 ? memchr(value.p, ';', value.n) : NULL;
    struct str type = str_trim((struct str){value.p, semicolon != NULL ? (size_t)(semicolon - value.p) : value.n});
    if (!media_listed(route->media, type))
        return err_set(err, MEROS_UNSUPPORTED_MEDIA, "Send the body as %s, and say so in Content-Type.", route->media);
    return MEROS_OK;
}

static enum meros_code check_coding(struct http_request *r, struct meros_err *err)
{
    if (r->known[H_CONTENT_ENCODING] == NULL) return MEROS_OK;
    struct str coding = r->known[H_CONTENT_ENCODING]->value;
    if (coding.n == 0 || str_ieq(coding, STR("identity"))) return MEROS_OK;
    r->gzip_body = str_ieq(coding, STR("gzip")) || str_ieq(coding, STR("x-gzip"));
    if (r->gzip_body) return MEROS_OK;
    http_reply_header(r, "Accept-Encoding", "gzip");
    return err_set(err, MEROS_UNSUPPORTED_MEDIA, "The only Content-Encoding understood is gzip.");
}

static enum meros_code check_body(struct http_request *r, struct meros_err *err)
{
    const struct http_route *route = r->route;
    if (!r->has_body) {
        if (route->body == HTTP_BODY_BUFFERED && !(route->flags & HTTP_BODY_OPTIONAL))
            return err_set(err, MEROS_INVALID, "This operation needs a body.");
        return MEROS_OK;
    }
    if (route->body == HTTP_BODY_NONE) {
        if (r->chunked) return MEROS_OK; /* may be empty; refused at its first byte */
        return err_set(err, MEROS_INVALID, "This operation takes no body.");
    }
    enum meros_code rc = route->media != NULL ? check_media(r, err) : MEROS_OK;
    if (rc == MEROS_OK) rc = check_coding(r, err);
    if (rc != MEROS_OK) return rc;
    size_t max = route->body_max > 0 ? route->body_max : r->server->config.body_max;
    if (route->body == HTTP_BODY_BUFFERED && r->content_length > max)
        return err_set(err, MEROS_TOO_LARGE, "The body may have at most %zu bytes.", max);
    return MEROS_OK;
}

enum meros_code admit_rest(struct http_request *r, struct meros_err *err)
{
    size_t n = 0;
    for (const struct http_param *p = r->route->params; p != NULL && p->name != NULL; p++) n++;
    struct str query = {r->path.p + r->path.n, r->target.n - r->path.n};
    if (n > 0) {
        r->query = arena_array(&r->arena, n, sizeof *r->query);
        if (r->query == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the query");
    }
    if (query.n > 1) {
        query.p++;
        query.n--;
        char *decoded = arena_alloc(&r->arena, query.n);
        if (decoded == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the query");
        query_parse(query, r->route->params, decoded, r->query, err);
    } else if (n > 0) {
        query_parse((struct str){"", 0}, r->route->params, NULL, r->query, err);
    }
    return err->code != MEROS_OK ? err->code : check_body(r, err);
}
