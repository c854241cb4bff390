#include "client_priv.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 16 * 1024 * 1024 };

struct client {
    CURL *curl;
    struct curl_slist *headers; /* of the request under way */
    char url[512], authorization[320];
    char failure[CURL_ERROR_SIZE];
    struct buf answer;
    const struct client_upload *upload; /* of the request under way */
    double sent;
    bool all_sent;
    struct meros_err source_err;
};

/* --key, MEROS_KEY, the bootstrap key, or what `make run` keeps in data_dir. */
static enum meros_code find_key(const struct invocation *in, const struct config *config, char *out, size_t cap, struct meros_err *err)
{
    struct meros_err ignored = MEROS_ERR_INIT;
    const char *key = invocation_option(in, "key");
    if (key == NULL) key = getenv("MEROS_KEY");
    if (key == NULL && config->bootstrap_key[0] != '\0') key = config->bootstrap_key;
    if (key == NULL && datadir_read_line(config->data_dir, "admin.key", out, cap, &ignored) == MEROS_OK) return MEROS_OK;
    if (key == NULL || key[0] == '\0')
        return err_set(err, MEROS_INVALID, "an API key is needed: --key KEY or MEROS_KEY; `meros key create --scopes admin --name me` makes one");
    if (!str_copy(out, cap, str_of(key))) return err_set(err, MEROS_INVALID, "the API key is too long");
    return MEROS_OK;
}

static void find_url(const struct invocation *in, const struct config *config, char *out, size_t cap)
{
    const char *given = invocation_option(in, "url"), *host = config->bind;
    if (given != NULL) {
        snprintf(out, cap, "%s", given);
        for (size_t n = strlen(out); n > 0 && out[n - 1] == '/'; n--) out[n - 1] = '\0';
        return;
    }
    if (strcmp(host, "0.0.0.0") == 0) host = "127.0.0.1";
    if (strcmp(host, "::") == 0) host = "::1";
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, cap, "%s://%s%s%s:%d", config->tls_cert[0] ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", (int)config->port);
}

static size_t take_answer(char *p, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    buf_append(&c->answer, p, size * n);
    return c->answer.failed ? 0 : size * n;
}

static size_t give_body(char *to, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    ptrdiff_t got = c->upload->source(c->upload->arg, to, size * n, &c->source_err);
    if (got < 0) return CURL_READFUNC_ABORT;
    c->sent += (double)got;
    c->all_sent = got == 0;
    return (size_t)got;
}

/* Called by curl several times a second, also while nothing moves: the merge after the last byte may take its time. */
static int show_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct client *c = arg;
    (void)down_total, (void)down, (void)up_total, (void)up;
    progress_show(c->upload->progress, c->upload->done != NULL ? c->upload->done(c->upload->arg) : c->sent,
                  c->all_sent ? "being committed" : NULL);
    return 0;
}

enum meros_code client_open(const struct invocation *in, const struct config *config, struct client **out, struct meros_err *err)
{
    char key[256];
    enum meros_code rc = backend_libraries(err);
    if (rc == MEROS_OK) rc = find_key(in, config, key, sizeof key, err);
    if (rc != MEROS_OK) return rc;
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (c->curl = curl_easy_init()) == NULL) {
        free(c);
        return err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for a connection");
    }
    buf_init(&c->answer, ANSWER_MAX);
    find_url(in, config, c->url, sizeof c->url);
    snprintf(c->authorization, sizeof c->authorization, "Authorization: Bearer %s", key);
    crypto_wipe(key, sizeof key);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->failure);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "meros/" MEROS_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*"); /* a proxy of the environment is for the way out, not to our own service */
    if (invocation_option(in, "url") == NULL && config->tls_cert[0]) curl_easy_setopt(c->curl, CURLOPT_CAINFO, config->tls_cert);
    *out = c;
    return MEROS_OK;
}

void client_close(struct client *c)
{
    if (c == NULL) return;
    curl_slist_free_all(c->headers);
    curl_easy_cleanup(c->curl);
    buf_done(&c->answer);
    crypto_wipe(c->authorization, sizeof c->authorization);
    free(c);
    curl_global_cleanup();
}

