/* A private PostgreSQL for tests: one server a test run (started before the first test, gone with the run,
 * also when it is killed), and a database of its own for every test, copied from one in which all migrations
 * have been applied.
 *
 *   #include <criterion/criterion.h>
 *   #include "pg.h"
 *   #include "store_priv.h"                                    // only in tests/store
 *
 *   Test(customers, are_counted)
 *   {
 *       struct pg *db = pg_fresh();                            // migrated and empty
 *       pg_run(db, "insert into customer_ids values ('c1', 1)");
 *       struct store_conn *c = pg_conn(db);                    // of db->pool; given back by pg_done
 *       // … call what is to be tested with c or db->pool …
 *       cr_assert_eq(pg_int(db, "select count(*) from customer_ids"), 1);
 *       pg_done(db);
 *   }
 *
 * Tests of the real binary give it db->url as MEROS_DATABASE_URL. Functions print and abort when something
 * goes wrong with the server itself; SQL given to pg_run and its kind is the test's own text. A plain program
 * (tests/threads) calls pg_server_start() first in main(). MEROS_TEST_PG_LOG=1 keeps the server's log in the
 * open (standard error). */
#ifndef MEROS_TESTS_PG_H
#define MEROS_TESTS_PG_H

#include <stdbool.h>
#include "meros/store/store.h"

struct pg {
    char url[512]; /* for store_open, psql and MEROS_DATABASE_URL */
    char name[64];
    struct store_pool *pool;
    struct store_conn *conns[16];
    int n_conns;
};

bool pg_server_start(
    void); /* false, with a line on standard error, where PostgreSQL's programs are not installed */

struct pg *pg_fresh(void); /* with all migrations */
struct pg *pg_empty(void); /* without any table */
void pg_done(struct pg *db); /* gives connections back, closes the pool, drops the database; NULL is fine */

struct store_conn *pg_conn(struct pg *db);
void pg_run(struct pg *db, const char *sql); /* any number of statements, over a connection of its own */
long long pg_int(struct pg *db, const char *sql);      /* the one value that it selects; null is 0 */
double pg_num(struct pg *db, const char *sql);
char *pg_text(struct pg *db, const char *sql);         /* malloc'ed; "(null)" for null */
char *pg_table(struct pg *db,
               const char *sql); /* all rows: columns separated by |, a line a row; malloc'ed */
const char *pg_bin(void);                              /* the folder of pg_dump and psql */

#endif
