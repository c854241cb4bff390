#include "http_priv.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include "meros/base/crypto.h"

enum { PEM_MAX = 1024 * 1024 };

static enum meros_code read_file(const char *path, char **out, struct meros_err *err)
{
    struct buf b;
    buf_init(&b, PEM_MAX);
    enum meros_code rc = MEROS_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    if (fd < 0) {
        rc = err_set(err, MEROS_INVALID, "the TLS file %s cannot be read: %s", path, strerror(errno));
        goto out;
    }
    for (;;) {
        char *to = buf_reserve(&b, 4096);
        if (to == NULL || (n = read(fd, to, 4096)) <= 0) break;
        b.len += (size_t)n;
    }
    if (n < 0 || b.failed) rc = err_set(err, MEROS_INVALID, "the TLS file %s cannot be read or is too long", path);
    if (rc == MEROS_OK) {
        buf_append(&b, "", 0);
        size_t len;
        *out = buf_take(&b, &len);
        if (*out == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the TLS file %s", path);
    }
out:
    if (fd >= 0) close(fd);
    buf_done(&b);
    return rc;
}

void tls_done(struct tls_files *t)
{
    if (t->key != NULL) crypto_wipe(t->key, strlen(t->key));
    free(t->cert);
    free(t->key);
    *t = (struct tls_files){0};
}

/* libmicrohttpd would only say that it cannot start; GnuTLS says why. */
static enum meros_code check_pair(const struct tls_files *t, const char *cert_path, const char *key_path, struct meros_err *err)
{
    gnutls_certificate_credentials_t cred;
    if (gnutls_certificate_allocate_credentials(&cred) < 0) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for TLS");
    gnutls_datum_t cert = {(unsigned char *)t->cert, (unsigned)strlen(t->cert)};
    gnutls_datum_t key = {(unsigned char *)t->key, (unsigned)strlen(t->key)};
    int rc = gnutls_certificate_set_x509_key_mem(cred, &cert, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(cred);
    if (rc >= 0) return MEROS_OK;
    if (rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return err_set(err, MEROS_INVALID, "the TLS key %s does not belong to the certificate %s", key_path, cert_path);
    return err_set(err, MEROS_INVALID, "the TLS certificate %s or key %s cannot be used: %s", cert_path, key_path,
                   gnutls_strerror(rc));
}

enum meros_code tls_load(const char *cert_path, const char *key_path, struct tls_files *out, struct meros_err *err)
{
    *out = (struct tls_files){0};
    if (cert_path == NULL || key_path == NULL)
        return err_set(err, MEROS_INVALID, "TLS needs both a certificate file and a key file");
    enum meros_code rc = read_file(cert_path, &out->cert, err);
    if (rc == MEROS_OK) rc = read_file(key_path, &out->key, err);
    if (rc == MEROS_OK) rc = check_pair(out, cert_path, key_path, err);
    if (rc != MEROS_OK) tls_done(out);
    return rc;
}
