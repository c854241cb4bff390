/* Words for segments. A label says who they are by the three things a marketer asks first (when did they last buy, how
 * often, how much), and where two segments are alike in these, by what else tells them apart. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "meros/model/describe.h"

/* How a feature above or below everybody's is told: in a sentence, and as the end of a label. */
static const struct words {
    const char *more, *less, *high, *low;
} words[] = {
    [FEATURE_RECENCY] = {"a longer time since the last order", "a more recent last order", "longer away", "back more recently"},
    [FEATURE_FREQUENCY] = {"more orders", "fewer orders", "more orders", "fewer orders"},
    [FEATURE_MONETARY] = {"more spending", "less spending", "higher spending", "lower spending"},
    [FEATURE_AVERAGE_ORDER_VALUE] = {"larger orders", "smaller orders", "large orders", "small orders"},
    [FEATURE_TENURE] = {"a longer history with the shop", "a shorter history with the shop", "long known", "recently joined"},
    [FEATURE_INTERPURCHASE] = {"longer gaps between orders", "shorter gaps between orders", "long gaps between orders",
                               "short gaps between orders"},
    [FEATURE_BASKET_SIZE] = {"more units per order", "fewer units per order", "big baskets", "small baskets"},
    [FEATURE_BASKET_LINES] = {"more different items per order", "fewer different items per order", "mixed baskets",
                              "simple baskets"},
    [FEATURE_RETURN_RATE] = {"more returns", "fewer returns", "many returns", "few returns"},
    [FEATURE_PRODUCT_VARIETY] = {"a wider choice of products", "a narrower choice of products", "wide choice of products",
                                 "narrow choice of products"},
    [FEATURE_DAYS_SINCE_SEEN] = {"a longer time without any activity", "activity more recently", "not seen for longer",
                                 "seen more recently"},
    [FEATURE_ENGAGEMENT] = {"more recent activity", "less recent activity", "very active", "little activity"},
};
static const char *const event_words[EVENT_KIND_COUNT] = {
    [EVENT_PRODUCT_VIEWED] = "product views",
    [EVENT_PRODUCT_ADDED] = "additions to the cart",
    [EVENT_PRODUCT_REMOVED] = "removals from the cart",
    [EVENT_CHECKOUT_STARTED] = "checkouts begun",
    [EVENT_ORDER_COMPLETED] = "completed checkouts",
    [EVENT_PAGE_VIEWED] = "page views",
    [EVENT_SEARCHED] = "searches",
    [EVENT_EMAIL_OPENED] = "e-mails opened",
    [EVENT_EMAIL_CLICKED] = "e-mail clicks",
    [EVENT_REVIEW_SUBMITTED] = "reviews",
    [EVENT_RECOMMENDATION_SHOWN] = "recommendations shown",
    [EVENT_RECOMMENDATION_CLICKED] = "recommendation clicks",
    [EVENT_OTHER] = "other activity",
};

/* "attributes.monthly_fee" -> "monthly fee"; "attributes.country=FR" -> "country FR" */
static void attribute_words(const char *name, struct buf *out)
{
    const char *p = strncmp(name, "attributes.", 11) == 0 ? name + 11 : name;
    for (; *p != '\0'; p++) buf_char(out, *p == '_' || *p == '=' || (unsigned char)*p < ' ' ? ' ' : *p);
}

static bool is_share(const char *name)
{
    return strchr(name, '=') != NULL || strstr(name, " (other)") != NULL;
}

/* "more orders", "fewer days since the last order": a feature above or below everybody's. */
static void difference(const struct describe *d, size_t feature, bool more, struct buf *out)
{
    const int id = d->ids[feature];
    if (id >= 0 && id < FEATURE_ENGAGEMENT_FIRST) {
        buf_str(out, more ? words[id].more : words[id].less);
    } else if (id >= 0) {
        buf_printf(out, "%s %s", more ? "more" : "fewer", event_words[id - FEATURE_ENGAGEMENT_FIRST]);
    } else {
        buf_str(out, is_share(d->names[feature]) ? (more ? "more often " : "less often ") : (more ? "higher " : "lower "));
        attribute_words(d->names[feature], out);
    }
}

