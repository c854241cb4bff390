/* Starts the test run's PostgreSQL before the first test; see pg.h. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include "pg.h"

ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    if (tests->tests > 0) pg_server_start();
}
