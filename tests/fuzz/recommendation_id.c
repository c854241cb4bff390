/* An id of a recommendation as a stranger sends it. Without the key nothing is read; and what a key holder reads is what make
 * could have made: with the hash put right, whatever the bytes before it say, parts stay within their bounds. The first byte
 * chooses: 's' the rest is the text of an id; anything else: the rest are the bytes, and the hash is made right for them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/service/recommendation_id.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void read_it(struct service *svc, struct str id)
{
    struct recommendation_parts p;
    if (!recommendation_id_read(svc, id, &p)) return;
    check(p.n <= p.total && p.n <= RECOMMENDATION_PICKS_MAX);
    for (size_t i = 0; i < p.n; i++) check(p.picks[i].arm >> (8 - ARM_SHIFT) == 0 && p.picks[i].by <= BY_BITS);
    /* made again it says the same, as far as numbers are such that we make */
    char again[RECOMMENDATION_ID_MAX + 1];
    struct recommendation_parts q;
    recommendation_id_make(svc, &p, again);
    check(recommendation_id_read(svc, str_of(again), &q));
    check(q.strategy == p.strategy && q.experiment == p.experiment && q.arm == p.arm && q.model_no == p.model_no && q.at == p.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct service svc;
    static bool started;
    struct meros_err err = MEROS_ERR_INIT;
    if (!started && crypto_start(&err) != MEROS_OK) abort();
    started = true;
    if (size == 0) return 0;
    if (data[0] == 's') {
        char *exact = malloc(size); /* exactly as long, for the sanitizer to see */
        check(exact != NULL);
        memcpy(exact, data + 1, size - 1);
        read_it(&svc, (struct str){exact, size - 1});
        free(exact);
        return 0;
    }
    unsigned char bytes[BYTES_MAX];
    char text[RECOMMENDATION_ID_MAX + 1] = PREFIX;
    const size_t n = size - 1 < BYTES_MAX - HASH_BYTES ? size - 1 : BYTES_MAX - HASH_BYTES;
    memcpy(bytes, data + 1, n);
    keyed_hash(&svc, bytes, n, bytes + n);
    base64_encode(bytes, n + HASH_BYTES, text + PREFIX_BYTES);
    read_it(&svc, str_of(text));
    return 0;
}