static void short_difference(const struct describe *d, size_t feature, bool more, struct buf *out)
{
    const int id = d->ids[feature];
    if (id >= 0 && id < FEATURE_ENGAGEMENT_FIRST) {
        buf_str(out, more ? words[id].high : words[id].low);
    } else if (id >= 0) {
        buf_printf(out, "%s %s", more ? "many" : "few", event_words[id - FEATURE_ENGAGEMENT_FIRST]);
    } else {
        buf_str(out, is_share(d->names[feature]) ? (more ? "mostly " : "seldom ") : (more ? "high " : "low "));
        attribute_words(d->names[feature], out);
    }
}

/* --- the base of a label */

static double z_of(const struct describe *d, int segment, int id)
{
    for (size_t j = 0; j < d->n_features; j++)
        if (d->ids[j] == id) return isnan(d->segments[segment].features[j].z) ? 0 : d->segments[segment].features[j].z;
    return 0;
}

static double median_of(const struct describe *d, int segment, int id)
{
    for (size_t j = 0; j < d->n_features; j++)
        if (d->ids[j] == id) return d->segments[segment].features[j].median;
    return NAN;
}

static double mean_of(const struct describe *d, int segment, int id)
{
    for (size_t j = 0; j < d->n_features; j++)
        if (d->ids[j] == id) return d->segments[segment].features[j].mean;
    return NAN;
}

static const char *when(const struct describe *d, int s)
{
    const double recency = z_of(d, s, FEATURE_RECENCY);
    if (recency >= 1.2) return "Long-lapsed";
    if (recency >= 0.5) return "Lapsed";
    if (recency < 0.1 && z_of(d, s, FEATURE_TENURE) <= -0.8) return "New";
    if (recency <= -0.5) return "Active";
    return "";
}

static const char *who(const struct describe *d, int s)
{
    const double orders = z_of(d, s, FEATURE_FREQUENCY), money = z_of(d, s, FEATURE_MONETARY);
    const double value = z_of(d, s, FEATURE_AVERAGE_ORDER_VALUE);
    /* The rate is known only of those who bought: they must be more than a few. */
    if (d->segments[s].buyers_share >= 0.25 && mean_of(d, s, FEATURE_RETURN_RATE) >= 0.5)
        return "customers who return most of it";
    if (d->segments[s].buyers_share < 0.5)
        return z_of(d, s, FEATURE_ENGAGEMENT) > 0 ? "visitors who have not bought yet" : "contacts who never bought";
    if (median_of(d, s, FEATURE_FREQUENCY) < 1.5)
        return value >= 0.5 ? "one-time big spenders" : value <= -0.5 ? "one-time small buyers" : "one-time buyers";
    if (orders >= 0.7) return money >= 0.7 ? "loyal big spenders" : "loyal customers";
    if (orders >= 0) return money >= 0.7 ? "regular big spenders" : "regular customers";
    return money >= 0.5 || value >= 0.8 ? "occasional big spenders" : money <= -0.7 ? "occasional small buyers" : "occasional buyers";
}

static void capitalise(char *s)
{
    if (*s >= 'a' && *s <= 'z') *s = (char)(*s - 'a' + 'A');
}

/* Where nobody's buying says anything (a base of contacts with attributes alone), what stands out says who they are. */
static void base_by_features(const struct describe *d, int s, char *out, size_t cap)
{
    const struct segment_summary *e = &d->segments[s];
    struct buf b;
    buf_init(&b, cap - 1);
    for (size_t i = 0; i < e->n_distinguishing && i < 2; i++) {
        if (i > 0) buf_str(&b, ", ");
        short_difference(d, e->distinguishing[i], e->features[e->distinguishing[i]].z > 0, &b);
    }
    (void)str_copy(out, cap, b.len == 0 ? STR("In between") : (struct str){b.data, b.len});
    buf_done(&b);
}

static void base(const struct describe *d, int s, bool buying, char *out, size_t cap)
{
    if (d->k == 1) {
        (void)str_copy(out, cap, STR("All customers"));
    } else if (!buying) {
        base_by_features(d, s, out, cap);
    } else {
        const char *w = d->segments[s].buyers_share < 0.5 ? "" : when(d, s);
        struct buf b;
        buf_init(&b, cap - 1);
        buf_printf(&b, "%s%s%s", w, *w == '\0' ? "" : " ", who(d, s));
        (void)str_copy(out, cap, (struct str){b.data, b.len});
        buf_done(&b);
    }
    capitalise(out);
}

/* --- telling equal labels apart */

