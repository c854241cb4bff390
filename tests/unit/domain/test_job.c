#include <criterion/criterion.h>
#include <math.h>
#include "meros/domain/job.h"

Test(job, states_have_words)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        enum job_state back = JOB_STATE_COUNT;
        cr_assert(job_state_of(str_of(job_state_name((enum job_state)i)), &back));
        cr_assert_eq(back, (enum job_state)i);
    }
    enum job_state untouched = JOB_FAILED;
    cr_assert_not(job_state_of(STR("done"), &untouched));
    cr_assert_not(job_state_of(STR_NONE, &untouched));
    cr_assert_eq(untouched, JOB_FAILED);
    cr_assert_not(job_ended(JOB_RUNNING));
    cr_assert(job_ended(JOB_CANCELLED));
}

Test(job, time_left_follows_from_what_was_done)
{
    cr_assert_float_eq(job_eta(0.25, 10), 30, 1e-9);
    cr_assert_eq(job_eta(1, 10), 0);
    cr_assert(isnan(job_eta(0, 10)), "nothing is known yet");
    cr_assert(isnan(job_eta(0.5, 0.1)), "too soon to say");
    cr_assert(isnan(job_eta(NAN, 10)));
}

Test(job, backoff_doubles_up_to_a_minute)
{
    int expected[] = {1, 1, 2, 4, 8, 16, 32, 60, 60};
    for (int i = 0; i < 9; i++)
        cr_assert_eq(job_backoff_seconds(i), expected[i], "after %d attempts", i);
}
