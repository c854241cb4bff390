/* Randomness, digests, constant-time comparison and sealing, over libsodium (base/crypto.c is its only user).
 * crypto_start() once before threads; everything else is thread-safe. */
#ifndef MEROS_BASE_CRYPTO_H
#define MEROS_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

enum { SHA256_BYTES = 32, SEAL_KEY_BYTES = 32, SEAL_OVERHEAD = 40 };

enum meros_code crypto_start(struct meros_err *err) MEROS_MUSTCHECK;
void crypto_random(void *out, size_t n);
void crypto_sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES]);
/* Keyed hash (HMAC-SHA-256): for webhook signatures and for looking up sealed values. */
void crypto_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, unsigned char out[SHA256_BYTES]);
bool crypto_equal(const void *a, const void *b, size_t n); /* in constant time */
void crypto_wipe(void *p, size_t n);

/* A keyed digest (BLAKE2b-256) of what comes in pieces: the pieces' borders do not matter. */
struct crypto_hasher {
    _Alignas(64) unsigned char state[512];
};
void crypto_hasher_init(struct crypto_hasher *h, const unsigned char key[SEAL_KEY_BYTES]);
void crypto_hasher_update(struct crypto_hasher *h, const void *p, size_t n);
void crypto_hasher_final(struct crypto_hasher *h, unsigned char out[SHA256_BYTES]);

/* 128 bits of BLAKE2b: the identity of something by its content. */
struct crypto_hash128 {
    unsigned char bytes[16];
};
struct crypto_hash128 crypto_hash128(const void *p, size_t n);
/* A quick keyed one (SipHash-2-4): who does not know the key can neither make two texts that agree nor tell a text by it. */
enum { MARK_KEY_BYTES = 16 };
struct crypto_hash128 crypto_mark128(const unsigned char key[MARK_KEY_BYTES], const void *p, size_t n);

/* XChaCha20-Poly1305: out has room for n + SEAL_OVERHEAD bytes (nonce, text, tag). open: false if tampered with. */
void crypto_seal(const unsigned char key[SEAL_KEY_BYTES], const void *p, size_t n, unsigned char *out);
bool crypto_open(const unsigned char key[SEAL_KEY_BYTES], const unsigned char *sealed, size_t sealed_n, void *out);

void hex_encode(const void *p, size_t n, char *out); /* 2n + 1 bytes */
bool hex_decode(struct str s, void *out, size_t n);  /* s must be exactly 2n digits */
/* URL-safe base64 without padding; out has room for base64_length(n) + 1. */
size_t base64_length(size_t n);
void base64_encode(const void *p, size_t n, char *out);
/* RFC 4648 section 4, padded; the length of what is encoded includes the padding. */
size_t base64_length_standard(size_t n);
void base64_encode_standard(const void *p, size_t n, char *out);
bool base64_decode(struct str s, void *out, size_t cap, size_t *out_n);   /* URL-safe, unpadded */
bool base64_decode_standard(struct str s, void *out, size_t cap, size_t *out_n); /* RFC 4648 section 4, padded (HTTP Basic) */

#endif
