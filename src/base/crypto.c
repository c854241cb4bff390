#include "meros/base/crypto.h"

#include <sodium.h>

enum meros_code crypto_start(struct meros_err *err)
{
    if (sodium_init() < 0) return err_set(err, MEROS_INTERNAL, "libsodium could not be initialised");
    return MEROS_OK;
}

void crypto_random(void *out, size_t n)
{
    randombytes_buf(out, n);
}

void crypto_sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES])
{
    crypto_hash_sha256(out, p, n);
}

void crypto_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, unsigned char out[SHA256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_n);
    crypto_auth_hmacsha256_update(&state, p, n);
    crypto_auth_hmacsha256_final(&state, out);
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

void crypto_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

_Static_assert(sizeof(struct crypto_hasher) >= sizeof(crypto_generichash_state), "room for the state");

void crypto_hasher_init(struct crypto_hasher *h, const unsigned char key[SEAL_KEY_BYTES])
{
    crypto_generichash_init((crypto_generichash_state *)(void *)h->state, key, SEAL_KEY_BYTES, SHA256_BYTES);
}

void crypto_hasher_update(struct crypto_hasher *h, const void *p, size_t n)
{
    crypto_generichash_update((crypto_generichash_state *)(void *)h->state, p, n);
}

void crypto_hasher_final(struct crypto_hasher *h, unsigned char out[SHA256_BYTES])
{
    crypto_generichash_final((crypto_generichash_state *)(void *)h->state, out, SHA256_BYTES);
}

struct crypto_hash128 crypto_hash128(const void *p, size_t n)
{
    struct crypto_hash128 h;
    crypto_generichash(h.bytes, sizeof h.bytes, p, n, NULL, 0);
    return h;
}

_Static_assert(MARK_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES && sizeof(struct crypto_hash128) == crypto_shorthash_siphashx24_BYTES,
               "SipHash with 128 bits");

struct crypto_hash128 crypto_mark128(const unsigned char key[MARK_KEY_BYTES], const void *p, size_t n)
{
    struct crypto_hash128 h;
    crypto_shorthash_siphashx24(h.bytes, p, n, key);
    return h;
}

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES };
_Static_assert(SEAL_OVERHEAD == NONCE + TAG, "SEAL_OVERHEAD is nonce and tag");
_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");

void crypto_seal(const unsigned char key[SEAL_KEY_BYTES], const void *p, size_t n, unsigned char *out)
{
    randombytes_buf(out, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, p, n, NULL, 0, NULL, out, key);
}

bool crypto_open(const unsigned char key[SEAL_KEY_BYTES], const unsigned char *sealed, size_t sealed_n, void *out)
{
    if (sealed_n < SEAL_OVERHEAD) return false;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed + NONCE, sealed_n - NONCE, NULL, 0, sealed,
                                                      key) == 0;
}

void hex_encode(const void *p, size_t n, char *out)
{
    sodium_bin2hex(out, 2 * n + 1, p, n);
}

bool hex_decode(struct str s, void *out, size_t n)
{
    size_t got;
    return s.n == 2 * n && sodium_hex2bin(out, n, s.p, s.n, NULL, &got, NULL) == 0 && got == n;
}

size_t base64_length(size_t n)
{
    return sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING) - 1;
}

void base64_encode(const void *p, size_t n, char *out)
{
    sodium_bin2base64(out, base64_length(n) + 1, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

size_t base64_length_standard(size_t n)
{
    return sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL) - 1;
}

void base64_encode_standard(const void *p, size_t n, char *out)
{
    sodium_bin2base64(out, base64_length_standard(n) + 1, p, n, sodium_base64_VARIANT_ORIGINAL);
}

static bool decode(struct str s, void *out, size_t cap, size_t *out_n, int variant)
{
    const char *end;
    /* libsodium 1.0.18 compares characters as int where char is signed, and takes some bytes from 0x80 on for an 'A'. */
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80) return false;
    return sodium_base642bin(out, cap, s.p, s.n, NULL, out_n, &end, variant) == 0 && end == s.p + s.n;
}

bool base64_decode(struct str s, void *out, size_t cap, size_t *out_n)
{
    return decode(s, out, cap, out_n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool base64_decode_standard(struct str s, void *out, size_t cap, size_t *out_n)
{
    return decode(s, out, cap, out_n, sodium_base64_VARIANT_ORIGINAL);
}