/* The feature in which segment s differs most from the others of its group. */
static size_t telling_feature(const struct describe *d, const bool *in_group, int s, bool *out_more)
{
    size_t best = 0;
    double most = -1;
    for (size_t j = 0; j < d->n_features; j++) {
        double sum = 0;
        int others = 0;
        for (int o = 0; o < d->k; o++) {
            if (o == s || !in_group[o] || isnan(d->segments[o].features[j].z)) continue;
            sum += d->segments[o].features[j].z;
            others++;
        }
        const double mine = d->segments[s].features[j].z;
        if (others == 0 || isnan(mine)) continue;
        const double gap = mine - sum / others;
        if (fabs(gap) > most) {
            most = fabs(gap);
            best = j;
            *out_more = gap > 0;
        }
    }
    return best;
}

static void append(char *label, const char *text, size_t n)
{
    const size_t len = strlen(label);
    if (len + n <= SEGMENT_LABEL_MAX) {
        memcpy(label + len, text, n);
        label[len + n] = '\0';
    }
}

static bool taken(char (*labels)[SEGMENT_LABEL_MAX + 1], int s)
{
    for (int before = 0; before < s; before++)
        if (strcmp(labels[before], labels[s]) == 0) return true;
    return false;
}

static void write_numbered(const char *text, int number, char out[SEGMENT_LABEL_MAX + 1])
{
    char end[16];
    const size_t n = (size_t)snprintf(end, sizeof end, " (%d)", number);
    size_t keep = strlen(text);
    if (keep > SEGMENT_LABEL_MAX - n) keep = SEGMENT_LABEL_MAX - n;
    while (keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80) keep--; /* not within a character */
    memcpy(out, text, keep);
    memcpy(out + keep, end, n + 1);
}

void describe_label(const struct describe *d, char (*out)[SEGMENT_LABEL_MAX + 1])
{
    char first[SEGMENTS_MAX][SEGMENT_LABEL_MAX + 1];
    bool buying = false;
    for (int s = 0; s < d->k; s++) buying |= d->segments[s].buyers_share > 0;
    for (int s = 0; s < d->k; s++) base(d, s, buying, first[s], sizeof first[s]);
    for (int s = 0; s < d->k; s++) {
        bool in_group[SEGMENTS_MAX] = {false};
        int members = 0;
        for (int o = 0; o < d->k; o++) members += in_group[o] = strcmp(first[o], first[s]) == 0;
        memcpy(out[s], first[s], sizeof first[s]);
        if (members == 1) continue;
        bool more = false;
        const size_t j = telling_feature(d, in_group, s, &more);
        struct buf b;
        buf_init(&b, 400);
        buf_str(&b, ", ");
        short_difference(d, j, more, &b);
        append(out[s], b.data, b.len);
        buf_done(&b);
    }
    /* Whatever is still the same after that gets a number. */
    for (int s = 0; s < d->k; s++) {
        memcpy(first[s], out[s], sizeof first[s]);
        for (int number = 2; taken(out, s); number++) write_numbered(first[s], number, out[s]);
    }
}

void describe_text(const struct describe *d, int segment, const char *lead, struct buf *out)
{
    const struct segment_summary *s = &d->segments[segment];
    if (lead != NULL) buf_printf(out, "%s ", lead);
    buf_printf(out, "%zu customer%s (%.1f %%)", s->size, s->size == 1 ? "" : "s", 100 * s->share);
    if (!isnan(s->revenue_share)) buf_printf(out, " with %.1f %% of the revenue", 100 * s->revenue_share);
    buf_str(out, ".");
    if (s->size == 0) return;
    if (s->buyers_share >= 0.5) {
        const double orders = median_of(d, segment, FEATURE_FREQUENCY);
        buf_printf(out, " Typically %.0f order%s, %.0f spent in all, %.0f per order, the last one %.0f days ago.", orders,
                   orders < 1.5 ? "" : "s", median_of(d, segment, FEATURE_MONETARY),
                   median_of(d, segment, FEATURE_AVERAGE_ORDER_VALUE), median_of(d, segment, FEATURE_RECENCY));
    } else if (s->buyers_share > 0) {
        buf_printf(out, " %.0f %% of them have bought something.", 100 * s->buyers_share);
    }
    for (size_t i = 0; i < s->n_distinguishing && i < 3; i++) {
        buf_str(out, i == 0 ? " Compared with everybody: " : ", ");
        difference(d, s->distinguishing[i], s->features[s->distinguishing[i]].z > 0, out);
    }
    if (s->n_distinguishing > 0) buf_str(out, ".");
}
