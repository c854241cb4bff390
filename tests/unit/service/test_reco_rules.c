#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "../../../src/service/reco_rules_priv.h"
#include "meros/base/clock.h"

static struct service *service(const struct reco_experiment_info *x)
{
    static struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    memset(svc.settings.pii_key, 7, sizeof svc.settings.pii_key);
    cr_assert_eq(reco_rules_set(&svc, NULL, 0, x, &err), MEROS_OK, "%s", err.detail);
    return &svc;
}

static double share_of_arm(const struct reco_rules *r, int arm, int n)
{
    int found = 0;
    char id[32];
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "customer-%d", i);
        found += reco_rules_arm(r, str_of(id)) == arm;
    }
    return (double)found / n;
}

Test(reco_rules, customers_are_split_by_the_share_and_always_the_same_way)
{
    const struct reco_experiment_info x = {.experiment_no = 5, .name = STR("spring"), .arms = {RECOMMEND_ALS, RECOMMEND_EASE}, .share_of_second = 0.3};
    struct service *svc = service(&x);
    const struct reco_rules *a = reco_rules_acquire(svc);
    cr_expect_float_eq(share_of_arm(a, 1, 20000), 0.3, 0.01); /* three standard deviations */
    service(&x);
    const struct reco_rules *b = reco_rules_acquire(svc);
    for (int i = 0; i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof id, "customer-%d", i);
        cr_expect_eq(reco_rules_arm(a, str_of(id)), reco_rules_arm(b, str_of(id)));
    }
    reco_rules_release(a);
    reco_rules_release(b);
    reco_rules_free(svc);
}

Test(reco_rules, another_experiment_splits_independently_and_the_ends_of_the_share_are_exact)
{
    struct reco_experiment_info x = {.experiment_no = 5, .name = STR("spring"), .arms = {RECOMMEND_ALS, RECOMMEND_EASE}, .share_of_second = 0.5};
    struct service *svc = service(&x);
    const struct reco_rules *a = reco_rules_acquire(svc);
    x.experiment_no = 6;
    service(&x);
    const struct reco_rules *b = reco_rules_acquire(svc);
    int same = 0;
    for (int i = 0; i < 20000; i++) {
        char id[32];
        snprintf(id, sizeof id, "customer-%d", i);
        same += reco_rules_arm(a, str_of(id)) == reco_rules_arm(b, str_of(id));
    }
    cr_expect_float_eq(same / 20000.0, 0.5, 0.0125);
    cr_expect_eq(reco_rules_arm(b, STR_NONE), 0, "who has no name is in no experiment");
    reco_rules_release(a);
    reco_rules_release(b);
    x.share_of_second = 0;
    a = reco_rules_acquire(service(&x));
    cr_expect_eq(share_of_arm(a, 1, 1000), 0);
    reco_rules_release(a);
    x.share_of_second = 1;
    a = reco_rules_acquire(service(&x));
    cr_expect_eq(share_of_arm(a, 1, 1000), 1);
    reco_rules_release(a);
    a = reco_rules_acquire(service(NULL));
    cr_expect_eq(share_of_arm(a, 0, 1000), 1, "without an experiment");
    reco_rules_release(a);
    reco_rules_free(svc);
}

Test(reco_rules, every_change_raises_the_version)
{
    struct service *svc = service(NULL);
    const uint64_t before = reco_rules_version(svc);
    service(NULL);
    cr_expect_gt(reco_rules_version(svc), before);
    reco_rules_free(svc);
}

Test(reco_rules, hold_from_their_beginning_to_just_before_their_end)
{
    struct reco_rule r = {.starts_at = 100, .ends_at = 200};
    cr_expect(!reco_rule_active(&r, 99) && reco_rule_active(&r, 100) && reco_rule_active(&r, 199) && !reco_rule_active(&r, 200));
    r.starts_at = r.ends_at = TIME_NONE;
    cr_expect(reco_rule_active(&r, 0));
}
