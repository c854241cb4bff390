#include "meros/base/crypto.h"

#include <criterion/criterion.h>
#include <string.h>

static void start(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
}
TestSuite(crypto, .init = start);

static const char *hex(const unsigned char *p, size_t n)
{
    static char out[200];
    hex_encode(p, n, out);
    return out;
}

/* FIPS 180-4 examples. */
Test(crypto, sha256_of_known_texts)
{
    unsigned char d[SHA256_BYTES];
    crypto_sha256("", 0, d);
    cr_assert_str_eq(hex(d, sizeof d), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256("abc", 3, d);
    cr_assert_str_eq(hex(d, sizeof d), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *long_text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    crypto_sha256(long_text, strlen(long_text), d);
    cr_assert_str_eq(hex(d, sizeof d), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231, test cases 1, 2 and 6 (a key longer than a block). */
Test(crypto, hmac_of_known_texts)
{
    unsigned char d[SHA256_BYTES], key[131];
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(key, 20, "Hi There", 8, d);
    cr_assert_str_eq(hex(d, sizeof d), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d);
    cr_assert_str_eq(hex(d, sizeof d), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    crypto_hmac_sha256(key, sizeof key, text, strlen(text), d);
    cr_assert_str_eq(hex(d, sizeof d), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

Test(crypto, equal_looks_at_every_byte)
{
    unsigned char a[40], b[40];
    crypto_random(a, sizeof a);
    memcpy(b, a, sizeof a);
    cr_assert(crypto_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a * 8; i++) {
        b[i / 8] ^= (unsigned char)(1 << i % 8);
        cr_assert_not(crypto_equal(a, b, sizeof a), "bit %zu", i);
        b[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    cr_assert(crypto_equal(a, b, 0));
}

Test(crypto, random_bytes_differ_and_wipe_clears_them)
{
    unsigned char a[32], b[32], zero[32] = {0};
    crypto_random(a, sizeof a);
    crypto_random(b, sizeof b);
    cr_assert_neq(memcmp(a, b, sizeof a), 0);
    crypto_wipe(a, sizeof a);
    cr_assert_eq(memcmp(a, zero, sizeof a), 0);
}

Test(crypto, mark128_is_siphash_2_4)
{
    unsigned char key[MARK_KEY_BYTES];
    for (unsigned char i = 0; i < MARK_KEY_BYTES; i++) key[i] = i;
    cr_assert_str_eq(hex(crypto_mark128(key, "", 0).bytes, 16), "a3817f04ba25a8e66df67214c7550293", "the first of its authors' vectors");
    struct crypto_hash128 a = crypto_mark128(key, "abc", 3);
    key[7]++;
    struct crypto_hash128 b = crypto_mark128(key, "abc", 3);
    cr_assert_neq(memcmp(&a, &b, sizeof a), 0);
}

Test(crypto, hash128_depends_on_every_byte_and_the_length)
{
    struct crypto_hash128 a = crypto_hash128("abc", 3), b = crypto_hash128("abd", 3), c = crypto_hash128("abc\0", 4);
    struct crypto_hash128 again = crypto_hash128("abc", 3);
    cr_assert_eq(memcmp(&a, &again, sizeof a), 0);
    cr_assert(memcmp(&a, &b, sizeof a) != 0 && memcmp(&a, &c, sizeof a) != 0);
    cr_assert_str_eq(hex(a.bytes, 16), "cf4ab791c62b8d2b2109c90275287816", "BLAKE2b-128 of abc: stored identities hang on it");
}

Test(crypto, what_is_sealed_opens_with_the_key_alone)
{
    unsigned char key[SEAL_KEY_BYTES], other[SEAL_KEY_BYTES], sealed[100 + SEAL_OVERHEAD], again[100 + SEAL_OVERHEAD];
    char text[100], back[100] = {0};
    crypto_random(key, sizeof key);
    crypto_random(other, sizeof other);
    memset(text, 'm', sizeof text);
    for (size_t n = 0; n <= sizeof text; n += 25) {
        crypto_seal(key, text, n, sealed);
        crypto_seal(key, text, n, again);
        cr_assert_neq(memcmp(sealed, again, n + SEAL_OVERHEAD), 0, "the same text is sealed differently each time");
        cr_assert(crypto_open(key, sealed, n + SEAL_OVERHEAD, back));
        cr_assert_eq(memcmp(back, text, n), 0);
        cr_assert_not(crypto_open(other, sealed, n + SEAL_OVERHEAD, back));
    }
}

Test(crypto, tampering_anywhere_is_noticed)
{
    unsigned char key[SEAL_KEY_BYTES], sealed[10 + SEAL_OVERHEAD + 1];
    char back[32];
    crypto_random(key, sizeof key);
    crypto_seal(key, "0123456789", 10, sealed);
    sealed[10 + SEAL_OVERHEAD] = 0;
    for (size_t i = 0; i < 10 + SEAL_OVERHEAD; i++) {
        sealed[i] ^= 1;
        cr_assert_not(crypto_open(key, sealed, 10 + SEAL_OVERHEAD, back), "byte %zu", i);
        sealed[i] ^= 1;
    }
    for (size_t n = 0; n < 10 + SEAL_OVERHEAD; n++) cr_assert_not(crypto_open(key, sealed, n, back), "cut to %zu", n);
    cr_assert_not(crypto_open(key, sealed, 10 + SEAL_OVERHEAD + 1, back), "longer by one");
    cr_assert(crypto_open(key, sealed, 10 + SEAL_OVERHEAD, back));
}

Test(crypto, hex_there_and_back_and_nothing_else)
{
    unsigned char out[3] = {9, 9, 9};
    cr_assert(hex_decode(STR("00aBff"), out, 3) && out[0] == 0 && out[1] == 0xAB && out[2] == 0xFF);
    static const char *const bad[] = {"", "00abf", "00abfff", "00abgg", "00 abf", "0x00ab"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_not(hex_decode(str_of(bad[i]), out, 3), "%s", bad[i]);
    cr_assert(hex_decode(STR(""), out, 0));
}

/* RFC 4648 section 10. */
Test(crypto, base64_url_safe_without_padding)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xff\xfe\xfd", "__79"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[32], back[32];
        size_t n = strlen(pairs[i][0]), got = 99;
        base64_encode(pairs[i][0], n, text);
        cr_assert_str_eq(text, pairs[i][1]);
        cr_assert_eq(base64_length(n), strlen(text));
        cr_assert(base64_decode(str_of(text), back, sizeof back, &got) && got == n && memcmp(back, pairs[i][0], n) == 0);
    }
    char back[4];
    size_t got;
    static const char *const bad[] = {"Zg==", "Z", "Zm9v+", "Zm 9v", "Zh", "Zm9vYmFy"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(base64_decode(str_of(bad[i]), back, sizeof back, &got), "%s", bad[i]);
}

Test(crypto, base64_standard_with_padding)
{
    char back[16];
    size_t got;
    cr_assert(base64_decode_standard(STR("dXNlcjpw"), back, sizeof back, &got) && got == 6 && memcmp(back, "user:p", 6) == 0);
    char text[16];
    base64_encode_standard("\xfb\xff\xfe?", 4, text);
    cr_assert_str_eq(text, "+//+Pw==");
    cr_assert_eq(base64_length_standard(4), 8);
    cr_assert(base64_decode_standard(STR("Zm8="), back, sizeof back, &got) && got == 2);
    static const char *const bad[] = {"Zm8", "Zm8==", "Zm8=x", "Zm-_", "=", "Zm8 ="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(base64_decode_standard(str_of(bad[i]), back, sizeof back, &got), "%s", bad[i]);
}

Test(crypto, a_digest_of_pieces_does_not_depend_on_their_borders)
{
    unsigned char key[SEAL_KEY_BYTES] = {1, 2, 3}, whole[SHA256_BYTES], pieces[SHA256_BYTES], other[SHA256_BYTES];
    char text[1000];
    struct crypto_hasher h;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    crypto_hasher_init(&h, key);
    crypto_hasher_update(&h, text, sizeof text);
    crypto_hasher_final(&h, whole);
    crypto_hasher_init(&h, key);
    for (size_t at = 0, n; at < sizeof text; at += n) {
        n = at % 37 + 1 < sizeof text - at ? at % 37 + 1 : sizeof text - at;
        crypto_hasher_update(&h, text + at, n);
    }
    crypto_hasher_final(&h, pieces);
    cr_assert(memcmp(whole, pieces, sizeof whole) == 0);
    key[0] ^= 1;
    crypto_hasher_init(&h, key);
    crypto_hasher_update(&h, text, sizeof text);
    crypto_hasher_final(&h, other);
    cr_assert(memcmp(whole, other, sizeof whole) != 0, "another key gives another digest");
}

Test(crypto, base64_holds_no_byte_beyond_ascii)
{
    unsigned char out[8];
    size_t n;
    char text[] = "AAAA";
    for (int c = 0x80; c < 0x100; c++) {
        text[1] = (char)c;
        cr_expect_not(base64_decode(str_of(text), out, sizeof out, &n), "%02x", c);
        cr_expect_not(base64_decode_standard(str_of(text), out, sizeof out, &n), "%02x", c);
    }
}
