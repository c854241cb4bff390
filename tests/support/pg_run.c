/* Starts the test run's PostgreSQL; see pg.h. Before main(): criterion starts threads early, and a process with threads
 * cannot fork a guardian that does more than exec (under the sanitizers it hung now and then). The processes that
 * criterion runs tests in inherit MEROS_TEST_PG and so start no server of their own. */
#include "pg.h"

__attribute__((constructor)) static void start_before_main(void)
{
    pg_server_start();
}