static enum meros_code add_header(struct client *c, struct meros_err *err, const char *name, const char *value)
{
    char line[400];
    snprintf(line, sizeof line, "%s%s", name, value);
    struct curl_slist *longer = curl_slist_append(c->headers, line);
    crypto_wipe(line, sizeof line);
    if (longer == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for a request");
    c->headers = longer;
    return MEROS_OK;
}

/* The service's problem, in its own words, with the fields at fault. */
static enum meros_code problem(long status, const struct json *answer, struct meros_err *err)
{
    struct str detail = json_str(json_get(answer, "detail")), title = json_str(json_get(answer, "title"));
    const struct json *errors = json_get(answer, "errors");
    enum meros_code code = status == 401   ? MEROS_UNAUTHENTICATED
                           : status == 403 ? MEROS_FORBIDDEN
                           : status == 404 ? MEROS_NOT_FOUND
                           : status == 409 ? MEROS_CONFLICT
                           : status == 503 ? MEROS_UNAVAILABLE
                           : status < 500  ? MEROS_INVALID
                                           : MEROS_INTERNAL;
    if (!str_present(detail)) detail = title;
    err_set(err, code, "the service answered %ld: %.*s", status, (int)detail.n, str_present(detail) ? detail.p : "");
    for (size_t i = 0; i < json_count(errors) && err != NULL; i++) {
        struct str pointer = json_str(json_get(json_at(errors, i), "pointer")), what = json_str(json_get(json_at(errors, i), "detail"));
        char at[ERR_POINTER_MAX];
        snprintf(at, sizeof at, "%.*s", (int)pointer.n, str_present(pointer) ? pointer.p : "");
        err_field(err, at, "%.*s", (int)what.n, str_present(what) ? what.p : "");
    }
    return code;
}

/* Runs the prepared request. */
static enum meros_code perform(struct client *c, const char *path, struct json **out, struct meros_err *err)
{
    char url[4096];
    long status = 0;
    struct json *answer = NULL;
    enum meros_code rc = MEROS_OK;
    if ((size_t)snprintf(url, sizeof url, "%s%s", c->url, path) >= sizeof url)
        return err_set(err, MEROS_INVALID, "the address is too long");
    buf_clear(&c->answer);
    err_clear(&c->source_err);
    c->failure[0] = '\0';
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    CURLcode done = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (c->source_err.code != MEROS_OK) {
        if (err != NULL) *err = c->source_err;
        return c->source_err.code;
    }
    /* A refusal may arrive while the body is still on its way out: the answer then tells more than the broken pipe. */
    if (done == CURLE_COULDNT_CONNECT)
        return err_set(err, MEROS_UNAVAILABLE, "no service answers at %s; `meros serve` starts one", c->url);
    if (done != CURLE_OK && !(done == CURLE_SEND_ERROR && status >= 400))
        return err_set(err, MEROS_UNAVAILABLE, "%s: %s", c->url, c->failure[0] ? c->failure : curl_easy_strerror(done));
    if (c->answer.len > 0 && json_parse(c->answer.data, c->answer.len, &answer, err) != MEROS_OK && status < 300)
        return err_set(err, MEROS_INTERNAL, "%s answered something that is not JSON; is it Meros?", c->url);
    if (status >= 300 || status < 200) rc = problem(status, answer, err);
    if (rc == MEROS_OK && out != NULL) *out = answer, answer = NULL;
    json_free(answer);
    return rc;
}

static enum meros_code begin(struct client *c, const char *content_type, const char *content_encoding, struct meros_err *err)
{
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    enum meros_code rc = add_header(c, err, "", c->authorization);
    if (rc == MEROS_OK && content_type != NULL) rc = add_header(c, err, "Content-Type: ", content_type);
    if (rc == MEROS_OK && content_encoding != NULL) rc = add_header(c, err, "Content-Encoding: ", content_encoding);
    return rc;
}

enum meros_code client_upload(struct client *c, const char *path, const struct client_upload *upload, struct json **out, struct meros_err *err)
{
    enum meros_code rc = begin(c, upload->content_type, upload->content_encoding, err);
    if (rc == MEROS_OK) rc = add_header(c, err, "Transfer-Encoding: ", "chunked");
    if (rc != MEROS_OK) return rc;
    c->upload = upload;
    c->sent = 0;
    c->all_sent = false;
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, upload->progress != NULL ? 0L : 1L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, show_progress);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, -1L);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(c->curl, CURLOPT_READDATA, c);
    return perform(c, path, out, err);
}

enum meros_code client_call(struct client *c, const char *method, const char *path, const char *body, struct json **out, struct meros_err *err)
{
    enum meros_code rc = begin(c, body != NULL ? "application/json" : NULL, NULL, err);
    if (rc != MEROS_OK) return rc;
    if (body != NULL) {
        curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    } else {
        curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    return perform(c, path, out, err);
}

void client_query(struct buf *path, const char *name, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    buf_printf(path, "%c%s=", path->data != NULL && strchr(path->data, '?') != NULL ? '&' : '?', name);
    for (; *value != '\0'; value++) {
        unsigned char b = (unsigned char)*value;
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || strchr("-._~", b) != NULL;
        if (plain) buf_char(path, (char)b);
        else buf_printf(path, "%%%c%c", hex[b >> 4], hex[b & 15]);
    }
}
