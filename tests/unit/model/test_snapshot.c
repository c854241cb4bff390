#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "meros/model/snapshot.h"
#include "models.h"

static struct snapshot *two(void)
{
    struct snapshot *s = snapshot_new(2);
    snapshot_add(s, &(struct snapshot_model){.model = test_rfm_model(), .version = 3});
    snapshot_add(s, &(struct snapshot_model){.model = test_kmeans_model(2), .version = 1});
    return s;
}

Test(snapshot, holds_its_models_by_name)
{
    struct snapshot *s = two();
    cr_assert_str_eq(s->models[0].model->name, "behaviour");
    cr_assert_str_eq(s->models[1].model->name, "rfm");
    cr_assert_eq(snapshot_find(s, STR("rfm"))->version, 3);
    cr_assert_null(snapshot_find(s, STR("other")));
    snapshot_release(s);
}

Test(snapshot, an_acquired_one_outlives_its_successor)
{
    struct snapshot_holder *h = snapshot_holder_new();
    const struct snapshot *empty = snapshot_acquire(h);
    cr_assert_eq(empty->n_models, 0);
    snapshot_publish(h, two());
    const struct snapshot *mine = snapshot_acquire(h);
    snapshot_publish(h, snapshot_new(0));
    cr_assert_eq(mine->n_models, 2);
    cr_assert_str_eq(mine->models[1].model->segments[0].id, "champions");
    snapshot_release(mine);
    snapshot_release(empty);
    snapshot_holder_free(h);
}
