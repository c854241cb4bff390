#include "serve.h"

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], cert[128], key[128], other_key[128];

/* openssl with its output thrown away; its exit code. */
static int openssl(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int openssl(const char *format, ...)
{
    char command[1024];
    size_t n = (size_t)snprintf(command, sizeof command, "openssl ");
    va_list ap;
    va_start(ap, format);
    n += (size_t)vsnprintf(command + n, sizeof command - n, format, ap);
    va_end(ap);
    snprintf(command + n, sizeof command - n, " >/dev/null 2>&1 </dev/null");
    int rc = system(command);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void make_certificates(void)
{
    strcpy(folder, "/tmp/meros-tls-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(other_key, sizeof other_key, "%s/other.pem", folder);
    cr_assert_eq(openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                         "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s", key, cert), 0);
    cr_assert_eq(openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out %s", other_key), 0);
}

static void remove_certificates(void)
{
    unlink(cert);
    unlink(key);
    unlink(other_key);
    rmdir(folder);
}

static void with_tls(struct http_config *c)
{
    c->tls_cert = cert;
    c->tls_key = key;
}

TestSuite(tls, .init = make_certificates, .fini = remove_certificates, .timeout = 120);

static size_t keep(char *p, size_t size, size_t n, void *arg)
{
    strncat(arg, p, size * n < 400 - strlen(arg) ? size * n : 0);
    return size * n;
}

Test(tls, serves_over_1_2_and_1_3_and_refuses_what_is_older)
{
    struct http_server *s = serve(with_tls);
    static const struct {
        const char *version;
        bool works;
    } rows[] = {{"-tls1_3", true}, {"-tls1_2", true}, {"-tls1_1", false}, {"-tls1", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = openssl("s_client -connect 127.0.0.1:%d %s -cipher ALL:@SECLEVEL=0", http_port(s), rows[i].version);
        cr_expect_eq(rc == 0, rows[i].works, "%s: exit code %d", rows[i].version, rc);
    }
    char url[100], text[401] = "";
    CURL *c = curl_easy_init();
    long reused = 1;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/hello-io", http_port(s));
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CAINFO, cert);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, text);
    for (int i = 0; i < 3; i++) {
        text[0] = '\0';
        CURLcode rc = curl_easy_perform(c);
        cr_expect_eq(rc, CURLE_OK, "%s", curl_easy_strerror(rc));
        cr_expect_str_eq(text, "{\"hello\":\"world\"}");
    }
    curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &reused);
    cr_expect_eq(reused, 0, "the connection was not kept");
    curl_easy_cleanup(c);
    serve_stop(s);
}

static void start_fails(const char *cert_path, const char *key_path, const char *word)
{
    static const struct http_route none[] = {{0}};
    struct meros_err err = MEROS_ERR_INIT;
    struct http_server *s = NULL;
    struct http_config config = {.bind = "127.0.0.1", .routes = none, .tls_cert = cert_path, .tls_key = key_path};
    cr_expect_eq(http_start(&config, &s, &err), MEROS_INVALID);
    cr_expect_not_null(strstr(err.detail, word), "\"%s\" is not in: %s", word, err.detail);
}

Test(tls, a_start_with_the_wrong_files_says_what_is_wrong)
{
    start_fails(cert, other_key, "does not belong to the certificate");
    start_fails(cert, NULL, "both");
    start_fails(NULL, key, "both");
    start_fails(cert, "/nonexistent/key.pem", "/nonexistent/key.pem");
    start_fails(key, key, "cannot be used");
}
