#include "webhooks_priv.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/store/webhooks.h"

static struct webhook_secret secret_of(const char *text)
{
    struct webhook_secret s = {.n = 0};
    cr_assert(webhook_secret_parse(str_of(text), &s), "%s", text);
    return s;
}

/* The vector with which the reference libraries of Standard Webhooks test themselves. */
Test(webhook_message, is_signed_as_the_reference_libraries_do)
{
    struct webhook_secret s = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), none = {.n = 0};
    char signature[WEBHOOK_SIGNATURE_CAP];
    cr_assert(webhook_sign(&s, &none, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, STR("{\"test\": 2432232314}"), signature));
    cr_assert_str_eq(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

Test(webhook_message, an_old_secret_signs_behind_the_new_one)
{
    struct webhook_secret s = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), other = secret_of("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    struct webhook_secret none = {.n = 0};
    char one[WEBHOOK_SIGNATURE_CAP], two[WEBHOOK_SIGNATURE_CAP], both[WEBHOOK_SIGNATURE_CAP];
    cr_assert(webhook_sign(&s, &none, "msg_1", 1, STR("{}"), one));
    cr_assert(webhook_sign(&other, &none, "msg_1", 1, STR("{}"), two));
    cr_assert(webhook_sign(&s, &other, "msg_1", 1, STR("{}"), both));
    cr_assert_eq(strlen(both), strlen(one) + 1 + strlen(two));
    cr_assert_eq(strncmp(both, one, strlen(one)), 0);
    cr_assert_eq(both[strlen(one)], ' ');
    cr_assert_str_eq(both + strlen(one) + 1, two);
}

Test(webhook_message, a_secret_reads_back_and_others_are_refused)
{
    struct webhook_secret s = {.n = WEBHOOK_SECRET_MAX}, back;
    char text[WEBHOOK_SECRET_CAP];
    memset(s.bytes, 0xa5, sizeof s.bytes);
    for (s.n = WEBHOOK_SECRET_MIN; s.n <= WEBHOOK_SECRET_MAX; s.n++) {
        webhook_secret_text(&s, text);
        cr_assert(webhook_secret_parse(str_of(text), &back));
        cr_assert(back.n == s.n && memcmp(back.bytes, s.bytes, s.n) == 0);
    }
    static const char *const bad[] = {"", "whsec_", "whsec", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-w", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
                                      "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_not(webhook_secret_parse(str_of(bad[i]), &back), "%s", bad[i]);
}

static const char *body_of(const struct outbox_message *m)
{
    static struct buf b;
    buf_done(&b);
    buf_init(&b, 1 << 20);
    webhook_body(&b, m, STR("crm"));
    cr_assert_not(b.failed);
    return b.data;
}

Test(webhook_message, the_body_has_type_timestamp_and_data)
{
    const int64_t t = INT64_C(1768473000) * TIME_SECOND;
    struct outbox_message m = {.type = STR("segment.entered"),
                               .created_at = t + TIME_SECOND,
                               .about = OUTBOX_CHANGE,
                               .change = {.change_no = 7,
                                          .customer_id = STR("an\"na"),
                                          .segmentation = STR("behaviour"),
                                          .segment_id = STR("s2"),
                                          .label = STR("Loyal"),
                                          .entered = true,
                                          .at = t,
                                          .model_id = STR("mdl_1"),
                                          .model_version = 3}};
    cr_assert_str_eq(body_of(&m), "{\"type\":\"segment.entered\",\"timestamp\":\"2026-01-15T10:30:01Z\",\"data\":{\"type\":\"segment.entered\","
                                  "\"customer_id\":\"an\\\"na\",\"segmentation\":\"behaviour\",\"segment\":{\"id\":\"s2\",\"label\":\"Loyal\"},"
                                  "\"at\":\"2026-01-15T10:30:00Z\",\"model\":{\"id\":\"mdl_1\",\"version\":3}}}");
    m = (struct outbox_message){.type = STR("job.finished"), .created_at = t, .about = OUTBOX_JOB, .job_id = STR("job_1"), .job_kind = STR("refresh"),
                                .job_state = STR("failed"), .job_error = STR("{\"status\":500}"), .job_created_at = t, .job_started_at = TIME_NONE, .job_finished_at = t};
    cr_assert_str_eq(body_of(&m), "{\"type\":\"job.finished\",\"timestamp\":\"2026-01-15T10:30:00Z\",\"data\":{\"id\":\"job_1\",\"kind\":\"refresh\","
                                  "\"state\":\"failed\",\"created_at\":\"2026-01-15T10:30:00Z\",\"started_at\":null,\"finished_at\":\"2026-01-15T10:30:00Z\","
                                  "\"error\":{\"status\":500}}}");
    m = (struct outbox_message){.type = STR("model.activated"), .created_at = t, .about = OUTBOX_MODEL, .model_id = STR("mdl_1"), .model_version = 2,
                                .model_kind = STR("segments"), .model_name = STR("behaviour"), .model_algorithm = STR("kmeans"), .activated_at = t};
    cr_assert_str_eq(body_of(&m), "{\"type\":\"model.activated\",\"timestamp\":\"2026-01-15T10:30:00Z\",\"data\":{\"id\":\"mdl_1\",\"kind\":\"segments\","
                                  "\"name\":\"behaviour\",\"version\":2,\"algorithm\":\"kmeans\",\"activated_at\":\"2026-01-15T10:30:00Z\"}}");
    m = (struct outbox_message){.type = STR("webhook.test"), .created_at = t, .about = OUTBOX_TEST};
    cr_assert_str_eq(body_of(&m), "{\"type\":\"webhook.test\",\"timestamp\":\"2026-01-15T10:30:00Z\",\"data\":{\"webhook\":\"crm\"}}");
}

Test(webhook_message, is_tried_again_ever_later_up_to_an_hour_with_full_jitter)
{
    static const double steps[] = {5, 30, 120, 600, 3600, 3600, 3600};
    for (int64_t n = 1; n <= 7; n++) {
        cr_assert_float_eq(webhook_backoff(n, 0), steps[n - 1] * 0.1, 1e-9);
        cr_assert_float_eq(webhook_backoff(n, 0.5), steps[n - 1] * 0.55, 1e-9);
        cr_assert(webhook_backoff(n, 0.999999) < steps[n - 1]);
    }
    cr_assert_float_eq(webhook_backoff(INT64_MAX, 0), 360, 1e-9);
    cr_assert_float_eq(webhook_backoff(0, 0), 0.5, 1e-9);
}
