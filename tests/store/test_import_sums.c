/* What orders of a file add to their customers: written straight for customers who are new, added to what others have. */
#include "import_support.h"
#include "stats_check.h"

#define HEAD "order_id,customer_id,ordered_at,product_id,quantity,unit_price,amount\n"

struct random {
    uint64_t state;
};

static unsigned below(struct random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(r->state >> 33) % n;
}

/* Around midnights, the first of PostgreSQL's days and of ours. */
static void put_moment(struct random *r, struct buf *b)
{
    static const char *const days[] = {"1969-12-30", "1969-12-31", "1970-01-01", "1999-12-31", "2000-01-01", "2024-02-29", "2024-03-01"};
    static const char *const times[] = {"00:00:00Z", "23:59:59Z", "23:30:00-01:00", "00:30:00+02:00", "12:00:00.000001Z"};
    buf_printf(b, "%sT%s", days[below(r, 7)], times[below(r, 5)]);
}

/* Orders from `first` on of customers below `customers`, the lines of each together and one customer's, as shops export them. */
static void put_orders(struct random *r, struct buf *b, unsigned first, unsigned n, unsigned customers)
{
    buf_str(b, HEAD);
    for (unsigned order = first; order < first + n; order++) {
        const unsigned customer = below(r, customers), kind = below(r, 6);
        for (unsigned lines = 1 + below(r, 5); lines > 0; lines--) {
            buf_printf(b, "o%u,c%u,", order, customer);
            put_moment(r, b);
            if (kind == 0) buf_printf(b, ",,,,%d.%06u\n", (int)below(r, 9) - 4, below(r, 1000000)); /* a sum alone */
            else if (kind == 1) buf_printf(b, ",p%u,-%u,%u.5,\n", below(r, 9), 1 + below(r, 3), below(r, 9)); /* a return */
            else buf_printf(b, ",p%u,%d.%u,%u.%02u,\n", below(r, 9), (int)below(r, 5) - 1, below(r, 10), below(r, 99), below(r, 100));
        }
    }
}

static void expect_right(struct shop *s)
{
    check_order_side(s->db);
    cr_expect_eq(pg_int(s->db, "select count(*) from customer_stats s where not exists "
                               "(select from changed_customers n where s.customer_no = any(n.customer_nos))"), 0, "who changed is noted");
}

Test(import_sums, are_what_the_lines_say_in_slices_of_any_size, .timeout = 300)
{
    static const size_t slices[] = {0, 1, 7, 60};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct random r = {seed * 7919};
        struct shop s;
        struct buf b;
        unsigned made = 0;
        shop_open(&s);
        s.svc.settings.import_slice_rows = slices[seed - 1];
        buf_init(&b, 1 << 20);
        for (unsigned file = 0; file < 4; file++) { /* of which each has customers whom the one before had not */
            buf_clear(&b);
            put_orders(&r, &b, made, 60, 15 * (file + 1));
            made += 60;
            if (file == 2) put_orders(&r, &b, 30, 60, 45); /* the heading is a bad row; orders that were there, some moved */
            pg_run(s.db, "delete from changed_customers");
            shop_orders(&s, b.data);
            check_order_side(s.db);
        }
        buf_done(&b);
        shop_close(&s);
    }
}

Test(import_sums, of_a_slice_note_everybody_whom_they_changed)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-01,p1,1,5,\n");
    expect_right(&s);
    pg_run(s.db, "delete from changed_customers");
    shop_orders(&s, HEAD "o3,ann,2024-01-02,p1,1,5,\no4,cid,2024-01-01,p1,1,5,\no2,ben,2024-01-01,p1,1,5,\n"); /* one known, one new, one as it was */
    EXPECT_TABLE(&s, "select customer_id from changed_customers n join customers c on c.customer_no = any(n.customer_nos) order by 1", "ann\ncid\n");
    check_order_side(s.db);
    shop_close(&s);
}

/* Each order fits, and what they add up to does not. */
Test(import_sums, beyond_64_bits_are_added_up_by_the_database)
{
    struct shop s;
    shop_open(&s);
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, HEAD);
    for (unsigned k = 0; k < 12; k++)
        buf_printf(&b, "a%u,ann,2024-01-0%u,p1,1,,999999999999.25\nb%u,ben,2024-01-01,p1,-1,,-999999999999.25\nc%u,cid,2024-01-01,p1,1,,2\n",
                   k, 1 + k % 2, k, k);
    shop_orders(&s, b.data);
    buf_done(&b);
    EXPECT_COUNTS(&s, 36, 0, 0, 0);
    EXPECT_TABLE(&s, "select customer_id, orders, returns, products, trim_scale(revenue), trim_scale(gross_revenue), trim_scale(returned_amount) "
                     "from customer_stats join customers using (customer_no) order by 1",
                 "ann|12|0|1|11999999999991|11999999999991|0\nben|0|12|0|-11999999999991|0|11999999999991\ncid|12|0|1|24|24|0\n");
    expect_right(&s);
    shop_close(&s);
}

/* Somebody whose orders are all gone has nothing stored and is new again. */
Test(import_sums, of_a_customer_who_lost_every_order_begin_anew)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,ann,2024-01-01,p1,1,5,\n");
    shop_orders(&s, HEAD "o1,ben,2024-01-01,p1,1,5,\n");
    shop_orders(&s, HEAD "o2,ann,2024-01-03,p2,2,5,\no3,ben,2024-01-01,p1,2,5,\n");
    EXPECT_TABLE(&s, "select customer_id, orders, products, trim_scale(revenue) from customer_stats join customers using (customer_no) order by 1",
                 "ann|1|1|10\nben|2|1|15\n");
    expect_right(&s);
    shop_close(&s);
}

/* Orders of which a later line names another customer are merged by order, behind the others, and go to whom was named last. */
Test(import_sums, of_many_orders_of_several_customers_go_to_whom_was_named_last)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    s.svc.settings.import_slice_rows = 100;
    buf_init(&b, 1 << 20);
    buf_str(&b, HEAD);
    for (unsigned k = 0; k < 300; k++)
        buf_printf(&b, "o%u,c%u,2024-01-01,p1,1,2,\no%u,c%u,2024-01-01,p2,1,3,\n", k, k % 7, k, (k + (k % 2)) % 7);
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 600, 0, 0, 0);
    check_order_side(s.db);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_ids join customers using (customer_no) where customer_id <> "
                              "'c' || (substr(order_id, 2)::int + substr(order_id, 2)::int % 2) % 7"), 0);
    cr_expect_eq(pg_int(s.db, "select count(*) from orders where lines = 2 and revenue = 5"), 300);
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 0, 0, 600, 0);
    check_order_side(s.db);
    buf_done(&b);
    shop_close(&s);
}
